//! Corrects what was told: when the chain takes events back for good, or gives them back. What is
//! corrected is the pure fold's to say, how the notifier's, and that it is told once the store's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{ChainId, Clock, NotificationId, fold::amendment};
use store::{Correct, Store, StoreError};

use crate::{
    Bell, Progress, Room, RoomError,
    aside::{Aside, first_of, guarded, own_fault},
    items,
    notify::Notifier,
};

/// Limits of the corrections.
#[derive(Debug, Clone, Copy)]
pub struct AmendConfig {
    /// How many notifications are corrected at once.
    pub batch: u32,
    /// How many events are read at once.
    pub page: usize,
    /// How often to look.
    pub poll: Duration,
}

impl Default for AmendConfig {
    fn default() -> Self {
        Self { batch: 100, page: 5_000, poll: Duration::from_millis(500) }
    }
}

/// What the room works with.
#[derive(Debug, Clone)]
pub struct AmendDeps {
    /// The store.
    pub store: Store,
    /// Makes the corrections.
    pub notifier: Arc<Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Rung when the outbox has something.
    pub relay: Bell,
}

/// The room.
#[derive(Debug)]
pub struct Amend {
    deps: AmendDeps,
    // Each with the number of blocks that an event may be gone before that is told.
    chains: Vec<(ChainId, u64)>,
    config: AmendConfig,
    aside: Aside,
}

impl Amend {
    /// A room for the notifications of `chains`, each with its `settle_blocks`.
    pub fn new(deps: AmendDeps, chains: Vec<(ChainId, u64)>, config: AmendConfig) -> Self {
        let aside = Aside::new(deps.store.clone(), "amend");
        Self { deps, chains, config, aside }
    }

    async fn amend(&mut self, chain: ChainId, settle_blocks: u64) -> Result<u64, RoomError> {
        let now = self.deps.clock.now();
        self.aside.refresh(now).await?;
        let store = self.deps.store.clone();
        let Some(tip) = store.chain(chain).await?.and_then(|row| row.tip) else { return Ok(0) };
        let settled = tip.number.saturating_sub(settle_blocks);
        let mut corrected = 0;
        let mut doubtful = store.doubtful(chain, settled, self.aside.page(self.config.batch)).await?;
        doubtful.retain(|id| !self.aside.rests(&items::notification(*id), now));
        for id in doubtful {
            match guarded(self.correct(id, settled)).await {
                Ok(done) => {
                    corrected += u64::from(done);
                    self.aside.over(std::iter::once(items::notification(id))).await?;
                }
                // The chain moved on while the correction was made: the next look sees it as it is then.
                Err(RoomError::Store(StoreError::Fenced(why))) => {
                    tracing::debug!(notification = %id, "{why}");
                }
                Err(error) if own_fault(&error) => {
                    self.aside.put(items::notification(id), &error.to_string(), now).await?;
                }
                Err(error) => return Err(error),
            }
        }
        if corrected > 0 {
            self.deps.relay.ring();
        }
        metrics::counter!("chainbell_corrections_total").increment(corrected);
        Ok(corrected)
    }

    async fn correct(&self, id: NotificationId, settled: u64) -> Result<bool, RoomError> {
        let Some(doubtful) = self.deps.store.doubtful_notification(id).await? else { return Ok(false) };
        let told: Vec<_> = doubtful.hits.iter().map(|hit| hit.told).collect();
        let Some(amendment) = amendment(&told, settled) else { return Ok(false) };
        let inside: Vec<_> = doubtful.hits.iter().filter(|hit| hit.told.gone_since.is_none()).collect();
        let mut events = Vec::with_capacity(inside.len());
        for page in inside.chunks(self.config.page) {
            let keys: Vec<_> = page.iter().map(|hit| hit.key).collect();
            events.extend(self.deps.store.events_by_keys(&keys).await?);
        }
        if events.len() != inside.len() || !events.iter().all(store::StoredEvent::is_canonical) {
            // Matching is about to say where they went.
            return Ok(false);
        }
        events.sort_by_key(|stored| (stored.event.block.number, stored.event.log_index));
        // One that was removed since is owed its corrections too.
        let watch = self.deps.store.watch_as_it_was(&doubtful.first.watch).await?;
        let bundle = self.deps.notifier.correction(&doubtful, &watch, &events).await?;
        let correct = Correct {
            first: id,
            bundle: &bundle,
            inside: &amendment.inside,
            changed: amendment.changed as u64,
            now: self.deps.clock.now(),
        };
        domain::crash_point!("amend.before_commit");
        self.deps.store.commit_correction(&correct).await?;
        domain::crash_point!("amend.committed");
        tracing::info!(notification = %id, revision = bundle.notification.revision, left = amendment.inside.len(), "corrected");
        Ok(true)
    }
}

#[async_trait]
impl Room for Amend {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let mut corrected = 0;
        let mut ended = Ok(());
        // A chain that fails keeps no other waiting.
        for (chain, settle_blocks) in self.chains.clone() {
            match self.amend(chain, settle_blocks).await {
                Ok(done) => corrected += done,
                Err(error) => ended = first_of(ended, Err(error)),
            }
        }
        ended?;
        Ok(if corrected > 0 { Progress::Worked } else { Progress::Idle })
    }

    async fn rest(&mut self) {
        self.deps.clock.sleep(self.config.poll).await;
    }
}
