//! Named leases: who does a job that only one may do.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Store, StoreError,
    error::TxError,
    tx::{Tx, read, tx},
};

/// Who must still hold which lease for a commit to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence<'a> {
    /// The lease.
    pub lease: &'a str,
    /// Its owner.
    pub owner: &'a str,
}

/// Refuses the transaction unless the fence's lease has its owner; the share lock makes a taker wait for its end.
pub(crate) async fn check_fence(tx: &mut Tx<'_>, fence: Option<Fence<'_>>) -> Result<(), TxError> {
    let Some(fence) = fence else { return Ok(()) };
    let statement = "SELECT 1 FROM lease WHERE name = $1 AND owner = $2 {share}";
    let held: Option<i32> = tx.query(statement).bind(fence.lease).bind(fence.owner).optional_scalar().await?;
    held.map(|_| ()).ok_or_else(|| deposed(&fence).into())
}

pub(crate) fn deposed(fence: &Fence<'_>) -> StoreError {
    StoreError::Fenced(format!("{} does not hold the lease {} any more", fence.owner, fence.lease))
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Its owner.
    pub owner: String,
    /// When the owner took it; a chainbell of before did not note that.
    pub since: Option<Timestamp>,
    /// When it ends, unless it is renewed. It may have ended.
    pub until: Timestamp,
}

impl Store {
    /// Takes or renews a lease; says whether `owner` holds it now. Another's lease that ends later than `term` from now was
    /// taken under a clock that was ahead: what is left of it is cut to that.
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
        let holder: Option<String> = tx!(self, "take_lease", |tx| {
            let statement = "INSERT INTO lease (name, owner, expires, since) VALUES ($1, $2, $3, $4)
                ON CONFLICT (name) DO UPDATE SET expires = excluded.expires,
                    owner = CASE WHEN lease.expires <= $4 THEN excluded.owner ELSE lease.owner END,
                    since = CASE WHEN lease.expires <= $4 AND lease.owner <> excluded.owner THEN excluded.since
                        ELSE lease.since END
                WHERE lease.owner = excluded.owner OR lease.expires <= $4 OR lease.expires > excluded.expires
                RETURNING owner";
            Ok(tx
                .query(statement)
                .bind(name)
                .bind(owner)
                .bind(expires)
                .bind(now.as_millisecond())
                .optional_scalar()
                .await?)
        })?;
        Ok(holder.as_deref() == Some(owner))
    }

    /// Who holds a lease, and until when. It may have expired.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lease_holder(&self, name: &str) -> Result<Option<(String, Timestamp)>, StoreError> {
        let row: Option<(String, i64)> = read!(self, "lease_holder", |db| {
            Ok(db
                .query("SELECT owner, expires FROM lease WHERE name = $1")
                .bind(name)
                .fetch_optional()
                .await?)
        })?;
        row.map(|(owner, expires)| {
            let expires =
                Timestamp::from_millisecond(expires).map_err(|error| StoreError::corrupt("lease", error))?;
            Ok((owner, expires))
        })
        .transpose()
    }

    /// Who holds a lease, since when and until when.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lease(&self, name: &str) -> Result<Option<LeaseHolder>, StoreError> {
        let row: Option<(String, Option<i64>, i64)> = read!(self, "lease", |db| {
            let statement = "SELECT owner, since, expires FROM lease WHERE name = $1";
            Ok(db.query(statement).bind(name).fetch_optional().await?)
        })?;
        let time = |at| Timestamp::from_millisecond(at).map_err(|error| StoreError::corrupt("lease", error));
        row.map(|(owner, since, until)| {
            Ok(LeaseHolder { owner, since: since.map(time).transpose()?, until: time(until)? })
        })
        .transpose()
    }

    /// Gives a lease back, if `owner` still holds it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_lease(&self, name: &str, owner: &str) -> Result<(), StoreError> {
        tx!(self, "release_lease", |tx| {
            tx.query("DELETE FROM lease WHERE name = $1 AND owner = $2")
                .bind(name)
                .bind(owner)
                .execute()
                .await?;
            Ok(())
        })
    }
}
