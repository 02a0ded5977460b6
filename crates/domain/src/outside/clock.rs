//! Time, as something that is handed in.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

/// The only source of time. In production it is the store's time, so that workers agree; in tests it stands still
/// until it is told to move.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Returns once `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}
