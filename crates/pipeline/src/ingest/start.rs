//! Where to begin: resume at the checkpoint, or start at the head, the frontier between past and live.

use domain::{BlockRef, ChainError, Heads, StartBlock, canonical::CanonicalChain};
use store::{ChainCommit, ContractCursor};

use super::{Did, Ingest};
use crate::RoomError;

impl Ingest {
    /// Reads the checkpoint. A reorg that happened while we were away shows itself at the first head, by the same
    /// rule as one that happens while we look.
    pub(super) async fn start(&mut self, heads: &Heads) -> Result<Did, RoomError> {
        let served = self.deps.client.chain_id().await?;
        if served != self.config.chain {
            let (name, id) = (&self.config.name, self.config.chain);
            return Err(RoomError::Halted(format!(
                "the node serves chain {served}, but chain '{name}' is configured as {id}: mend chain_id or rpc"
            )));
        }
        let row = self
            .deps
            .store
            .register_chain(self.config.chain, &self.config.name, self.deps.clock.now())
            .await?;
        if let Some(reason) = row.halted {
            self.halted = Some(reason.clone());
            self.reconsider_halt().await?;
        }
        self.finalized = row.finalized.unwrap_or_default();
        let depth = self.config.max_reorg_depth;
        let tip = match row.tip {
            Some(tip) => {
                let links = self.deps.store.recent_links(self.config.chain, depth.saturating_add(1)).await?;
                let chain = CanonicalChain::from_links(links, depth as usize);
                // A tip whose block row is gone is still a cursor: number and hash.
                self.chain = chain.filter(|chain| chain.tip() == tip);
                let chain = self.chain.get_or_insert_with(|| CanonicalChain::new(tip, depth as usize));
                chain.tip()
            }
            None => self.begin(heads).await?,
        };
        self.final_held = row.finalized.unwrap_or_default().min(tip.number);
        self.finalized = self.finalized.max(self.final_height(heads));
        self.settle_contracts(tip, heads.latest.block.number).await?;
        domain::crash_point!("ingest.contracts_settled");
        self.meet_children().await?;
        let did = Did::Started { tip };
        // Whether the stored chain is the node's shows at the next look.
        self.record_heads(heads, tip == heads.latest.block).await?;
        Ok(did)
    }

    // The live chain begins at the head: what is there already is the past. The blocks that may still change are held
    // from the first moment, so that a reorg of them is seen.
    async fn begin(&mut self, heads: &Heads) -> Result<BlockRef, RoomError> {
        let mut tip = self.until(heads.latest.block.number);
        if tip < heads.latest.block.number {
            tip = self.header_at_or_below(tip, heads.latest.block.number).await?.block.number;
        }
        let depth = self.config.max_reorg_depth;
        let from = self.final_height(heads).max(tip.saturating_sub(u64::from(depth))).min(tip);
        let headers = self.linked_headers(from, tip).await?;
        let Some(last) = headers.last().filter(|last| last.block.number == tip) else {
            let detail = format!("blocks {from} to {tip} do not link to each other");
            return Err(ChainError::Incoherent { url: self.deps.client.url(), detail }.into());
        };
        let lease = self.fence_name();
        let commit = ChainCommit {
            chain: self.config.chain,
            name: &self.config.name,
            expected_tip: None,
            ancestor: None,
            headers: &headers,
            events: &[],
            children: &[],
            tip: last.block,
            publish: self.publish(),
            fence: self.fence(&lease),
            now: self.deps.clock.now(),
        };
        self.deps.store.commit_chain(&commit).await?;
        domain::crash_point!("ingest.begun");
        let links = headers.iter().map(|header| (header.block, header.parent));
        self.chain = CanonicalChain::from_links(links, depth as usize);
        Ok(last.block)
    }

    // A contract that is met for the first time is read live from the next block on, and its past afterwards; one that
    // changed, or was away for a while, gets the past that it lacks.
    async fn settle_contracts(&mut self, tip: BlockRef, head: u64) -> Result<(), RoomError> {
        let live_from = tip.number.saturating_add(1);
        let cursors: Vec<_> = self
            .deps
            .catalog
            .of_chain(self.config.chain)
            .map(|contract| {
                let start_block = match contract.start {
                    StartBlock::Number(number) => number,
                    StartBlock::Latest => head.saturating_add(1),
                };
                let live_from = live_from.max(start_block);
                ContractCursor {
                    name: contract.name.clone(),
                    start_block,
                    next_block: start_block,
                    live_from,
                    fingerprint: self.deps.catalog.fingerprint(contract),
                }
            })
            .collect();
        self.cursors = self.deps.store.settle_contracts(self.config.chain, &cursors, tip.number).await?;
        Ok(())
    }
}
