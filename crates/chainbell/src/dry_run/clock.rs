//! A clock that stands where it was put.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::Clock;
use jiff::{SignedDuration, Timestamp};

/// Time as a rehearsal tells it.
#[derive(Debug)]
pub struct VirtualClock(Mutex<Timestamp>);

impl VirtualClock {
    /// A clock that shows `at`.
    pub const fn new(at: Timestamp) -> Self {
        Self(Mutex::new(at))
    }

    /// Puts it to `at`.
    pub fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Nothing else moves meanwhile.
    async fn sleep(&self, duration: Duration) {
        let passed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
        self.set(self.now().saturating_add(passed).unwrap_or(Timestamp::MAX));
    }
}
