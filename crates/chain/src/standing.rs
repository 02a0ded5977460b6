//! Owns what is held against one URL: how far it is behind, its recent errors, and its lies with what they cost it. Pure:
//! the time is handed in.

use std::time::Duration;

use jiff::Timestamp;

use crate::NodeConfig;

/// In this time an error comes to count half.
const HALF_LIFE: Duration = Duration::from_secs(15);

/// More blame than this is not kept, so that it is gone in minutes.
const BLAME_MAX: f64 = 16.0;

/// How grave an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gravity {
    /// It did not answer, or refused.
    Failure,
    /// Its answer contradicted itself or the question.
    Contradiction,
}

/// What a lie costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sentence {
    /// It is kept out of use for so long, and on probation for as long again.
    Quarantine(Duration),
    /// It is only on probation: there is no other URL, or it is in quarantine already.
    Mark,
}

/// What is held against one URL.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) errors: u64,
    pub(crate) lies: u64,
    /// The newest head that it told of.
    pub(crate) head: Option<u64>,
    /// Since when it tells of that one.
    pub(crate) head_since: Option<Timestamp>,
    /// How far that was behind the best one known then, in blocks.
    pub(crate) lag_blocks: u64,
    last_lie: Option<String>,
    pub(crate) head_asked_at: Option<Timestamp>,
    blame: f64,
    blamed_at: Option<Timestamp>,
    quarantined_until: Option<Timestamp>,
    probation_until: Option<Timestamp>,
    sentence: Duration,
}

impl Standing {
    // ------------------------------------------------------------------------------------------------ heads

    /// Takes note of its head. `best` is the best head that the other URLs told of.
    pub(crate) fn learned(&mut self, now: Timestamp, head: u64, best: Option<u64>) {
        if self.head != Some(head) {
            (self.head, self.head_since) = (Some(head), Some(now));
        }
        self.lag_blocks = best.unwrap_or_default().saturating_sub(head);
        self.head_asked_at = Some(now);
    }

    /// For how long its head need not be asked for.
    pub(crate) fn head_is_due_in(&self, now: Timestamp, interval: Duration) -> Duration {
        let since = self.head_asked_at.map_or(Duration::MAX, |at| now.duration_since(at).unsigned_abs());
        interval.saturating_sub(since)
    }

    /// Whether nobody asked for its head for the interval; then it counts as asked now.
    pub(crate) fn head_is_due(&mut self, now: Timestamp, interval: Duration) -> bool {
        let due = self.head_asked_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= interval);
        if due {
            self.head_asked_at = Some(now);
        }
        due
    }

    // ----------------------------------------------------------------------------------------------- errors

    /// An error of a URL on probation begins the probation anew, where it is of the kind that lies are.
    pub(crate) fn failed(&mut self, now: Timestamp, gravity: Gravity) {
        self.errors += 1;
        let more = match gravity {
            Gravity::Failure => 1.0,
            Gravity::Contradiction => 3.0,
        };
        self.blame = (self.blame(now) + more).min(BLAME_MAX);
        self.blamed_at = Some(now);
        if gravity == Gravity::Contradiction && self.on_probation(now) && self.quarantined_for(now).is_none()
        {
            self.probation_until = now.checked_add(self.sentence).ok();
        }
    }

    /// The recent errors, each counting less with time.
    pub(crate) fn blame(&self, now: Timestamp) -> f64 {
        let Some(at) = self.blamed_at else { return 0.0 };
        let halvings = now.duration_since(at).as_secs_f64().max(0.0) / HALF_LIFE.as_secs_f64();
        self.blame * (-halvings).exp2()
    }

    // ------------------------------------------------------------------------------------------------- lies

    /// Counts a lie. Each lie's sentence is twice the last one's.
    pub(crate) fn lied(
        &mut self,
        now: Timestamp,
        lie: &str,
        has_another: bool,
        config: &NodeConfig,
    ) -> Sentence {
        self.lies += 1;
        self.last_lie = Some(lie.to_owned());
        // One more lie of the same time is the same offence.
        if self.quarantined_for(now).is_some() {
            return Sentence::Mark;
        }
        let doublings = u32::try_from(self.lies - 1).unwrap_or(u32::MAX).min(30);
        self.sentence = config.quarantine.saturating_mul(1 << doublings).min(config.quarantine_max);
        let after = |times: u32| now.checked_add(self.sentence.saturating_mul(times)).ok();
        if has_another {
            self.quarantined_until = after(1);
            self.probation_until = after(2);
            Sentence::Quarantine(self.sentence)
        } else {
            self.probation_until = after(1);
            Sentence::Mark
        }
    }

    pub(crate) fn last_lie(&self) -> Option<&str> {
        self.last_lie.as_deref()
    }

    pub(crate) fn quarantined_for(&self, now: Timestamp) -> Option<Duration> {
        remaining(self.quarantined_until, now)
    }

    pub(crate) fn on_probation(&self, now: Timestamp) -> bool {
        remaining(self.probation_until, now).is_some()
    }
}

/// How much of the time until `until` is left; nothing when it is over.
pub(crate) fn remaining(until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(until?.duration_since(now)).ok()?;
    (!left.is_zero()).then_some(left)
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
    fn errors_are_forgotten_by_halves() {
        let mut standing = Standing::default();
        standing.failed(at(0), Gravity::Failure);
        standing.failed(at(0), Gravity::Contradiction);
        let blame = [0, 15, 30].map(|second| standing.blame(at(second)));
        assert!(
            blame.iter().zip([4.0, 2.0, 1.0]).all(|(is, should)| (is - should).abs() < 1e-9),
            "{blame:?}"
        );
        for _ in 0..1_000 {
            standing.failed(at(30), Gravity::Contradiction);
        }
        assert!(standing.blame(at(30 + 300)) < 0.01, "it is held for ever");
        assert_eq!(standing.errors, 1_002);
    }

    #[test]
    fn each_lie_costs_twice_the_last_one_up_to_a_day() {
        let (config, mut standing) = (config(), Standing::default());
        let mut now = 0;
        let sentences: Vec<_> = (0..10)
            .map(|_| {
                let Sentence::Quarantine(span) = standing.lied(at(now), "lie", true, &config) else {
                    panic!("no quarantine")
                };
                // The same offence.
                assert_eq!(standing.lied(at(now), "lie", true, &config), Sentence::Mark);
                now += i64::try_from(span.as_secs()).unwrap();
                assert_eq!(standing.quarantined_for(at(now - 1)), Some(Duration::from_secs(1)));
                assert_eq!(standing.quarantined_for(at(now)), None);
                span.as_secs() / 60
            })
            .collect();
        assert_eq!(sentences[..3], [10, 40, 160]);
        assert_eq!(sentences[9], 24 * 60);
        assert_eq!(standing.lies, 20);
    }

    #[test]
    fn after_quarantine_comes_probation_until_it_was_right_for_as_long() {
        let (config, mut standing) = (config(), Standing::default());
        standing.lied(at(0), "lie", true, &config);
        assert!(standing.on_probation(at(600)) && standing.on_probation(at(1_199)));
        // A contradiction is not being right.
        standing.failed(at(1_000), Gravity::Contradiction);
        standing.failed(at(1_100), Gravity::Failure);
        assert!(standing.on_probation(at(1_599)));
        assert!(!standing.on_probation(at(1_600)));
    }

    #[test]
    fn the_last_url_is_only_marked() {
        let (config, mut standing) = (config(), Standing::default());
        assert_eq!(standing.lied(at(0), "lie", false, &config), Sentence::Mark);
        assert_eq!(standing.quarantined_for(at(0)), None);
        assert!(standing.on_probation(at(599)) && !standing.on_probation(at(600)));
    }

    #[test]
    fn the_lag_is_that_of_the_moment_when_the_head_was_told() {
        let mut standing = Standing::default();
        assert!(standing.head_is_due(at(0), Duration::from_secs(30)));
        assert!(!standing.head_is_due(at(29), Duration::from_secs(30)));
        standing.learned(at(29), 90, Some(100));
        assert_eq!((standing.head, standing.lag_blocks), (Some(90), 10));
        standing.learned(at(30), 101, Some(100));
        assert_eq!(standing.lag_blocks, 0);
        assert!(standing.head_is_due(at(60), Duration::from_secs(30)));
    }
}
