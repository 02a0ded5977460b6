//! Which connections are suspected to be of no use any more. Must not know any table.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use sqlx::pool::PoolConnectionMetadata;

/// When a connection last turned out to be of no use. Those that were made before it are suspected of the same, as after a
/// failover of the server, and are closed when they are taken next.
#[derive(Debug)]
pub(crate) struct Suspicion {
    origin: Instant,
    // Milliseconds since the origin; 0 for never.
    raised: AtomicU64,
}

#[expect(clippy::disallowed_methods, reason = "compares the ages of connections, which the pool measures so")]
impl Suspicion {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), raised: AtomicU64::new(0) }
    }

    fn millis(&self, before: Duration) -> u64 {
        let since = self.origin.elapsed().saturating_sub(before);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn raise(&self) {
        self.raised.store(self.millis(Duration::ZERO).max(1), Ordering::Release);
    }

    /// Whether a connection was made before the last failure.
    pub(crate) fn is_on(&self, meta: &PoolConnectionMetadata) -> bool {
        let raised = self.raised.load(Ordering::Acquire);
        raised > 0 && self.millis(meta.age) <= raised
    }
}
