//! Hits: which event satisfied which watch, and what became of it.

use std::collections::{HashMap, HashSet};

use domain::{
    BlockRef, ChainId, DeliverAt, EventId, Hit, HitId, HitState, LogicalId, NotificationId, RecipientId,
    WatchId,
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    bulk::{Bulk, BulkDialect},
    chain::hash32,
    db::{Dialect, read, sql, tx},
    digest::{Bundle, canonical_hits, insert_bundles},
    event::{EventKey, StoredEvent, delete_unmatched, event_of_key, key_bulk},
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
    /// `Waiting`, or `Pending` for a digest; ignored where there is a bundle.
    pub state: HitState,
    /// When its window should have closed at the latest.
    pub due_hint: Timestamp,
    /// The notification of an immediate hit that is due.
    pub immediate: Option<Bundle>,
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
}

/// What a matching transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HitOutcome {
    /// Hits that are pending now, new or not: they belong into a window.
    pub pending: Vec<HitId>,
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
}

pub(crate) const COLUMNS: &str = "id, watch_id, recipient_id, logical_id, event_id, chain_id, block_number, log_index, \
    block_hash, deliver_at, state, reason, notification_id, due_hint";

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
    })
}

fn hit_bulk(hits: &[&NewHit], now: Timestamp) -> Bulk {
    let keys: Vec<_> = hits.iter().map(|hit| hit.key).collect();
    let state = |hit: &NewHit| if hit.immediate.is_some() { HitState::Notified } else { hit.state };
    key_bulk(&keys)
        .uuids("id", hits.iter().map(|hit| hit.id.0))
        .texts("watch_id", hits.iter().map(|hit| hit.watch.as_str()))
        .texts("recipient_id", hits.iter().map(|hit| hit.recipient.as_str()))
        .uuids("logical_id", hits.iter().map(|hit| hit.logical.0))
        .uuids("event_id", hits.iter().map(|hit| hit.key.event_id().0))
        .texts("deliver_at", hits.iter().map(|hit| hit.deliver_at.to_string()))
        .texts("state", hits.iter().map(|hit| state(hit).as_str()))
        .maybe_uuids(
            "notification_id",
            hits.iter().map(|hit| hit.immediate.as_ref().map(|b| b.notification.id.0)),
        )
        .numbers("due_hint", hits.iter().map(|hit| hit.due_hint.as_millisecond()))
        .numbers("created_at", hits.iter().map(|_| now.as_millisecond()))
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

// A hit of an orphaned event, and where its event went.
type Moved = (Uuid, Option<Uuid>, Option<i64>, Option<i64>, Option<Vec<u8>>);

// A hit that is there already keeps its state and moves to the event's new block; an orphaned one, whose transaction
// was mined again, starts anew.
const HIT_CONFLICT: &str = "ON CONFLICT (id) DO UPDATE SET
        event_id = excluded.event_id, block_number = excluded.block_number,
        log_index = excluded.log_index, block_hash = excluded.block_hash,
        state = CASE WHEN hit.state = 'orphaned' THEN excluded.state ELSE hit.state END,
        notification_id = CASE WHEN hit.state = 'orphaned' THEN excluded.notification_id ELSE hit.notification_id END,
        due_hint = CASE WHEN hit.state = 'orphaned' THEN excluded.due_hint ELSE hit.due_hint END,
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
        tx!(self, "commit_hits", |tx, D| {
            let mut outcome = HitOutcome::default();
            if !hits.is_empty() {
                // The share lock makes an orphaning wait until these hits are visible to it.
                let keys: HashSet<_> = hits.iter().map(|hit| hit.key).collect();
                let mut keys: Vec<_> = keys.into_iter().collect();
                // They are locked in this order.
                keys.sort_unstable_by_key(|key| (key.chain, key.block.number, key.log_index));
                let bulk = key_bulk(&keys);
                let share = if <D as Dialect>::POSTGRES { "FOR SHARE OF e" } else { "" };
                let statement = format!(
                    "SELECT e.block_hash, e.log_index FROM ({}) k {} WHERE e.canonical {share}",
                    <D as BulkDialect>::select(&bulk),
                    event_of_key::<D>()
                );
                let rows =
                    <D as BulkDialect>::bind(bulk, AssertSqlSafe(statement)).fetch_all(&mut *tx).await?;
                let mut canonical = HashSet::with_capacity(rows.len());
                for row in &rows {
                    let (hash, log_index): (Vec<u8>, i64) = FromRow::from_row(row)?;
                    canonical.insert((hash, log_index.cast_unsigned()));
                }
                let live: Vec<_> = hits
                    .iter()
                    .filter(|hit| canonical.contains(&(hit.key.block.hash.to_vec(), hit.key.log_index)))
                    .collect();
                outcome.stale = (hits.len() - live.len()) as u64;
                if !live.is_empty() {
                    let statement = <D as BulkDialect>::insert(&hit_bulk(&live, now), "hit", HIT_CONFLICT);
                    <D as BulkDialect>::bind(hit_bulk(&live, now), statement).execute(&mut *tx).await?;
                    let statement = sql::<D>("SELECT id, state, notification_id FROM hit WHERE id {uuids:1}");
                    let rows: Vec<(Uuid, String, Option<Uuid>)> = sqlx::query_as(statement)
                        .bind(<D as Dialect>::uuids(live.iter().map(|hit| hit.id.0)))
                        .fetch_all(&mut *tx)
                        .await?;
                    let told: HashMap<_, _> = rows.iter().map(|(id, _, told)| (*id, *told)).collect();
                    let bundles: Vec<_> = live
                        .iter()
                        .filter_map(|hit| hit.immediate.as_ref().map(|bundle| (hit.id.0, bundle)))
                        .filter(|(id, bundle)| told.get(id) == Some(&Some(bundle.notification.id.0)))
                        .map(|(_, bundle)| bundle)
                        .collect();
                    outcome.notified = insert_bundles!(tx, D, &bundles, now);
                    let pending = rows.iter().filter(|(_, state, _)| state == HitState::Pending.as_str());
                    outcome.pending = pending.map(|(id, _, _)| HitId(*id)).collect();
                }
            }
            if !seen.is_empty() {
                // What was told comes back with its event, whether or not its watch would match it today.
                let bulk = back_bulk(seen);
                let statement = format!(
                    "UPDATE hit SET gone_since = NULL, event_id = k.event_id, block_number = k.block_number,
                        log_index = k.log_index, block_hash = k.block_hash
                     FROM ({}) k WHERE hit.logical_id = k.logical_id AND hit.gone_since IS NOT NULL",
                    <D as BulkDialect>::select(&bulk)
                );
                <D as BulkDialect>::bind(bulk, AssertSqlSafe(statement)).execute(&mut *tx).await?;
                delete_unmatched!(tx, D, seen);
            }
            Ok(outcome)
        })
    }

    /// Follows orphanings: a hit of an orphaned event moves to the canonical event of the same logical identity, if
    /// there is one; else it becomes orphaned, or, where it was told already, is gone since the present tip. Returns how
    /// many became orphaned.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn orphan_hits(&self, orphans: &[StoredEvent]) -> Result<u64, StoreError> {
        if orphans.is_empty() {
            return Ok(0);
        }
        tx!(self, "orphan_hits", |tx, D| {
            let statement = sql::<D>(
                "SELECT h.id, e.event_id, e.block_number, e.log_index, e.block_hash
                 FROM hit h
                 JOIN event o ON o.chain_id = h.chain_id AND o.block_number = h.block_number
                    AND o.log_index = h.log_index AND o.block_hash = h.block_hash AND NOT o.canonical
                 LEFT JOIN event e ON e.tx_hash = o.tx_hash AND e.logical_id = h.logical_id AND e.canonical
                    AND e.chain_id = h.chain_id
                 WHERE h.event_id {uuids:1} ORDER BY h.id",
            );
            let rows: Vec<Moved> = sqlx::query_as(statement)
                .bind(<D as Dialect>::uuids(orphans.iter().map(|orphan| orphan.event.id.0)))
                .fetch_all(&mut *tx)
                .await?;
            let mut gone = Vec::new();
            for (id, event, number, log_index, hash) in rows {
                let Some(event) = event else {
                    gone.push(id);
                    continue;
                };
                let statement =
                    "UPDATE hit SET event_id = $2, block_number = $3, log_index = $4, block_hash = $5,
                    gone_since = NULL WHERE id = $1";
                sqlx::query(statement)
                    .bind(id)
                    .bind(event)
                    .bind(number)
                    .bind(log_index)
                    .bind(hash)
                    .execute(&mut *tx)
                    .await?;
            }
            let statement = sql::<D>(
                "UPDATE hit SET state = 'orphaned' WHERE id {uuids:1} AND state IN ('waiting', 'pending')",
            );
            let done = sqlx::query(statement)
                .bind(<D as Dialect>::uuids(gone.iter().copied()))
                .execute(&mut *tx)
                .await?;
            // Told already: it is taken back unless it comes back soon.
            let statement = sql::<D>(
                "UPDATE hit SET gone_since = (SELECT coalesce(tip_number, 0) FROM chain c WHERE c.chain_id = hit.chain_id)
                 WHERE id {uuids:1} AND state = 'notified' AND gone_since IS NULL",
            );
            sqlx::query(statement).bind(<D as Dialect>::uuids(gone)).execute(&mut *tx).await?;
            delete_unmatched!(tx, D, orphans);
            Ok(done.rows_affected())
        })
    }

    /// Hits by id, those that exist, in the order of their ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hits(&self, ids: &[HitId]) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "hits", |db, D| {
            let template = format!("SELECT {COLUMNS} FROM hit WHERE id {{uuids:1}} ORDER BY id");
            Ok(sqlx::query_as(sql::<D>(&template))
                .bind(<D as Dialect>::uuids(ids.iter().map(|id| id.0)))
                .fetch_all(db)
                .await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// The hits of these logical events.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hits_of_event(&self, event: EventId) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "hits_of_event", |db, D| {
            let statement = format!("SELECT {COLUMNS} FROM hit WHERE event_id = $1 ORDER BY watch_id");
            Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(event.0).fetch_all(db).await?)
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
        let rows: Vec<Row> = read!(self, "waiting_hits", |db, D| {
            let statement = format!(
                "SELECT {COLUMNS} FROM hit
                 WHERE state = 'waiting' AND chain_id = $1 AND block_number <= $2 AND deliver_at = $3
                 ORDER BY block_number, log_index, id LIMIT $4"
            );
            Ok(sqlx::query_as(AssertSqlSafe(statement))
                .bind(chain.0.cast_signed())
                .bind(up_to.cast_signed())
                .bind(deliver_at)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// The kinds of confidence that a chain's waiting hits wait for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn waiting_for(&self, chain: ChainId) -> Result<Vec<String>, StoreError> {
        read!(self, "waiting_for", |db, D| {
            let statement = "SELECT DISTINCT deliver_at FROM hit WHERE state = 'waiting' AND chain_id = $1";
            Ok(sqlx::query_scalar(statement).bind(chain.0.cast_signed()).fetch_all(db).await?)
        })
    }

    /// Releases waiting hits: to `pending`, or with their notification to `notified`. Hits that stopped waiting
    /// meanwhile are left alone. Returns those that are pending now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_hits(
        &self,
        pending: &[HitId],
        immediate: &[(HitId, Bundle)],
        due_hint: Timestamp,
        now: Timestamp,
    ) -> Result<HitOutcome, StoreError> {
        tx!(self, "release_hits", |tx, D| {
            let statement = sql::<D>(
                "UPDATE hit SET state = 'pending', due_hint = $2
                 WHERE id {uuids:1} AND state IN ('waiting', 'pending') RETURNING id",
            );
            let released: Vec<Uuid> = sqlx::query_scalar(statement)
                .bind(<D as Dialect>::uuids(pending.iter().map(|id| id.0)))
                .bind(due_hint.as_millisecond())
                .fetch_all(&mut *tx)
                .await?;
            let mut told = Vec::with_capacity(immediate.len());
            let ids: Vec<_> = immediate.iter().map(|(id, _)| *id).collect();
            let canonical: HashSet<_> = canonical_hits!(tx, D, ids).into_iter().collect();
            for (id, bundle) in immediate.iter().filter(|(id, _)| canonical.contains(&id.0)) {
                let statement = "UPDATE hit SET state = 'notified', notification_id = $2
                    WHERE id = $1 AND state = 'waiting'";
                let done = sqlx::query(statement)
                    .bind(id.0)
                    .bind(bundle.notification.id.0)
                    .execute(&mut *tx)
                    .await?;
                if done.rows_affected() == 1 {
                    told.push(bundle);
                }
            }
            let notified = insert_bundles!(tx, D, &told, now);
            Ok(HitOutcome { pending: released.into_iter().map(HitId).collect(), notified, stale: 0 })
        })
    }
}
