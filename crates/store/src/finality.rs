//! Telling that events are final, once each. Owns the mark up to which it was told; must not know what makes a block
//! final.

use std::collections::HashSet;

use domain::{ChainId, ChainName};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    db::{read, tx},
    effects::{News, tell},
    event::{COLUMNS, EventRow, StoredEvent},
};

/// What a page of finality told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The block up to which it is told now.
    pub to: u64,
    /// How many events were told.
    pub events: u64,
    /// Whether nothing more is final now.
    pub done: bool,
}

// What is told of finality: published events of canonical blocks.
const TELLABLE: &str =
    "e.chain_id = $1 AND e.block_number > $2 AND e.block_number <= $3 AND e.canonical AND e.published";

type Marks = (Option<i64>, Option<i64>, Option<i64>);

impl Store {
    /// Tells one page of events that became final: those that were told as seen, in whole blocks, about `limit` of them.
    /// A chain that was followed before finality was told begins at its present finalized block. Never goes above the
    /// tip. A page that changed while it was read is left to the next call.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn tell_finalized(
        &self,
        chain: ChainId,
        name: &ChainName,
        limit: u32,
        now: Timestamp,
    ) -> Result<Told, StoreError> {
        let marks: Option<Marks> = read!(self, "finality_marks", |db, D| {
            let statement =
                "SELECT finalized_told, finalized_number, tip_number FROM chain WHERE chain_id = $1";
            Ok(sqlx::query_as(statement).bind(chain.0.cast_signed()).fetch_optional(db).await?)
        })?;
        let Some((told, Some(finalized), Some(tip))) = marks else {
            return Ok(Told { to: 0, events: 0, done: true });
        };
        let last = finalized.min(tip);
        let (from, to, events) = match told {
            None => (last, last, Vec::new()),
            Some(told) if told >= last => {
                return Ok(Told { to: told.cast_unsigned(), events: 0, done: true });
            }
            Some(told) => {
                let (to, events) = self.tellable(chain, (told, last), limit).await?;
                (told, to, events)
            }
        };
        let mut news = News::default();
        for stored in &events {
            news.finalized(name, &stored.event);
        }
        let page: HashSet<Uuid> = events.iter().map(|stored| stored.event.id.0).collect();
        let done: Result<(), StoreError> = tx!(self, "tell_finalized", |tx, D| {
            // First the mark: whoever publishes an event of these blocks from here on waits, and tells its finality too.
            let statement = "UPDATE chain SET finalized_told = $2 WHERE chain_id = $1
                AND finalized_told IS NOT DISTINCT FROM $3 AND finalized_number >= $2 AND tip_number >= $2";
            let moved = sqlx::query(statement)
                .bind(chain.0.cast_signed())
                .bind(to)
                .bind(told)
                .execute(&mut *tx)
                .await?;
            let statement = format!("SELECT e.event_id FROM event e WHERE {TELLABLE}");
            let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind(chain.0.cast_signed())
                .bind(from)
                .bind(to)
                .fetch_all(&mut *tx)
                .await?;
            if moved.rows_affected() != 1 || ids.into_iter().collect::<HashSet<_>>() != page {
                let detail = format!("the final events of chain {name} changed while they were read");
                return Err(StoreError::Fenced(detail).into());
            }
            tell!(tx, D, name, news, now);
            Ok(())
        });
        match done {
            Ok(()) => Ok(Told { to: to.cast_unsigned(), events: events.len() as u64, done: to == last }),
            Err(StoreError::Fenced(_)) => Ok(Told { to: from.cast_unsigned(), events: 0, done: false }),
            Err(error) => Err(error),
        }
    }

    // The events to tell of the blocks after `from` and up to at most `last`, and the block that they go up to.
    async fn tellable(
        &self,
        chain: ChainId,
        (from, last): (i64, i64),
        limit: u32,
    ) -> Result<(i64, Vec<StoredEvent>), StoreError> {
        let limit = limit.max(1);
        let mut events = self.tellable_page(chain, (from, last), i64::from(limit) + 1).await?;
        if events.len() <= limit as usize {
            return Ok((last, events));
        }
        // The last block of the page may be cut; the one before it is whole. If there is none, that block is the page.
        let cut = events.last().map_or(0, |stored| stored.event.block.number);
        events.retain(|stored| stored.event.block.number < cut);
        match events.last() {
            Some(_) => Ok((cut.cast_signed() - 1, events)),
            None => {
                let cut = cut.cast_signed();
                Ok((cut, self.tellable_page(chain, (cut - 1, cut), i64::MAX).await?))
            }
        }
    }

    async fn tellable_page(
        &self,
        chain: ChainId,
        (from, to): (i64, i64),
        limit: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<EventRow> = read!(self, "tellable", |db, D| {
            let statement = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE {TELLABLE} ORDER BY e.block_number, e.log_index LIMIT $4"
            );
            Ok(sqlx::query_as(AssertSqlSafe(statement))
                .bind(chain.0.cast_signed())
                .bind(from)
                .bind(to)
                .bind(limit)
                .fetch_all(db)
                .await?)
        })?;
        self.stored(rows).await
    }
}
