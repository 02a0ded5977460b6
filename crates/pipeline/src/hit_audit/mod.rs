//! The audit of hits: whether every event that satisfies a watch has its one hit, whether every hit is in the state that
//! its event calls for, and whether everything that is told is on its way. Owns what counts as a difference; the store
//! answers, and nothing is mended here.
//!
//! What is counted, precisely. A canonical event is owed a hit of a watch when
//! - it was news: read live, or of a past that its chain tells of (`notify_backfill`), or replayed with `--notify`;
//! - the watch, as it is now, is satisfied by it; and
//! - its block is at or above the block from which the watch *holds* as it is now.
//!
//! A watch holds from the block after the tip that was there when every matching process had surely followed its last
//! edit: they follow within [`REFRESH`](crate::watches::REFRESH), and an event of a higher block is committed later than
//! that tip. So a new, an edited or a resumed watch, and one whose contract changed in the configuration, holds from a few
//! seconds after the edit on. What it is owed of before is not certain, and not counted.
//!
//! What is under way is no difference: what looks wrong is looked at again after a while, and must be wrong then too.

mod difference;
mod room;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use domain::{
    Catalog, ChainId, Clock, DeliverAt, HitId, HitState, NotificationId, Origin, WatchId,
    confirmation::released_up_to, matching::WatchIndex,
};
use jiff::{SignedDuration, Timestamp};
use store::{AuditedHit, EventKey, Holding, Store, StoredEvent};

use crate::RoomError;

pub use difference::{Difference, Kind};
pub use room::{HitAuditor, HitAuditorConfig};

/// Limits of an audit.
#[derive(Debug, Clone)]
pub struct HitAuditConfig {
    /// How many events are looked at at once.
    pub page: u32,
    /// After how long what looks wrong is looked at again.
    pub patience: Duration,
    /// How long something may be due before it is overdue.
    pub overdue: Duration,
    /// How many blocks something may be settled before it is overdue.
    pub overdue_blocks: u64,
    /// How many differences of one kind are found at once, where they are not found event by event.
    pub found_max: u32,
    /// The chains, each with its `settle_blocks`, and whether its past is told.
    pub chains: Vec<(ChainId, u64, bool)>,
}

impl HitAuditConfig {
    /// The limits for these chains.
    pub const fn new(chains: Vec<(ChainId, u64, bool)>) -> Self {
        Self {
            page: 1_000,
            patience: Duration::from_secs(3),
            overdue: Duration::from_secs(60),
            overdue_blocks: 10,
            found_max: 100,
            chains,
        }
    }
}

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub struct HitReport {
    /// How many events.
    pub events: u64,
    /// How many pairs of an event and a watch that are owed a hit.
    pub owed: u64,
    /// How many notifications.
    pub notifications: u64,
    /// How many differences there are of each kind.
    pub counts: BTreeMap<Kind, u64>,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// How many differences a report names; it counts all.
const NAMED_MAX: usize = 100;

impl HitReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, found: impl IntoIterator<Item = Difference>) {
        for difference in found {
            *self.counts.entry(difference.kind).or_default() += 1;
            if self.differences.len() < NAMED_MAX {
                self.differences.push(difference);
            }
        }
    }
}

/// The audit.
#[derive(Debug)]
pub struct HitAudit {
    store: Store,
    clock: Arc<dyn Clock>,
    catalog: Arc<Catalog>,
    config: HitAuditConfig,
    index: WatchIndex,
    // The revision of each watch that is there, paused ones aside, and the last one that was followed.
    revisions: HashMap<WatchId, i64>,
    followed: i64,
    // From when on each holds.
    holds: HashMap<WatchId, u64>,
    // Since when nothing was edited that is not followed.
    steady_since: Option<Timestamp>,
}

impl HitAudit {
    /// An audit of what `catalog`'s watches are owed.
    pub fn new(store: Store, clock: Arc<dyn Clock>, catalog: &Arc<Catalog>, config: HitAuditConfig) -> Self {
        let (index, _) = WatchIndex::build(catalog, []);
        let (revisions, holds) = (HashMap::new(), HashMap::new());
        let catalog = Arc::clone(catalog);
        Self { store, clock, catalog, config, index, revisions, followed: 0, holds, steady_since: None }
    }

    /// Follows the edits of watches, and notes from when on those hold of which it can be said now.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn follow(&mut self) -> Result<(), RoomError> {
        let changes = self.store.watches_since(self.followed).await?;
        let now = self.clock.now();
        if !changes.is_empty() || self.steady_since.is_none() {
            self.steady_since = Some(now);
        }
        for change in changes {
            self.followed = self.followed.max(change.revision);
            self.holds.remove(&change.id);
            self.revisions.remove(&change.id);
            self.index.remove(&change.id);
            // One that makes no sense makes no hits.
            if let Some(watch) = change.watch.filter(|watch| !watch.paused)
                && self.index.insert(watch).is_ok()
            {
                self.revisions.insert(change.id, change.revision);
            }
        }
        let settled = SignedDuration::try_from(crate::watches::REFRESH * 3).unwrap_or(SignedDuration::ZERO);
        let steady = self.steady_since.is_some_and(|since| now.duration_since(since) >= settled);
        if self.holds.len() < self.revisions.len() {
            self.read_holdings(steady).await?;
        }
        Ok(())
    }

    /// How many watches are owed hits that cannot be counted yet.
    pub fn uncertain(&self) -> usize {
        self.revisions.len() - self.holds.len()
    }

    async fn read_holdings(&mut self, note: bool) -> Result<(), RoomError> {
        for pass in [false, note] {
            if pass {
                self.note_holdings().await?;
            }
            for held in self.store.holdings().await? {
                let of = self.revisions.get(&held.watch);
                if of == Some(&held.revision)
                    && self.fingerprint(&held.watch).is_some_and(|now| now.1 == held.fingerprint)
                {
                    self.holds.insert(held.watch, held.from_block);
                }
            }
        }
        Ok(())
    }

    // The chain and the fingerprint of the contract that a watch is on.
    fn fingerprint(&self, watch: &WatchId) -> Option<(ChainId, String)> {
        let contract = self.catalog.get(&self.index.get(watch)?.contract)?;
        Some((contract.chain, self.catalog.fingerprint(contract)))
    }

    async fn note_holdings(&self) -> Result<(), RoomError> {
        let mut tips = HashMap::new();
        for (chain, ..) in &self.config.chains {
            if let Some(tip) = self.store.chain(*chain).await?.and_then(|row| row.tip) {
                tips.insert(*chain, tip.number);
            }
        }
        let mut holdings = Vec::new();
        for (watch, revision) in self.revisions.iter().filter(|(watch, _)| !self.holds.contains_key(*watch)) {
            let Some((chain, fingerprint)) = self.fingerprint(watch) else { continue };
            let Some(tip) = tips.get(&chain) else { continue };
            holdings.push(Holding {
                watch: watch.clone(),
                revision: *revision,
                fingerprint,
                from_block: tip + 1,
            });
        }
        for page in holdings.chunks(self.config.page as usize) {
            self.store.note_holdings(page).await?;
        }
        Ok(())
    }

    /// Looks at one page of a chain's events. Returns where the next begins; none: there is no more.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn page(
        &self,
        chain: ChainId,
        blocks: (u64, u64),
        after: Option<EventKey>,
        report: &mut HitReport,
    ) -> Result<Option<EventKey>, RoomError> {
        let events = self.store.audited_events(chain, blocks, after, self.config.page).await?;
        let next = events.last().filter(|_| events.len() == self.config.page as usize);
        let next = next.map(|stored| EventKey::of(&stored.event));
        report.events += events.len() as u64;
        report.owed += events.iter().map(|stored| self.owed(stored).len() as u64).sum::<u64>();
        let found = self.look(&events).await?;
        if !found.is_empty() {
            self.clock.sleep(self.config.patience).await;
            let keys: Vec<_> = events.iter().map(|stored| EventKey::of(&stored.event)).collect();
            let again = self.look(&self.store.events_by_keys(&keys).await?).await?;
            report.add(found.intersection(&again).cloned());
        }
        Ok(next)
    }

    // The watches that are owed a hit of an event.
    fn owed(&self, stored: &StoredEvent) -> Vec<WatchId> {
        let told = |past: &(ChainId, u64, bool)| past.0 == stored.event.chain && past.2 && stored.published;
        let is_news = stored.event.origin == Origin::Live || self.config.chains.iter().any(told);
        if !stored.is_canonical() || !is_news {
            return Vec::new();
        }
        let matched = self.index.matches(&stored.event).into_iter().map(|watch| watch.id.clone());
        let holds =
            |watch: &WatchId| self.holds.get(watch).is_some_and(|from| stored.event.block.number >= *from);
        matched.filter(holds).collect()
    }

    async fn look(&self, events: &[StoredEvent]) -> Result<BTreeSet<Difference>, RoomError> {
        let keys: Vec<_> = events.iter().map(|stored| EventKey::of(&stored.event)).collect();
        let owed: Vec<Vec<(HitId, WatchId)>> = events
            .iter()
            .map(|stored| {
                let id = |watch: WatchId| (HitId::derive(stored.event.logical, &watch), watch);
                self.owed(stored).into_iter().map(id).collect()
            })
            .collect();
        // First whoever waits for matching: what is matched from here on finds its hits below.
        let unmatched = self.store.in_backlog(&keys).await?;
        let ids: Vec<_> = owed.iter().flatten().map(|(id, _)| *id).collect();
        let of: Vec<_> = events.iter().map(|stored| stored.event.id).collect();
        let hits = self.store.audited_hits(&of, &ids).await?;
        let by_id: HashMap<_, _> = hits.iter().map(|hit| (hit.id, hit)).collect();
        let mut by_event: HashMap<_, Vec<_>> = HashMap::new();
        for hit in &hits {
            by_event.entry(hit.event).or_default().push(hit);
        }
        let mut found = BTreeSet::new();
        for (stored, owed) in events.iter().zip(&owed) {
            if unmatched.contains(&EventKey::of(&stored.event)) {
                continue;
            }
            let event = Some(stored.event.id);
            for (id, watch) in owed {
                let kind = match by_id.get(id) {
                    None => Kind::Missing,
                    Some(hit) if hit.event != stored.event.id => Kind::WrongEvent,
                    Some(_) => continue,
                };
                let hit = (kind != Kind::Missing).then_some(*id);
                found.insert(Difference { event, watch: Some(watch.clone()), hit, ..Difference::of(kind) });
            }
            for hit in by_event.get(&stored.event.id).into_iter().flatten() {
                if let Some(kind) = wrong(stored, hit) {
                    let (watch, hit) = (Some(hit.watch.clone()), Some(hit.id));
                    found.insert(Difference { event, watch, hit, ..Difference::of(kind) });
                }
            }
        }
        Ok(found)
    }

    /// Looks for what has been open for too long, whatever its event.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn open(&self, report: &mut HitReport) -> Result<(), RoomError> {
        let found = self.overdue().await?;
        if !found.is_empty() {
            self.clock.sleep(self.config.patience).await;
            let again = self.overdue().await?;
            report.add(found.intersection(&again).cloned());
        }
        Ok(())
    }

    async fn overdue(&self) -> Result<BTreeSet<Difference>, RoomError> {
        let (store, limit) = (&self.store, self.config.found_max);
        let overdue = SignedDuration::try_from(self.config.overdue).unwrap_or(SignedDuration::MAX);
        let before = self.clock.now().saturating_sub(overdue).unwrap_or(Timestamp::MIN);
        let mut found = BTreeSet::new();
        for (hit, watch) in store.audited_overdue_hits(before, limit).await? {
            found.insert(Difference { hit: Some(hit), watch: Some(watch), ..Difference::of(Kind::Overdue) });
        }
        for (delivery, notification) in store.audited_overdue_deliveries(before, limit).await? {
            let (delivery, notification) = (Some(delivery), Some(notification));
            found.insert(Difference { delivery, notification, ..Difference::of(Kind::Unsent) });
        }
        for (chain, settle_blocks, _) in &self.config.chains {
            let Some(row) = store.chain(*chain).await? else { continue };
            let tip = row.tip.map_or(0, |tip| tip.number);
            let settled = tip.saturating_sub(settle_blocks + self.config.overdue_blocks);
            for id in store.doubtful(*chain, settled, limit).await? {
                found.insert(Difference { notification: Some(id), ..Difference::of(Kind::Uncorrected) });
            }
            for word in store.waiting_for(*chain).await? {
                let Ok(deliver_at) = word.parse::<DeliverAt>() else { continue };
                let Some(released) = released_up_to(deliver_at, &row.view()) else { continue };
                let Some(up_to) = released.checked_sub(self.config.overdue_blocks) else { continue };
                for hit in store.waiting_hits(*chain, &word, up_to, limit).await? {
                    let (hit, watch) = (Some(hit.hit.id), Some(hit.hit.watch));
                    found.insert(Difference { hit, watch, ..Difference::of(Kind::Unreleased) });
                }
            }
        }
        Ok(found)
    }

    /// Looks at one page of notifications, oldest first, after `after`. Returns where the next begins; none: there is no
    /// more that is old enough.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn notifications(
        &self,
        after: Option<(Timestamp, NotificationId)>,
        report: &mut HitReport,
    ) -> Result<Option<(Timestamp, NotificationId)>, RoomError> {
        // A target may be added while a notification is made.
        let margin = SignedDuration::from_secs(10);
        let page =
            self.store.audited_notifications(after, self.clock.now(), margin, self.config.page).await?;
        report.notifications += page.len() as u64;
        report.add(page.iter().filter(|row| row.missing.is_some()).map(|row| Difference {
            notification: Some(row.id),
            target: row.missing.clone(),
            ..Difference::of(Kind::WithoutDelivery)
        }));
        Ok(page
            .last()
            .filter(|_| page.len() == self.config.page as usize)
            .map(|row| (row.created_at, row.id)))
    }

    /// Audits everything once: these chains from a block on, and all that is open.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn run(&mut self, only: &[ChainId], from_block: u64) -> Result<HitReport, RoomError> {
        let mut report = HitReport::default();
        self.follow().await?;
        let only: HashSet<_> = only.iter().collect();
        for (chain, ..) in self.config.chains.iter().filter(|(chain, ..)| only.contains(chain)) {
            let mut after = None;
            loop {
                after = self.page(*chain, (from_block, u64::MAX), after, &mut report).await?;
                if after.is_none() {
                    break;
                }
            }
        }
        self.open(&mut report).await?;
        let mut after = None;
        loop {
            after = self.notifications(after, &mut report).await?;
            if after.is_none() {
                return Ok(report);
            }
        }
    }
}

// What is wrong with a hit that stands for this event, which is matched as it is.
fn wrong(stored: &StoredEvent, hit: &AuditedHit) -> Option<Kind> {
    let is_open = matches!(hit.state, HitState::Waiting | HitState::Pending);
    match (stored.is_canonical(), hit.state) {
        (_, HitState::Notified) if !hit.is_told => Some(Kind::WithoutNotification),
        (true, HitState::Orphaned) => Some(Kind::NotRevived),
        (true, HitState::Notified) if hit.gone_since.is_some() => Some(Kind::ChangeNotNoted),
        (false, HitState::Notified) if hit.gone_since.is_none() => Some(Kind::ChangeNotNoted),
        (false, _) if is_open => Some(Kind::EventGone),
        _ => None,
    }
}
