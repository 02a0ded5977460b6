//! The watches as matching sees them: the index, kept up to date by revision.

use std::{sync::Arc, time::Duration};

use domain::{Catalog, Clock, Watch, WatchId, matching::WatchIndex};
use jiff::{SignedDuration, Timestamp};
use store::{Store, StoreError};

/// How often the edits are followed: they take effect within a second.
pub const REFRESH: Duration = Duration::from_millis(400);

/// The index and how far it has followed the edits.
#[derive(Debug)]
pub struct Watches {
    store: Store,
    clock: Arc<dyn Clock>,
    index: WatchIndex,
    revision: i64,
    looked: Option<Timestamp>,
    refresh: Duration,
}

impl Watches {
    /// An empty index; the first [`Watches::refresh`] fills it.
    pub fn new(store: Store, clock: Arc<dyn Clock>, catalog: &Arc<Catalog>, refresh: Duration) -> Self {
        let (index, _) = WatchIndex::build(catalog, []);
        Self { store, clock, index, revision: 0, looked: None, refresh }
    }

    /// Follows the edits, unless it did so a moment ago.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let refresh = SignedDuration::try_from(self.refresh).unwrap_or(SignedDuration::ZERO);
        if self.looked.is_some_and(|looked| now.duration_since(looked) < refresh) {
            return Ok(());
        }
        if self.looked.is_none() || self.store.watch_revision().await? > self.revision {
            self.follow().await?;
        }
        self.looked = Some(now);
        Ok(())
    }

    async fn follow(&mut self) -> Result<(), StoreError> {
        for change in self.store.watches_since(self.revision).await? {
            self.revision = self.revision.max(change.revision);
            match change.watch {
                Some(watch) => {
                    let id = watch.id.clone();
                    if let Err(problem) = self.index.insert(watch) {
                        self.index.remove(&id);
                        tracing::warn!(watch = %id, "the watch is left out: {problem}");
                    }
                }
                None => {
                    self.index.remove(&change.id);
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge of how many watches there are")]
        metrics::gauge!("chainbell_watches").set(self.index.len() as f64);
        Ok(())
    }

    /// The index.
    pub const fn index(&self) -> &WatchIndex {
        &self.index
    }

    /// An active watch.
    pub fn get(&self, id: &WatchId) -> Option<&Arc<Watch>> {
        self.index.get(id)
    }
}
