//! Records in the store what is known of the node: its heads, how final they make the stored blocks, and the score of each
//! URL.

use domain::Heads;
use jiff::SignedDuration;

use super::{FinalityRule, Ingest};
use crate::RoomError;

// How often the store is told what is thought of the URLs.
const PROVIDERS_EVERY: SignedDuration = SignedDuration::from_secs(5);

impl Ingest {
    /// The height up to which the chain is final.
    pub(super) const fn final_height(&self, heads: &Heads) -> u64 {
        match (self.config.finality, heads.finalized) {
            (FinalityRule::Tags, Some(block)) => block.number,
            (FinalityRule::Tags, None) => 0,
            (FinalityRule::Depth(depth), _) => heads.latest.block.number.saturating_sub(depth),
        }
    }

    /// The height up to which blocks are read by range: final, or deeper than any reorg that we would follow.
    pub(super) fn settled(&self) -> u64 {
        let tip = self.chain.as_ref().map_or(0, |chain| chain.tip().number);
        self.finalized.max(tip.saturating_sub(u64::from(self.config.max_reorg_depth) + 1))
    }

    /// Notes what the node says of its heads. Finality never moves back, whatever a lagging node says; and it is the node's
    /// word about its own branch, so it is ours only where our tip is on that branch: where it was just read of that node,
    /// `agreed`, or the node's head is held.
    pub(super) async fn record_heads(&mut self, heads: &Heads, agreed: bool) -> Result<(), RoomError> {
        self.record_urls().await?;
        let Some(chain) = &self.chain else { return Ok(()) };
        let (tip, head) = (chain.tip().number, heads.latest.block);
        let agreed = agreed || chain.holds(head);
        if self.noted == Some((*heads, agreed)) {
            return Ok(());
        }
        if agreed {
            self.final_held = self.final_held.max(self.finalized.min(tip));
        }
        let safe = match self.config.finality {
            FinalityRule::Tags => heads.safe.map(|block| block.number.min(tip)),
            FinalityRule::Depth(_) => Some(self.final_held),
        };
        let (head, now) = (head.number, self.deps.clock.now());
        let store = &self.deps.store;
        let safe = safe.filter(|_| agreed);
        store.note_heads(self.config.chain, head, safe, Some(self.final_held), now).await?;
        domain::crash_point!("ingest.noted");
        self.noted = Some((*heads, agreed));
        let label = self.config.name.to_string();
        #[expect(clippy::cast_precision_loss, reason = "a gauge of block counts")]
        metrics::gauge!("chainbell_chain_lag_blocks", "chain" => label).set(head.saturating_sub(tip) as f64);
        Ok(())
    }

    // For `status`, which asks the store and no process.
    async fn record_urls(&mut self) -> Result<(), RoomError> {
        let now = self.deps.clock.now();
        if now.duration_since(self.providers_noted_at) < PROVIDERS_EVERY {
            return Ok(());
        }
        self.providers_noted_at = now;
        let providers = self.deps.client.providers();
        self.deps.store.note_providers(self.config.chain, &providers, now).await?;
        self.keep_limits().await
    }
}
