//! The outbox: messages that are committed and not yet acknowledged by the broker, in lanes that keep their order.

use domain::Message;
use jiff::Timestamp;
use sqlx::FromRow;

use crate::{
    Store, StoreError,
    block_news::BlockNews,
    bulk::Bulk,
    rows::chain_of,
    tx::{read, tx},
};

/// The lane of notifications to be sent.
pub(crate) const NOTIFY_LANE: &str = "notify";

/// A row of the outbox: a message, or all that a block tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the lane.
    pub id: i64,
    /// Its messages, in order.
    pub messages: Vec<Message>,
}

#[derive(Debug, FromRow)]
struct Row {
    id: i64,
    message_id: String,
    subject: String,
    replay: Option<String>,
    payload: String,
    chain_id: Option<i64>,
    block_number: Option<i64>,
    block_hash: Option<Vec<u8>>,
    lifecycle: Option<i16>,
    turn: Option<i32>,
    log_indexes: Option<String>,
    messages: i32,
}

impl Row {
    fn take_news(&mut self) -> Result<Option<BlockNews>, StoreError> {
        let (hash, list) = (self.block_hash.take(), self.log_indexes.take());
        BlockNews::from_row((self.chain_id, self.block_number, hash, self.lifecycle, self.turn, list))
    }
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
        tx!(self, "outbox_insert", |tx| {
            let bulk = outbox_bulk(lane, messages, now);
            tx.insert("outbox", &bulk, "ON CONFLICT (message_id) DO NOTHING").execute().await?;
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

    /// Whether a lane holds something.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_has(&self, lane: &str) -> Result<bool, StoreError> {
        read!(self, "outbox_has", |db| {
            let statement = "SELECT EXISTS (SELECT 1 FROM outbox WHERE lane = $1)";
            Ok(db.query(statement).bind(lane).scalar().await?)
        })
    }

    /// The oldest rows of a lane, in order, of about `limit` messages: the last row's may be more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_page(&self, lane: &str, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let (rows, unreadable) = self.outbox_page_without(lane, limit, &[]).await?;
        match unreadable.into_iter().next() {
            Some((_, why)) => Err(why),
            None => Ok(rows),
        }
    }

    /// As [`Store::outbox_page`], without the rows of these ids; and the rows whose messages cannot be made, each with why.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_page_without(
        &self,
        lane: &str,
        limit: u32,
        resting: &[i64],
    ) -> Result<(Vec<OutboxRow>, Vec<(i64, StoreError)>), StoreError> {
        let rows = self.outbox_rows(lane, limit, resting).await?;
        match self.with_messages(lane, rows).await {
            Ok(rows) => Ok((rows, Vec::new())),
            Err(error) if error.is_about_data() => {
                let rows = self.outbox_rows(lane, limit, resting).await?;
                self.one_by_one(lane, rows).await
            }
            Err(error) => Err(error),
        }
    }

    async fn outbox_rows(&self, lane: &str, limit: u32, resting: &[i64]) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<Row> = read!(self, "outbox_page", |db| {
            let template =
                "SELECT id, message_id, subject, replay, payload, chain_id, block_number, block_hash,
                    lifecycle, turn, log_indexes, messages
                FROM outbox WHERE lane = $1 AND NOT (id {numbers:3}) ORDER BY id LIMIT $2";
            Ok(db
                .query(template)
                .bind(lane)
                .bind(i64::from(limit))
                .numbers(resting.iter().copied())
                .fetch_all()
                .await?)
        })?;
        let mut messages = 0;
        let mut fits = |row: &Row| {
            let fits = messages < i64::from(limit);
            messages += i64::from(row.messages);
            fits
        };
        let count = rows.iter().take_while(|row| fits(row)).count();
        rows.truncate(count);
        Ok(rows)
    }

    async fn one_by_one(
        &self,
        lane: &str,
        rows: Vec<Row>,
    ) -> Result<(Vec<OutboxRow>, Vec<(i64, StoreError)>), StoreError> {
        let (mut readable, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let id = row.id;
            match self.with_messages(lane, vec![row]).await {
                Ok(rows) => readable.extend(rows),
                Err(error) if error.is_about_data() => unreadable.push((id, error)),
                Err(error) => return Err(error),
            }
        }
        Ok((readable, unreadable))
    }

    async fn with_messages(&self, lane: &str, mut rows: Vec<Row>) -> Result<Vec<OutboxRow>, StoreError> {
        let news = rows.iter_mut().map(Row::take_news).collect::<Result<Vec<_>, _>>()?;
        let blocks: Vec<_> = news.iter().flatten().collect();
        let mut told = match chain_of(lane) {
            Some(name) => self.messages_of(&name, &blocks).await?.into_iter(),
            None => Vec::new().into_iter(),
        };
        let with_messages = |(row, news): (Row, &Option<BlockNews>)| {
            let Row { id, message_id, subject, replay, payload, .. } = row;
            let messages = match news {
                Some(_) => told.next().unwrap_or_default(),
                None => vec![Message { id: message_id, subject, replay, payload }],
            };
            OutboxRow { id, messages }
        };
        Ok(rows.into_iter().zip(&news).map(with_messages).collect())
    }

    /// Deletes messages that the broker acknowledged.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_delete(&self, ids: &[i64]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        tx!(self, "outbox_delete", |tx| {
            tx.query("DELETE FROM outbox WHERE id {numbers:1}")
                .numbers(ids.iter().copied())
                .execute()
                .await?;
            Ok(())
        })
    }

    /// Every lane that holds something.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_lanes(&self) -> Result<Vec<LaneDepth>, StoreError> {
        let rows: Vec<(String, i64, i64)> = read!(self, "outbox_lanes", |db| {
            let statement = "SELECT lane, CAST(sum(messages) AS bigint), min(created_at) FROM outbox
                GROUP BY lane ORDER BY lane";
            Ok(db.query(statement).fetch_all().await?)
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
