//! `Backfill`: the past of contracts, up to exactly the first block that was read live.

use std::{collections::HashMap, sync::Arc};

use domain::{BlockRef, ChainError, ContractName, Event, LogFilter, LogQuery, Origin, RawLog};
use store::{BackfillCommit, Child, Publish};
use tokio::sync::Mutex;

use super::{
    Did, Ingest,
    source::{Part, Past, Source, measured, timestamps, weight},
};
use crate::RoomError;

/// What is read of the past next.
struct Plan {
    from: u64,
    end: u64,
    names: Vec<ContractName>,
}

/// What was read of it.
struct Piece {
    to: u64,
    /// The block, where one was read by hash.
    block: Option<BlockRef>,
    content: Past,
    children: Vec<Child>,
}

impl Ingest {
    /// Reads one piece of the past and commits it; what comes after it is read meanwhile.
    pub(super) async fn backfill(&mut self) -> Result<Did, RoomError> {
        if self.hindrance.rests_for(self.deps.clock.now()).is_some() {
            return Ok(Did::Idle);
        }
        let from = self.next_plan().map(|plan| plan.from);
        let did = self.backfill_piece().await;
        match (&did, from) {
            // What the node has answered beyond a question that failed is not asked for again.
            (Err(RoomError::Chain(_)), Some(from)) => self.hindrance.failed(from),
            (Err(_), _) => self.read_ahead.clear(),
            (Ok(Did::Backfilled { .. }), _) | (Ok(_), None) => self.unhinder().await?,
            _ => {}
        }
        did
    }

    async fn backfill_piece(&mut self) -> Result<Did, RoomError> {
        let Some(plan) = self.next_plan() else { return Ok(Did::Idle) };
        let settled = self.settled();
        let tip = self.chain.as_ref().map_or(0, |chain| chain.tip().number);
        let piece = if plan.from > settled {
            // Not final yet: by hash, of blocks that we hold.
            let chain = self.chain.as_ref();
            let (block, void_to) = (
                chain.and_then(|chain| chain.at(plan.from)),
                chain.and_then(|chain| chain.void_to(plan.from)),
            );
            match (block, void_to) {
                (Some(block), _) => self.held_piece(block, &plan.names).await?,
                // No block is there, as the next one says.
                (None, Some(to)) => {
                    let content = Past::Events(Vec::new());
                    Piece { to: to.min(plan.end), block: None, content, children: Vec::new() }
                }
                (None, None) => return Ok(Did::Idle),
            }
        } else if plan.names.iter().any(|name| self.is_factory(name)) {
            // Whose logs the next ones are depends on the children that are born in these.
            self.range_piece(plan.from, plan.end.min(settled), &plan.names).await?
        } else {
            let end = plan.end.min(settled).min(tip.max(plan.from));
            let Some(piece) = self.piece_ahead(&plan, end).await? else { return Ok(Did::Awaited) };
            piece
        };
        self.commit_piece(plan, piece).await
    }

    async fn commit_piece(&mut self, plan: Plan, piece: Piece) -> Result<Did, RoomError> {
        let Plan { from, names, .. } = plan;
        let to = piece.to;
        let contracts: Vec<(ContractName, u64, u64)> =
            names.into_iter().map(|name| (name, from, to + 1)).collect();
        let lease = self.fence_name();
        let commit = BackfillCommit {
            chain: self.config.chain,
            name: &self.config.name,
            contracts: &contracts,
            block: piece.block,
            events: if let Past::Events(events) = &piece.content { events } else { &[] },
            children: &piece.children,
            fence: self.fence(&lease),
            publish: if self.config.notify_backfill { Publish::Yes } else { Publish::No },
            now: self.deps.clock.now(),
        };
        let store = &self.deps.store;
        domain::crash_point!("ingest.backfill.before_commit");
        let committed = match &piece.content {
            Past::Events(_) => store.commit_backfill(&commit).await?,
            Past::Rows(rows) => store.commit_backfill_rows(&commit, rows).await?,
        };
        domain::crash_point!("ingest.backfill.committed");
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

    // Which contracts are read next, and over which blocks. Contracts that stand at the same block are read together;
    // another one's cursor ends the piece. Texts come first: whose logs their children's are is known only then.
    fn next_plan(&self) -> Option<Plan> {
        let only_factories = self.factories_behind();
        let behind = self
            .cursors
            .iter()
            .filter(|cursor| cursor.is_behind() && (!only_factories || self.is_factory(&cursor.name)));
        let behind: Vec<_> = behind.collect();
        let from = behind.iter().map(|cursor| cursor.next_block).min()?;
        let (together, others): (Vec<_>, Vec<_>) =
            behind.into_iter().partition(|cursor| cursor.next_block == from);
        let end = together.iter().map(|cursor| cursor.live_from - 1).min().unwrap_or(from);
        let end = others.iter().map(|cursor| cursor.next_block - 1).fold(end, u64::min);
        Some(Plan { from, end, names: together.into_iter().map(|cursor| cursor.name.clone()).collect() })
    }

    // By range, with what comes after it read ahead; nothing where it is yet to come. All of a piece is of one URL; when the URL in use changes, what was
    // read of the one before is dropped, as it may be out of use for a lie.
    async fn piece_ahead(&mut self, plan: &Plan, end: u64) -> Result<Option<Piece>, RoomError> {
        let url = self.deps.client.url();
        let fits = |source: &Arc<Source>| source.url == url && source.names == plan.names;
        if !self.read_ahead.source().is_some_and(fits) {
            let source = Source {
                client: self.deps.client.steady().unwrap_or_else(|| Arc::clone(&self.deps.client)),
                url,
                filters: self.filters_of_past(plan.names.iter()),
                names: plan.names.clone(),
                chain: self.config.chain,
                name: self.config.name.clone(),
                clock: Arc::clone(&self.deps.clock),
                decoder: Arc::clone(&self.deps.decoder),
                cursors: self.cursors.clone(),
                // Those of final blocks are all known: factories were read first.
                children: self.children.clone(),
                rows: (!self.config.notify_backfill).then(|| self.deps.store.clone()),
                logs_wanted: usize::try_from(self.config.range_logs).unwrap_or(usize::MAX).max(1),
                decoding: Mutex::default(),
            };
            self.read_ahead.follow(source);
        }
        let began = self.deps.clock.now();
        let patience = self.hindrance.patience;
        let part = self.read_ahead.take_within(plan.from, end, &mut self.range_size, patience).await?;
        measured(&self.config.name, "wait", self.deps.clock.now().duration_since(began));
        let Some(Part { to, content, counts }) = part else { return Ok(None) };
        self.count(&counts);
        Ok(Some(Piece { to, block: None, content, children: Vec::new() }))
    }

    async fn range_piece(&mut self, from: u64, end: u64, names: &[ContractName]) -> Result<Piece, RoomError> {
        let filters = self.filters_of_past(names.iter());
        let (to, logs) = self.range_logs(from, end, &filters).await?;
        let (events, children) = self.past_of(&logs, names).await?;
        Ok(Piece { to, block: None, content: Past::Events(events), children })
    }

    // The logs of a block that we hold, under the same doubts as a new one's.
    async fn held_piece(&mut self, block: BlockRef, names: &[ContractName]) -> Result<Piece, RoomError> {
        let filters = self.filters_of_past(names.iter());
        let header = self.deps.client.header_by_hash(block.hash).await?;
        let unknown = || ChainError::UnknownBlock { url: self.deps.client.url(), block: block.to_string() };
        let logs = self.logs_of(&header.ok_or_else(unknown)?, &filters).await?;
        let (events, children) = self.past_of(&logs, names).await?;
        Ok(Piece { to: block.number, block: Some(block), content: Past::Events(events), children })
    }

    async fn past_of(
        &mut self,
        logs: &[RawLog],
        names: &[ContractName],
    ) -> Result<(Vec<Event>, Vec<Child>), RoomError> {
        let times = self.timestamps(logs).await?;
        let time = |log: &RawLog| times.get(&log.block.number).copied();
        let (mut events, children) = self.decode(logs, Origin::Backfill, time);
        // Another contract's log that a merged filter brought belongs to that contract's own piece.
        events.retain(|event| names.contains(&event.contract));
        Ok((events, children))
    }

    /// Timestamps of logs that came without one, by block number.
    pub(super) async fn timestamps(&self, logs: &[RawLog]) -> Result<HashMap<u64, u64>, RoomError> {
        Ok(timestamps(self.deps.client.as_ref(), logs).await?)
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
            let limit = self.deps.client.range_limit();
            let last = to.min(from.saturating_add(self.range_size.blocks(limit) - 1));
            let blocks = last - from + 1;
            match self.logs(LogQuery::Range { from, to: last }, filters).await {
                Ok(logs) => {
                    self.range_size.granted(blocks, weight(&logs));
                    return Ok((last, logs));
                }
                Err(RoomError::Chain(ChainError::RangeTooLarge { suggested_blocks, .. })) if blocks > 1 => {
                    self.range_size.refused(blocks, suggested_blocks);
                    let blocks = self.range_size.blocks(None);
                    tracing::debug!(chain = %self.config.name, range.blocks = blocks, "the node refused a range");
                }
                Err(error) => return Err(error),
            }
        }
    }
}
