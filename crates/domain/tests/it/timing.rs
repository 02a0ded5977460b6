//! When a hit is told: what its watch asks for, put off by what its recipient asks for.

use std::time::Duration;

use domain::{
    Held, Strategy, Telling, Watch, WindowKey, WindowRule, grouping,
    timing::{Attention, Gather, Timing, timing},
};
use jiff::Timestamp;

use crate::matching::watch;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minute() -> WindowRule {
    let window = Duration::from_secs(60);
    WindowRule { window, max_wait: Duration::from_secs(600), max_count: 50, slide: false }
}

fn of(strategy: Strategy, telling: Telling) -> Watch {
    Watch { strategy, telling, ..watch("w", "token", "Transfer", None) }
}

fn attention(quiet: Option<&str>, at_most: Option<&str>) -> Attention {
    Attention {
        zone: domain::local::zone("Europe/Berlin"),
        quiet_hours: quiet.map(|text| text.parse().unwrap()),
        at_most: at_most.map(|text| text.parse().unwrap()),
    }
}

fn gathered(timing: Timing) -> Gather {
    match timing {
        Timing::Window(gather) => gather,
        Timing::AtOnce => panic!("it is told at once"),
    }
}

#[test]
fn an_immediate_hit_waits_for_the_end_of_quiet_hours_unless_it_is_critical() {
    let quiet = attention(Some("22:00-07:00"), None);
    let (noon, night) = (at("2026-01-10T11:00:00Z"), at("2026-01-10T23:00:00Z"));
    let plain = of(Strategy::Immediate, Telling::default());
    assert_eq!(timing(&plain, &quiet, None, noon), Timing::AtOnce);
    let waits = gathered(timing(&plain, &quiet, None, night));
    assert_eq!((waits.due, waits.held), (at("2026-01-11T06:00:00Z"), Some(Held::QuietHours)));
    assert_eq!(waits.rule, WindowRule::until(waits.due, night));
    let critical = of(Strategy::Immediate, Telling { critical: true, ..Telling::default() });
    assert_eq!(timing(&critical, &quiet, None, night), Timing::AtOnce);
}

#[test]
fn a_window_that_would_close_in_quiet_hours_closes_at_their_end_and_does_not_flush_before() {
    let quiet = attention(Some("22:00-07:00"), None);
    let digest = of(Strategy::Digest(minute()), Telling::default());
    let before = gathered(timing(&digest, &quiet, None, at("2026-01-10T20:58:00Z")));
    assert_eq!((before.rule, before.held), (minute(), None));
    for inside in ["2026-01-10T20:59:30Z", "2026-01-10T23:00:00Z"] {
        let waits = gathered(timing(&digest, &quiet, None, at(inside)));
        assert_eq!((waits.due, waits.held), (at("2026-01-11T06:00:00Z"), Some(Held::QuietHours)));
        assert_eq!(waits.rule.max_count, u32::MAX);
    }
    // One that closes after their end is none of theirs.
    let hour = WindowRule { window: Duration::from_secs(7200), ..minute() };
    let late = of(Strategy::Digest(hour), Telling::default());
    assert_eq!(gathered(timing(&late, &quiet, None, at("2026-01-11T05:00:00Z"))).held, None);
}

#[test]
fn a_spent_budget_puts_off_to_the_next_period_and_out_of_quiet_hours() {
    let both = attention(Some("22:00-07:00"), Some("2/day"));
    let now = at("2026-01-10T11:00:00Z");
    let period = both.period(now).unwrap();
    assert_eq!(both.spent_period((period.start, 2), now), Some(period));
    assert_eq!(both.spent_period((period.start, 1), now), None);
    assert_eq!(both.spent_period((at("2026-01-08T23:00:00Z"), 9), now), None, "of another day");
    let plain = of(Strategy::Immediate, Telling::default());
    let waits = gathered(timing(&plain, &both, Some(period), now));
    // Midnight is within the quiet hours.
    assert_eq!((waits.due, waits.held), (at("2026-01-11T06:00:00Z"), Some(Held::Budget)));
    assert_eq!(timing(&plain, &both, None, now), Timing::AtOnce);
}

#[test]
fn a_schedule_is_in_the_recipients_zone_and_whoever_joins_changes_nothing_of_it() {
    let schedule = Some("0 9 * * *".parse().unwrap());
    let daily = of(Strategy::Digest(minute()), Telling { schedule, ..Telling::default() });
    let berlin = attention(None, None);
    let (first, last) = (at("2026-01-10T08:00:01Z"), at("2026-01-11T07:59:59.999Z"));
    let one = gathered(timing(&daily, &berlin, None, first));
    let two = gathered(timing(&daily, &berlin, None, last));
    assert_eq!((one.due, two.due), (at("2026-01-11T08:00:00Z"), at("2026-01-11T08:00:00Z")));
    let opened = one.rule.join(None, first, 1);
    assert_eq!(opened.due, one.due);
    assert_eq!(two.rule.join(Some(opened), last, 100_000).due, one.due);
}

#[test]
fn only_long_windows_are_spread_and_always_alike() {
    let long = WindowRule { window: Duration::from_secs(3600), ..minute() };
    let spread: Vec<_> = (0..200).map(|n| long.spread(&format!("ops w{n}")).window).collect();
    assert!(spread.iter().all(|window| *window <= long.window && *window >= long.window * 95 / 100));
    assert!(spread.iter().collect::<std::collections::HashSet<_>>().len() > 100);
    assert_eq!(long.spread("ops w").window, long.spread("ops w").window);
    assert_eq!(minute().spread("ops w"), minute());
    let sliding = WindowRule { slide: true, ..long };
    assert_eq!(sliding.spread("ops w"), sliding);
}

#[test]
fn a_window_key_gives_back_its_parts() {
    let (ops, w) = ("ops".parse().unwrap(), "w".parse().unwrap());
    let plain = WindowKey::grouped(&ops, &w, "");
    assert_eq!(plain, WindowKey::new(&ops, &w));
    assert_eq!((plain.recipient(), plain.watch(), plain.group()), (Some(ops.clone()), Some(w.clone()), ""));
    let grouped = WindowKey::grouped(&ops, &w, "0xab,7");
    assert_eq!((grouped.recipient(), grouped.watch(), grouped.group()), (Some(ops), Some(w), "0xab,7"));
}

#[test]
fn a_watch_from_before_reads_as_one_that_asks_for_nothing_more() {
    let old = r#"{"id":"w","recipient":"ops","contract":"c","event":"E","strategy":"immediate",
        "deliver_at":"seen","paused":false,"from_file":false}"#;
    let read: Watch = serde_json::from_str(old).unwrap();
    assert_eq!(read.telling, Telling::default());
    let telling = Telling {
        leading: true,
        schedule: Some("0 9 * * 1".parse().unwrap()),
        group_by: vec!["address".into()],
        critical: true,
        spam: domain::Spam::Drop,
    };
    let full = Watch { telling, ..read };
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Watch>(&text).unwrap(), full);
}

#[test]
fn a_group_that_the_event_does_not_have_is_an_error_with_the_names_it_has() {
    let schema = domain::EventSchema {
        name: "Transfer".into(),
        params: vec![domain::EventParam {
            name: "from".into(),
            ty: domain::ParamType::Address,
            indexed: true,
        }],
        anonymous: false,
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(grouping::check(&names(&["address", "tx_hash", "from"]), &schema), Ok(()));
    let error = grouping::check(&names(&["form"]), &schema).unwrap_err().to_string();
    assert_eq!(
        error,
        "group_by: Transfer(address) has no 'form'; did you mean 'from' (it has from, address and tx_hash)?"
    );
}
