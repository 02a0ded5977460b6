//! Clocks for tests: one that stands still until it is told to move, and the machine's own for what real servers
//! time themselves.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// Stands still until it is moved. Clones share one time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(now)) }
    }

    /// Moves the time forward, and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = later(*now, by));
    }

    /// Moves the time back, as a machine's clock is set.
    pub fn rewind(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.now.send_modify(|now| *now = now.saturating_sub(by).unwrap_or(Timestamp::MIN));
    }

    /// How many sleep at the moment: lets a test wait until somebody does.
    pub fn sleepers(&self) -> usize {
        self.now.receiver_count()
    }
}

impl Default for ManualClock {
    /// Stands at second 1,700,000,000 of the Unix epoch.
    fn default() -> Self {
        Self::new(later(Timestamp::UNIX_EPOCH, Duration::from_secs(1_700_000_000)))
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut times = self.now.subscribe();
        let end = later(*times.borrow(), duration);
        // It fails when the clock is gone; then its time never comes.
        if times.wait_for(|now| *now >= end).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The machine's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

#[async_trait]
impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}
