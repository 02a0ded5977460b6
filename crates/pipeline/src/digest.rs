//! Closes windows that are due. Owns the order claim, fence, ack and the sweep that makes the timer index
//! expendable; must not know how hits came about.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Claim, Clock, Debouncer, HitId, HitState, WindowAdd, WindowKey, WindowRule};
use jiff::{SignedDuration, Timestamp};
use store::{Closed, Store};

use crate::{
    Bell, Progress, Room, RoomError,
    notify::{Notifier, in_chain_order},
};

/// Limits of the digest.
#[derive(Debug, Clone, Copy)]
pub struct DigestConfig {
    /// How many windows are claimed at once.
    pub claims: usize,
    /// For how long.
    pub lease: Duration,
    /// How many members are read at once.
    pub page: usize,
    /// How often a window may be claimed before its hits are given up.
    pub claims_max: u32,
    /// How long after its due time a pending hit is swept.
    pub grace: Duration,
    /// How often the sweep looks.
    pub sweep: Duration,
    /// How many hits a sweep puts back at once.
    pub sweep_batch: u32,
    /// How often to look for due windows.
    pub poll: Duration,
}

impl Default for DigestConfig {
    fn default() -> Self {
        Self {
            claims: 16,
            lease: Duration::from_secs(30),
            page: 5_000,
            claims_max: 10,
            grace: Duration::from_secs(5),
            sweep: Duration::from_secs(2),
            sweep_batch: 5_000,
            poll: Duration::from_millis(200),
        }
    }
}

/// What the room works with.
#[derive(Debug, Clone)]
pub struct DigestDeps {
    /// The store.
    pub store: Store,
    /// The timer index.
    pub debouncer: Arc<dyn Debouncer>,
    /// Makes the notifications.
    pub notifier: Arc<Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Rung when the outbox has something.
    pub relay: Bell,
}

/// The room.
#[derive(Debug)]
pub struct Digest {
    deps: DigestDeps,
    config: DigestConfig,
    swept: Option<Timestamp>,
}

const CHANGED_MAX: usize = 5;

impl Digest {
    /// A digest room.
    pub const fn new(deps: DigestDeps, config: DigestConfig) -> Self {
        Self { deps, config, swept: None }
    }

    /// Closes a claimed window: one notification for its pending hits, or none where none is pending.
    ///
    /// # Errors
    /// See [`RoomError`]; the window is claimed again when its lease ends.
    pub async fn close(&self, claim: &Claim) -> Result<(), RoomError> {
        let members = self.members(claim).await?;
        if claim.claims > self.config.claims_max {
            let reason = format!("its window could not be closed in {} tries", claim.claims - 1);
            tracing::error!(window = %claim.key, "{reason}; its hits are given up");
            self.deps.store.bury_hits(&members, &reason).await?;
            return Ok(self.deps.debouncer.ack(claim).await?);
        }
        for _ in 0..CHANGED_MAX {
            if self.tell(claim, &members).await? == Closed::Notified {
                return Ok(self.deps.debouncer.ack(claim).await?);
            }
        }
        Ok(self.deps.debouncer.release(claim, self.deps.clock.now(), Duration::from_secs(1)).await?)
    }

    async fn tell(&self, claim: &Claim, members: &[HitId]) -> Result<Closed, RoomError> {
        let mut pending = Vec::with_capacity(members.len());
        for page in members.chunks(self.config.page) {
            let rows = self.deps.store.hits(page).await?;
            pending.extend(rows.into_iter().filter(|row| row.hit.state == HitState::Pending));
        }
        let Some(watch_id) = claim.key.watch() else { return Ok(Closed::Notified) };
        let Some(watch) = self.deps.store.watch(&watch_id).await? else {
            let ids: Vec<_> = pending.iter().map(|row| row.hit.id).collect();
            self.deps.store.suppress_hits(&ids, "its watch was removed").await?;
            return Ok(Closed::Notified);
        };
        let mut events = Vec::with_capacity(pending.len());
        for page in pending.chunks(self.config.page) {
            let keys: Vec<_> = page.iter().map(|row| row.key).collect();
            events.extend(self.deps.store.events_by_keys(&keys).await?);
        }
        events.sort_by_key(|stored| (stored.event.chain, stored.event.block.number, stored.event.log_index));
        let orphaned = pending.len();
        let (hits, events) = in_chain_order(pending, events);
        let Some(least) = hits.iter().min().copied() else {
            // Nothing is pending, or what is pending was orphaned and matching is about to say so.
            return Ok(if orphaned == 0 { Closed::Notified } else { Closed::Changed });
        };
        let audience = self.deps.notifier.audience([watch.recipient.clone()]).await?;
        let bundle = self.deps.notifier.bundle(&watch, &audience, &events, least).await?;
        let closed = self.deps.store.close_window(&hits, &bundle, self.deps.clock.now()).await?;
        if closed == Closed::Notified {
            self.deps.relay.ring();
            metrics::counter!("chainbell_notifications_total").increment(1);
        }
        Ok(closed)
    }

    async fn members(&self, claim: &Claim) -> Result<Vec<HitId>, RoomError> {
        let mut members = Vec::new();
        loop {
            let page = self.deps.debouncer.members(claim, members.last().copied(), self.config.page).await?;
            let full = page.len() == self.config.page;
            members.extend(page);
            if !full {
                return Ok(members);
            }
        }
    }

    /// Puts back pending hits that the timer index lost.
    async fn sweep(&mut self) -> Result<usize, RoomError> {
        let now = self.deps.clock.now();
        let every = SignedDuration::try_from(self.config.sweep).unwrap_or(SignedDuration::ZERO);
        if self.swept.is_some_and(|swept| now.duration_since(swept) < every) {
            return Ok(0);
        }
        let grace = SignedDuration::try_from(self.config.grace).unwrap_or(SignedDuration::ZERO);
        let before = now.saturating_sub(grace).unwrap_or(Timestamp::MIN);
        // A hit that is in a window whose closing is under way comes up again after its lease, not before.
        let lease = SignedDuration::try_from(self.config.lease).unwrap_or(SignedDuration::ZERO);
        let next = now.saturating_add(lease).unwrap_or(Timestamp::MAX);
        let overdue = self.deps.store.overdue_hits(before, next, self.config.sweep_batch).await?;
        if overdue.is_empty() {
            self.swept = Some(now);
            return Ok(0);
        }
        let mut adds: Vec<WindowAdd> = Vec::new();
        for row in &overdue {
            let key = WindowKey::new(&row.recipient, &row.hit.watch);
            match adds.iter_mut().find(|add| add.key == key) {
                Some(add) => add.hits.push(row.hit.id),
                None => adds.push(WindowAdd { key, rule: WindowRule::NOW, hits: vec![row.hit.id], now }),
            }
        }
        tracing::info!(
            hits = overdue.len(),
            windows = adds.len(),
            "put overdue hits back into their windows"
        );
        metrics::counter!("chainbell_swept_hits_total").increment(overdue.len() as u64);
        self.deps.debouncer.add(adds).await?;
        Ok(overdue.len())
    }
}

#[async_trait]
impl Room for Digest {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let now = self.deps.clock.now();
        let claims = self.deps.debouncer.claim(now, self.config.claims, self.config.lease).await?;
        for claim in &claims {
            self.close(claim).await?;
        }
        let swept = self.sweep().await?;
        Ok(if claims.is_empty() && swept == 0 { Progress::Idle } else { Progress::Worked })
    }

    async fn rest(&mut self) {
        self.deps.clock.sleep(self.config.poll).await;
    }
}
