//! Hits: which event satisfied which watch, and what became of it.

use std::collections::{HashMap, HashSet};

use alloy_primitives::Address;
use domain::{
    BlockRef, ChainId, DeliverAt, EventId, Held, Hit, HitId, HitState, LogicalId, NotificationId,
    RecipientId, Suspicion, WatchId, WindowKey,
};
use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    backlog::take_out,
    bulk::Bulk,
    chain::hash32,
    digest::{Bundle, insert_bundles},
    event::{EventKey, StoredEvent, event_of_key, key_bulk},
    plan::{HitPlan, Settling, settle_plans},
    spam::{drop_hits, introduce_parties},
    tx::{read, tx},
};

/// A hit that matching found.
#[derive(Debug, Clone)]
pub struct NewHit {
    /// Identity.
    pub id: HitId,
    /// The watch.
    pub watch: WatchId,
    /// Whom it concerns.
    pub recipient: RecipientId,
    /// The event's lasting identity.
    pub logical: LogicalId,
    /// Where the event is.
    pub key: EventKey,
    /// The confidence that the watch asks for.
    pub deliver_at: DeliverAt,
    /// `Waiting`, or `Pending` where the confidence is there; ignored where it is told at once.
    pub state: HitState,
    /// The key of its group; empty where its watch is not grouped.
    pub group: String,
    /// How it is told. One that waits has no bundle, and is asked about again.
    pub plan: HitPlan,
    /// Why it looks like spam, if it does.
    pub suspicion: Option<Suspicion>,
    /// Whether it is not to be told for that.
    pub dropped: bool,
    /// Whom its watch knows from now on.
    pub parties: Vec<Address>,
}

/// A hit with where its event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitRow {
    /// The hit.
    pub hit: Hit,
    /// Whom it concerns.
    pub recipient: RecipientId,
    /// Where the event is now.
    pub key: EventKey,
    /// The confidence that its watch asked for.
    pub deliver_at: String,
    /// The key of its group.
    pub group: String,
    /// Why it waits, or waited, longer than its watch asked for.
    pub held: Option<Held>,
    /// Why it looks like spam, if it does.
    pub suspicion: Option<Suspicion>,
    /// When it was found.
    pub created_at: Timestamp,
}

impl HitRow {
    /// The window that it belongs into.
    pub fn window(&self) -> WindowKey {
        WindowKey::grouped(&self.recipient, &self.hit.watch, &self.group)
    }
}

/// A hit that belongs into a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingHit {
    /// The hit.
    pub id: HitId,
    /// When its window should have closed at the latest.
    pub due_hint: Timestamp,
    /// Whether that is later than its watch asks for.
    pub held: bool,
}

/// What a matching transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HitOutcome {
    /// Hits that are pending now, new or not: they belong into a window.
    pub pending: Vec<PendingHit>,
    /// Notifications that were inserted.
    pub notified: u64,
    /// Hits whose event left the chain before this transaction.
    pub stale: u64,
}

#[derive(Debug, FromRow)]
pub(crate) struct Row {
    id: Uuid,
    watch_id: String,
    recipient_id: String,
    logical_id: Uuid,
    event_id: Uuid,
    chain_id: i64,
    block_number: i64,
    log_index: i64,
    block_hash: Vec<u8>,
    deliver_at: String,
    state: String,
    reason: Option<String>,
    notification_id: Option<Uuid>,
    due_hint: i64,
    group_key: String,
    held: Option<String>,
    suspicion: Option<String>,
    created_at: i64,
}

pub(crate) const COLUMNS: &str = "id, watch_id, recipient_id, logical_id, event_id, chain_id, block_number, log_index, \
    block_hash, deliver_at, state, reason, notification_id, due_hint, group_key, held, suspicion, created_at";

pub(crate) fn from_row(row: Row) -> Result<HitRow, StoreError> {
    let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("hit", error);
    let block = BlockRef::new(row.block_number.cast_unsigned(), hash32("hit", &row.block_hash)?);
    let chain = ChainId(row.chain_id.cast_unsigned());
    Ok(HitRow {
        hit: Hit {
            id: HitId(row.id),
            watch: row.watch_id.parse().map_err(|error| bad(&error))?,
            logical: LogicalId(row.logical_id),
            event: EventId(row.event_id),
            chain,
            block_number: block.number,
            state: HitState::parse(&row.state).ok_or_else(|| bad(&row.state))?,
            reason: row.reason,
            notification: row.notification_id.map(NotificationId),
            due_hint: Timestamp::from_millisecond(row.due_hint).map_err(|error| bad(&error))?,
        },
        recipient: row.recipient_id.parse().map_err(|error| bad(&error))?,
        key: EventKey { chain, block, log_index: row.log_index.cast_unsigned() },
        deliver_at: row.deliver_at,
        group: row.group_key,
        held: row.held.as_deref().map(|word| Held::parse(word).ok_or_else(|| bad(&word))).transpose()?,
        suspicion: row
            .suspicion
            .as_deref()
            .map(|word| Suspicion::parse(word).ok_or_else(|| bad(&word)))
            .transpose()?,
        created_at: Timestamp::from_millisecond(row.created_at).map_err(|error| bad(&error))?,
    })
}

fn hit_bulk(hits: &[&NewHit], now: Timestamp) -> Bulk {
    let keys: Vec<_> = hits.iter().map(|hit| hit.key).collect();
    let state = |hit: &NewHit| if hit.plan.is_free() { HitState::Notified } else { hit.state };
    let told =
        |hit: &NewHit| hit.plan.bundle.as_ref().filter(|_| hit.plan.is_free()).map(|b| b.notification.id.0);
    key_bulk(&keys)
        .uuids("id", hits.iter().map(|hit| hit.id.0))
        .texts("watch_id", hits.iter().map(|hit| hit.watch.as_str()))
        .texts("recipient_id", hits.iter().map(|hit| hit.recipient.as_str()))
        .uuids("logical_id", hits.iter().map(|hit| hit.logical.0))
        .uuids("event_id", hits.iter().map(|hit| hit.key.event_id().0))
        .texts("deliver_at", hits.iter().map(|hit| hit.deliver_at.to_string()))
        .texts("state", hits.iter().map(|hit| state(hit).as_str()))
        .maybe_uuids("notification_id", hits.iter().map(|hit| told(hit)))
        .numbers("due_hint", hits.iter().map(|hit| hit.plan.due_hint.as_millisecond()))
        .texts("group_key", hits.iter().map(|hit| hit.group.as_str()))
        .maybe_texts("held", hits.iter().map(|hit| hit.plan.held.map(|held| held.as_str().to_owned())))
        .maybe_texts("suspicion", hits.iter().map(|hit| hit.suspicion.map(|one| one.as_str().to_owned())))
        .numbers("created_at", hits.iter().map(|_| now.as_millisecond()))
        .numbers("due_noted_at", hits.iter().map(|_| now.as_millisecond()))
}

fn back_bulk(seen: &[StoredEvent]) -> Bulk {
    let events = || seen.iter().map(|stored| &stored.event);
    Bulk::new()
        .uuids("logical_id", events().map(|event| event.logical.0))
        .uuids("event_id", events().map(|event| event.id.0))
        .numbers("block_number", events().map(|event| event.block.number.cast_signed()))
        .numbers("log_index", events().map(|event| event.log_index.cast_signed()))
        .bytes("block_hash", events().map(|event| event.block.hash))
}

/// How a hit stands.
#[derive(Debug, FromRow)]
struct Standing {
    id: Uuid,
    state: String,
    notification_id: Option<Uuid>,
    due_hint: i64,
    held: Option<String>,
    suspicion: Option<String>,
}

impl Standing {
    fn is_pending(&self) -> bool {
        self.state == HitState::Pending.as_str()
    }
}

// What is pending and held back, or gathered as spam, was decided about before.
fn to_settle<'h>(live: &[&'h NewHit], rows: &HashMap<Uuid, Standing>) -> Vec<(HitId, &'h HitPlan)> {
    let open = |hit: &&&NewHit| {
        let asks = hit.plan.bundle.is_some() || hit.plan.lead.is_some();
        asks && rows
            .get(&hit.id.0)
            .is_some_and(|row| row.is_pending() && row.held.is_none() && row.suspicion.is_none())
    };
    live.iter().filter(open).map(|hit| (hit.id, &hit.plan)).collect()
}

// Told when they were inserted, by this transaction or, under the same id, by an earlier one.
fn told_already<'h>(live: &[&'h NewHit], rows: &HashMap<Uuid, Standing>) -> Vec<&'h Bundle> {
    let told = |hit: &&'h NewHit| {
        let bundle = hit.plan.bundle.as_ref()?;
        let told = rows.get(&hit.id.0).and_then(|row| row.notification_id);
        (told == Some(bundle.notification.id.0)).then_some(bundle)
    };
    live.iter().filter_map(told).collect()
}

fn still_pending<'r>(
    rows: impl Iterator<Item = &'r Standing>,
    told: &HashSet<Uuid>,
    moved: &HashMap<Uuid, (i64, bool)>,
) -> Result<Vec<PendingHit>, StoreError> {
    rows.filter(|row| row.is_pending() && !told.contains(&row.id))
        .map(|row| {
            let (due, held) =
                moved.get(&row.id).copied().unwrap_or_else(|| (row.due_hint, row.held.is_some()));
            let due_hint =
                Timestamp::from_millisecond(due).map_err(|error| StoreError::corrupt("hit", error))?;
            Ok(PendingHit { id: HitId(row.id), due_hint, held })
        })
        .collect()
}

// A hit that is there already keeps its state and moves to the event's new block; an orphaned one, whose transaction
// was mined again, starts anew. It is pending first, also where it is told in the same transaction.
const HIT_CONFLICT: &str = "ON CONFLICT (id) DO UPDATE SET
        event_id = excluded.event_id, block_number = excluded.block_number,
        log_index = excluded.log_index, block_hash = excluded.block_hash,
        state = CASE WHEN hit.state <> 'orphaned' THEN hit.state
            WHEN excluded.state = 'notified' THEN 'pending' ELSE excluded.state END,
        due_hint = CASE WHEN hit.state = 'orphaned' THEN excluded.due_hint ELSE hit.due_hint END,
        due_noted_at = CASE WHEN hit.state = 'orphaned' THEN excluded.due_noted_at ELSE hit.due_noted_at END,
        group_key = CASE WHEN hit.state = 'orphaned' THEN excluded.group_key ELSE hit.group_key END,
        held = CASE WHEN hit.state = 'orphaned' THEN excluded.held ELSE hit.held END,
        suspicion = CASE WHEN hit.state = 'orphaned' THEN excluded.suspicion ELSE hit.suspicion END,
        gone_since = NULL
    WHERE hit.event_id <> excluded.event_id OR hit.state = 'orphaned' OR hit.gone_since IS NOT NULL";

impl Store {
    /// Commits what matching found in `seen`: the hits, the notifications of immediate ones, and that `seen` is
    /// matched. Redelivery repeats it without effect (`one_hit_per_event_and_watch`).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn commit_hits(
        &self,
        seen: &[StoredEvent],
        hits: &[NewHit],
        now: Timestamp,
    ) -> Result<HitOutcome, StoreError> {
        tx!(self, "commit_hits", |tx| {
            let mut outcome = HitOutcome::default();
            if !hits.is_empty() {
                // The share lock makes an orphaning wait until these hits are visible to it.
                let keys: HashSet<_> = hits.iter().map(|hit| hit.key).collect();
                let mut keys: Vec<_> = keys.into_iter().collect();
                // They are locked in this order.
                keys.sort_unstable_by_key(|key| (key.chain, key.block.number, key.log_index));
                let bulk = key_bulk(&keys);
                let statement = format!(
                    "SELECT e.block_hash, e.log_index FROM ({{rows}}) k {} WHERE e.canonical {{share of e}}",
                    event_of_key(tx.dialect())
                );
                let rows: Vec<(Vec<u8>, i64)> = tx.query_rows(&statement, &bulk).fetch_all().await?;
                let canonical: HashSet<_> =
                    rows.into_iter().map(|(hash, log_index)| (hash, log_index.cast_unsigned())).collect();
                let live: Vec<_> = hits
                    .iter()
                    .filter(|hit| canonical.contains(&(hit.key.block.hash.to_vec(), hit.key.log_index)))
                    .collect();
                outcome.stale = (hits.len() - live.len()) as u64;
                if !live.is_empty() {
                    tx.insert("hit", &hit_bulk(&live, now), HIT_CONFLICT).execute().await?;
                    introduce_parties(tx, &live).await?;
                    drop_hits(tx, &live).await?;
                    let statement = "SELECT id, state, notification_id, due_hint, held, suspicion FROM hit WHERE id {uuids:1}";
                    let rows: Vec<Standing> =
                        tx.query(statement).uuids(live.iter().map(|hit| hit.id.0)).fetch_all().await?;
                    let rows: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
                    let mut settling = Settling::of(to_settle(&live, &rows));
                    let told = settle_plans(tx, &mut settling, now).await?;
                    let mut bundles = told_already(&live, &rows);
                    bundles.extend(settling.bundles(&told));
                    outcome.notified = insert_bundles(tx, &bundles, now).await?;
                    outcome.pending = still_pending(rows.values(), &told, &settling.moved)?;
                }
            }
            if !seen.is_empty() {
                // What was told comes back with its event, whether or not its watch would match it today.
                let bulk = back_bulk(seen);
                let statement =
                    "UPDATE hit SET gone_since = NULL, event_id = k.event_id, block_number = k.block_number,
                        log_index = k.log_index, block_hash = k.block_hash
                     FROM ({rows}) k WHERE hit.logical_id = k.logical_id AND hit.gone_since IS NOT NULL";
                tx.query_rows(statement, &bulk).execute().await?;
                take_out(tx, seen).await?;
            }
            Ok(outcome)
        })
    }

    /// Hits by id, those that exist, in the order of their ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hits(&self, ids: &[HitId]) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "hits", |db| {
            let template = format!("SELECT {COLUMNS} FROM hit WHERE id {{uuids:1}} ORDER BY id");
            Ok(db.query(&template).uuids(ids.iter().map(|id| id.0)).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// The hits of these logical events.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hits_of_event(&self, event: EventId) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "hits_of_event", |db| {
            let statement = format!("SELECT {COLUMNS} FROM hit WHERE event_id = $1 ORDER BY watch_id");
            Ok(db.query(&statement).bind(event.0).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// Waiting hits of a chain at or below a block, oldest first; the caller decides which of them are due.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn waiting_hits(
        &self,
        chain: ChainId,
        deliver_at: &str,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "waiting_hits", |db| {
            let statement = format!(
                "SELECT {COLUMNS} FROM hit
                 WHERE state = 'waiting' AND chain_id = $1 AND block_number <= $2 AND deliver_at = $3
                 ORDER BY block_number, log_index, id LIMIT $4"
            );
            Ok(db
                .query(&statement)
                .bind(chain.0.cast_signed())
                .bind(up_to.cast_signed())
                .bind(deliver_at)
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// The kinds of confidence that a chain's waiting hits wait for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn waiting_for(&self, chain: ChainId) -> Result<Vec<String>, StoreError> {
        read!(self, "waiting_for", |db| {
            let statement = "SELECT DISTINCT deliver_at FROM hit WHERE state = 'waiting' AND chain_id = $1";
            Ok(db.query(statement).bind(chain.0.cast_signed()).scalars().await?)
        })
    }
}
