//! How hits that waited go on: released, ended without being told, or found again where they should have been told.

use std::collections::HashSet;

use domain::HitId;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    HitOutcome, HitPlan, PendingHit, Store, StoreError,
    backlog::take_out,
    bulk::Bulk,
    digest::{canonical_hits, insert_bundles},
    event::StoredEvent,
    hit::{COLUMNS, HitRow, Row, from_row},
    plan::{Settling, settle_plans},
    tx::tx,
};

// A hit of an orphaned event, and where its event went.
type Found = (Uuid, Option<Uuid>, Option<i64>, Option<i64>, Option<Vec<u8>>);

type Moved = (Uuid, Uuid, i64, i64, Vec<u8>);

fn moved_bulk(moved: &[Moved]) -> Bulk {
    Bulk::new()
        .uuids("id", moved.iter().map(|row| row.0))
        .uuids("event_id", moved.iter().map(|row| row.1))
        .numbers("block_number", moved.iter().map(|row| row.2))
        .numbers("log_index", moved.iter().map(|row| row.3))
        .bytes("block_hash", moved.iter().map(|row| &row.4))
}

impl Store {
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
        tx!(self, "orphan_hits", |tx| {
            let statement = "SELECT h.id, e.event_id, e.block_number, e.log_index, e.block_hash
                 FROM hit h
                 JOIN event o ON o.chain_id = h.chain_id AND o.block_number = h.block_number
                    AND o.log_index = h.log_index AND o.block_hash = h.block_hash AND NOT o.canonical
                 LEFT JOIN event e ON e.tx_hash = o.tx_hash AND e.logical_id = h.logical_id AND e.canonical
                    AND e.chain_id = h.chain_id
                 WHERE h.event_id {uuids:1} ORDER BY h.id";
            let rows: Vec<Found> =
                tx.query(statement).uuids(orphans.iter().map(|orphan| orphan.event.id.0)).fetch_all().await?;
            let (mut gone, mut moved) = (Vec::new(), Vec::new());
            for (id, event, number, log_index, hash) in rows {
                let (Some(event), Some(number), Some(log_index), Some(hash)) =
                    (event, number, log_index, hash)
                else {
                    gone.push(id);
                    continue;
                };
                moved.push((id, event, number, log_index, hash));
            }
            if !moved.is_empty() {
                let bulk = moved_bulk(&moved);
                let statement = "UPDATE hit SET event_id = k.event_id, block_number = k.block_number, log_index = k.log_index,
                        block_hash = k.block_hash, gone_since = NULL
                     FROM ({rows}) k WHERE hit.id = k.id";
                tx.query_rows(statement, &bulk).execute().await?;
            }
            let statement =
                "UPDATE hit SET state = 'orphaned' WHERE id {uuids:1} AND state IN ('waiting', 'pending')";
            let done = tx.query(statement).uuids(gone.iter().copied()).execute().await?;
            // Told already: it is taken back unless it comes back soon.
            let statement = "UPDATE hit SET gone_since = (SELECT coalesce(tip_number, 0) FROM chain c WHERE c.chain_id = hit.chain_id)
                 WHERE id {uuids:1} AND state = 'notified' AND gone_since IS NULL";
            tx.query(statement).uuids(gone).execute().await?;
            take_out(tx, orphans).await?;
            Ok(done)
        })
    }

    /// Marks hits as not to be told, with the reason.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn suppress_hits(&self, ids: &[HitId], reason: &str) -> Result<u64, StoreError> {
        tx!(self, "suppress_hits", |tx| {
            let statement = "UPDATE hit SET state = 'suppressed', reason = $2
                 WHERE id {uuids:1} AND state IN ('waiting', 'pending')";
            let done = tx.query(statement).uuids(ids.iter().map(|id| id.0)).bind(reason).execute().await?;
            Ok(done)
        })
    }

    /// Gives hits up, with the reason.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn bury_hits(&self, ids: &[HitId], reason: &str) -> Result<u64, StoreError> {
        tx!(self, "bury_hits", |tx| {
            let statement =
                "UPDATE hit SET state = 'dead', reason = $2 WHERE id {uuids:1} AND state = 'pending'";
            let done = tx.query(statement).uuids(ids.iter().map(|id| id.0)).bind(reason).execute().await?;
            Ok(done)
        })
    }

    /// Releases waiting hits as planned: into a window, or told at once. Hits that stopped waiting meanwhile are left alone,
    /// and so are those that would be told while their event is in no block. Returns those that are pending now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_hits(
        &self,
        plans: &[(HitId, HitPlan)],
        now: Timestamp,
    ) -> Result<HitOutcome, StoreError> {
        tx!(self, "release_hits", |tx| {
            let asking: Vec<_> =
                plans.iter().filter(|(_, plan)| plan.bundle.is_some()).map(|(id, _)| *id).collect();
            let canonical: HashSet<_> = canonical_hits(tx, &asking).await?.into_iter().collect();
            let going: Vec<_> = plans
                .iter()
                .filter(|(id, plan)| plan.bundle.is_none() || canonical.contains(&id.0))
                .collect();
            let mut outcome =
                HitOutcome { stale: (plans.len() - going.len()) as u64, ..HitOutcome::default() };
            if going.is_empty() {
                return Ok(outcome);
            }
            let bulk = Bulk::new()
                .uuids("id", going.iter().map(|(id, _)| id.0))
                .numbers("due", going.iter().map(|(_, plan)| plan.due_hint.as_millisecond()))
                .numbers("noted", going.iter().map(|_| now.as_millisecond()))
                .maybe_texts(
                    "held",
                    going.iter().map(|(_, plan)| plan.held.map(|held| held.as_str().to_owned())),
                );
            let statement =
                "UPDATE hit SET state = 'pending', due_hint = k.due, due_noted_at = k.noted, held = k.held
                 FROM ({rows}) k
                 WHERE hit.id = k.id AND hit.state = 'waiting' RETURNING hit.id";
            let released: Vec<Uuid> = tx.query_rows(statement, &bulk).scalars().await?;
            let released: HashSet<_> = released.into_iter().collect();
            let fresh = || going.iter().filter(|(id, _)| released.contains(&id.0));
            let asking = fresh().filter(|(_, plan)| plan.bundle.is_some() || plan.lead.is_some());
            let mut settling = Settling::of(asking.map(|(id, plan)| (*id, plan)).collect());
            let told = settle_plans(tx, &mut settling, now).await?;
            outcome.notified = insert_bundles(tx, &settling.bundles(&told), now).await?;
            for (id, plan) in fresh().filter(|(id, _)| !told.contains(&id.0)) {
                let (due_hint, held) = match settling.moved.get(&id.0) {
                    Some((due, held)) => {
                        let due = Timestamp::from_millisecond(*due);
                        (due.map_err(|error| StoreError::corrupt("hit", error))?, *held)
                    }
                    None => (plan.due_hint, plan.held.is_some()),
                };
                outcome.pending.push(PendingHit { id: *id, due_hint, held });
            }
            Ok(outcome)
        })
    }

    /// Pending hits whose window should have closed before `before`: what the timer index lost. Their `due_hint`
    /// moves to `next`, as it is `now`, so that a later sweep comes back to them and not at once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn overdue_hits(
        &self,
        before: Timestamp,
        (now, next): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = tx!(self, "overdue_hits", |tx| {
            let template = format!(
                "UPDATE hit SET due_hint = $2, due_noted_at = $4 WHERE id IN (
                    SELECT id FROM hit WHERE state = 'pending' AND due_hint < $1
                    ORDER BY due_hint LIMIT $3 {{skip locked}})
                 RETURNING {COLUMNS}"
            );
            Ok(tx
                .query(&template)
                .bind(before.as_millisecond())
                .bind(next.as_millisecond())
                .bind(i64::from(limit))
                .bind(now.as_millisecond())
                .fetch_all()
                .await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// Makes hits overdue again that [`overdue_hits`](Self::overdue_hits) took, and that could not be put anywhere.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn overdue_again(&self, ids: &[HitId], due: Timestamp) -> Result<(), StoreError> {
        tx!(self, "overdue_again", |tx| {
            let statement =
                "UPDATE hit SET due_hint = $2 WHERE id {uuids:1} AND state = 'pending' AND due_hint > $2";
            tx.query(statement).uuids(ids.iter().map(|id| id.0)).bind(due.as_millisecond()).execute().await?;
            Ok(())
        })
    }
}
