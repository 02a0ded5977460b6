//! The timer index in the store's own tables.

use std::time::Duration;

use async_trait::async_trait;
use domain::{Claim, DebounceError, Debouncer, HitId, WindowAdd};
use jiff::{SignedDuration, Timestamp};
use store::{Store, StoreError};
use uuid::Uuid;

/// A debouncer without a server beside the store.
#[derive(Debug, Clone)]
pub struct StoreDebouncer {
    store: Store,
}

impl StoreDebouncer {
    /// A debouncer on `store`.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    fn failed(&self, action: &'static str, error: &StoreError) -> DebounceError {
        DebounceError { url: self.store.url().to_owned(), action, detail: error.to_string() }
    }
}

#[async_trait]
impl Debouncer for StoreDebouncer {
    async fn add(&self, mut adds: Vec<WindowAdd>) -> Result<(), DebounceError> {
        // A window that nobody joins is none.
        adds.retain(|add| !add.hits.is_empty());
        self.store.window_add(&adds).await.map_err(|error| self.failed("add", &error))
    }

    async fn claim(
        &self,
        now: Timestamp,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, DebounceError> {
        let token = Uuid::new_v4().simple().to_string();
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.store.window_claim(now, limit, lease, &token).await.map_err(|error| self.failed("claim", &error))
    }

    async fn members(
        &self,
        claim: &Claim,
        after: Option<HitId>,
        limit: usize,
    ) -> Result<Vec<HitId>, DebounceError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.store.window_members(claim, after, limit).await.map_err(|error| self.failed("members", &error))
    }

    async fn ack(&self, claim: &Claim) -> Result<(), DebounceError> {
        self.store.window_ack(claim).await.map_err(|error| self.failed("ack", &error))
    }

    async fn release(&self, claim: &Claim, now: Timestamp, delay: Duration) -> Result<(), DebounceError> {
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        let at = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        self.store.window_release(claim, at).await.map_err(|error| self.failed("release", &error))
    }

    async fn outlook(&self) -> Result<(u64, Option<Timestamp>), DebounceError> {
        self.store.window_outlook().await.map_err(|error| self.failed("outlook", &error))
    }
}
