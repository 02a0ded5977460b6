//! Owns what is known about a URL's fitness: failures, how long it stays at the end of the line for them, what it last
//! complained about. Pure: the time is handed in.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;

use crate::{
    NodeConfig,
    latency::Latency,
    standing::{Standing, remaining},
};

/// After this many of the longest waits without a failure, the next failure is a first one again.
const CALM: u32 = 2;

/// More failures than this do not lengthen the wait, whatever the bounds are.
const FAILURES_MAX: u32 = 32;

/// How the announcements of a chain come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeedState {
    /// Not from this URL.
    #[default]
    Idle,
    /// By subscriptions to heads and logs.
    Subscribed,
    /// By asking for the head at an interval.
    Polling,
}

/// The state of one URL, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlStatus {
    /// Redacted URL.
    pub url: String,
    /// Whether the last thing asked of it was answered.
    pub healthy: bool,
    /// Whether questions go there now.
    pub pinned: bool,
    /// What it last failed with, even if it is healthy again.
    pub last_error: Option<String>,
    /// How long its last answer took.
    pub latency: Option<Duration>,
    /// Whether it announces heads and logs.
    pub feed: FeedState,
}

/// What is known about one URL.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: u32,
    failed_at: Option<Timestamp>,
    demoted_until: Option<Timestamp>,
    refuses_subscriptions_until: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
    pub(crate) latency: Option<Duration>,
    pub(crate) feed: FeedState,
    /// Requests in a row that got no answer.
    pub(crate) timeouts: u32,
    /// Questions in a row that it left unanswered, or answered too late.
    pub(crate) unanswered: u32,
    /// How long it takes to answer near the head.
    pub(crate) prompt: Latency,
    /// What is held against it.
    pub(crate) standing: Standing,
}

impl Health {
    /// Whether nothing speaks against the URL.
    pub(crate) const fn is_healthy(&self) -> bool {
        self.demoted_until.is_none()
    }

    /// How long the URL stays at the end of the line; nothing when it does not.
    pub(crate) fn demoted_for(&self, now: Timestamp) -> Option<Duration> {
        remaining(self.demoted_until, now)
    }

    /// Whether it is worth asking for subscriptions.
    pub(crate) fn may_subscribe(&self, now: Timestamp) -> bool {
        remaining(self.refuses_subscriptions_until, now).is_none()
    }

    /// Returns whether this is a recovery.
    pub(crate) const fn succeeded(&mut self, latency: Duration) -> bool {
        self.latency = Some(latency);
        self.timeouts = 0;
        self.unanswered = 0;
        self.demoted_until.take().is_some()
    }

    /// Returns whether the URL was healthy before. The failure is forgotten only after a calm time: a node that answers
    /// once between two failures must not be taken for a sound one.
    pub(crate) fn failed(
        &mut self,
        now: Timestamp,
        why: String,
        retry_after: Option<Duration>,
        config: &NodeConfig,
    ) -> bool {
        let calm = config.backoff_max * CALM;
        if self.failed_at.is_none_or(|at| now.duration_since(at).unsigned_abs() > calm) {
            self.failures = 0;
        }
        let was_healthy = self.is_healthy();
        self.failures = (self.failures + 1).min(FAILURES_MAX);
        self.failed_at = Some(now);
        self.last_error = Some(why);
        let wait = backoff(self.failures, config).max(retry_after.unwrap_or_default());
        self.demoted_until = now.checked_add(wait).ok();
        was_healthy
    }

    pub(crate) fn refused_subscriptions(&mut self, now: Timestamp, retry: Duration) {
        self.refuses_subscriptions_until = now.checked_add(retry).ok();
    }
}

/// The wait after the given failure, the first being 1: doubling, with up to as much again at random, so that several
/// readers of one provider do not come back together.
pub(crate) fn backoff(failure: u32, config: &NodeConfig) -> Duration {
    let waits = ExponentialBuilder::default()
        .with_min_delay(config.backoff_min)
        .with_max_delay(config.backoff_max)
        .without_max_times()
        .with_jitter()
        .build();
    let wait = waits.take(failure.max(1) as usize).last();
    wait.unwrap_or(config.backoff_max).min(config.backoff_max)
}

#[cfg(test)]
mod tests {
    use domain::ChainId;

    use super::*;

    fn config() -> NodeConfig {
        NodeConfig::new("test".parse().unwrap(), ChainId(1), Vec::new())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn failures_in_a_row_demote_for_longer_and_longer_up_to_the_limit() {
        let (config, mut health) = (config(), Health::default());
        let mut waits = Vec::new();
        for _ in 0..40 {
            health.failed(at(0), "down".to_owned(), None, &config);
            waits.push(health.demoted_for(at(0)).unwrap());
        }
        assert!(waits[0] <= Duration::from_secs(1), "{waits:?}");
        assert!(waits[3] >= Duration::from_secs(4), "{waits:?}");
        assert_eq!(waits[39], config.backoff_max);
    }

    #[test]
    fn an_answer_ends_the_demotion_but_is_no_proof_of_health() {
        let (config, mut health) = (config(), Health::default());
        for second in 0..5 {
            assert!(health.failed(at(second), "down".to_owned(), None, &config));
            assert!(health.succeeded(Duration::from_millis(3)));
            assert!(health.is_healthy());
        }
        health.failed(at(5), "down".to_owned(), None, &config);
        assert!(health.demoted_for(at(5)).unwrap() >= Duration::from_secs(8));
    }

    #[test]
    fn after_a_calm_time_a_failure_is_a_first_one() {
        let (config, mut health) = (config(), Health::default());
        for _ in 0..10 {
            health.failed(at(0), "down".to_owned(), None, &config);
        }
        health.failed(at(1_000), "down".to_owned(), None, &config);
        assert!(health.demoted_for(at(1_000)).unwrap() <= Duration::from_secs(1));
    }

    #[test]
    fn a_provider_that_asks_for_a_wait_gets_it() {
        let (config, mut health) = (config(), Health::default());
        health.failed(at(0), "slow down".to_owned(), Some(Duration::from_secs(300)), &config);
        assert_eq!(health.demoted_for(at(0)), Some(Duration::from_secs(300)));
        assert_eq!(health.demoted_for(at(300)), None);
    }
}
