//! Events meet watches and become hits. Owns that each event's last change is matched exactly in effect, however
//! often and in whatever order its messages come; must not know how a window closes.
//!
//! A message is a hint which event to look at. The event is read again, and its place in the chain decides: in it,
//! hits are made or moved to it; out of it, open hits vanish. What no message brings, the sweep over `unmatched` does.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    BlockRef, ChainId, Clock, CloudEvent, Consumer, Debouncer, HitId, HitState, Incoming, Origin, Spam,
    Watch, WatchId,
    confirmation::{ChainView, is_due},
    grouping,
    spam::{self, SPAM_GROUP},
};
use jiff::{SignedDuration, Timestamp};
use store::{EventKey, NewHit, Store, StoredEvent};

use crate::{
    Bell, Progress, Room, RoomError,
    aside::{Aside, guarded, own_fault},
    items,
    notify::Notifier,
    planning::{Found, Planned, Planner, window_adds},
    suspect::{Judged, Suspect},
    watches::Watches,
};

/// Limits of matching.
#[derive(Debug, Clone)]
pub struct MatchingConfig {
    /// How many messages are handled at once.
    pub batch: usize,
    /// How long a fetch waits for the first.
    pub wait: Duration,
    /// How old an unmatched event is when the sweep takes it.
    pub grace: Duration,
    /// How often the sweep looks.
    pub sweep: Duration,
    /// The chains whose events of the past make hits.
    pub notify_backfill: Vec<ChainId>,
}

impl Default for MatchingConfig {
    fn default() -> Self {
        Self {
            batch: 500,
            wait: Duration::from_millis(500),
            grace: Duration::from_secs(10),
            sweep: Duration::from_secs(2),
            notify_backfill: Vec::new(),
        }
    }
}

/// What matching works with.
#[derive(Debug, Clone)]
pub struct MatchingDeps {
    /// The store.
    pub store: Store,
    /// Messages of the stream of chain events.
    pub consumer: Arc<dyn Consumer>,
    /// The timer index.
    pub debouncer: Arc<dyn Debouncer>,
    /// Makes the notifications of immediate hits.
    pub notifier: Arc<Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Rung when the outbox has something.
    pub relay: Bell,
}

/// The room.
#[derive(Debug)]
pub struct Matching {
    deps: MatchingDeps,
    watches: Watches,
    suspect: Suspect,
    config: MatchingConfig,
    aside: Aside,
    swept: Option<Timestamp>,
}

impl Matching {
    /// A matching room over `watches`.
    pub fn new(deps: MatchingDeps, watches: Watches, config: MatchingConfig) -> Self {
        let aside = Aside::new(deps.store.clone(), "matching");
        Self { deps, watches, suspect: Suspect::new(), config, aside, swept: None }
    }

    /// Matches the events under these keys as they are now. An event that cannot be matched is set aside, and the others are
    /// matched without it.
    ///
    /// # Errors
    /// See [`RoomError`]; doing it again is harmless.
    pub async fn handle(&mut self, keys: &[EventKey]) -> Result<(), RoomError> {
        self.watches.refresh().await?;
        let mut left = vec![keys];
        while let Some(keys) = left.pop() {
            match guarded(self.match_all(keys, None)).await {
                Ok(()) => self.aside.over(keys.iter().map(items::event)).await?,
                Err(error) if !own_fault(&error) => return Err(error),
                Err(error) => match keys {
                    [key] => self.match_apart(*key, &error).await?,
                    _ => {
                        let (one, other) = keys.split_at(keys.len() / 2);
                        left.extend([other, one]);
                    }
                },
            }
        }
        Ok(())
    }

    // One event that fails: what other watches see in it becomes their hits, and the event is set aside for the rest.
    async fn match_apart(&mut self, key: EventKey, error: &RoomError) -> Result<(), RoomError> {
        let mut why = error.to_string();
        for watch in self.watches_of(key).await {
            match guarded(self.match_all(&[key], Some(&watch))).await {
                Ok(()) => {}
                Err(error) if !own_fault(&error) => return Err(error),
                Err(error) => why = format!("watch {watch}: {error}"),
            }
        }
        Ok(self.aside.put(items::event(&key), &why, self.deps.clock.now()).await?)
    }

    // None where the event itself cannot be read.
    async fn watches_of(&self, key: EventKey) -> Vec<WatchId> {
        let found = guarded(async {
            let events = self.deps.store.events_by_keys(&[key]).await?;
            Ok(self.matched(&events).into_iter().map(|(_, watch)| watch.id.clone()).collect())
        });
        found.await.unwrap_or_default()
    }

    // With `only` one watch's hits are made, and the event counts as unmatched still.
    async fn match_all(&self, keys: &[EventKey], only: Option<&WatchId>) -> Result<(), RoomError> {
        let events = self.deps.store.events_by_keys(keys).await?;
        let (canonical, orphans): (Vec<_>, Vec<_>) = events.into_iter().partition(StoredEvent::is_canonical);
        self.deps.store.orphan_hits(&orphans).await?;
        domain::crash_point!("matching.orphaned", !orphans.is_empty());
        let (matched, judged) = self.judged(&canonical, only).await?;
        let audience =
            self.deps.notifier.audience(matched.iter().map(|(_, watch)| watch.recipient.clone())).await?;
        let views = self.views(&matched).await?;
        let found: Vec<_> = matched
            .iter()
            .zip(&judged)
            .map(|((stored, watch), judged)| found(stored, watch, judged, &views))
            .collect();
        let now = self.deps.clock.now();
        let (store, notifier) = (&self.deps.store, self.deps.notifier.as_ref());
        let planned = Planner { store, notifier, audience: &audience, now }.plans(&found).await?;
        let hits: Vec<_> = found
            .iter()
            .zip(&planned)
            .zip(judged)
            .map(|((found, planned), judged)| new_hit(found, planned, judged))
            .collect();
        domain::crash_point!("matching.before_commit", !hits.is_empty());
        let seen = if only.is_some() { &[] } else { canonical.as_slice() };
        let outcome = self.deps.store.commit_hits(seen, &hits, now).await?;
        domain::crash_point!("matching.committed", !hits.is_empty());
        let planned: HashMap<_, _> = hits.iter().map(|hit| hit.id).zip(&planned).collect();
        let adds = window_adds(&outcome.pending, &planned, now);
        if !adds.is_empty() {
            self.deps.debouncer.add(adds).await?;
        }
        if outcome.notified > 0 {
            self.deps.relay.ring();
        }
        domain::crash_point!("matching.joined", !hits.is_empty());
        metrics::counter!("chainbell_hits_total").increment(hits.len() as u64);
        metrics::counter!("chainbell_notifications_total").increment(outcome.notified);
        Ok(())
    }

    fn matched<'e>(&self, events: &'e [StoredEvent]) -> Vec<(&'e StoredEvent, Arc<Watch>)> {
        let mut matched = Vec::new();
        for stored in events {
            if stored.event.origin == Origin::Backfill
                && !self.config.notify_backfill.contains(&stored.event.chain)
            {
                continue;
            }
            matched
                .extend(self.watches.index().matches(&stored.event).into_iter().map(|watch| (stored, watch)));
        }
        matched
    }

    /// The matches, and how each looks; the watch of one that looks like spam is as it tells such.
    async fn judged<'e>(
        &self,
        events: &'e [StoredEvent],
        only: Option<&WatchId>,
    ) -> Result<(Vec<(&'e StoredEvent, Arc<Watch>)>, Vec<Judged>), RoomError> {
        let mut matched = self.matched(events);
        matched.retain(|(_, watch)| only.is_none_or(|only| watch.id == *only));
        let (store, notifier) = (&self.deps.store, self.deps.notifier.as_ref());
        let judged = self.suspect.judge(&matched, self.watches.index(), (store, notifier)).await?;
        for ((_, watch), _) in
            matched.iter_mut().zip(&judged).filter(|(_, judged)| judged.suspicion.is_some())
        {
            *watch = Arc::new(spam::gathering(watch));
        }
        Ok((matched, judged))
    }

    async fn views(
        &self,
        matched: &[(&StoredEvent, Arc<Watch>)],
    ) -> Result<HashMap<ChainId, ChainView>, RoomError> {
        let chains: HashSet<_> = matched.iter().map(|(stored, _)| stored.event.chain).collect();
        let mut views = HashMap::with_capacity(chains.len());
        for chain in chains {
            let row = self.deps.store.chain(chain).await?;
            views.insert(chain, row.map(|row| row.view()).unwrap_or_default());
        }
        Ok(views)
    }

    async fn sweep(&mut self) -> Result<bool, RoomError> {
        let now = self.deps.clock.now();
        let every = SignedDuration::try_from(self.config.sweep).unwrap_or(SignedDuration::ZERO);
        if self.swept.is_some_and(|swept| now.duration_since(swept) < every) {
            return Ok(false);
        }
        let grace = SignedDuration::try_from(self.config.grace).unwrap_or(SignedDuration::ZERO);
        let before = now.saturating_sub(grace).unwrap_or(Timestamp::MIN);
        self.aside.refresh(now).await?;
        let limit = self.aside.page(u32::try_from(self.config.batch).unwrap_or(u32::MAX));
        let mut keys = self.deps.store.unmatched(before, limit).await?;
        keys.retain(|key| !self.aside.rests(&items::event(key), now));
        keys.truncate(self.config.batch);
        if keys.is_empty() {
            self.swept = Some(now);
            return Ok(false);
        }
        tracing::info!(events = keys.len(), "matching events whose message did not come");
        domain::crash_point!("matching.sweep");
        self.handle(&keys).await?;
        Ok(true)
    }
}

#[async_trait]
impl Room for Matching {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        self.watches.refresh().await?;
        let incoming = self.deps.consumer.fetch(self.config.batch, self.config.wait).await?;
        if incoming.is_empty() {
            return Ok(if self.sweep().await? { Progress::Worked } else { Progress::Idle });
        }
        domain::crash_point!("matching.fetched");
        let mut keys = Vec::with_capacity(incoming.len());
        for message in &incoming {
            match key_of(message) {
                Some(key) => keys.push(key),
                None => {
                    self.deps.consumer.dead_letter(message, "it names no event").await?;
                }
            }
        }
        keys.sort_unstable_by_key(|key| (key.chain, key.block.number, key.log_index, key.block.hash));
        keys.dedup();
        let now = self.deps.clock.now();
        keys.retain(|key| !self.aside.rests(&items::event(key), now));
        self.handle(&keys).await?;
        let tokens: Vec<_> = incoming.into_iter().map(|message| message.token).collect();
        self.deps.consumer.ack(&tokens).await?;
        domain::crash_point!("matching.acked");
        Ok(Progress::Worked)
    }

    // The fetch has waited already.
    async fn rest(&mut self) {}
}

fn found<'m>(
    stored: &'m StoredEvent,
    watch: &'m Watch,
    judged: &Judged,
    views: &HashMap<ChainId, ChainView>,
) -> Found<'m> {
    let view = views.get(&stored.event.chain).copied().unwrap_or_default();
    Found {
        id: HitId::derive(stored.event.logical, &watch.id),
        watch,
        stored,
        group: match judged.suspicion {
            Some(_) => SPAM_GROUP.to_owned(),
            None => grouping::key(&watch.telling.group_by, &stored.event),
        },
        sure: is_due(watch.deliver_at, stored.event.block.number, &view),
    }
}

fn new_hit(found: &Found<'_>, planned: &Planned, judged: Judged) -> NewHit {
    NewHit {
        id: found.id,
        watch: found.watch.id.clone(),
        recipient: found.watch.recipient.clone(),
        logical: found.stored.event.logical,
        key: EventKey::of(&found.stored.event),
        deliver_at: found.watch.deliver_at,
        state: if found.sure { HitState::Pending } else { HitState::Waiting },
        group: found.group.clone(),
        plan: planned.plan.clone(),
        suspicion: judged.suspicion,
        dropped: judged.suspicion.is_some() && found.watch.telling.spam == Spam::Drop,
        parties: judged.parties,
    }
}

fn key_of(incoming: &Incoming) -> Option<EventKey> {
    let envelope: CloudEvent = serde_json::from_str(&incoming.message.payload).ok()?;
    let data = &envelope.data;
    let number = |key: &str| data.get(key).and_then(serde_json::Value::as_u64);
    let hash = data.get("block_hash").and_then(serde_json::Value::as_str)?.parse().ok()?;
    Some(EventKey {
        chain: ChainId(number("chain_id")?),
        block: BlockRef::new(number("block_number")?, hash),
        log_index: number("log_index")?,
    })
}
