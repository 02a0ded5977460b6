//! The audit that goes on in the background: final blocks, once each, behind the chain. Owns the pace, and what becomes of a
//! block that cannot be audited; what an audit is, is ingest's.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{ChainError, Clock};
use store::{AuditRow, Part, Store, Unproved, verified};

use crate::{
    Progress, Room, RoomError,
    ingest::{AUDIT_BLOCKS_MAX, Audited, Ingest},
};

/// After so many failures a block is read by its logs, whatever its receipts say.
const BY_LOGS: u32 = 2;

/// After so many it is looked whether a later block fares better: then it is this one that cannot be audited.
const LOOK_BEYOND: u32 = 3;

/// The longest pause between two tries of a block.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Blocks that could not be audited at once, and how they fare one by one.
#[derive(Debug, Default)]
struct Trouble {
    // Blocks are audited one by one up to this one.
    closely_to: Option<u64>,
    failures: u32,
    // A later block that could be audited since.
    well_at: Option<u64>,
}

/// How an auditor goes about.
#[derive(Debug, Clone, Copy)]
pub struct AuditorConfig {
    /// Whether it mends what it finds.
    pub repair: bool,
    /// How long it rests when there is nothing to audit.
    pub poll: Duration,
    /// How long it rests after each piece, so that it never crowds out the live chain.
    pub pause: Duration,
}

impl Default for AuditorConfig {
    fn default() -> Self {
        Self { repair: true, poll: Duration::from_secs(15), pause: Duration::from_secs(1) }
    }
}

/// The room. It audits from the first block from which on every contract was read live; the past before it is for `chainbell audit`.
#[derive(Debug)]
pub struct Auditor {
    ingest: Ingest,
    chain: domain::ChainId,
    store: Store,
    clock: Arc<dyn Clock>,
    config: AuditorConfig,
    // Blocks below are done, whatever was found in them.
    next: Option<u64>,
    // The highest block that any note spoke of then: an operator's rewind takes notes back.
    noted: Option<u64>,
    worked: bool,
    trouble: Trouble,
    // Whether the store may hold a note that the audit stands still.
    stands: bool,
}

impl Auditor {
    /// An auditor of the chain that `ingest` reads; it needs an ingest of its own, with a client of its own.
    pub const fn new(
        ingest: Ingest,
        chain: domain::ChainId,
        store: Store,
        clock: Arc<dyn Clock>,
        config: AuditorConfig,
    ) -> Self {
        Self {
            ingest,
            chain,
            store,
            clock,
            config,
            next: None,
            noted: None,
            worked: false,
            trouble: Trouble { closely_to: None, failures: 0, well_at: None },
            stands: true,
        }
    }

    async fn next(&self, first: u64) -> Result<u64, RoomError> {
        let rows = self.rows().await?;
        if let Some(next) = self.next.filter(|_| highest(&rows) >= self.noted) {
            return Ok(next.max(first));
        }
        let done = verified(&rows);
        let skipped: HashSet<_> = self
            .store
            .unproved(self.chain)
            .await?
            .into_iter()
            .filter(|block| block.method.is_none())
            .map(|block| block.block)
            .collect();
        let mut next = first;
        loop {
            next = match done.iter().find(|range| (range.from..=range.to).contains(&next)) {
                Some(range) => range.to + 1,
                None if skipped.contains(&next) => next + 1,
                None => return Ok(next),
            };
        }
    }

    // Many blocks at once; one by one where that failed, and by their logs where that failed too.
    async fn attempt(&mut self, next: u64, last: u64) -> Result<Audited, RoomError> {
        let repair = self.config.repair;
        if self.trouble.closely_to.is_none_or(|to| next > to) {
            return self.ingest.audit(next, last, repair).await;
        }
        if self.trouble.failures >= BY_LOGS || self.trouble.well_at.is_some_and(|well| well > next) {
            return self.ingest.audit_somehow(next, repair).await;
        }
        self.ingest.audit(next, next, repair).await
    }

    // One block that cannot be audited holds up none behind it, and makes nobody "not ready". What is away for a while is
    // waited for: only where a later block can be audited, it is this one's fault.
    async fn bear(&mut self, next: u64, last: u64, error: &ChainError) -> Result<(), RoomError> {
        let trouble = &mut self.trouble;
        if trouble.closely_to.is_none_or(|to| next > to) {
            let piece = next.saturating_add(AUDIT_BLOCKS_MAX - 1).min(last);
            *trouble = Trouble { closely_to: Some(piece), failures: 0, well_at: None };
        }
        trouble.failures = trouble.failures.saturating_add(1);
        let (failures, well) = (trouble.failures, trouble.well_at.is_some_and(|well| well > next));
        if well || (failures >= LOOK_BEYOND && self.is_well_beyond(next, last).await?) {
            return self.skip(next, error).await;
        }
        if failures >= LOOK_BEYOND && failures.is_power_of_two() || failures == LOOK_BEYOND {
            let reason = error.to_string();
            tracing::warn!(block = next, failures, "the audit does not go on: {reason}");
            let now = self.clock.now();
            self.store.note_standstill(self.chain, Part::Audit, (next, &reason), now).await?;
            self.stands = true;
        }
        Ok(())
    }

    async fn is_well_beyond(&mut self, next: u64, last: u64) -> Result<bool, RoomError> {
        let distance = 1_u64 << (self.trouble.failures - LOOK_BEYOND).min(16);
        let beyond = next.saturating_add(distance).min(last);
        if beyond == next {
            return Ok(false);
        }
        match self.ingest.audit_somehow(beyond, self.config.repair).await {
            Ok(_) => {
                self.trouble.well_at = Some(beyond);
                Ok(true)
            }
            Err(RoomError::Chain(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn skip(&mut self, block: u64, error: &ChainError) -> Result<(), RoomError> {
        let reason = error.to_string();
        tracing::warn!(block, "this block cannot be audited, those behind it are: {reason}");
        let skipped = [Unproved { block, reason, method: None }];
        self.store.note_unproved(self.chain, (block, block), &skipped, self.clock.now()).await?;
        self.trouble.failures = 0;
        self.next = Some(block + 1);
        self.worked = true;
        Ok(())
    }

    async fn goes_on(&mut self) -> Result<(), RoomError> {
        self.trouble.failures = 0;
        if std::mem::replace(&mut self.stands, false) {
            self.store.clear_standstill(self.chain, Part::Audit).await?;
        }
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<AuditRow>, RoomError> {
        Ok(self.store.audits(self.chain, &self.ingest.audited_contracts()).await?)
    }
}

fn highest(rows: &[AuditRow]) -> Option<u64> {
    rows.iter().map(|row| row.to).max()
}

#[async_trait]
impl Room for Auditor {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        self.worked = false;
        let Some((first, last)) = self.ingest.audit_bounds().await? else { return Ok(Progress::Idle) };
        let next = self.next(first).await?;
        self.next = Some(next);
        if next > last {
            return Ok(Progress::Idle);
        }
        let audited = match self.attempt(next, last).await {
            Ok(audited) => audited,
            Err(RoomError::Chain(error)) => {
                self.bear(next, last, &error).await?;
                return Ok(Progress::Idle);
            }
            Err(error) => return Err(error),
        };
        self.goes_on().await?;
        self.next = Some(audited.to + 1);
        self.noted = highest(&self.rows().await?);
        self.worked = true;
        // The pause is the room's rest.
        Ok(Progress::Idle)
    }

    async fn rest(&mut self) {
        let pause = match self.trouble.failures {
            0 if !self.worked => self.config.poll,
            failures => {
                self.config.pause.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX.max(self.config.pause))
            }
        };
        self.clock.sleep(pause).await;
    }
}
