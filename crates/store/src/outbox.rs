//! The outbox: messages that are committed and not yet acknowledged by the broker, in lanes that keep their order.

use domain::Message;
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    bulk::{Bulk, BulkDialect},
    db::{Dialect, read, sql, tx},
};

/// The lane of notifications to be sent.
pub(crate) const NOTIFY_LANE: &str = "notify";

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the lane.
    pub id: i64,
    /// The message.
    pub message: Message,
}

/// How much waits in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneDepth {
    /// The lane.
    pub lane: String,
    /// How many messages.
    pub depth: u64,
    /// When the oldest was committed.
    pub oldest: Timestamp,
}

pub(crate) fn outbox_bulk(lane: &str, messages: &[Message], now: Timestamp) -> Bulk {
    Bulk::new()
        .texts("lane", messages.iter().map(|_| lane))
        .texts("message_id", messages.iter().map(|message| message.id.as_str()))
        .texts("subject", messages.iter().map(|message| message.subject.as_str()))
        .maybe_texts("replay", messages.iter().map(|message| message.replay.clone()))
        .texts("payload", messages.iter().map(|message| message.payload.as_str()))
        .numbers("created_at", messages.iter().map(|_| now.as_millisecond()))
}

impl Store {
    /// Puts messages into a lane, in order; one that is there already stays as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_insert(
        &self,
        lane: &str,
        messages: &[Message],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        tx!(self, "outbox_insert", |tx, D| {
            let bulk = outbox_bulk(lane, messages, now);
            let statement =
                <D as BulkDialect>::insert(&bulk, "outbox", "ON CONFLICT (message_id) DO NOTHING");
            <D as BulkDialect>::bind(bulk, statement).execute(&mut *tx).await?;
            Ok(())
        })
    }

    /// The lane of a chain's messages.
    pub fn lane_of_chain(name: &domain::ChainName) -> String {
        crate::rows::chain_lane(name)
    }

    /// The lane of notifications to be sent.
    pub const fn notify_lane() -> &'static str {
        NOTIFY_LANE
    }

    /// The oldest messages of a lane, in order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_page(&self, lane: &str, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let rows: Vec<(i64, String, String, Option<String>, String)> =
            read!(self, "outbox_page", |db, D| {
                let statement = "SELECT id, message_id, subject, replay, payload FROM outbox
                WHERE lane = $1 ORDER BY id LIMIT $2";
                Ok(sqlx::query_as(statement).bind(lane).bind(i64::from(limit)).fetch_all(db).await?)
            })?;
        Ok(rows
            .into_iter()
            .map(|(id, message_id, subject, replay, payload)| OutboxRow {
                id,
                message: Message { id: message_id, subject, replay, payload },
            })
            .collect())
    }

    /// Deletes messages that the broker acknowledged.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_delete(&self, ids: &[i64]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        tx!(self, "outbox_delete", |tx, D| {
            sqlx::query(sql::<D>("DELETE FROM outbox WHERE id {numbers:1}"))
                .bind(<D as Dialect>::numbers(ids.iter().copied()))
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
    }

    /// Every lane that holds something.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_lanes(&self) -> Result<Vec<LaneDepth>, StoreError> {
        let rows: Vec<(String, i64, i64)> = read!(self, "outbox_lanes", |db, D| {
            let statement = "SELECT lane, count(*), min(created_at) FROM outbox GROUP BY lane ORDER BY lane";
            Ok(sqlx::query_as(statement).fetch_all(db).await?)
        })?;
        rows.into_iter()
            .map(|(lane, depth, oldest)| {
                let oldest =
                    Timestamp::from_millisecond(oldest).map_err(|e| StoreError::corrupt("outbox", e))?;
                Ok(LaneDepth { lane, depth: depth.cast_unsigned(), oldest })
            })
            .collect()
    }
}
