//! When to try a delivery again. Pure: the attempts made, what the other side asked for and a random number give
//! the wait.

use std::time::Duration;

/// The longest wait that the other side can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The waits between attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySchedule {
    /// The wait after the first failed attempt, after the second, and so on. After the last there is no more.
    pub delays: Vec<Duration>,
    /// How much a wait may be longer, as a share of itself: 0.2 is up to a fifth. It spreads deliveries that
    /// failed together.
    pub jitter: f64,
}

impl Default for RetrySchedule {
    /// Ten attempts over about 22 hours, roughly the schedule that Standard Webhooks recommends.
    fn default() -> Self {
        let delays = [5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR];
        Self { delays: delays.map(Duration::from_secs).to_vec(), jitter: 0.2 }
    }
}

impl RetrySchedule {
    /// How many attempts are made in all.
    pub fn max_attempts(&self) -> usize {
        self.delays.len() + 1
    }

    /// The wait before the next attempt, or `None` when there is none.
    ///
    /// `attempts_made` counts the failed one; `retry_after` is what the other side asked for, which is respected
    /// up to [`MAX_RETRY_AFTER`]; `unit_random` lies from 0 to 1.
    pub fn next(
        &self,
        attempts_made: u32,
        retry_after: Option<Duration>,
        unit_random: f64,
    ) -> Option<Duration> {
        let failed = usize::try_from(attempts_made).unwrap_or(usize::MAX).saturating_sub(1);
        let delay = *self.delays.get(failed)?;
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        // The jitter comes last, so that those who were all asked to come back at one moment do not.
        Some(self.lengthened(delay.max(asked), unit_random).min(delay.max(MAX_RETRY_AFTER)))
    }

    fn lengthened(&self, delay: Duration, unit_random: f64) -> Duration {
        let share = self.jitter * unit_random.clamp(0.0, 1.0);
        // A NaN or negative share lengthens nothing; an endless one is cut.
        let extra = Duration::try_from_secs_f64(delay.as_secs_f64() * share).unwrap_or_default();
        delay.saturating_add(extra.min(delay))
    }
}
