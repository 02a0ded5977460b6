//! Replay: blocks of the past once more. Owns no cursor: what is held stays as it is, what is missing is added.

use domain::{Catalog, ContractName, LogQuery, Origin, RawLog, canonical::CanonicalChain};
use store::{EventKey, ReplayCommit};
use uuid::Uuid;

use super::{Ingest, children::known_children};
use crate::RoomError;

/// What a replay does beside reading.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Only this contract.
    pub contract: Option<ContractName>,
    /// The replay's row, whose cursor moves with each piece. Without one, nothing is changed: the events are counted.
    pub id: Option<Uuid>,
    /// Whether the events are published again, under the replay's id.
    pub publish: bool,
    /// Whether matching looks at the events again, as news.
    pub notify: bool,
}

/// One piece of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its last block.
    pub to: u64,
    /// How many events were read.
    pub events: u64,
    /// How many of them the store lacked, or lacks where they are only counted.
    pub added: u64,
}

impl Ingest {
    /// Reads one piece of blocks again, from `from` on and at most up to `to`, which is held.
    ///
    /// # Errors
    /// See [`RoomError`]; doing it again is harmless.
    pub async fn replay(&mut self, from: u64, to: u64, replay: &Replay) -> Result<Piece, RoomError> {
        if self.chain.is_none() {
            self.look_up().await?;
        }
        self.recall_limits().await?;
        let wanted = |name: &ContractName| replay.contract.as_ref().is_none_or(|only| only == name);
        let contracts =
            self.deps.catalog.of_chain(self.config.chain).filter(|contract| wanted(&contract.name));
        let filters = Catalog::filters(contracts);
        let settled = self.settled();
        let (to, logs) = if from <= settled {
            self.range_logs(from, to.min(settled), &filters).await?
        } else {
            match self.chain.as_ref().and_then(|chain| chain.at(from)) {
                Some(block) => (from, self.logs(LogQuery::Block(block), &filters).await?),
                // Between what is final and what we hold block by block lies nothing that is not final.
                None => self.range_logs(from, to.min(from), &filters).await?,
            }
        };
        self.keep_limits().await?;
        let times = self.timestamps(&logs).await?;
        let time = |log: &RawLog| times.get(&log.block.number).copied();
        let (mut events, children) = self.decode(&logs, Origin::Backfill, time);
        events.retain(|event| wanted(&event.contract));
        let Some(id) = replay.id else {
            let keys: Vec<_> = events.iter().map(EventKey::of).collect();
            let held = self.deps.store.events_by_keys(&keys).await?.len() as u64;
            let events = events.len() as u64;
            return Ok(Piece { to, events, added: events.saturating_sub(held) });
        };
        let name = id.simple().to_string();
        let commit = ReplayCommit {
            chain: self.config.chain,
            name: &self.config.name,
            events: &events,
            publish: replay.publish.then_some(name.as_str()),
            notify: replay.notify,
            children: &children,
            progress: Some((id, to + 1, events.len() as u64)),
            now: self.deps.clock.now(),
        };
        domain::crash_point!("replay.before_commit");
        let added = self.deps.store.commit_replay(&commit).await?;
        domain::crash_point!("replay.committed");
        Ok(Piece { to, events: events.len() as u64, added })
    }

    // The checkpoint as it is, without registering or moving anything.
    pub(super) async fn look_up(&mut self) -> Result<(), RoomError> {
        let store = &self.deps.store;
        if let Some(row) = store.chain(self.config.chain).await? {
            self.finalized = row.finalized.unwrap_or_default();
            let depth = self.config.max_reorg_depth;
            let links = store.recent_links(self.config.chain, depth.saturating_add(1)).await?;
            self.chain = CanonicalChain::from_links(links, depth as usize);
            if let (None, Some(tip)) = (&self.chain, row.tip) {
                self.chain = Some(CanonicalChain::new(tip, depth as usize));
            }
        }
        self.cursors = store.contract_cursors(self.config.chain).await?;
        self.children = known_children(store, self.config.chain, &self.deps.catalog).await?;
        Ok(())
    }
}
