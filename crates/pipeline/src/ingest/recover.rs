//! `Recover`: the common ancestor after a fork, and the new branch.

use domain::{BlockRef, ChainError, Header};

use super::{Did, Ingest};
use crate::RoomError;

impl Ingest {
    /// Finds the common ancestor by walking the node's parents by hash, and commits the orphan marks together with
    /// the first blocks of the new branch.
    pub(super) async fn recover(&mut self, head: &Header) -> Result<Did, RoomError> {
        let Some(ancestor) = self.common_ancestor(head).await? else { return Ok(Did::Idle) };
        let last = self.until(head.block.number).min(ancestor.number + u64::from(self.config.blocks_max));
        let headers = if last > ancestor.number {
            self.linked_headers(ancestor.number + 1, last).await?
        } else {
            Vec::new()
        };
        if headers.first().is_some_and(|first| first.parent != ancestor.hash) {
            // The chain changed again while we looked. The next step looks again.
            let detail = format!("the block after {ancestor} does not name it as its parent");
            return Err(ChainError::Incoherent { url: "rpc".to_owned(), detail }.into());
        }
        let events = self.events_of(&headers).await?;
        self.commit(Some(ancestor), &headers, &events).await
    }

    async fn common_ancestor(&mut self, head: &Header) -> Result<Option<BlockRef>, RoomError> {
        let Some(chain) = &self.chain else { return Ok(None) };
        let (tip, anchor) = (chain.tip(), chain.anchor());
        let top = head.block.number.min(tip.number);
        let mut remote = if top == head.block.number { *head } else { self.header_at(top).await? };
        loop {
            let number = remote.block.number;
            if chain.at(number) == Some(remote.block) {
                break;
            }
            let depth = tip.number.saturating_sub(number) + 1;
            if number <= anchor.number || depth > u64::from(self.config.max_reorg_depth) {
                return Err(self.halt(&remote, depth));
            }
            let parent = self.deps.client.header_by_hash(remote.parent).await?;
            let unknown =
                || ChainError::UnknownBlock { url: "rpc".to_owned(), block: remote.parent.to_string() };
            remote = parent.ok_or_else(unknown)?;
        }
        // The node caught up with what we hold while we looked: nothing to take back.
        Ok((remote.block != tip).then_some(remote.block))
    }

    fn halt(&mut self, remote: &Header, depth: u64) -> RoomError {
        let name = &self.config.name;
        let reason = format!(
            "chain '{name}' disagrees with the stored one for at least {depth} blocks, down to block {}: that is deeper \
             than max_reorg_depth ({}) or than the blocks we hold. Nothing was changed. Check that rpc serves the right \
             network; for a development chain that began anew, point store.url at a new database",
            remote.block, self.config.max_reorg_depth
        );
        self.halted = Some(reason.clone());
        RoomError::Halted(reason)
    }
}
