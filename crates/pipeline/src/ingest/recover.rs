//! `Recover`: the common ancestor after a fork, and the new branch.

use domain::{BlockRef, ChainError, Header};

use super::{Did, Ingest};
use crate::RoomError;

impl Ingest {
    /// Finds the common ancestor by walking the node's parents by hash, and commits the orphan marks together with
    /// the first blocks of the new branch.
    pub(super) async fn recover(&mut self, head: &Header) -> Result<Did, RoomError> {
        self.contest(head).await?;
        let Some(ancestor) = self.common_ancestor(head).await? else { return Ok(Did::Idle) };
        let last = if self.factories_behind() {
            // The new branch is read when its children can be known.
            ancestor.number
        } else {
            self.until(head.block.number).min(ancestor.number + u64::from(self.config.blocks_max))
        };
        let headers = if last > ancestor.number {
            self.linked_headers(ancestor.number + 1, last).await?
        } else {
            Vec::new()
        };
        if headers.first().is_some_and(|first| first.parent != ancestor.hash) {
            // The chain changed again while we looked. The next step looks again.
            let detail = format!("the block after {ancestor} does not name it as its parent");
            return Err(ChainError::Incoherent { url: self.deps.client.url(), detail }.into());
        }
        // What is read ahead is final, so that no reorg reaches it; it costs little to be sure.
        self.read_ahead.clear();
        self.kept.clear();
        // Children of the dead branch must not claim logs of the new one.
        self.children.rewind(ancestor.number);
        let (read, events, children) = match self.events_of(&headers).await {
            Ok(read) => read,
            Err(error) => {
                // The reorg is not committed, and neither is what was just forgotten.
                self.chain = None;
                return Err(error);
            }
        };
        domain::crash_point!("ingest.recover.before_commit");
        self.commit(Some(ancestor), &headers[..read], &events, &children).await
    }

    async fn common_ancestor(&self, head: &Header) -> Result<Option<BlockRef>, RoomError> {
        let Some(chain) = &self.chain else { return Ok(None) };
        let (tip, anchor) = (chain.tip(), chain.anchor());
        let mut remote =
            if head.block.number <= tip.number { *head } else { self.at_our_tip(tip, head).await? };
        loop {
            let number = remote.block.number;
            if chain.at(number) == Some(remote.block) {
                break;
            }
            let depth = tip.number.saturating_sub(number) + 1;
            let limit = anchor.number.max(self.final_held);
            if number <= limit || depth > u64::from(self.config.max_reorg_depth) {
                // A failover to a node of another view looks the same: others are heard first.
                if self.somebody_agrees().await {
                    let (url, detail) =
                        (self.deps.client.url(), format!("it disagrees down to block {}", remote.block));
                    self.deps.client.accuse(&detail);
                    return Err(ChainError::Incoherent { url, detail }.into());
                }
                return Err(self.too_deep(&remote, depth));
            }
            let parent = self.deps.client.header_by_hash(remote.parent).await?;
            let unknown =
                || ChainError::UnknownBlock { url: self.deps.client.url(), block: remote.parent.to_string() };
            remote = parent.ok_or_else(unknown)?;
        }
        if remote.block != tip {
            return Ok(Some(remote.block));
        }
        // Nothing to take back. Either the node caught up with what we hold while we looked, or it never will.
        self.links(tip).await.map(|()| None)
    }

    /// A fault where the node has `tip`, and above it a block that is built on another one: a chain that is none.
    async fn links(&self, tip: BlockRef) -> Result<(), RoomError> {
        match self.deps.client.headers_by_number(&[tip.number, tip.number + 1]).await?[..] {
            [Some(same), Some(next)] if same.block == tip && next.parent != tip.hash => {
                let detail = format!(
                    "it has block {tip}, but names {} as the parent of block {}; a chain whose blocks do not link \
                     cannot be followed",
                    next.parent, next.block
                );
                Err(ChainError::Incoherent { url: self.deps.client.url(), detail }.into())
            }
            _ => Ok(()),
        }
    }
}
