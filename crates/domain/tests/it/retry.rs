//! The written schedule of attempts.

use std::time::Duration;

use domain::retry::{MAX_RETRY_AFTER, RetrySchedule};
use proptest::prelude::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_default_schedule_is_the_written_one() {
    let schedule = RetrySchedule::default();
    let waits: Vec<_> = (1..).map_while(|attempts| schedule.next(attempts, None, 0.0)).collect();
    let written = [5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600].map(seconds);
    assert_eq!(waits, written);
    assert_eq!(schedule.max_attempts(), 10);
    assert_eq!(schedule.next(10, None, 0.0), None);
}

#[test]
fn what_the_other_side_asks_for_is_a_minimum() {
    let schedule = RetrySchedule::default();
    assert_eq!(schedule.next(1, Some(seconds(60)), 0.0), Some(seconds(60)));
    assert_eq!(schedule.next(2, Some(seconds(1)), 0.0), Some(seconds(30)));
    assert_eq!(schedule.next(1, Some(seconds(1_000_000)), 1.0), Some(MAX_RETRY_AFTER));
    assert_eq!(schedule.next(10, Some(seconds(60)), 0.0), None);
}

#[test]
fn jitter_lengthens_by_its_share_at_most() {
    let schedule = RetrySchedule::default();
    assert_eq!(schedule.next(1, None, 1.0), Some(seconds(6)));
    assert_eq!(schedule.next(1, None, 0.5), Some(Duration::from_millis(5500)));
}

proptest! {
    #[test]
    fn a_wait_is_between_the_written_one_and_that_with_jitter(
        attempts in 0..12_u32, asked in prop::option::of(0..200_000_u64), random in -1.0..2.0_f64,
    ) {
        let schedule = RetrySchedule::default();
        let Some(wait) = schedule.next(attempts, asked.map(seconds), random) else {
            prop_assert!(attempts as usize >= schedule.max_attempts());
            return Ok(());
        };
        let written = schedule.delays[(attempts.max(1) - 1) as usize];
        let least = written.max(asked.map_or(Duration::ZERO, seconds).min(MAX_RETRY_AFTER));
        prop_assert!(wait >= least);
        prop_assert!(wait <= least.mul_f64(1.0 + schedule.jitter) + Duration::from_nanos(1000));
        prop_assert!(wait <= MAX_RETRY_AFTER);
    }

    #[test]
    fn no_setting_makes_it_panic(
        delay in any::<u64>(), jitter in any::<f64>(), random in any::<f64>(), asked in any::<u64>(),
    ) {
        let schedule = RetrySchedule { delays: vec![seconds(delay)], jitter };
        let wait = schedule.next(1, Some(seconds(asked)), random);
        prop_assert!(wait >= Some(seconds(delay)));
        prop_assert_eq!(schedule.next(2, None, random), None);
    }
}
