//! A bell between rooms of one process: a hint that there is work. Missing a ring costs a poll interval, no more.

use std::sync::Arc;

use tokio::sync::Notify;

/// Rings, and can be waited for. A ring while nobody waits is kept for the next who does.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes whoever waits, or the next who will.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Returns at the next ring.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}
