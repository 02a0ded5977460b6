//! What was learned of how much each URL takes at once, between the client that learns it and the store that keeps it. Owns
//! when that is read and written.

use super::Ingest;
use crate::RoomError;

impl Ingest {
    /// Takes up what an earlier process learned; once.
    pub(super) async fn recall_limits(&mut self) -> Result<(), RoomError> {
        if self.limits.is_none() {
            let known = self.deps.store.limits(self.config.chain).await?;
            self.deps.client.recall(&known);
            self.limits = Some(known);
        }
        Ok(())
    }

    /// Keeps what was learned since.
    pub(super) async fn keep_limits(&mut self) -> Result<(), RoomError> {
        let kept = self.limits.get_or_insert_default();
        let now = self.deps.client.limits();
        let is_news = |limits: &&domain::UrlLimits| match kept.iter().find(|kept| kept.key == limits.key) {
            Some(kept) => kept != *limits,
            None => limits.range.is_some() || limits.batch.is_some(),
        };
        let news: Vec<_> = now.iter().filter(is_news).cloned().collect();
        if !news.is_empty() {
            self.deps.store.note_limits(self.config.chain, &news, self.deps.clock.now()).await?;
            kept.retain(|kept| news.iter().all(|news| news.key != kept.key));
            kept.extend(news);
        }
        Ok(())
    }
}
