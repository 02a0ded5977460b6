//! Logs that the subscription announced, as witnesses against the answers to our questions. A witness that comes
//! before its block is read is held against that answer; one that comes after it makes the block be read again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use alloy_primitives::B256;
use domain::{BlockRef, ChainError, Event, LogQuery, Origin, RawLog, Wake};
use store::{BackfillCommit, EventKey, StoreError};

use super::{Did, Ingest};
use crate::RoomError;

const BLOCKS_MAX: usize = 512;

// Of how many blocks that were read last it is remembered which logs they have: most announcements come right after.
const FRESH_MAX: usize = 16;

/// What was announced. Bounded; a witness is a hint.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    // Block hash → log indexes, of blocks that are yet to be read.
    early: HashMap<B256, Vec<u64>>,
    // Of blocks that we hold.
    late: BTreeMap<(u64, B256), Vec<u64>>,
    // The blocks that were read last, with the logs that are held of them.
    fresh: VecDeque<(B256, HashSet<u64>)>,
}

impl Witnesses {
    /// Whether `logs`, the answer about `block`, lack one that was announced.
    pub(super) fn miss(&self, block: BlockRef, logs: &[RawLog]) -> bool {
        let announced = self.early.get(&block.hash).into_iter().flatten();
        announced.into_iter().any(|index| logs.iter().all(|log| log.log_index != *index))
    }

    /// The block was read and is held now, with these of all events that were read.
    pub(super) fn satisfied(&mut self, block: BlockRef, events: &[Event]) {
        self.early.remove(&block.hash);
        if self.fresh.len() == FRESH_MAX {
            self.fresh.pop_front();
        }
        let of_block = events.iter().filter(|event| event.block == block);
        self.fresh.push_back((block.hash, of_block.map(|event| event.log_index).collect()));
    }

    fn is_fresh(&self, block: BlockRef, log_index: u64) -> bool {
        let known = |(hash, logs): &(B256, HashSet<u64>)| *hash == block.hash && logs.contains(&log_index);
        self.fresh.iter().rev().any(known)
    }
}

impl Ingest {
    pub(super) fn witness(&mut self, wake: Wake) {
        let Wake::Log(log) = wake else { return };
        // What a node takes back, it takes back in any order, twice, or never: a hint to look, which its coming was.
        if log.removed {
            self.look = true;
            return;
        }
        let held = self.chain.as_ref().is_some_and(|chain| chain.holds(log.block));
        if held && self.witnesses.is_fresh(log.block, log.log_index) {
            return;
        }
        let Witnesses { early, late, .. } = &mut self.witnesses;
        if early.len() + late.len() >= BLOCKS_MAX {
            early.clear();
            late.clear();
        }
        if held {
            late.entry((log.block.number, log.block.hash)).or_default().push(log.log_index);
        } else {
            early.entry(log.block.hash).or_default().push(log.log_index);
        }
    }

    /// Looks whether what was announced of blocks that we hold is stored, and reads again the blocks where it is not.
    pub(super) async fn hear_late_witnesses(&mut self) -> Result<Did, RoomError> {
        if self.witnesses.late.is_empty() {
            return Ok(Did::Idle);
        }
        let chain = self.config.chain;
        let late = self.witnesses.late.iter();
        let keys: Vec<_> = late
            .flat_map(|((number, hash), indexes)| {
                let block = BlockRef::new(*number, *hash);
                indexes.iter().map(move |log_index| EventKey { chain, block, log_index: *log_index })
            })
            .collect();
        let stored = self.deps.store.events_by_keys(&keys).await?;
        let stored: HashSet<_> = stored.iter().map(|stored| stored.event.id).collect();
        let missing = keys.iter().filter(|key| !stored.contains(&key.event_id()));
        let blocks: HashSet<BlockRef> = missing.map(|key| key.block).collect();
        let mut events = 0;
        for block in blocks {
            events += self.read_again(block).await?;
        }
        self.witnesses.late.clear();
        Ok(if events > 0 { Did::Followed { blocks: 0, events } } else { Did::Idle })
    }

    async fn read_again(&mut self, block: BlockRef) -> Result<u64, RoomError> {
        let logs = match self.logs(LogQuery::Block(block), &self.filters).await {
            // It left the chain meanwhile.
            Err(RoomError::Chain(ChainError::UnknownBlock { .. })) => return Ok(0),
            logs => logs?,
        };
        let times = self.timestamps(&logs).await?;
        let time = |log: &RawLog| times.get(&log.block.number).copied();
        let (events, children) = self.decode(&logs, Origin::Live, time);
        let lease = self.fence_name();
        let commit = BackfillCommit {
            chain: self.config.chain,
            name: &self.config.name,
            contracts: &[],
            block: Some(block),
            events: &events,
            children: &children,
            fence: self.fence(&lease),
            publish: self.publish(),
            now: self.deps.clock.now(),
        };
        let committed = match self.deps.store.commit_backfill(&commit).await {
            Err(StoreError::Fenced(_)) => return Ok(0),
            committed => committed?,
        };
        if committed.seen > 0 {
            let chain = self.config.name.to_string();
            metrics::counter!("chainbell_provider_faults_total", "chain" => chain).increment(1);
            let (chain, events) = (&self.config.name, committed.seen);
            tracing::warn!(%chain, %block, events, "the node left out logs when it was asked first");
            self.deps.relay.ring();
        }
        Ok(committed.seen)
    }
}
