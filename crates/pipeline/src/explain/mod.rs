//! Why was, or was not, somebody told of a transaction? Walks from its events over the watches that look at such events
//! to hits, notifications, deliveries and attempts. Owns the reading and the verdicts; changes nothing, and must not
//! know how it is printed.

mod apart;
mod facts;

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{B256, hex};
use domain::{
    Catalog, Content, Delivery, DeliveryState, Finality, HitId, LogicalId, Notification, NotificationId,
    Origin, RecipientId, Watch, WatchId, matching::WatchIndex,
};
use store::{AuditedHit, EventKey, HitRow, Holding, Store, StoreError, StoredEvent};

pub use facts::{
    Clause, ExplainedAside, ExplainedAttempt, ExplainedDelivery, ExplainedEvent, ExplainedHit,
    ExplainedNotification, ExplainedWatch, Explanation, Place, UnreadableEvent, Verdict,
};

/// Explains what became of a transaction, for one recipient or for all.
///
/// # Errors
/// See [`StoreError`].
pub async fn explain(
    store: &Store,
    catalog: &Arc<Catalog>,
    tx_hash: B256,
    recipient: Option<&RecipientId>,
) -> Result<Explanation, StoreError> {
    let aside = apart::Set::read(store).await?;
    let (stored, unreadable) = events(store, tx_hash, &aside).await?;
    let watches = apart::readable_watches(store, recipient).await?;
    // A paused watch is asked too: it would, or would not, have matched.
    let asked = watches.iter().cloned().map(|watch| Watch { paused: false, ..watch });
    let (index, _) = WatchIndex::build(catalog, asked);
    let holdings = store.holdings().await?.into_iter().map(|holding| (holding.watch.clone(), holding));
    let (watches, holdings) = (&watches, holdings.collect());
    let asking = Asking { store, index: &index, watches, recipient, holdings, aside: &aside };
    let mut order: Vec<LogicalId> = Vec::new();
    let mut by_logical: HashMap<LogicalId, Vec<StoredEvent>> = HashMap::new();
    for event in stored {
        let same = by_logical.entry(event.event.logical).or_default();
        if same.is_empty() {
            order.push(event.event.logical);
        }
        same.push(event);
    }
    let mut events = Vec::with_capacity(order.len());
    for logical in order {
        let same = by_logical.remove(&logical).unwrap_or_default();
        events.extend(asking.event(same).await?);
    }
    Ok(Explanation { tx_hash: hex::encode_prefixed(tx_hash), events, unreadable, left_out: aside.watches() })
}

/// The events of a transaction, each by itself where one cannot be read.
async fn events(
    store: &Store,
    tx_hash: B256,
    aside: &apart::Set,
) -> Result<(Vec<StoredEvent>, Vec<UnreadableEvent>), StoreError> {
    match store.events_of_transaction(tx_hash).await {
        Err(error) if error.is_about_data() => {}
        ended => return Ok((ended?, Vec::new())),
    }
    let (mut stored, mut unreadable) = (Vec::new(), Vec::new());
    for key in store.keys_of_transaction(tx_hash).await? {
        match store.events_by_keys(&[key]).await {
            Ok(events) => stored.extend(events),
            Err(error) if error.is_about_data() => unreadable.push(aside.unreadable(&key, &error)),
            Err(error) => return Err(error),
        }
    }
    Ok((stored, unreadable))
}

/// Of how many watches without a hit it is said why.
const REFUSALS_MAX: usize = 100;

struct Asking<'a> {
    store: &'a Store,
    index: &'a WatchIndex,
    watches: &'a [Watch],
    recipient: Option<&'a RecipientId>,
    holdings: HashMap<WatchId, Holding>,
    aside: &'a apart::Set,
}

impl Asking<'_> {
    /// One logical event, in all the blocks that it was in.
    async fn event(&self, same: Vec<StoredEvent>) -> Result<Option<ExplainedEvent>, StoreError> {
        // Where it is now, else where it was last.
        let Some(now) = same.iter().find(|stored| stored.is_canonical()).or_else(|| same.last()) else {
            return Ok(None);
        };
        let keys: Vec<_> = same.iter().map(|stored| EventKey::of(&stored.event)).collect();
        let unmatched = !self.store.in_backlog(&keys).await?.is_empty();
        let past = now.event.origin == Origin::Backfill && !same.iter().any(|stored| stored.published);
        let mut hits = self.hits(&same, now).await?;
        let (mut watches, mut refusals, mut others) = (Vec::new(), 0, 0);
        for watch in self.watches {
            let hit = hits.remove(&HitId::derive(now.event.logical, &watch.id));
            let filter = self.index.filter_for(&watch.id, &now.event);
            if filter.is_none() && hit.is_none() {
                continue;
            }
            let clauses = filter.flatten().map_or_else(Vec::new, |filter| filter.explain(&now.event));
            let holds = clauses.iter().all(|clause| clause.holds);
            if hit.is_none() && !holds {
                refusals += 1;
                if refusals > REFUSALS_MAX {
                    others += 1;
                    continue;
                }
            }
            let verdict = match hit {
                Some(_) => Verdict::Hit,
                None if !holds => Verdict::FilteredOut,
                None if watch.paused => Verdict::Paused,
                None if unmatched => Verdict::NotYet,
                None if past => Verdict::Past,
                None if self.is_younger(watch, now) => Verdict::Earlier,
                None => Verdict::Missing,
            };
            watches.push(self.watch(&watch.id, &watch.recipient, verdict, clauses, hit).await?);
        }
        // What is left are hits of watches that were removed since.
        let mut removed: Vec<_> = hits.into_values().collect();
        removed.sort_by(|one, other| one.0.hit.watch.cmp(&other.0.hit.watch));
        for hit in removed {
            if self.recipient.is_some_and(|recipient| *recipient != hit.0.recipient) {
                continue;
            }
            let (watch, recipient) = (hit.0.hit.watch.clone(), hit.0.recipient.clone());
            watches.push(self.watch(&watch, &recipient, Verdict::Hit, Vec::new(), Some(hit)).await?);
        }
        let described = described(now, &same, unmatched, past);
        let set_aside = self.aside.of(&keys, &watches);
        Ok(Some(ExplainedEvent { set_aside, watches, others, ..described }))
    }

    // By hit, with how it stands with the chain.
    async fn hits(
        &self,
        same: &[StoredEvent],
        now: &StoredEvent,
    ) -> Result<HashMap<HitId, (HitRow, AuditedHit)>, StoreError> {
        let events: Vec<_> = same.iter().map(|stored| stored.event.id).collect();
        let ids: Vec<_> =
            self.watches.iter().map(|watch| HitId::derive(now.event.logical, &watch.id)).collect();
        let standing = self.store.audited_hits(&events, &ids).await?;
        let standing: HashMap<_, _> = standing.into_iter().map(|hit| (hit.id, hit)).collect();
        let ids: Vec<_> = standing.keys().copied().collect();
        let rows = self.store.hits(&ids).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| standing.get(&row.hit.id).cloned().map(|hit| (row.hit.id, (row, hit))))
            .collect())
    }

    // Of which watches the ledger says from when on they hold.
    fn is_younger(&self, watch: &Watch, event: &StoredEvent) -> bool {
        self.holdings.get(&watch.id).is_none_or(|holding| event.event.block.number < holding.from_block)
    }

    async fn watch(
        &self,
        watch: &WatchId,
        recipient: &RecipientId,
        verdict: Verdict,
        clauses: Vec<domain::filter::ClauseResult>,
        hit: Option<(HitRow, AuditedHit)>,
    ) -> Result<ExplainedWatch, StoreError> {
        let hit = match hit {
            Some((row, standing)) => Some(self.hit(row, &standing).await?),
            None => None,
        };
        let clause = |clause: domain::filter::ClauseResult| Clause {
            clause: clause.clause,
            holds: clause.holds,
            values: clause.values,
        };
        Ok(ExplainedWatch {
            watch: watch.to_string(),
            recipient: recipient.to_string(),
            verdict,
            clauses: clauses.into_iter().map(clause).collect(),
            hit,
        })
    }

    async fn hit(&self, row: HitRow, standing: &AuditedHit) -> Result<ExplainedHit, StoreError> {
        let notifications = match row.hit.notification {
            Some(id) => self.notifications(id).await?,
            None => Vec::new(),
        };
        let window = row.window().to_string();
        Ok(ExplainedHit {
            id: row.hit.id.to_string(),
            state: row.hit.state.to_string(),
            reason: row.hit.reason,
            deliver_at: row.deliver_at,
            found_at: row.created_at.to_string(),
            due_at: row.hit.due_hint.to_string(),
            window,
            held_back: row.held.map(|held| held.as_str().to_owned()),
            suspicion: row.suspicion.map(|suspicion| suspicion.as_str().to_owned()),
            gone_since: standing.gone_since,
            believed: standing.believed,
            notifications,
        })
    }

    async fn notifications(&self, first: NotificationId) -> Result<Vec<ExplainedNotification>, StoreError> {
        let first = self.store.notification(first).await?;
        let mut all: Vec<Notification> = first.into_iter().collect();
        if let Some(id) = all.first().map(|first| first.id) {
            all.extend(self.store.corrections_of(id).await?);
        }
        let mut explained = Vec::with_capacity(all.len());
        for notification in all {
            let mut deliveries = Vec::new();
            for delivery in self.store.deliveries_of(notification.id).await? {
                deliveries.push(self.delivery(delivery).await?);
            }
            explained.push(ExplainedNotification {
                id: notification.id.to_string(),
                revision: notification.revision,
                state: notification.state.as_str().to_owned(),
                title: notification.title,
                count: notification.count,
                created_at: notification.created_at.to_string(),
                deliveries,
            });
        }
        Ok(explained)
    }

    async fn delivery(&self, delivery: Delivery) -> Result<ExplainedDelivery, StoreError> {
        let attempts = self.store.attempts(delivery.id).await?.into_iter();
        let is_open = matches!(delivery.state, DeliveryState::Queued | DeliveryState::Scheduled);
        Ok(ExplainedDelivery {
            id: delivery.id.to_string(),
            target: delivery.target.to_string(),
            channel: delivery.channel,
            state: delivery.state.as_str().to_owned(),
            reason: delivery.reason,
            next_attempt_at: is_open.then(|| delivery.next_attempt_at.to_string()),
            attempts: attempts
                .map(|(attempt, outcome)| ExplainedAttempt {
                    at: attempt.started.to_string(),
                    outcome,
                    detail: attempt.detail,
                })
                .collect(),
        })
    }
}

fn described(now: &StoredEvent, same: &[StoredEvent], unmatched: bool, past: bool) -> ExplainedEvent {
    let event = &now.event;
    let place = |stored: &StoredEvent| Place {
        block_number: stored.event.block.number,
        block_hash: hex::encode_prefixed(stored.event.block.hash),
        log_index: stored.event.log_index,
        finality: stored.finality.as_str().to_owned(),
        turn: stored.turn,
    };
    // The block that it is in now is told last, whatever its height.
    let mut places: Vec<_> = same.iter().filter(|stored| stored.finality == Finality::Orphaned).collect();
    places.extend(same.iter().filter(|stored| stored.finality != Finality::Orphaned));
    let (params, reason) = match &event.content {
        Content::Decoded { params, .. } => (params.to_json(), None),
        Content::Undecoded { reason, .. } => (serde_json::Value::Null, Some(reason.clone())),
    };
    ExplainedEvent {
        chain_id: event.chain.0,
        contract: event.contract.to_string(),
        address: event.address.to_checksum(None),
        event: event.name().map(str::to_owned),
        reason,
        params,
        places: places.into_iter().map(place).collect(),
        unmatched,
        past,
        set_aside: Vec::new(),
        watches: Vec::new(),
        others: 0,
    }
}
