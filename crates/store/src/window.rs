//! The timer index of digests as tables, for deployments without Redis. What a window is, is `debounce`'s to say;
//! here it is rows.

use std::time::Duration;

use domain::{Claim, HitId, WindowAdd, WindowKey, window::WindowState};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    bulk::Bulk,
    error::TxError,
    tx::{read, tx},
};

impl Store {
    /// Adds hits to windows, in one transaction: opens each window with its timer, or extends it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_add(&self, adds: &[WindowAdd]) -> Result<(), StoreError> {
        // Two transactions that lock the same windows lock them in one order.
        let mut adds: Vec<_> = adds.iter().collect();
        adds.sort_by(|one, two| one.key.cmp(&two.key));
        tx!(self, "window_add", |tx| {
            for add in &adds {
                type Open = (i64, i64, i64, i64, i64);
                let now = add.now.as_millisecond();
                let find = "SELECT generation, opened, due, hard_due, count FROM debounce_window
                     WHERE key = $1 AND claims = 0 {lock}";
                let mut open: Option<Open> = tx.query(find).bind(add.key.as_str()).fetch_optional().await?;
                if open.is_none() {
                    let statement =
                        "INSERT INTO debounce_window (key, generation, opened, due, hard_due, count)
                        SELECT $1, coalesce(max(generation), 0) + 1, $2, $2, $2, 0
                        FROM debounce_window WHERE key = $1
                        ON CONFLICT DO NOTHING";
                    tx.query(statement).bind(add.key.as_str()).bind(now).execute().await?;
                    let find = "SELECT generation, opened, due, hard_due, count FROM debounce_window
                         WHERE key = $1 AND claims = 0 {lock}";
                    open = tx.query(find).bind(add.key.as_str()).fetch_optional().await?;
                }
                let Some((generation, opened, due, hard_due, count)) = open else {
                    // Opened and claimed by others in between: the whole transaction runs again.
                    return Err(TxError::Again("a window is opened and claimed by others all the time"));
                };
                let bulk = Bulk::new()
                    .texts("key", add.hits.iter().map(|_| add.key.as_str()))
                    .numbers("generation", add.hits.iter().map(|_| generation))
                    .uuids("hit_id", add.hits.iter().map(|hit| hit.0));
                let tail = "ON CONFLICT (key, generation, hit_id) DO NOTHING";
                let joined = tx.insert("debounce_member", &bulk, tail).execute().await?;
                let before = (count > 0).then_some(WindowState {
                    opened: time(opened)?,
                    due: time(due)?,
                    hard_due: time(hard_due)?,
                    count: u32::try_from(count).unwrap_or(u32::MAX),
                });
                let after = add.rule.join(before, add.now, u32::try_from(joined).unwrap_or(u32::MAX));
                let statement = "UPDATE debounce_window SET opened = $3, due = $4, hard_due = $5, count = $6
                    WHERE key = $1 AND generation = $2";
                tx.query(statement)
                    .bind(add.key.as_str())
                    .bind(generation)
                    .bind(after.opened.as_millisecond())
                    .bind(after.due.as_millisecond())
                    .bind(after.hard_due.as_millisecond())
                    .bind(i64::from(after.count))
                    .execute()
                    .await?;
            }
            Ok(())
        })
    }

    /// Claims windows that are due or whose lease ended, the latter first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_claim(
        &self,
        now: Timestamp,
        limit: u32,
        lease: Duration,
        token: &str,
    ) -> Result<Vec<Claim>, StoreError> {
        let until = now.saturating_add(SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX));
        let until = until.unwrap_or(Timestamp::MAX).as_millisecond();
        let rows: Vec<(String, i64, i32)> = tx!(self, "window_claim", |tx| {
            let statement =
                "UPDATE debounce_window SET claims = claims + 1, lease_token = $3, lease_until = $4
                 WHERE (key, generation) IN (
                    SELECT key, generation FROM debounce_window
                    WHERE (claims > 0 AND lease_until <= $1) OR (claims = 0 AND due <= $1)
                    ORDER BY claims DESC, due LIMIT $2 {skip locked})
                 RETURNING key, generation, claims";
            Ok(tx
                .query(statement)
                .bind(now.as_millisecond())
                .bind(i64::from(limit))
                .bind(token)
                .bind(until)
                .fetch_all()
                .await?)
        })?;
        Ok(rows
            .into_iter()
            .map(|(key, generation, claims)| Claim {
                key: WindowKey::from_stored(key),
                generation: generation.cast_unsigned(),
                claims: claims.cast_unsigned(),
                token: token.to_owned(),
            })
            .collect())
    }

    /// A page of a claimed window's members, in the order of their ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_members(
        &self,
        claim: &Claim,
        after: Option<HitId>,
        limit: u32,
    ) -> Result<Vec<HitId>, StoreError> {
        let rows: Vec<Uuid> = read!(self, "window_members", |db| {
            let statement = "SELECT hit_id FROM debounce_member
                WHERE key = $1 AND generation = $2 AND hit_id > $3 ORDER BY hit_id LIMIT $4";
            Ok(db
                .query(statement)
                .bind(claim.key.as_str())
                .bind(claim.generation.cast_signed())
                .bind(after.map_or(Uuid::nil(), |hit| hit.0))
                .bind(i64::from(limit))
                .scalars()
                .await?)
        })?;
        Ok(rows.into_iter().map(HitId).collect())
    }

    /// Forgets a claimed window, if the lease is still the claim's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_ack(&self, claim: &Claim) -> Result<(), StoreError> {
        tx!(self, "window_ack", |tx| {
            let statement =
                "DELETE FROM debounce_window WHERE key = $1 AND generation = $2 AND lease_token = $3";
            tx.query(statement)
                .bind(claim.key.as_str())
                .bind(claim.generation.cast_signed())
                .bind(&claim.token)
                .execute()
                .await?;
            Ok(())
        })
    }

    /// Ends a claim's lease at `at`, when it may be claimed again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_release(&self, claim: &Claim, at: Timestamp) -> Result<(), StoreError> {
        tx!(self, "window_release", |tx| {
            let statement = "UPDATE debounce_window SET lease_until = $4
                WHERE key = $1 AND generation = $2 AND lease_token = $3";
            tx.query(statement)
                .bind(claim.key.as_str())
                .bind(claim.generation.cast_signed())
                .bind(&claim.token)
                .bind(at.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })
    }

    /// How many windows there are, and when the next is due.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_outlook(&self) -> Result<(u64, Option<Timestamp>), StoreError> {
        let (count, due): (i64, Option<i64>) = read!(self, "window_outlook", |db| {
            let statement = "SELECT count(*), min(CASE WHEN claims = 0 THEN due ELSE lease_until END)
                FROM debounce_window";
            Ok(db.query(statement).fetch_one().await?)
        })?;
        Ok((count.cast_unsigned(), due.map(time).transpose()?))
    }

    /// Empties the timer index. The sweep over pending hits fills it again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_clear(&self) -> Result<(), StoreError> {
        tx!(self, "window_clear", |tx| {
            tx.query("DELETE FROM debounce_window").execute().await?;
            Ok(())
        })
    }
}

fn time(millis: i64) -> Result<Timestamp, StoreError> {
    // The last second of all time does not survive the way through whole milliseconds.
    if millis >= Timestamp::MAX.as_second() * 1_000 {
        return Ok(Timestamp::MAX);
    }
    Timestamp::from_millisecond(millis).map_err(|error| StoreError::corrupt("window", error))
}
