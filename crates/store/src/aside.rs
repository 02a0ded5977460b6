//! What a room could not handle, through no fault of a server: set aside with its reason, to be tried again by itself. Owns
//! the growing pauses; must not know what an item is.

use jiff::{SignedDuration, Timestamp};

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

/// One item that a room set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Which room.
    pub room: String,
    /// Which item, as the room names it.
    pub item: String,
    /// Why it could not be handled the last time.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again.
    pub next_try: Timestamp,
}

const PAUSE_FIRST: SignedDuration = SignedDuration::from_secs(10);
const PAUSE_MAX: SignedDuration = SignedDuration::from_secs(3600);
const REASON_CHARS_MAX: usize = 500;

/// How long an item rests after its `tries`th try.
pub(crate) fn pause(tries: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(tries.saturating_sub(1).min(20)).unwrap_or(i32::MAX);
    PAUSE_FIRST.saturating_mul(doubled).min(PAUSE_MAX)
}

/// A reason as every database can keep it.
pub(crate) fn plain(reason: &str) -> String {
    reason.chars().filter(|c| *c != '\0').take(REASON_CHARS_MAX).collect()
}

type Row = (String, String, String, i32, i64, i64);

fn from_row((room, item, reason, tries, since, next): Row) -> Result<SetAside, StoreError> {
    let time = |at| Timestamp::from_millisecond(at).map_err(|error| StoreError::corrupt("set_aside", error));
    let (since, next_try) = (time(since)?, time(next)?);
    Ok(SetAside { room, item, reason, tries: tries.cast_unsigned(), since, next_try })
}

impl Store {
    /// Sets an item aside, or notes that it failed again. Says when it is tried again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_aside(
        &self,
        room: &str,
        item: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let reason = plain(reason);
        let tries: i32 = tx!(self, "set_aside", |tx| {
            let statement = "INSERT INTO set_aside (room, item, reason, tries, since, noted_at, next_try)
                VALUES ($1, $2, $3, 1, $4, $4, $4)
                ON CONFLICT (room, item) DO UPDATE SET reason = excluded.reason, tries = set_aside.tries + 1,
                    noted_at = excluded.noted_at
                RETURNING tries";
            let tries: i32 = tx
                .query(statement)
                .bind(room)
                .bind(item)
                .bind(&reason)
                .bind(now.as_millisecond())
                .scalar()
                .await?;
            tx.query("UPDATE set_aside SET next_try = $3 WHERE room = $1 AND item = $2")
                .bind(room)
                .bind(item)
                .bind(next(tries, now).as_millisecond())
                .execute()
                .await?;
            Ok(tries)
        })?;
        Ok(next(tries, now))
    }

    /// What was set aside, of one room or of all, the oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn all_set_aside(&self, room: Option<&str>, limit: u32) -> Result<Vec<SetAside>, StoreError> {
        let rows: Vec<Row> = read!(self, "all_set_aside", |db| {
            let statement = "SELECT room, item, reason, tries, since, next_try FROM set_aside
                WHERE room = coalesce($1, room) ORDER BY since, room, item LIMIT $2";
            Ok(db.query(statement).bind(room).bind(i64::from(limit)).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many items each room set aside.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_aside_by_room(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = read!(self, "set_aside_by_room", |db| {
            let statement = "SELECT room, count(*) FROM set_aside GROUP BY room ORDER BY room";
            Ok(db.query(statement).fetch_all().await?)
        })?;
        Ok(rows.into_iter().map(|(room, count)| (room, count.cast_unsigned())).collect())
    }

    /// Lets everything that rests be tried again now, and says how much that is. A delivery goes by its own row.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn retry_set_aside(&self, now: Timestamp) -> Result<u64, StoreError> {
        tx!(self, "retry_set_aside", |tx| {
            let statement = "UPDATE set_aside SET next_try = $1, noted_at = $1 WHERE next_try > $1";
            let done = tx.query(statement).bind(now.as_millisecond()).execute().await?;
            let statement = "UPDATE delivery SET next_attempt_at = $1, noted_at = $1
                WHERE state IN ('queued', 'scheduled') AND next_attempt_at > $1
                    AND id IN (SELECT {id} FROM set_aside WHERE room = 'deliver')";
            let id = if tx.dialect().is_postgres() {
                "CAST(substr(item, 10) AS uuid)"
            } else {
                "unhex(replace(substr(item, 10), '-', ''))"
            };
            let statement = statement.replace("{id}", id);
            tx.query(&statement).bind(now.as_millisecond()).execute().await?;
            Ok(done)
        })
    }

    /// Forgets items that are handled now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_back(&self, room: &str, items: &[String]) -> Result<(), StoreError> {
        tx!(self, "take_back", |tx| {
            tx.query("DELETE FROM set_aside WHERE room = $1 AND item {texts:2}")
                .bind(room)
                .texts(items.iter().cloned())
                .execute()
                .await?;
            Ok(())
        })
    }
}

fn next(tries: i32, now: Timestamp) -> Timestamp {
    now.saturating_add(pause(tries.cast_unsigned())).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let seconds: Vec<_> = [1, 2, 3, 9, 10, 100].into_iter().map(|tries| pause(tries).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 2560, 3600, 3600]);
    }
}
