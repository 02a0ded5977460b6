//! The halt: when a chain is not read on without a person. Owns its reason, which the store keeps, and the two ways out:
//! the operator's word (`chainbell recover`), or a node that agrees with what we hold. An error clears nothing.

use domain::Header;

use super::{Did, Ingest};
use crate::RoomError;

impl Ingest {
    /// Keeps a halt that was just decided, so that every process and the operator know of it.
    pub(super) async fn halting(&mut self, did: Result<Did, RoomError>) -> Result<Did, RoomError> {
        if let Err(RoomError::Halted(reason)) = &did {
            self.deps.store.halt_chain(self.config.chain, reason, self.deps.clock.now()).await?;
            let chain = self.config.name.to_string();
            metrics::gauge!("chainbell_chain_halted", "chain" => chain).set(1.0);
            self.halted = Some(reason.clone());
        }
        did
    }

    /// Goes on when the operator has settled the matter, or when the node agrees with us again.
    pub(super) async fn reconsider_halt(&mut self) -> Result<(), RoomError> {
        let Some(reason) = self.halted.clone() else { return Ok(()) };
        let row = self.deps.store.chain(self.config.chain).await?;
        let settled = row.as_ref().is_some_and(|row| row.halted.is_none());
        if !settled && !self.node_agrees().await {
            return Err(RoomError::Halted(reason));
        }
        if !settled {
            self.deps.store.clear_halt(self.config.chain, self.deps.clock.now()).await?;
        }
        let how =
            if settled { "an operator settled it" } else { "the node agrees with the stored chain again" };
        tracing::info!(chain = %self.config.name, "reading on after a halt: {how}");
        let chain = self.config.name.to_string();
        metrics::gauge!("chainbell_chain_halted", "chain" => chain).set(0.0);
        self.halted = None;
        self.chain = None;
        Ok(())
    }

    // Only a positive answer counts: the block of our checkpoint is in the node's chain.
    async fn node_agrees(&self) -> bool {
        let Ok(row) = self.deps.store.chain(self.config.chain).await else { return false };
        let client = &self.deps.client;
        if client.heads().await.is_err() || client.chain_id().await.ok() != Some(self.config.chain) {
            return false;
        }
        let Some(tip) = row.and_then(|row| row.tip) else { return true };
        let at = client.headers_by_number(&[tip.number]).await;
        at.ok().into_iter().flatten().flatten().any(|header| header.block == tip)
    }

    /// The node disagrees for longer than we would follow by ourselves.
    pub(super) fn too_deep(&self, remote: &Header, depth: u64) -> RoomError {
        let name = &self.config.name;
        let (max, final_held) = (self.config.max_reorg_depth, self.final_held);
        let limit = if remote.block.number <= final_held {
            format!("block {final_held} was final")
        } else {
            format!("that is deeper than max_reorg_depth ({max}) or than the blocks we hold")
        };
        let below = remote.block.number.saturating_sub(1);
        RoomError::Halted(format!(
            "chain '{name}' disagrees with the stored one for at least {depth} blocks, down to block {}: {limit}. Nothing \
             was changed. Check that rpc serves the right network. To take the node's chain instead of the stored one, run \
             `chainbell recover --chain {name} --to-block N` with the last block that both agree on (below {below}); for a \
             development chain that began anew, point store.url at a new database",
            remote.block
        ))
    }
}
