//! How hits end without being told, and how those that should have been told are found again.

use domain::HitId;
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    db::{Dialect, sql, tx},
    hit::{COLUMNS, HitRow, Row, from_row},
};

impl Store {
    /// Marks hits as not to be told, with the reason.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn suppress_hits(&self, ids: &[HitId], reason: &str) -> Result<u64, StoreError> {
        tx!(self, "suppress_hits", |tx, D| {
            let statement = sql::<D>(
                "UPDATE hit SET state = 'suppressed', reason = $2
                 WHERE id {uuids:1} AND state IN ('waiting', 'pending')",
            );
            let done = sqlx::query(statement)
                .bind(<D as Dialect>::uuids(ids.iter().map(|id| id.0)))
                .bind(reason)
                .execute(&mut *tx)
                .await?;
            Ok(done.rows_affected())
        })
    }

    /// Gives hits up, with the reason.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn bury_hits(&self, ids: &[HitId], reason: &str) -> Result<u64, StoreError> {
        tx!(self, "bury_hits", |tx, D| {
            let statement = sql::<D>(
                "UPDATE hit SET state = 'dead', reason = $2 WHERE id {uuids:1} AND state = 'pending'",
            );
            let done = sqlx::query(statement)
                .bind(<D as Dialect>::uuids(ids.iter().map(|id| id.0)))
                .bind(reason)
                .execute(&mut *tx)
                .await?;
            Ok(done.rows_affected())
        })
    }

    /// Pending hits whose window should have closed before `before`: what the timer index lost. Their `due_hint`
    /// moves to `next`, so that a later sweep comes back to them and not at once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn overdue_hits(
        &self,
        before: Timestamp,
        next: Timestamp,
        limit: u32,
    ) -> Result<Vec<HitRow>, StoreError> {
        let rows: Vec<Row> = tx!(self, "overdue_hits", |tx, D| {
            let template = format!(
                "UPDATE hit SET due_hint = $2 WHERE id IN (
                    SELECT id FROM hit WHERE state = 'pending' AND due_hint < $1
                    ORDER BY due_hint LIMIT $3 {{skip locked}})
                 RETURNING {COLUMNS}"
            );
            Ok(sqlx::query_as(sql::<D>(&template))
                .bind(before.as_millisecond())
                .bind(next.as_millisecond())
                .bind(i64::from(limit))
                .fetch_all(&mut *tx)
                .await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }
}
