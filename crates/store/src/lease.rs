//! Named leases: who does a job that only one may do.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Store, StoreError, db::tx};

impl Store {
    /// Takes or renews a lease; says whether `owner` holds it now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_lease(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        term: Duration,
    ) -> Result<bool, StoreError> {
        let expires = now.saturating_add(SignedDuration::try_from(term).unwrap_or(SignedDuration::MAX));
        let expires = expires.unwrap_or(Timestamp::MAX).as_millisecond();
        let holder: Option<String> = tx!(self, "take_lease", |tx, D| {
            let statement = "INSERT INTO lease (name, owner, expires) VALUES ($1, $2, $3)
                ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
                WHERE lease.owner = excluded.owner OR lease.expires <= $4
                RETURNING owner";
            Ok(sqlx::query_scalar(statement)
                .bind(name)
                .bind(owner)
                .bind(expires)
                .bind(now.as_millisecond())
                .fetch_optional(&mut *tx)
                .await?)
        })?;
        Ok(holder.as_deref() == Some(owner))
    }

    /// Gives a lease back, if `owner` still holds it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_lease(&self, name: &str, owner: &str) -> Result<(), StoreError> {
        tx!(self, "release_lease", |tx, D| {
            sqlx::query("DELETE FROM lease WHERE name = $1 AND owner = $2")
                .bind(name)
                .bind(owner)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
    }
}
