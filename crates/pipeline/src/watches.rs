//! The watches as matching sees them: the index, kept up to date by revision.

use std::{sync::Arc, time::Duration};

use domain::{Catalog, Clock, Watch, WatchId, matching::WatchIndex};
use jiff::{SignedDuration, Timestamp};
use store::{Store, StoreError, WatchChange};

use crate::{aside::Aside, items};

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
    aside: Aside,
}

impl Watches {
    /// An empty index; the first [`Watches::refresh`] fills it.
    pub fn new(store: Store, clock: Arc<dyn Clock>, catalog: &Arc<Catalog>, refresh: Duration) -> Self {
        let (index, _) = WatchIndex::build(catalog, []);
        let aside = Aside::new(store.clone(), "watches");
        Self { store, clock, index, revision: 0, looked: None, refresh, aside }
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
        let now = self.clock.now();
        self.aside.refresh(now).await?;
        let mut revision = self.revision;
        for change in self.store.watches_since(self.revision).await? {
            revision = revision.max(change.revision);
            let item = items::watch(&change.id);
            match self.apply(change) {
                Ok(()) => self.aside.over(std::iter::once(item)).await?,
                Err(problem) => self.aside.put(item, &format!("it is left out: {problem}"), now).await?,
            }
        }
        self.revision = revision;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of how many watches there are")]
        metrics::gauge!("chainbell_watches").set(self.index.len() as f64);
        Ok(())
    }

    // One that cannot be followed watches nothing, and the others go on.
    fn apply(&mut self, change: WatchChange) -> Result<(), String> {
        if let Some(problem) = change.problem {
            self.index.remove(&change.id);
            return Err(problem);
        }
        let Some(watch) = change.watch else {
            self.index.remove(&change.id);
            return Ok(());
        };
        self.index.insert(watch).map_err(|problem| {
            self.index.remove(&change.id);
            problem.to_string()
        })
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
