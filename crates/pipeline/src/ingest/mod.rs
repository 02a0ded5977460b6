//! Follows one chain into the store. Owns the cursor and the decision what a head means; must not know what becomes
//! of an event.
//!
//! Three states: `Follow` reads new blocks, by hash near the head and by range where the chain is final; `Recover`
//! finds the common ancestor after a fork and commits the new branch and the orphan marks together; `Backfill` reads
//! the past of contracts, one piece at a time, whenever the live chain leaves time. Around them: one reader per chain, by
//! lease; doubts about an answer, which another URL settles; and the halt, which a person settles.

mod audit;
mod backfill;
mod blocks;
mod children;
mod config;
mod doubt;
mod follow;
mod halt;
mod heads;
mod hindered;
mod kept;
mod lease;
mod limits;
mod links;
mod range_size;
mod read_ahead;
mod recover;
mod replay;
mod source;
mod start;
mod truth;
mod wakes;
mod wanted;
mod witness;

use async_trait::async_trait;
use domain::{
    BlockRef, Catalog, ChainError, Children, Header, Heads, LogFilter, UrlLimits,
    canonical::{Assessment, CanonicalChain},
};
use jiff::Timestamp;
use store::{ContractCursor, Publish};

use crate::{Progress, Room, RoomError, standby::Standby};

use hindered::Hindrance;
use kept::Kept;
use links::Voids;
use range_size::RangeSize;
use read_ahead::ReadAhead;
use wanted::Wanted;
use witness::Witnesses;

pub use audit::{AUDIT_BLOCKS_MAX, Audited, audited_contracts};
pub use children::known_children;
pub use config::{FinalityRule, IngestConfig, IngestDeps, Lease};
pub use replay::{Piece, Replay};

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
    /// Looked past many heights without a block, up to this one; the next step goes on there.
    Passed {
        /// The last of them.
        to: u64,
    },
    /// Waited for a piece of the past, which is yet to come.
    Awaited,
    /// Left the chain to the reader that holds its lease.
    StoodBy,
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
    children: Children,
    // The height up to which the node says that the chain is final.
    finalized: u64,
    // Above this height nothing of ours waits to become final.
    unsettled: u64,
    // The height up to which the blocks that we hold are final: no reorg may cross it.
    final_held: u64,
    noted: Option<(Heads, bool)>,
    // How far one question for a range reaches, and what was read of the past beyond the next piece.
    range_size: RangeSize,
    read_ahead: ReadAhead,
    // What was answered in a step that did not come to its end.
    kept: Kept,
    voids: Voids,
    hindrance: Hindrance,
    // What the store keeps of how much each URL takes at once; nothing before it was asked.
    limits: Option<Vec<UrlLimits>>,
    witnesses: Witnesses,
    // The head that the node told of, until it is held.
    wanted: Option<Wanted>,
    // Whether the chain is to be looked at before anything else is done.
    look: bool,
    looked_at: Timestamp,
    contested: Option<(String, Timestamp)>,
    // The URL that did not know what it told of, and how often in a row.
    unknown: Option<(String, u32)>,
    renew_at: Timestamp,
    standby: Standby,
    halted: Option<String>,
    providers_noted_at: Timestamp,
}

const RANGE_FIRST: u64 = 100;

impl Ingest {
    /// The ingest of the chain that `config` names.
    pub fn new(deps: IngestDeps, config: IngestConfig) -> Self {
        let filters = Catalog::filters(deps.catalog.of_chain(config.chain));
        Self {
            range_size: RangeSize::new(RANGE_FIRST, config.range_max, config.range_logs),
            read_ahead: ReadAhead::default(),
            hindrance: Hindrance::new(),
            limits: None,
            deps,
            config,
            chain: None,
            cursors: Vec::new(),
            filters,
            children: Children::default(),
            finalized: 0,
            unsettled: u64::MAX,
            final_held: 0,
            noted: None,
            kept: Kept::default(),
            voids: Voids::default(),
            witnesses: Witnesses::default(),
            wanted: None,
            look: true,
            looked_at: Timestamp::MIN,
            contested: None,
            unknown: None,
            renew_at: Timestamp::MIN,
            standby: Standby::default(),
            halted: None,
            providers_noted_at: Timestamp::MIN,
        }
    }

    /// Looks at the chain, and does one thing about it.
    ///
    /// # Errors
    /// See [`RoomError`]; the cursor is where it was.
    pub async fn advance(&mut self) -> Result<Did, RoomError> {
        self.look = true;
        if !self.holds_lease().await? {
            self.read_ahead.clear();
            return Ok(Did::StoodBy);
        }
        if self.halted.is_some() {
            self.reconsider_halt().await?;
        }
        self.recall_limits().await?;
        self.looked_at = self.deps.clock.now();
        self.voids.begin();
        self.deps.client.await_finality(self.awaits_finality());
        let heads = self.deps.client.heads().await?;
        let url = self.deps.client.url();
        if self.chain.is_none() {
            self.read_ahead.clear();
            self.kept.clear();
            let started = self.start(&heads).await;
            let started = self.passing(started);
            if !matches!(started, Ok(Did::Started { .. })) {
                // Half a start is none: the cursors belong to the chain.
                self.chain = None;
            }
            self.unsettled = self.tip_number();
            return self.halting(started).await;
        }
        self.finalized = self.finalized.max(self.final_height(&heads));
        self.want_latest(&heads.latest);
        let did = match self.follow(&heads.latest).await {
            Ok(Did::Idle) => self.follow_wanted().await,
            did => did,
        };
        let did = self.passing(did);
        self.doubt_what_is_unknown(&did);
        let did = self.forget_on_fence(did);
        let did = self.halting(did).await?;
        // Before anything can fail: what was stored waits, whether the rest of the step succeeds or not.
        self.unsettle(did);
        // What one URL says of finality is not said of another's branch.
        let agreed = !matches!(did, Did::Idle | Did::Passed { .. }) && self.deps.client.url() == url;
        self.record_heads(&heads, agreed).await?;
        self.forget_what_is_held();
        self.look = !self.is_caught_up(&heads.latest);
        if did != Did::Idle {
            return Ok(did);
        }
        self.look = false;
        self.put_off_wanted();
        self.side_work().await
    }

    /// What waits for the live chain to leave time: witnesses of blocks that we hold, and the past.
    async fn side_work(&mut self) -> Result<Did, RoomError> {
        if !self.holds_lease().await? {
            self.read_ahead.clear();
            return Ok(Did::StoodBy);
        }
        if self.chain.is_none() || self.halted.is_some() {
            return Ok(Did::Idle);
        }
        let did = self.hear_late_witnesses().await;
        let did = self.forget_on_fence(did)?;
        self.unsettle(did);
        if did != Did::Idle {
            return Ok(did);
        }
        let did = self.backfill().await;
        let did = self.forget_on_fence(did)?;
        self.unsettle(did);
        Ok(did)
    }

    // The past is read by what is final, too.
    fn awaits_finality(&self) -> bool {
        self.unsettled > self.finalized || self.cursors.iter().any(ContractCursor::is_behind)
    }

    // What was stored waits to become final. Not knowing in which blocks it is, it may be in the newest.
    fn unsettle(&mut self, did: Did) {
        let stored = match did {
            Did::Followed { events, .. } => (events > 0).then(|| self.tip_number()),
            Did::Recovered { .. } => Some(self.tip_number()),
            Did::Backfilled { to, .. } => Some(to),
            Did::Started { .. } | Did::Passed { .. } | Did::Awaited | Did::StoodBy | Did::Idle => None,
        };
        self.unsettled = self.unsettled.max(stored.unwrap_or_default());
    }

    fn tip_number(&self) -> u64 {
        self.chain.as_ref().map_or(u64::MAX, |chain| chain.tip().number)
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
        ChainError::Incoherent { url: self.deps.client.url(), detail }.into()
    }

    // Another writer moved the cursor, or a commit failed midway: what we hold in memory is worth nothing any more.
    fn forget_on_fence(&mut self, did: Result<Did, RoomError>) -> Result<Did, RoomError> {
        if let Err(RoomError::Store(error)) = &did {
            self.read_ahead.clear();
            self.kept.clear();
            if matches!(error, store::StoreError::Fenced(_)) {
                // Whose turn it is will be asked again.
                self.renew_at = Timestamp::MIN;
            }
            self.chain = None;
        }
        did
    }

    // Whether nothing is left to follow up to this head.
    fn is_caught_up(&self, head: &Header) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.tip().number >= self.until(head.block.number))
    }

    // Whether the past that a reorg or a repair brings once more is told of. What is read live always is.
    const fn publish(&self) -> Publish {
        if self.config.notify_backfill { Publish::Yes } else { Publish::News }
    }

    fn until(&self, head: u64) -> u64 {
        self.config.until.map_or(head, |until| head.min(until))
    }
}

#[async_trait]
impl Room for Ingest {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        // A piece of the past that takes its time, or is refused, must not keep the live chain waiting.
        self.hindrance.hurry();
        let did = if self.should_look().await { self.advance().await } else { self.side_work().await };
        self.hindrance.patience = None;
        let did = match did {
            Ok(did) => did,
            Err(error) => {
                self.look = true;
                self.bear(error).await?;
                Did::Idle
            }
        };
        match did {
            Did::Idle | Did::StoodBy => return Ok(Progress::Idle),
            Did::Recovered { depth, orphaned } => {
                tracing::info!(chain = %self.config.name, reorg.depth = depth, reorg.orphaned = orphaned, "followed a reorg");
            }
            other => tracing::debug!(chain = %self.config.name, "{other:?}"),
        }
        Ok(Progress::Worked)
    }

    async fn rest(&mut self) {
        self.wait_for_wakes().await;
    }

    fn standing_by(&self) -> Option<&str> {
        self.standby.why()
    }

    async fn finish(&mut self) {
        self.give_lease_back().await;
    }
}
