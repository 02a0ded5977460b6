//! Follows one chain into the store. Owns the cursor and the decision what a head means; must not know what becomes
//! of an event.
//!
//! Three states: `Follow` reads new blocks, by hash near the head and by range where the chain is final; `Recover`
//! finds the common ancestor after a fork and commits the new branch and the orphan marks together; `Backfill` reads
//! the past of contracts, one piece at a time, whenever the live chain leaves time.

mod backfill;
mod blocks;
mod follow;
mod recover;
mod replay;
mod start;
mod witness;

use std::{sync::Arc, time::Duration};

use abi::Decoder;
use async_trait::async_trait;
use domain::{
    BlockRef, Catalog, ChainClient, ChainError, ChainId, ChainName, Clock, Header, Heads, LogFilter,
    canonical::{Assessment, CanonicalChain},
};
use store::{ContractCursor, Store};

use crate::{Bell, Progress, Room, RoomError};

use witness::Witnesses;

pub use replay::{Piece, Replay};

/// How a chain becomes final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalityRule {
    /// By the node's `safe` and `finalized` tags.
    Tags,
    /// By this many blocks on top.
    Depth(u64),
}

/// One chain's settings and limits.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// Chain.
    pub chain: ChainId,
    /// Its name.
    pub name: ChainName,
    /// How it becomes final.
    pub finality: FinalityRule,
    /// The deepest reorg that is followed without a person.
    pub max_reorg_depth: u32,
    /// How many blocks are read by hash and committed at once.
    pub blocks_max: u32,
    /// How many blocks a range spans at most.
    pub range_max: u64,
    /// How many logs a range should bring; ranges grow and shrink towards it.
    pub range_logs: u64,
    /// How many blocks' logs are asked for at once.
    pub parallel: usize,
    /// How long to wait for a wake before looking anyway.
    pub poll: Duration,
    /// Whether events of the past are published and notify.
    pub notify_backfill: bool,
    /// Read no further than this block.
    pub until: Option<u64>,
}

impl IngestConfig {
    /// The defaults for a chain.
    pub const fn new(chain: ChainId, name: ChainName) -> Self {
        Self {
            chain,
            name,
            finality: FinalityRule::Tags,
            max_reorg_depth: 256,
            blocks_max: 64,
            range_max: 10_000,
            range_logs: 5_000,
            parallel: 8,
            poll: Duration::from_secs(4),
            notify_backfill: false,
            until: None,
        }
    }
}

/// What the rooms around ingest give it.
#[derive(Debug, Clone)]
pub struct IngestDeps {
    /// The node.
    pub client: Arc<dyn ChainClient>,
    /// The store.
    pub store: Store,
    /// The contracts.
    pub catalog: Arc<Catalog>,
    /// Decodes their logs.
    pub decoder: Arc<Decoder>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Rung when the outbox has something.
    pub relay: Bell,
}

/// What a step did, for tests and for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// Settled where to begin, or where to go on.
    Started {
        /// The tip.
        tip: BlockRef,
    },
    /// Read new blocks.
    Followed {
        /// How many.
        blocks: u64,
        /// How many events were in them.
        events: u64,
    },
    /// Followed a reorg.
    Recovered {
        /// How many of our blocks left the chain.
        depth: u64,
        /// How many events left with them.
        orphaned: u64,
    },
    /// Read a piece of the past.
    Backfilled {
        /// First block.
        from: u64,
        /// Last block.
        to: u64,
        /// How many events were in it.
        events: u64,
    },
    /// Nothing.
    Idle,
}

/// The ingest of one chain.
#[derive(Debug)]
pub struct Ingest {
    deps: IngestDeps,
    config: IngestConfig,
    chain: Option<CanonicalChain>,
    cursors: Vec<ContractCursor>,
    filters: Vec<LogFilter>,
    finalized: u64,
    noted: Option<Heads>,
    range: u64,
    witnesses: Witnesses,
    halted: Option<String>,
}

const RANGE_FIRST: u64 = 100;

impl Ingest {
    /// The ingest of the chain that `config` names.
    pub fn new(deps: IngestDeps, config: IngestConfig) -> Self {
        let filters = Catalog::filters(deps.catalog.of_chain(config.chain));
        Self {
            range: RANGE_FIRST.min(config.range_max),
            deps,
            config,
            chain: None,
            cursors: Vec::new(),
            filters,
            finalized: 0,
            noted: None,
            witnesses: Witnesses::default(),
            halted: None,
        }
    }

    /// One decision and its commit.
    ///
    /// # Errors
    /// See [`RoomError`]; the cursor is where it was.
    pub async fn advance(&mut self) -> Result<Did, RoomError> {
        if let Some(reason) = &self.halted {
            return Err(RoomError::Halted(reason.clone()));
        }
        let heads = self.deps.client.heads().await?;
        if self.chain.is_none() {
            let started = self.start(&heads).await;
            if started.is_err() {
                // Half a start is none: the cursors belong to the chain.
                self.chain = None;
            }
            return started;
        }
        self.note(&heads).await?;
        let did = self.follow(&heads.latest).await;
        let did = self.forget_on_fence(did)?;
        if did != Did::Idle {
            return Ok(did);
        }
        let did = self.hear_late_witnesses().await?;
        if did != Did::Idle {
            return Ok(did);
        }
        let did = self.backfill().await;
        self.forget_on_fence(did)
    }

    async fn follow(&mut self, head: &Header) -> Result<Did, RoomError> {
        let Some(chain) = &self.chain else { return Ok(Did::Idle) };
        match chain.assess(head) {
            Assessment::Tip | Assessment::Lagging => Ok(Did::Idle),
            Assessment::Extends | Assessment::Gap { .. } => self.extend(head).await,
            Assessment::Fork => self.recover(head).await,
            Assessment::BelowAnchor => Err(self.too_low(head)),
        }
    }

    // No block of ours is as low as the node's head. A node that lags far behind says so, and one of another network:
    // which of them it is shows when its head moves, so this is no halt.
    fn too_low(&self, head: &Header) -> RoomError {
        let (name, held) = (&self.config.name, self.chain.as_ref().map_or(0, |chain| chain.anchor().number));
        let detail = format!(
            "its head {} is below block {held}, the lowest that is held of chain '{name}': it lags behind, or serves \
             another network; for a development chain that began anew, point store.url at a new database",
            head.block
        );
        ChainError::Incoherent { url: "rpc".to_owned(), detail }.into()
    }

    /// The height up to which the chain is final.
    const fn final_height(&self, heads: &Heads) -> u64 {
        match (self.config.finality, heads.finalized) {
            (FinalityRule::Tags, Some(block)) => block.number,
            (FinalityRule::Tags, None) => 0,
            (FinalityRule::Depth(depth), _) => heads.latest.block.number.saturating_sub(depth),
        }
    }

    /// The height up to which blocks are read by range: final, or deeper than any reorg that we would follow.
    fn settled(&self) -> u64 {
        let tip = self.chain.as_ref().map_or(0, |chain| chain.tip().number);
        self.finalized.max(tip.saturating_sub(u64::from(self.config.max_reorg_depth) + 1))
    }

    async fn note(&mut self, heads: &Heads) -> Result<(), RoomError> {
        // Finality never moves back, whatever a lagging node says.
        self.finalized = self.finalized.max(self.final_height(heads));
        if self.noted.as_ref() == Some(heads) {
            return Ok(());
        }
        let safe = match self.config.finality {
            FinalityRule::Tags => heads.safe.map(|block| block.number),
            FinalityRule::Depth(_) => Some(self.finalized),
        };
        let head = heads.latest.block.number;
        let store = &self.deps.store;
        store.note_heads(self.config.chain, head, safe, Some(self.finalized), self.deps.clock.now()).await?;
        self.noted = Some(*heads);
        let label = self.config.name.to_string();
        let tip = self.chain.as_ref().map_or(0, |chain| chain.tip().number);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of block counts")]
        metrics::gauge!("chainbell_chain_lag_blocks", "chain" => label).set(head.saturating_sub(tip) as f64);
        Ok(())
    }

    // Another writer moved the cursor: what we hold in memory is worth nothing any more.
    fn forget_on_fence(&mut self, did: Result<Did, RoomError>) -> Result<Did, RoomError> {
        if let Err(RoomError::Store(store::StoreError::Fenced(_))) = &did {
            self.chain = None;
        }
        did
    }

    fn until(&self, head: u64) -> u64 {
        self.config.until.map_or(head, |until| head.min(until))
    }
}

#[async_trait]
impl Room for Ingest {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let did = self.advance().await?;
        match did {
            Did::Idle => return Ok(Progress::Idle),
            Did::Recovered { depth, orphaned } => {
                tracing::info!(chain = %self.config.name, reorg.depth = depth, reorg.orphaned = orphaned, "followed a reorg");
            }
            other => tracing::debug!(chain = %self.config.name, "{other:?}"),
        }
        Ok(Progress::Worked)
    }

    async fn rest(&mut self) {
        if let Some(wake) = self.deps.client.next_wake(&self.filters, self.config.poll).await {
            self.witness(wake);
        }
    }
}
