//! Deliveries: leased while a channel is called, and never locked.

use std::time::Duration;

use domain::{Delivery, DeliveryId, DeliveryState, Notification, NotificationId, Target};
use jiff::{SignedDuration, Timestamp};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

/// A delivery that is ours until its lease ends.
#[derive(Debug, Clone)]
pub struct LeasedDelivery {
    /// The delivery, its attempts before this one.
    pub delivery: Delivery,
    /// What to deliver.
    pub notification: Notification,
    /// Where to; `None` when the target was removed since.
    pub target: Option<Target>,
    /// Whether no revision of the notification was delivered there before.
    pub first: bool,
}

/// One try, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// What the channel said.
    pub detail: String,
}

/// What follows a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Delivered,
    /// Again at that time.
    Retry(Timestamp),
    /// Never again: a dead letter, with the reason.
    Dead(String),
}

/// A delivery that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The delivery.
    pub delivery: Delivery,
    /// What was to be delivered.
    pub notification: Notification,
    /// Every try, oldest first: when, how it ended, what the channel said.
    pub attempts: Vec<(Attempt, String)>,
}

#[derive(Debug, FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    notification_id: Uuid,
    recipient_id: String,
    target: String,
    channel: String,
    state: String,
    pub(crate) reason: Option<String>,
    attempts: i32,
    tries: i32,
    next_attempt_at: i64,
}

const COLUMNS: &str = "id, notification_id, recipient_id, target, channel, state, reason, attempts, tries, \
    next_attempt_at";

pub(crate) fn from_row(row: Row) -> Result<Delivery, StoreError> {
    let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("delivery", error);
    Ok(Delivery {
        id: DeliveryId(row.id),
        notification: NotificationId(row.notification_id),
        recipient: row.recipient_id.parse().map_err(|error| bad(&error))?,
        target: row.target.parse().map_err(|error| bad(&error))?,
        channel: row.channel,
        state: DeliveryState::parse(&row.state).ok_or_else(|| bad(&row.state))?,
        attempts: row.attempts.cast_unsigned(),
        tries: row.tries.cast_unsigned(),
        next_attempt_at: Timestamp::from_millisecond(row.next_attempt_at).map_err(|error| bad(&error))?,
        reason: row.reason,
    })
}

// A lease that ended without a word was a try, for all that anybody knows: its worker died, maybe after the endpoint had
// answered. Whoever asks later which targets may have heard of it must find that.
const LEASE: &str = "lease_owner = $1, lease_until = $2,
    attempts = attempts + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END";

impl Store {
    /// Leases the due deliveries of one notification on one channel.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lease_deliveries_of(
        &self,
        notification: NotificationId,
        channel: &str,
        owner: &str,
        now: Timestamp,
        term: Duration,
    ) -> Result<Vec<LeasedDelivery>, StoreError> {
        let rows: Vec<Row> = tx!(self, "lease_deliveries_of", |tx| {
            let template = format!(
                "UPDATE delivery SET {LEASE} WHERE id IN (
                    SELECT id FROM delivery WHERE notification_id = $4 AND channel = $5
                        AND state IN ('queued', 'scheduled') AND next_attempt_at <= $3
                        AND (lease_until IS NULL OR lease_until <= $3) {{skip locked}})
                 RETURNING {COLUMNS}"
            );
            Ok(tx
                .query(&template)
                .bind(owner)
                .bind(end(now, term))
                .bind(now.as_millisecond())
                .bind(notification.0)
                .bind(channel)
                .fetch_all()
                .await?)
        })?;
        self.leased(rows, owner, now).await
    }

    /// Leases deliveries that are due: retries, and queued ones that no message brought within `grace`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lease_due_deliveries(
        &self,
        owner: &str,
        now: Timestamp,
        grace: Duration,
        term: Duration,
        limit: u32,
    ) -> Result<Vec<LeasedDelivery>, StoreError> {
        let stale = now.saturating_sub(SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX));
        let stale = stale.unwrap_or(Timestamp::MIN).as_millisecond();
        let rows: Vec<Row> = tx!(self, "lease_due_deliveries", |tx| {
            let template = format!(
                "UPDATE delivery SET {LEASE} WHERE id IN (
                    SELECT id FROM delivery WHERE state IN ('queued', 'scheduled') AND next_attempt_at <= $3
                        AND (lease_until IS NULL OR lease_until <= $3)
                        AND (state = 'scheduled' OR created_at <= $4)
                    ORDER BY next_attempt_at LIMIT $5 {{skip locked}})
                 RETURNING {COLUMNS}"
            );
            Ok(tx
                .query(&template)
                .bind(owner)
                .bind(end(now, term))
                .bind(now.as_millisecond())
                .bind(stale)
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        self.leased(rows, owner, now).await
    }

    // Gives a lease back without a try.
    pub(crate) async fn give_back(
        &self,
        delivery: &Delivery,
        owner: &str,
        state: DeliveryState,
        why: &str,
        (now, next): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        tx!(self, "give_back", |tx| {
            let statement = "UPDATE delivery SET state = $3, reason = $4, next_attempt_at = $5, noted_at = $6,
                    finished_at = CASE WHEN $3 = 'suppressed' THEN $5 END, lease_owner = NULL, lease_until = NULL
                WHERE id = $1 AND lease_owner = $2 AND state IN ('queued', 'scheduled')";
            tx.query(statement)
                .bind(delivery.id.0)
                .bind(owner)
                .bind(state.as_str())
                .bind(why)
                .bind(next.as_millisecond())
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })
    }

    /// Gives a lease back without a try: the delivery is due again at `next`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_off_delivery(
        &self,
        delivery: &Delivery,
        owner: &str,
        why: &str,
        (now, next): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        self.give_back(delivery, owner, DeliveryState::Scheduled, why, (now, next)).await
    }

    /// Records a try and what follows it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the lease went to somebody else meanwhile.
    pub async fn finish_attempt(
        &self,
        delivery: DeliveryId,
        owner: &str,
        attempt: &Attempt,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let finished = attempt.finished.as_millisecond();
        let (state, word, next, reason, ended) = match outcome {
            Outcome::Delivered => (DeliveryState::Delivered, "delivered", finished, None, Some(finished)),
            Outcome::Retry(at) => {
                (DeliveryState::Scheduled, "retry", at.as_millisecond(), Some(&attempt.detail), None)
            }
            Outcome::Dead(reason) => {
                (DeliveryState::Dead, "permanent", finished, Some(reason), Some(finished))
            }
        };
        tx!(self, "finish_attempt", |tx| {
            let statement = "UPDATE delivery SET state = $3, attempts = attempts + 1, tries = tries + 1, next_attempt_at = $4,
                    reason = $5, finished_at = $6, noted_at = $7, lease_owner = NULL, lease_until = NULL
                WHERE id = $1 AND lease_owner = $2 AND state IN ('queued', 'scheduled') RETURNING attempts";
            let number: Option<i32> = tx
                .query(statement)
                .bind(delivery.0)
                .bind(owner)
                .bind(state.as_str())
                .bind(next)
                .bind(reason)
                .bind(ended)
                .bind(finished)
                .optional_scalar()
                .await?;
            let Some(number) = number else {
                return Err(StoreError::Fenced(format!("the lease on delivery {delivery} ended")).into());
            };
            let statement =
                "INSERT INTO attempt (delivery_id, number, started_at, finished_at, outcome, detail)
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (delivery_id, number) DO NOTHING";
            tx.query(statement)
                .bind(delivery.0)
                .bind(number)
                .bind(attempt.started.as_millisecond())
                .bind(finished)
                .bind(word)
                .bind(&attempt.detail)
                .execute()
                .await?;
            Ok(())
        })
    }

    /// Dead letters, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let rows: Vec<Row> = read!(self, "dead_letters", |db| {
            let statement = format!(
                "SELECT {COLUMNS} FROM delivery WHERE state = 'dead' ORDER BY finished_at DESC, id LIMIT $1"
            );
            Ok(db.query(&statement).bind(i64::from(limit)).fetch_all().await?)
        })?;
        self.letters(rows).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dead_letter(&self, id: DeliveryId) -> Result<Option<DeadLetter>, StoreError> {
        let rows: Vec<Row> = read!(self, "dead_letter", |db| {
            let statement = format!("SELECT {COLUMNS} FROM delivery WHERE state = 'dead' AND id = $1");
            Ok(db.query(&statement).bind(id.0).fetch_all().await?)
        })?;
        Ok(self.letters(rows).await?.pop())
    }

    async fn letters(&self, rows: Vec<Row>) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = Vec::with_capacity(rows.len());
        for row in rows {
            let delivery = from_row(row)?;
            let notification = self.notification(delivery.notification).await?;
            let notification =
                notification.ok_or_else(|| StoreError::corrupt("delivery", "it has no notification"))?;
            let attempts = self.attempts(delivery.id).await?;
            letters.push(DeadLetter { delivery, notification, attempts });
        }
        Ok(letters)
    }

    /// Every try of a delivery, oldest first, with how it ended.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn attempts(&self, id: DeliveryId) -> Result<Vec<(Attempt, String)>, StoreError> {
        let rows: Vec<(i64, i64, String, String)> = read!(self, "attempts", |db| {
            let statement = "SELECT started_at, finished_at, outcome, detail FROM attempt WHERE delivery_id = $1 ORDER BY number";
            Ok(db.query(statement).bind(id.0).fetch_all().await?)
        })?;
        let time =
            |ms| Timestamp::from_millisecond(ms).map_err(|error| StoreError::corrupt("attempt", error));
        rows.into_iter()
            .map(|(started, finished, outcome, detail)| {
                Ok((Attempt { started: time(started)?, finished: time(finished)?, detail }, outcome))
            })
            .collect()
    }

    /// The deliveries of a notification, by target.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn deliveries_of(&self, notification: NotificationId) -> Result<Vec<Delivery>, StoreError> {
        let rows: Vec<Row> = read!(self, "deliveries_of", |db| {
            let statement =
                format!("SELECT {COLUMNS} FROM delivery WHERE notification_id = $1 ORDER BY target");
            Ok(db.query(&statement).bind(notification.0).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// Brings a dead letter back, due now and with a fresh schedule; all of them without an id. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn retry_dead_letters(
        &self,
        id: Option<DeliveryId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        tx!(self, "retry_dead_letters", |tx| {
            let statement = "UPDATE delivery SET state = 'scheduled', reason = NULL, finished_at = NULL,
                    next_attempt_at = $2, noted_at = $2, tries = 0
                WHERE state = 'dead' AND id = coalesce($1, id)";
            let done =
                tx.query(statement).bind(id.map(|id| id.0)).bind(now.as_millisecond()).execute().await?;
            Ok(done)
        })
    }

    /// Drops a dead letter for good; all of them without an id. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn drop_dead_letters(&self, id: Option<DeliveryId>) -> Result<u64, StoreError> {
        tx!(self, "drop_dead_letters", |tx| {
            let statement =
                "UPDATE delivery SET state = 'suppressed', reason = 'dropped by the operator: ' || reason
                WHERE state = 'dead' AND id = coalesce($1, id)";
            let done = tx.query(statement).bind(id.map(|id| id.0)).execute().await?;
            Ok(done)
        })
    }
}

fn end(now: Timestamp, term: Duration) -> i64 {
    let term = SignedDuration::try_from(term).unwrap_or(SignedDuration::MAX);
    now.saturating_add(term).unwrap_or(Timestamp::MAX).as_millisecond()
}
