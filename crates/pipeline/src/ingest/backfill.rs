//! `Backfill`: the past of contracts, up to exactly the first block that was read live.

use std::collections::{BTreeSet, HashMap};

use domain::{BlockRef, Catalog, ChainError, ContractName, LogFilter, LogQuery, Origin, RawLog};
use store::{BackfillCommit, Publish};

use super::{Did, Ingest};
use crate::RoomError;

// How many headers are asked for in one batch when logs come without timestamps.
const HEADERS_BATCH: usize = 256;

impl Ingest {
    pub(super) async fn backfill(&mut self) -> Result<Did, RoomError> {
        let behind = self.cursors.iter().filter(|cursor| cursor.is_behind());
        let Some(from) = behind.map(|cursor| cursor.next_block).min() else { return Ok(Did::Idle) };
        // Contracts that stand at the same block are read together; another one's cursor ends the piece.
        let together: Vec<_> = self
            .cursors
            .iter()
            .filter(|cursor| cursor.is_behind() && cursor.next_block == from)
            .cloned()
            .collect();
        let others = self.cursors.iter().filter(|cursor| cursor.is_behind() && cursor.next_block > from);
        let end = together.iter().map(|cursor| cursor.live_from - 1).min().unwrap_or(from);
        let end = others.map(|cursor| cursor.next_block - 1).fold(end, u64::min);
        let names: Vec<_> = together.iter().map(|cursor| cursor.name.clone()).collect();
        let filters = Catalog::filters(names.iter().filter_map(|name| self.deps.catalog.get(name)));
        let settled = self.settled();
        let (to, block, logs) = if from <= settled {
            let (to, logs) = self.range_logs(from, end.min(settled), &filters).await?;
            (to, None, logs)
        } else {
            // Not final yet: by hash, of blocks that we hold.
            let Some(block) = self.chain.as_ref().and_then(|chain| chain.at(from)) else {
                return Ok(Did::Idle);
            };
            (from, Some(block), self.held_logs(block, &filters).await?)
        };
        let times = self.timestamps(&logs).await?;
        let mut events = self.decode(&logs, Origin::Backfill, |log| times.get(&log.block.number).copied());
        // Another contract's log that a merged filter brought belongs to that contract's own piece.
        events.retain(|event| names.contains(&event.contract));
        let contracts: Vec<(ContractName, u64, u64)> =
            names.into_iter().map(|name| (name, from, to + 1)).collect();
        let commit = BackfillCommit {
            chain: self.config.chain,
            name: &self.config.name,
            contracts: &contracts,
            block,
            events: &events,
            publish: if self.config.notify_backfill { Publish::Yes } else { Publish::No },
            now: self.deps.clock.now(),
        };
        let committed = self.deps.store.commit_backfill(&commit).await?;
        for (name, _, next) in &contracts {
            if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.name == *name) {
                cursor.next_block = *next;
            }
        }
        if committed.seen > 0 && self.config.notify_backfill {
            self.deps.relay.ring();
        }
        Ok(Did::Backfilled { from, to, events: committed.seen })
    }

    /// Timestamps of logs that came without one, by block number.
    pub(super) async fn timestamps(&self, logs: &[RawLog]) -> Result<HashMap<u64, u64>, RoomError> {
        let missing: BTreeSet<_> =
            logs.iter().filter(|log| log.block_timestamp.is_none()).map(|log| log.block.number).collect();
        let missing: Vec<_> = missing.into_iter().collect();
        let mut times = HashMap::with_capacity(missing.len());
        for numbers in missing.chunks(HEADERS_BATCH) {
            for (number, header) in numbers.iter().zip(self.deps.client.headers_by_number(numbers).await?) {
                let unknown =
                    || ChainError::UnknownBlock { url: "rpc".to_owned(), block: number.to_string() };
                times.insert(*number, header.ok_or_else(unknown)?.timestamp);
            }
        }
        Ok(times)
    }

    // The logs of a block that we hold, under the same doubts as a new one's.
    async fn held_logs(&self, block: BlockRef, filters: &[LogFilter]) -> Result<Vec<RawLog>, RoomError> {
        let header = self.deps.client.header_by_hash(block.hash).await?;
        let unknown = || ChainError::UnknownBlock { url: "rpc".to_owned(), block: block.to_string() };
        self.logs_of(&header.ok_or_else(unknown)?, filters).await
    }

    /// The logs of final blocks from `from` on and at most up to `to`: as many blocks as the node gives at once. A
    /// refusal is no failure, the next question is smaller. Returns the last block that was read.
    pub(super) async fn range_logs(
        &mut self,
        from: u64,
        to: u64,
        filters: &[LogFilter],
    ) -> Result<(u64, Vec<RawLog>), RoomError> {
        loop {
            let last = to.min(from.saturating_add(self.range - 1));
            let blocks = last - from + 1;
            match self.logs(LogQuery::Range { from, to: last }, filters).await {
                Ok(logs) => {
                    self.grow_range(blocks, logs.len());
                    return Ok((last, logs));
                }
                Err(RoomError::Chain(ChainError::RangeTooLarge { suggested_blocks, .. })) if blocks > 1 => {
                    let suggested = suggested_blocks.filter(|suggested| *suggested < blocks);
                    self.range = suggested.unwrap_or(blocks / 2).max(1);
                    tracing::debug!(chain = %self.config.name, range.blocks = self.range, "the node refused a range");
                }
                Err(error) => return Err(error),
            }
        }
    }

    // Moves the range towards the wanted number of logs, at most doubling it.
    fn grow_range(&mut self, blocks: u64, logs: usize) {
        let wanted = match logs as u64 {
            0 => self.range.saturating_mul(2),
            logs => (blocks.saturating_mul(self.config.range_logs) / logs).min(self.range.saturating_mul(2)),
        };
        self.range = wanted.clamp(1, self.config.range_max.max(1));
    }
}
