//! Closes windows that are due, or puts them off where their recipient is to be left alone. Owns the order claim, fence,
//! ack and the sweep that makes the timer index expendable; must not know how hits came about.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    Claim, Clock, Debouncer, Held, HitId, HitState, Watch, WindowAdd, WindowKey, WindowRule,
    spam::{self, SPAM_GROUP},
    timing::{Attention, free_from},
};
use jiff::{SignedDuration, Timestamp};
use store::{Closed, HitRow, Hold, Store, WindowSpend};

use crate::{
    Bell, Progress, Room, RoomError,
    aside::{guarded, own_fault},
    notify::{Audience, Notifier, in_chain_order},
    planning::spend,
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

/// How often a window fails as a whole, before its hits are looked at one by one.
const FAILED_MAX: u32 = 2;

/// When a window is looked at again that the store was away for.
const KEPT: Duration = Duration::from_secs(5);

/// A window that is being closed.
struct Closing<'a> {
    window: &'a WindowKey,
    watch: &'a Watch,
    audience: &'a Audience,
    attention: Attention,
    now: Timestamp,
}

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
        domain::crash_point!("digest.claimed");
        let members = self.members(claim).await?;
        if claim.claims > self.config.claims_max {
            let reason = format!("its window could not be closed in {} tries", claim.claims - 1);
            tracing::error!(window = %claim.key, "{reason}; its hits are given up");
            self.deps.store.bury_hits(&members, &reason).await?;
            return Ok(self.deps.debouncer.ack(claim).await?);
        }
        if claim.claims > FAILED_MAX {
            self.bury_poison(claim, &members).await?;
        }
        for _ in 0..CHANGED_MAX {
            if self.tell(claim, &members).await? == Closed::Notified {
                return Ok(self.deps.debouncer.ack(claim).await?);
            }
        }
        Ok(self.deps.debouncer.release(claim, self.deps.clock.now(), Duration::from_secs(1)).await?)
    }

    // One that fails takes none of the others with it.
    async fn close_all(&self, claims: &[Claim]) -> Result<(), RoomError> {
        let mut ended = Ok(());
        for (at, claim) in claims.iter().enumerate() {
            let Err(error) = guarded(self.close(claim)).await else {
                domain::crash_point!("digest.acked");
                continue;
            };
            tracing::warn!(window = %claim.key, "it could not be closed: {error}");
            if matches!(&error, RoomError::Store(error) if error.is_transient()) {
                // It is the store's fault, and no window's.
                for claim in &claims[at..] {
                    self.keep(claim).await?;
                }
                return Err(error);
            }
            ended = ended.and(Err(error));
        }
        ended
    }

    // Hits whose event cannot be read or told are given up, each with its reason, and the window closes without them.
    async fn bury_poison(&self, claim: &Claim, members: &[HitId]) -> Result<(), RoomError> {
        let Some(watch_id) = claim.key.watch() else { return Ok(()) };
        let Some(watch) = self.deps.store.watch(&watch_id).await? else { return Ok(()) };
        let audience = self.deps.notifier.audience([watch.recipient.clone()]).await?;
        let mut left: Vec<_> = members.chunks(self.config.page).collect();
        while let Some(ids) = left.pop() {
            match guarded(self.try_telling(&watch, &audience, ids)).await {
                Err(error) if own_fault(&error) => match ids {
                    [id] => {
                        tracing::error!(hit = %id, window = %claim.key, "it cannot be told and is given up: {error}");
                        self.deps.store.bury_hits(&[*id], &error.to_string()).await?;
                    }
                    _ => {
                        let (one, other) = ids.split_at(ids.len() / 2);
                        left.extend([other, one]);
                    }
                },
                ended => ended?,
            }
        }
        Ok(())
    }

    // Makes the text of some hits, for nothing but to see whether that fails.
    async fn try_telling(&self, watch: &Watch, audience: &Audience, ids: &[HitId]) -> Result<(), RoomError> {
        let rows = self.deps.store.hits(ids).await?;
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        let (hits, events) = in_chain_order(&rows, self.deps.store.events_by_keys(&keys).await?);
        let Some(least) = hits.iter().min().copied() else { return Ok(()) };
        let why = rows.iter().map(|row| (row.held, row.suspicion)).collect();
        self.deps.notifier.digest(watch, audience, (&events, least), why).await.map(drop)
    }

    // Puts a claimed window back as a new one, whose tries are not counted yet.
    async fn keep(&self, claim: &Claim) -> Result<(), RoomError> {
        let hits = self.members(claim).await?;
        let rule = WindowRule { window: KEPT, max_wait: KEPT, max_count: u32::MAX, slide: false };
        let add = WindowAdd { key: claim.key.clone(), rule, hits, now: self.deps.clock.now() };
        self.deps.debouncer.add(vec![add]).await?;
        Ok(self.deps.debouncer.ack(claim).await?)
    }

    // `Notified` is said of a window with nothing to tell, too, and of one whose hits are told later.
    async fn tell(&self, claim: &Claim, members: &[HitId]) -> Result<Closed, RoomError> {
        let mut pending = Vec::with_capacity(members.len());
        for page in members.chunks(self.config.page) {
            let rows = self.deps.store.hits(page).await?;
            pending.extend(rows.into_iter().filter(|row| row.hit.state == HitState::Pending));
        }
        let Some(watch_id) = claim.key.watch() else { return Ok(Closed::Notified) };
        // What looks like spam has a window of its own, and is told by that alone.
        let is_spam = claim.key.group() == SPAM_GROUP;
        pending.retain(|row| (row.group == SPAM_GROUP) == is_spam);
        let Some(watch) = self.deps.store.watch(&watch_id).await? else {
            let ids: Vec<_> = pending.iter().map(|row| row.hit.id).collect();
            self.deps.store.suppress_hits(&ids, "its watch was removed").await?;
            self.deps.store.forget_held_window(&claim.key).await?;
            return Ok(Closed::Notified);
        };
        let watch = if is_spam { spam::gathering(&watch) } else { watch };
        let audience = self.deps.notifier.audience([watch.recipient.clone()]).await?;
        let attention = audience.attention(&watch.recipient);
        let now = self.deps.clock.now();
        let closing = Closing { window: &claim.key, watch: &watch, audience: &audience, attention, now };
        // The sweep brings a window forward for what is overdue in it. What has a moment of its own keeps it.
        let (early, due): (Vec<_>, Vec<_>) = pending.into_iter().partition(|row| closing.is_early(row));
        let closed = self.tell_due(&closing, due).await?;
        if closed == Closed::Notified {
            self.put_back(&claim.key, &early, now).await?;
        }
        Ok(closed)
    }

    async fn tell_due(&self, closing: &Closing<'_>, pending: Vec<HitRow>) -> Result<Closed, RoomError> {
        let Closing { window, watch, audience, attention, now } = closing;
        if pending.is_empty() {
            if attention.at_most.is_some() {
                self.deps.store.forget_held_window(window).await?;
            }
            return Ok(Closed::Notified);
        }
        if let (until, Some(why)) = self.put_off_until(closing).await? {
            return self.put_off(closing, &pending, (until, why)).await;
        }
        let mut events = Vec::with_capacity(pending.len());
        for page in pending.chunks(self.config.page) {
            let keys: Vec<_> = page.iter().map(|row| row.key).collect();
            events.extend(self.deps.store.events_by_keys(&keys).await?);
        }
        events.sort_by_key(|stored| (stored.event.chain, stored.event.block.number, stored.event.log_index));
        let (hits, events) = in_chain_order(&pending, events);
        // What is left out was orphaned, and matching is about to say so.
        let Some(least) = hits.iter().min().copied() else { return Ok(Closed::Changed) };
        let told: HashSet<_> = hits.iter().collect();
        let inside = pending.iter().filter(|row| told.contains(&row.hit.id));
        let why = inside.map(|row| (row.held, row.suspicion)).collect();
        let bundle = self.deps.notifier.digest(watch, audience, (&events, least), why).await?;
        domain::crash_point!("digest.before_close");
        let since = pending.iter().map(|row| row.created_at).min().unwrap_or(*now);
        let cost = spend(watch, attention, *now);
        let cost = cost.map(|spend| WindowSpend { spend, window: (*window).clone(), since });
        let closed = self.deps.store.close_window(&hits, &bundle, cost.as_ref(), *now).await?;
        domain::crash_point!("digest.closed");
        match (closed, cost) {
            (Closed::Spent, Some(cost)) => {
                return self.put_off(closing, &pending, (cost.spend.next, Held::Budget)).await;
            }
            (Closed::Notified, _) => {
                self.deps.relay.ring();
                metrics::counter!("chainbell_notifications_total").increment(1);
            }
            _ => {}
        }
        Ok(closed)
    }

    /// When the window may be told, and why not now. A budget that is spent is seen here, before a text is made for nothing;
    /// that it is not overdrawn is the store's to see to.
    async fn put_off_until(&self, closing: &Closing<'_>) -> Result<(Timestamp, Option<Held>), RoomError> {
        let Closing { watch, attention, now, .. } = closing;
        let limited = attention.at_most.is_some() && !watch.telling.critical;
        let asked = if limited { std::slice::from_ref(&watch.recipient) } else { &[] };
        let counted = self.deps.store.budgets_spent(asked).await?;
        let spent = counted.get(&watch.recipient).and_then(|counted| attention.spent_period(*counted, *now));
        Ok(free_from(watch, attention, spent, *now))
    }

    // The rows first, then the window's next generation, then the ack: whoever comes after a crash in between finds the
    // claimed window again, and its hits pending.
    async fn put_off(
        &self,
        closing: &Closing<'_>,
        pending: &[HitRow],
        (due, why): (Timestamp, Held),
    ) -> Result<Closed, RoomError> {
        let Closing { window, watch, now, .. } = closing;
        let hits: Vec<_> = pending.iter().map(|row| row.hit.id).collect();
        let since = pending.iter().map(|row| row.created_at).min().unwrap_or(*now);
        let hold = Hold { window, recipient: &watch.recipient, hits: &hits, since, due, why, now: *now };
        self.deps.store.hold_window(&hold).await?;
        let rule = WindowRule::until(due, *now);
        tracing::debug!(%window, hits = hits.len(), until = %due, why = why.as_str(), "the window is put off");
        metrics::counter!("chainbell_hits_held_total", "reason" => why.as_str()).increment(hits.len() as u64);
        self.deps.debouncer.add(vec![WindowAdd { key: (*window).clone(), rule, hits, now: *now }]).await?;
        Ok(Closed::Notified)
    }

    async fn put_back(&self, window: &WindowKey, rows: &[HitRow], now: Timestamp) -> Result<(), RoomError> {
        let mut by_due: BTreeMap<Timestamp, Vec<HitId>> = BTreeMap::new();
        for row in rows {
            by_due.entry(row.hit.due_hint).or_default().push(row.hit.id);
        }
        let add =
            |(due, hits)| WindowAdd { key: window.clone(), rule: WindowRule::until(due, now), hits, now };
        let adds: Vec<_> = by_due.into_iter().map(add).collect();
        if !adds.is_empty() {
            self.deps.debouncer.add(adds).await?;
        }
        Ok(())
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
        let overdue = self.deps.store.overdue_hits(before, (now, next), self.config.sweep_batch).await?;
        if overdue.is_empty() {
            self.swept = Some(now);
            self.deps.store.prune_windows(now, self.config.sweep_batch).await?;
            return Ok(0);
        }
        domain::crash_point!("digest.sweep.marked");
        let mut by_window: HashMap<WindowKey, Vec<HitId>> = HashMap::new();
        for row in &overdue {
            by_window.entry(row.window()).or_default().push(row.hit.id);
        }
        let add = |(key, hits)| WindowAdd { key, rule: WindowRule::NOW, hits, now };
        let adds: Vec<_> = by_window.into_iter().map(add).collect();
        tracing::info!(
            hits = overdue.len(),
            windows = adds.len(),
            "put overdue hits back into their windows"
        );
        metrics::counter!("chainbell_swept_hits_total").increment(overdue.len() as u64);
        if let Err(error) = self.deps.debouncer.add(adds).await {
            // They are in no window: the next sweep takes them, and not the one after a lease that nothing holds.
            let ids: Vec<_> = overdue.iter().map(|row| row.hit.id).collect();
            let due = before.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MIN);
            self.deps.store.overdue_again(&ids, due).await?;
            return Err(error.into());
        }
        domain::crash_point!("digest.sweep.put_back");
        Ok(overdue.len())
    }
}

impl Closing<'_> {
    fn is_early(&self, row: &HitRow) -> bool {
        self.watch.telling.schedule.is_some() && row.hit.due_hint > self.now
    }
}

#[async_trait]
impl Room for Digest {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let now = self.deps.clock.now();
        let mut claims = self.deps.debouncer.claim(now, self.config.claims, self.config.lease).await?;
        // Whoever died over one of them the last time had begun at the other end: those beside it get their turn.
        if claims.first().is_some_and(|claim| claim.claims % 2 == 0) {
            claims.reverse();
        }
        self.close_all(&claims).await?;
        let swept = self.sweep().await?;
        Ok(if claims.is_empty() && swept == 0 { Progress::Idle } else { Progress::Worked })
    }

    async fn rest(&mut self) {
        self.deps.clock.sleep(self.config.poll).await;
    }

    // What a timer index lost while it was away is late by the grace, and not by a long pause on top.
    fn pause_max(&self) -> Duration {
        self.config.grace
    }
}
