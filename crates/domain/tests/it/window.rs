//! When a window closes.

use std::time::Duration;

use domain::window::{WindowRule, WindowState};
use jiff::Timestamp;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rule(window: u64, max_wait: u64, max_count: u32, slide: bool) -> WindowRule {
    WindowRule {
        window: Duration::from_secs(window),
        max_wait: Duration::from_secs(max_wait),
        max_count,
        slide,
    }
}

/// The states after each of the adds `(seconds since the last, hits)`.
fn run(rule: &WindowRule, adds: &[(i64, u32)]) -> Vec<(Timestamp, WindowState)> {
    let (mut now, mut state, mut states) = (1_000, None, Vec::new());
    for (gap, hits) in adds {
        now += gap;
        let next = rule.join(state, at(now), *hits);
        states.push((at(now), next));
        state = Some(next);
    }
    states
}

#[test]
fn a_window_closes_after_its_first_hit() {
    let states = run(&rule(60, 600, 100, false), &[(0, 1), (30, 1), (20, 5)]);
    assert!(states.iter().all(|(_, state)| state.due == at(1_060)));
    assert_eq!(states[2].1.count, 7);
}

#[test]
fn a_sliding_window_closes_after_its_latest_hit_but_waits_no_longer_than_it_may() {
    let states = run(&rule(60, 100, 100, true), &[(0, 1), (30, 1), (30, 1)]);
    let due: Vec<_> = states.iter().map(|(_, state)| state.due).collect();
    assert_eq!(due, [at(1_060), at(1_090), at(1_100)]);
}

#[test]
fn enough_hits_close_a_window_at_once() {
    let states = run(&rule(60, 600, 3, false), &[(0, 1), (1, 1), (1, 1)]);
    assert_eq!(states[2].1.due, at(1_002));
}

#[test]
fn the_sweep_brings_a_window_forward() {
    let slow = rule(60, 600, 100, true);
    let open = slow.join(None, at(1_000), 1);
    let swept = WindowRule::NOW.join(Some(open), at(1_010), 1);
    assert_eq!(swept.due, at(1_010));
}

fn any_rule() -> impl Strategy<Value = WindowRule> {
    (0..100_u64, 0..300_u64, 1..20_u32, any::<bool>())
        .prop_map(|(window, max_wait, max_count, slide)| rule(window, max_wait, max_count, slide))
}

fn adds() -> impl Strategy<Value = Vec<(i64, u32)>> {
    prop::collection::vec((0..50_i64, 0..4_u32), 1..12)
}

proptest! {
    #[test]
    fn a_window_is_never_due_after_its_hard_end(rule in any_rule(), adds in adds()) {
        for (_, state) in run(&rule, &adds) {
            prop_assert!(state.due <= state.hard_due);
            prop_assert!(state.due >= state.opened);
        }
    }

    #[test]
    fn only_sliding_moves_an_open_window_later(rule in any_rule(), adds in adds()) {
        let states = run(&rule, &adds);
        for pair in states.windows(2) {
            let ((_, before), (now, after)) = (pair[0], pair[1]);
            // A window that was due already is about to be claimed: then nothing is promised.
            if before.due >= now && !rule.slide {
                prop_assert!(after.due <= before.due);
            }
            prop_assert_eq!(after.opened, before.opened);
            prop_assert!(after.hard_due <= before.hard_due);
            prop_assert!(after.count >= before.count);
        }
    }

    #[test]
    fn the_order_in_which_hits_of_one_moment_join_does_not_matter(
        rule in any_rule(), hits in prop::collection::vec(1..4_u32, 1..6),
    ) {
        let adds = |hits: &[u32]| hits.iter().map(|hits| (0, *hits)).collect::<Vec<_>>();
        let together = run(&rule, &[(0, hits.iter().sum())]);
        let mut reversed = hits.clone();
        reversed.reverse();
        for one_by_one in [run(&rule, &adds(&hits)), run(&rule, &adds(&reversed))] {
            prop_assert_eq!(one_by_one.last().unwrap().1, together[0].1);
        }
    }
}
