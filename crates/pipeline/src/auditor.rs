//! The audit that goes on in the background: final blocks, once each, behind the chain. Owns the pace; what an audit is,
//! is ingest's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::Clock;
use store::{AuditRow, Store, verified};

use crate::{Progress, Room, RoomError, ingest::Ingest};

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
        Self { ingest, chain, store, clock, config, next: None, noted: None, worked: false }
    }

    async fn next(&self, first: u64) -> Result<u64, RoomError> {
        let rows = self.rows().await?;
        if let Some(next) = self.next.filter(|_| highest(&rows) >= self.noted) {
            return Ok(next.max(first));
        }
        let done = verified(&rows).into_iter().find(|range| range.from <= first && range.to >= first);
        Ok(done.map_or(first, |range| range.to + 1))
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
        let audited = self.ingest.audit(next, last, self.config.repair).await?;
        self.next = Some(audited.to + 1);
        self.noted = highest(&self.rows().await?);
        self.worked = true;
        // The pause is the room's rest.
        Ok(Progress::Idle)
    }

    async fn rest(&mut self) {
        self.clock.sleep(if self.worked { self.config.pause } else { self.config.poll }).await;
    }
}
