//! Owns how long one URL usually takes to answer a question near the head, and what follows from it: when an answer is
//! late, and when it is not waited for any more. Pure.
//!
//! The estimate is that of TCP for the way there and back (RFC 6298): a mean, and a mean deviation of which four are
//! added.

use std::time::Duration;

use crate::PromptConfig;

/// Of a new answer, so much goes into the mean and into the deviation.
const MEAN: f64 = 0.125;
const DEVIATION: f64 = 0.25;

/// So many deviations above the mean is still usual.
const DEVIATIONS: f64 = 4.0;

/// So many times the longest usual time is waited for an answer.
const PATIENCE: u32 = 4;

/// What was learned.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    mean: Option<f64>,
    deviation: f64,
}

impl Latency {
    /// An answer took so long.
    pub(crate) fn learn(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        match &mut self.mean {
            None => (self.mean, self.deviation) = (Some(took), took / 2.0),
            Some(mean) => {
                self.deviation += DEVIATION * ((took - *mean).abs() - self.deviation);
                *mean += MEAN * (took - *mean);
            }
        }
    }

    /// The longest usual time; nothing before the first answer.
    fn usual(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.mean? + DEVIATIONS * self.deviation).ok()
    }

    /// After this long an answer is late: another URL is asked beside this one.
    pub(crate) fn late_after(&self, config: &PromptConfig) -> Duration {
        self.usual().unwrap_or(config.late_max).clamp(config.late_min, config.late_max)
    }

    /// After this long the answer is not waited for any more, while there is another URL. What is known to take longer gets
    /// the time that it takes.
    pub(crate) fn deadline(&self, config: &PromptConfig) -> Duration {
        let usual = self.usual().unwrap_or(config.deadline_max);
        usual
            .saturating_mul(PATIENCE)
            .clamp(config.deadline_min, config.deadline_max)
            .max(self.usual().unwrap_or_default())
    }

    /// After this long a second opinion is done without.
    pub(crate) fn witness_deadline(&self, config: &PromptConfig) -> Duration {
        self.usual().unwrap_or_default().clamp(config.deadline_min, config.deadline_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: PromptConfig = PromptConfig {
        attempts: 5,
        late_min: Duration::from_millis(300),
        late_max: Duration::from_secs(1),
        deadline_min: Duration::from_secs(1),
        deadline_max: Duration::from_secs(3),
    };

    fn after(answers: &[u64]) -> Latency {
        let mut latency = Latency::default();
        for ms in answers {
            latency.learn(Duration::from_millis(*ms));
        }
        latency
    }

    #[test]
    fn before_the_first_answer_the_longest_times_hold() {
        let unknown = Latency::default();
        assert_eq!(unknown.late_after(&CONFIG), CONFIG.late_max);
        assert_eq!(unknown.deadline(&CONFIG), CONFIG.deadline_max);
        assert_eq!(unknown.witness_deadline(&CONFIG), CONFIG.deadline_min);
    }

    #[test]
    fn the_times_follow_what_is_usual_between_their_bounds() {
        let fast = after(&[5; 50]);
        assert_eq!(
            (fast.late_after(&CONFIG), fast.deadline(&CONFIG)),
            (CONFIG.late_min, CONFIG.deadline_min)
        );
        let middling = after(&[450; 50]);
        let late = middling.late_after(&CONFIG);
        assert!((Duration::from_millis(440)..Duration::from_millis(500)).contains(&late), "{late:?}");
        let deadline = middling.deadline(&CONFIG);
        assert!(
            (Duration::from_millis(1_700)..Duration::from_millis(2_000)).contains(&deadline),
            "{deadline:?}"
        );
    }

    #[test]
    fn a_url_that_is_known_to_be_slow_gets_the_time_that_it_takes() {
        let slow = after(&[6_000; 50]);
        assert_eq!(slow.late_after(&CONFIG), CONFIG.late_max);
        assert!(slow.deadline(&CONFIG) >= Duration::from_secs(6));
        assert_eq!(slow.witness_deadline(&CONFIG), CONFIG.deadline_max, "it is not in the way of a block");
    }

    #[test]
    fn answers_that_vary_make_more_of_them_usual() {
        let (steady, varying) = (after(&[200; 50]), after(&[100, 300].repeat(25)));
        assert!(varying.late_after(&CONFIG) > steady.late_after(&CONFIG) * 2);
    }
}
