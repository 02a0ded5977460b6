//! Schedules, quiet hours and budgets over changes of the clocks: always later, always once a day.

use std::collections::BTreeMap;

use domain::{Budget, QuietHours, Schedule, local};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use proptest::prelude::*;

/// One hour twice a year, the same in other weeks, half an hour, none; and one that changes at midnight.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "America/Santiago", "Asia/Kathmandu"];

fn zone() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(&ZONES[..]).prop_map(local::zone)
}

/// Milliseconds from 2024 on over three years, most of them within two days of a change of the clocks.
fn moment() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    (zone(), 1_704_067_200_000_i64..1_798_761_600_000, -172_800_000_i64..172_800_000, any::<bool>()).prop_map(
        |(zone, millis, near, near_a_change)| {
            let anywhere = Timestamp::from_millisecond(millis).unwrap();
            let change = zone.following(anywhere).next().filter(|_| near_a_change);
            let at = change.map_or(anywhere, |change| change.timestamp() + SignedDuration::from_millis(near));
            (zone, at)
        },
    )
}

fn time_of_day() -> impl Strategy<Value = (u8, u8)> {
    prop_oneof![2 => (0_u8..5, 0_u8..60), 1 => (0_u8..24, 0_u8..60)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_daily_schedule_is_always_later_and_fires_once_on_every_local_date(
        (zone, now) in moment(), (hour, minute) in time_of_day(),
    ) {
        let schedule: Schedule = format!("{minute} {hour} * * *").parse().unwrap();
        let mut fired: BTreeMap<Date, u32> = BTreeMap::new();
        let mut at = now;
        for _ in 0..8 {
            let next = schedule.next(at, &zone).unwrap();
            prop_assert!(next > at, "{next} is not after {at}");
            prop_assert_eq!(schedule.next(next - SignedDuration::from_nanos(1), &zone), Some(next));
            *fired.entry(zone.to_datetime(next).date()).or_default() += 1;
            at = next;
        }
        prop_assert!(fired.values().all(|times| *times == 1), "{fired:?}");
        let dates: Vec<_> = fired.keys().copied().collect();
        prop_assert!(dates.windows(2).all(|pair| pair[0].tomorrow().unwrap() == pair[1]), "{dates:?}");
    }

    #[test]
    fn whatever_the_schedule_the_next_time_is_later_and_none_lies_between(
        (zone, now) in moment(),
        cron in prop::sample::select(&["*/15 * * * *", "30 2 * * *", "0 * * * *", "15,45 1-3 * * *", "0 9 * * MON-FRI", "* * * * *"][..]),
        into in 0.0..1.0_f64,
    ) {
        let schedule: Schedule = cron.parse().unwrap();
        let next = schedule.next(now, &zone).unwrap();
        prop_assert!(next > now);
        let gap = next.as_millisecond() - now.as_millisecond();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "anywhere between the two")]
        let between = now + SignedDuration::from_millis((gap as f64 * into) as i64);
        if between < next {
            prop_assert_eq!(schedule.next(between, &zone), Some(next), "asked at {}", between);
        }
    }

    #[test]
    fn quiet_hours_end_later_and_are_not_entered_again_at_their_end(
        (zone, now) in moment(), from in time_of_day(), to in time_of_day(),
    ) {
        prop_assume!(from != to);
        let text = format!("{:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1);
        let hours: QuietHours = text.parse().unwrap();
        prop_assert_eq!(hours.to_string(), text);
        if let Some(end) = hours.end(now, &zone) {
            prop_assert!(end > now, "{end} is not after {now}");
            // Two days' at most, where the clocks skip what is between them.
            prop_assert!(end.duration_since(now) <= SignedDuration::from_hours(50));
            prop_assert_eq!(hours.end(end, &zone), None, "still quiet at the end");
            // All of it ends at one moment.
            let halfway = now + end.duration_since(now) / 2;
            prop_assert_eq!(hours.end(halfway, &zone), Some(end));
        }
    }

    #[test]
    fn a_budgets_periods_follow_each_other_without_a_hole(
        (zone, now) in moment(), text in prop::sample::select(&["3/hour", "12/day"][..]),
    ) {
        let budget: Budget = text.parse().unwrap();
        prop_assert_eq!(budget.to_string(), text);
        let period = budget.period(now, &zone);
        prop_assert!(period.start <= now && now < period.end, "{period:?} at {now}");
        let next = budget.period(period.end, &zone);
        prop_assert!(next.start > period.start && next.end > period.end, "{period:?}, {next:?}");
        if text.ends_with("day") {
            prop_assert_eq!(next.start, period.end);
            let date = |at| zone.to_datetime(at).date();
            prop_assert_eq!(date(period.start).tomorrow().unwrap(), date(next.start));
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_local_time_that_the_clocks_skip_fires_as_much_later_as_they_skip() {
    let nightly: Schedule = "30 2 * * *".parse().unwrap();
    // Berlin goes from 02:00 to 03:00 on 2026-03-29; 03:30 there is 01:30 UTC.
    let berlin = local::zone("Europe/Berlin");
    assert_eq!(nightly.next(at("2026-03-28T12:00:00Z"), &berlin), Some(at("2026-03-29T01:30:00Z")));
    // Asked when it is 03:10 there, which is past half past two.
    assert_eq!(nightly.next(at("2026-03-29T01:10:00Z"), &berlin), Some(at("2026-03-29T01:30:00Z")));
    assert_eq!(nightly.next(at("2026-03-29T01:30:00Z"), &berlin), Some(at("2026-03-30T00:30:00Z")));
    // Lord Howe goes from 02:00 to 02:30 on 2026-10-04, so that half past two is there, and a quarter past is not.
    let lord_howe = local::zone("Australia/Lord_Howe");
    assert_eq!(nightly.next(at("2026-10-03T12:00:00Z"), &lord_howe), Some(at("2026-10-03T15:30:00Z")));
    let quarter: Schedule = "15 2 * * *".parse().unwrap();
    assert_eq!(quarter.next(at("2026-10-03T12:00:00Z"), &lord_howe), Some(at("2026-10-03T15:45:00Z")));
}

#[test]
fn a_local_time_that_the_clocks_show_twice_fires_the_first_time() {
    let nightly: Schedule = "30 2 * * *".parse().unwrap();
    let berlin = local::zone("Europe/Berlin");
    // Half past two is 00:30 UTC and again 01:30 UTC on 2026-10-25.
    assert_eq!(nightly.next(at("2026-10-24T12:00:00Z"), &berlin), Some(at("2026-10-25T00:30:00Z")));
    assert_eq!(nightly.next(at("2026-10-25T00:30:00Z"), &berlin), Some(at("2026-10-26T01:30:00Z")));
    assert_eq!(nightly.next(at("2026-10-25T01:10:00Z"), &berlin), Some(at("2026-10-26T01:30:00Z")));
}

#[test]
fn quiet_hours_cross_midnight_and_a_change_of_the_clocks() {
    let hours: QuietHours = "22:00-07:00".parse().unwrap();
    let berlin = local::zone("Europe/Berlin");
    assert_eq!(hours.end(at("2026-01-10T20:59:59Z"), &berlin), None);
    assert_eq!(hours.end(at("2026-01-10T21:00:00Z"), &berlin), Some(at("2026-01-11T06:00:00Z")));
    assert_eq!(hours.end(at("2026-01-11T05:59:59Z"), &berlin), Some(at("2026-01-11T06:00:00Z")));
    assert_eq!(hours.end(at("2026-01-11T06:00:00Z"), &berlin), None);
    // An hour less of sleep.
    assert_eq!(hours.end(at("2026-03-28T21:30:00Z"), &berlin), Some(at("2026-03-29T05:00:00Z")));
    let siesta: QuietHours = "13:00-15:00".parse().unwrap();
    assert_eq!(siesta.end(at("2026-01-10T12:30:00Z"), &berlin), Some(at("2026-01-10T14:00:00Z")));
    assert_eq!(siesta.end(at("2026-01-10T20:30:00Z"), &berlin), None);
}

#[test]
fn quiet_hours_go_on_where_the_clocks_skip_the_time_between_two_days() {
    // Santiago goes from 00:00 to 01:00 on 2026-09-06, at 04:00 UTC: the minutes from 00:01 to 01:00 are not there.
    let santiago = local::zone("America/Santiago");
    let nearly_always: QuietHours = "01:00-00:01".parse().unwrap();
    for within in
        ["2026-09-05T12:00:00Z", "2026-09-06T03:59:59Z", "2026-09-06T04:00:00Z", "2026-09-06T04:01:00Z"]
    {
        assert_eq!(nearly_always.end(at(within), &santiago), Some(at("2026-09-07T03:01:00Z")), "{within}");
    }
    // As on other days.
    assert_eq!(nearly_always.end(at("2026-09-07T03:30:00Z"), &santiago), None);
    assert_eq!(nearly_always.end(at("2026-09-05T04:30:00Z"), &santiago), None);
}

#[test]
fn a_wrong_text_says_what_to_write() {
    for text in [
        "",
        "0 9 * *",
        "0 9 * * * *",
        "61 9 * * *",
        "0 9 30 2 *",
        "every day",
        "0 9 * * MONDAYS",
        "а б в г д",
    ] {
        let error = text.parse::<Schedule>().expect_err(text).to_string();
        assert!(error.contains("is no schedule (") && error.contains("write minute, hour"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for text in
        ["", "22:00", "22-07", "22:00-22:00", "24:00-07:00", "22:00-07:60", "-1:00-07:00", "22:00–07:00"]
    {
        let error = text.parse::<QuietHours>().expect_err(text).to_string();
        assert!(error.contains("write two different times of the day"), "{error}");
    }
    for text in ["", "12", "0/day", "-1/day", "12/week", "a/day", "1.5/hour"] {
        let error = text.parse::<Budget>().expect_err(text).to_string();
        assert!(error.contains("write a number from 1 on"), "{error}");
    }
}
