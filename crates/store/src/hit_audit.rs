//! What the audit of hits reads: events with their hits, whoever waits for matching, and what is open for too long. Owns
//! these reads and the note from when on a watch holds; must not know what counts as a difference.
//!
//! Every read is one page or one bounded list, over an index.

use std::collections::HashMap;

use domain::{ChainId, DeliveryId, EventId, HitId, HitState, NotificationId, TargetName, WatchId};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Store, StoreError, StoredEvent,
    bulk::Bulk,
    event::{EventKey, EventRow, number},
    tx::{read, tx},
};

/// A hit as its audit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedHit {
    /// Identity.
    pub id: HitId,
    /// The watch.
    pub watch: WatchId,
    /// The event that it stands for.
    pub event: EventId,
    /// State.
    pub state: HitState,
    /// Whether it names a notification that is there.
    pub is_told: bool,
    /// Since which height of the tip its event is gone.
    pub gone_since: Option<u64>,
    /// Whether its recipient was last told that it is so.
    pub believed: bool,
}

/// From when on a watch holds as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The watch.
    pub watch: WatchId,
    /// Its revision.
    pub revision: i64,
    /// Its contract's fingerprint.
    pub fingerprint: String,
    /// The first block whose events were surely matched with it.
    pub from_block: u64,
}

/// A notification, and a target that should have a delivery of it and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedNotification {
    /// The notification.
    pub id: NotificationId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The target.
    pub missing: Option<TargetName>,
}

type HitColumns = (Uuid, String, Uuid, String, bool, Option<i64>, bool);

const HIT: &str = "SELECT h.id, h.watch_id, h.event_id, h.state, n.id IS NOT NULL, h.gone_since, h.believed
    FROM hit h LEFT JOIN notification n ON n.id = h.notification_id";

fn audited_hit(row: HitColumns) -> Result<AuditedHit, StoreError> {
    let (id, watch, event, state, is_told, gone_since, believed) = row;
    let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("hit", error);
    Ok(AuditedHit {
        id: HitId(id),
        watch: watch.parse().map_err(|error| bad(&error))?,
        event: EventId(event),
        state: HitState::parse(&state).ok_or_else(|| bad(&state))?,
        is_told,
        gone_since: gone_since.map(i64::cast_unsigned),
        believed,
    })
}

impl Store {
    /// Every event of these blocks, orphaned ones too, in the order of their keys; the next page begins after `after`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audited_events(
        &self,
        chain: ChainId,
        (from, to): (u64, u64),
        after: Option<EventKey>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (block, log, hash) = after.map_or((-1, -1, Vec::new()), |key| {
            (key.block.number.cast_signed(), key.log_index.cast_signed(), key.block.hash.to_vec())
        });
        let rows: Vec<EventRow> = read!(self, "audited_events", |db| {
            let statement = format!(
                "SELECT {} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.chain_id = $1 AND e.block_number BETWEEN $2 AND $3
                    AND (e.block_number, e.log_index, e.block_hash) > ($4, $5, $6)
                 ORDER BY e.block_number, e.log_index, e.block_hash LIMIT $7",
                crate::event::COLUMNS
            );
            Ok(db
                .query(&statement)
                .bind(chain.0.cast_signed())
                .bind(number(from))
                .bind(number(to))
                .bind(block)
                .bind(log)
                .bind(hash.clone())
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        self.stored(rows).await
    }

    /// The hits that stand for these events, and those of these ids, each once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audited_hits(
        &self,
        events: &[EventId],
        ids: &[HitId],
    ) -> Result<Vec<AuditedHit>, StoreError> {
        let mut hits = HashMap::new();
        let rows: Vec<HitColumns> = read!(self, "audited_hits_of_events", |db| {
            Ok(db
                .query(&format!("{HIT} WHERE h.event_id {{uuids:1}}"))
                .uuids(events.iter().map(|event| event.0))
                .fetch_all()
                .await?)
        })?;
        let by_id: Vec<HitColumns> = read!(self, "audited_hits", |db| {
            Ok(db
                .query(&format!("{HIT} WHERE h.id {{uuids:1}}"))
                .uuids(ids.iter().map(|id| id.0))
                .fetch_all()
                .await?)
        })?;
        for row in rows.into_iter().chain(by_id) {
            let hit = audited_hit(row)?;
            hits.insert(hit.id, hit);
        }
        Ok(hits.into_values().collect())
    }

    /// Pending hits whose window should have closed before `before`, the longest waiting first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audited_overdue_hits(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(HitId, WatchId)>, StoreError> {
        let rows: Vec<(Uuid, String)> = read!(self, "audited_overdue_hits", |db| {
            let statement = "SELECT id, watch_id FROM hit WHERE state = 'pending' AND due_hint < $1
                ORDER BY due_hint LIMIT $2";
            Ok(db.query(statement).bind(before.as_millisecond()).bind(i64::from(limit)).fetch_all().await?)
        })?;
        let read = |(id, watch): (Uuid, String)| {
            let watch = watch.parse().map_err(|error| StoreError::corrupt("hit", error))?;
            Ok((HitId(id), watch))
        };
        rows.into_iter().map(read).collect()
    }

    /// Open deliveries that were due before `before` and that nobody is about to try, the longest waiting first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audited_overdue_deliveries(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DeliveryId, NotificationId)>, StoreError> {
        let rows: Vec<(Uuid, Uuid)> = read!(self, "audited_overdue_deliveries", |db| {
            let statement = "SELECT id, notification_id FROM delivery
                WHERE state IN ('queued', 'scheduled') AND next_attempt_at < $1
                    AND (lease_until IS NULL OR lease_until < $1)
                ORDER BY next_attempt_at LIMIT $2";
            Ok(db.query(statement).bind(before.as_millisecond()).bind(i64::from(limit)).fetch_all().await?)
        })?;
        Ok(rows
            .into_iter()
            .map(|(id, notification)| (DeliveryId(id), NotificationId(notification)))
            .collect())
    }

    /// Notifications by age, oldest first, from after `after` to `until`, each with a target that was there long enough
    /// before it, by `margin`, and has no delivery of it. A retraction owes nothing to whom nothing was told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audited_notifications(
        &self,
        after: Option<(Timestamp, NotificationId)>,
        until: Timestamp,
        margin: jiff::SignedDuration,
        limit: u32,
    ) -> Result<Vec<AuditedNotification>, StoreError> {
        let (at, id) = after.map_or((i64::MIN, Uuid::nil()), |(at, id)| (at.as_millisecond(), id.0));
        let rows: Vec<(Uuid, i64, Option<String>)> = read!(self, "audited_notifications", |db| {
            let statement = "SELECT n.id, n.created_at, (
                    SELECT min(t.name) FROM target t
                    WHERE t.recipient_id = n.recipient_id AND t.added_at + $4 < n.created_at
                        AND NOT (n.corrects IS NOT NULL AND n.count = 0)
                        AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.notification_id = n.id
                            AND d.revision = n.revision AND d.recipient_id = t.recipient_id AND d.target = t.name))
                FROM notification n
                WHERE (n.created_at, n.id) > ($1, $2) AND n.created_at <= $3
                ORDER BY n.created_at, n.id LIMIT $5";
            Ok(db
                .query(statement)
                .bind(at)
                .bind(id)
                .bind(until.as_millisecond())
                .bind(i64::try_from(margin.as_millis()).unwrap_or(i64::MAX))
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("notification", error);
        rows.into_iter()
            .map(|(id, at, missing)| {
                Ok(AuditedNotification {
                    id: NotificationId(id),
                    created_at: Timestamp::from_millisecond(at).map_err(|error| bad(&error))?,
                    missing: missing.map(|name| name.parse()).transpose().map_err(|error| bad(&error))?,
                })
            })
            .collect()
    }

    /// From when on each watch holds; one that was edited since has an older revision here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn holdings(&self) -> Result<Vec<Holding>, StoreError> {
        let rows: Vec<(String, i64, String, i64)> = read!(self, "holdings", |db| {
            let statement = "SELECT watch_id, revision, fingerprint, from_block FROM watch_holding";
            Ok(db.query(statement).fetch_all().await?)
        })?;
        rows.into_iter()
            .map(|(watch, revision, fingerprint, from_block)| {
                let watch = watch.parse().map_err(|error| StoreError::corrupt("watch", error))?;
                Ok(Holding { watch, revision, fingerprint, from_block: from_block.cast_unsigned() })
            })
            .collect()
    }

    /// Notes from when on watches hold. What is known already of the same revision and fingerprint stays.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_holdings(&self, holdings: &[Holding]) -> Result<(), StoreError> {
        if holdings.is_empty() {
            return Ok(());
        }
        tx!(self, "note_holdings", |tx| {
            let bulk = Bulk::new()
                .texts("watch_id", holdings.iter().map(|holding| holding.watch.as_str()))
                .numbers("revision", holdings.iter().map(|holding| holding.revision))
                .texts("fingerprint", holdings.iter().map(|holding| holding.fingerprint.as_str()))
                .numbers("from_block", holdings.iter().map(|holding| holding.from_block.cast_signed()));
            let tail = "ON CONFLICT (watch_id) DO UPDATE SET revision = excluded.revision,
                    fingerprint = excluded.fingerprint, from_block = excluded.from_block
                WHERE watch_holding.revision <> excluded.revision
                    OR watch_holding.fingerprint <> excluded.fingerprint";
            tx.insert("watch_holding", &bulk, tail).execute().await?;
            Ok(())
        })
    }
}
