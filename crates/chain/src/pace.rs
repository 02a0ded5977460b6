//! Owns how many requests one URL may have under way, learned from its refusals: additive growth, multiplicative
//! decrease. [`Pace`] is the pure core, the time is handed in; [`Gate`] lets requests through by it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::Clock;
use jiff::Timestamp;
use tokio::sync::Notify;

/// How many requests a URL may have under way before anything is known about it.
const FIRST: usize = 8;

/// The shortest wait after a refusal that names none.
const WAIT_MIN: Duration = Duration::from_millis(20);

/// How many requests may be under way, and until when none may begin.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: usize,
    ceiling: usize,
    under_way: usize,
    // Answers since the limit changed last.
    answers: usize,
    // The next wait where the provider names none: longer with each refusal, shorter with each answer.
    wait: Duration,
    held_until: Option<Timestamp>,
}

/// Whether a request may begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now: it counts as under way.
    Now,
    /// Once another one has ended.
    Full,
    /// After this long at the earliest.
    Held(Duration),
}

impl Pace {
    pub(crate) fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        let limit = ceiling.min(FIRST);
        Self { limit, ceiling, under_way: 0, answers: 0, wait: WAIT_MIN, held_until: None }
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn enter(&mut self, now: Timestamp) -> Turn {
        if let Some(left) = self.held_for(now) {
            return Turn::Held(left);
        }
        self.held_until = None;
        if self.under_way >= self.limit {
            return Turn::Full;
        }
        self.under_way += 1;
        Turn::Now
    }

    pub(crate) const fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// As many answers as may be under way make room for one request more.
    pub(crate) fn answered(&mut self) {
        self.wait = (self.wait / 2).max(WAIT_MIN);
        self.answers += 1;
        if self.answers >= self.limit {
            self.answers = 0;
            if self.limit < self.ceiling {
                self.limit += 1;
            }
        }
    }

    /// The provider limits the rate: half as many, and none before the wait is over that it asked for, or else that was
    /// learned. Returns how long that is. The refusals of requests that were under way together count once.
    pub(crate) fn refused(
        &mut self,
        now: Timestamp,
        asked_for: Option<Duration>,
        longest: Duration,
    ) -> Duration {
        let left = self.held_for(now);
        let wait = asked_for.unwrap_or_else(|| self.wait.min(longest)).max(left.unwrap_or_default());
        if left.is_none() {
            self.wait = self.wait.saturating_mul(2).min(longest).max(WAIT_MIN);
            self.limit = (self.limit / 2).max(1);
            self.answers = 0;
        }
        self.held_until = now.checked_add(wait).ok();
        wait
    }

    /// Whether the provider asked for a wait that is not over.
    pub(crate) fn is_held(&self, now: Timestamp) -> bool {
        self.held_for(now).is_some()
    }

    fn held_for(&self, now: Timestamp) -> Option<Duration> {
        let left = Duration::try_from(self.held_until?.duration_since(now)).ok()?;
        (!left.is_zero()).then_some(left)
    }
}

/// The door of one URL.
#[derive(Debug)]
pub(crate) struct Gate {
    pace: Mutex<Pace>,
    changed: Notify,
}

/// A request under way; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(ceiling: usize) -> Self {
        Self { pace: Mutex::new(Pace::new(ceiling)), changed: Notify::new() }
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// How long the hold still lasts, where that is longer than `patience`.
    pub(crate) async fn enter(&self, clock: &dyn Clock, patience: Duration) -> Result<Pass<'_>, Duration> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the look, so that nothing that happens after it is missed.
            changed.as_mut().enable();
            let turn = self.pace().enter(clock.now());
            match turn {
                Turn::Now => return Ok(Pass(self)),
                Turn::Full => changed.await,
                Turn::Held(left) if left > patience => return Err(left),
                Turn::Held(left) => clock.sleep(left).await,
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.pace().leave();
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const WAIT: Duration = Duration::from_secs(10);
    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn a_url_begins_with_eight_requests_or_fewer_where_fewer_are_allowed() {
        assert_eq!([3, 8, 100, 0].map(|ceiling| Pace::new(ceiling).limit()), [3, 8, 8, 1]);
        let mut pace = Pace::new(2);
        assert_eq!([(); 3].map(|()| pace.enter(at(0))), [Turn::Now, Turn::Now, Turn::Full]);
        pace.leave();
        assert_eq!(pace.enter(at(0)), Turn::Now);
    }

    #[test]
    fn a_refusal_halves_and_holds_and_those_of_one_time_count_once() {
        let mut pace = Pace::new(16);
        for _ in 0..8 {
            assert_eq!(pace.refused(at(0), Some(WAIT), LONGEST), WAIT);
        }
        assert_eq!(pace.limit(), 4);
        assert_eq!(pace.enter(at(4)), Turn::Held(Duration::from_secs(6)));
        // A shorter wait does not shorten it, a longer one does lengthen it.
        assert_eq!(pace.refused(at(4), Some(Duration::from_secs(1)), LONGEST), Duration::from_secs(6));
        assert_eq!(pace.enter(at(10)), Turn::Now);
        for second in [10, 20, 30] {
            pace.refused(at(second), Some(WAIT), LONGEST);
        }
        assert_eq!(pace.limit(), 1);
    }

    #[test]
    fn each_window_of_answers_makes_room_for_one_more_up_to_the_ceiling() {
        let mut pace = Pace::new(4);
        pace.refused(at(0), Some(WAIT), LONGEST);
        let limits = (0..20).map(|_| {
            pace.answered();
            pace.limit()
        });
        let limits: Vec<_> = limits.collect();
        assert_eq!(limits[..6], [2, 3, 3, 3, 4, 4]);
        assert_eq!(limits[19], 4);
    }

    #[test]
    fn where_the_provider_names_no_wait_it_grows_with_refusals_and_shrinks_with_answers() {
        let mut pace = Pace::new(4);
        let refused = |pace: &mut Pace, second| pace.refused(at(second), None, LONGEST).as_millis();
        let waits: Vec<_> = (0..12).map(|refusal| refused(&mut pace, 100 * refusal)).collect();
        assert_eq!(waits[..4], [20, 40, 80, 160]);
        assert_eq!(waits[11], LONGEST.as_millis());
        (0..20).for_each(|_| pace.answered());
        assert_eq!(refused(&mut pace, 10_000), 20);
    }
}
