//! Telling that events are final, once each. Owns the mark up to which it was told; must not know what makes a block
//! final.

use domain::{ChainId, ChainName, message::Lifecycle};
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    block_news::{by_block, insert_blocks},
    rows::chain_lane,
    tx::{read, tx},
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
        let marks: Option<Marks> = read!(self, "finality_marks", |db| {
            let statement =
                "SELECT finalized_told, finalized_number, tip_number FROM chain WHERE chain_id = $1";
            Ok(db.query(statement).bind(chain.0.cast_signed()).fetch_optional().await?)
        })?;
        let Some((told, Some(finalized), Some(tip))) = marks else {
            return Ok(Told { to: 0, events: 0, done: true });
        };
        let last = finalized.min(tip);
        let (from, to) = match told {
            None => (last, last),
            Some(told) if told >= last => {
                return Ok(Told { to: told.cast_unsigned(), events: 0, done: true });
            }
            Some(told) => (told, self.page_end(chain, (told, last), limit).await?),
        };
        let lane = chain_lane(name);
        let done: Result<u64, StoreError> = tx!(self, "tell_finalized", |tx| {
            // First the mark: whoever publishes an event of these blocks from here on waits, and tells its finality too.
            let statement = "UPDATE chain SET finalized_told = $2 WHERE chain_id = $1
                AND finalized_told IS NOT DISTINCT FROM $3 AND finalized_number >= $2 AND tip_number >= $2";
            let moved = tx.query(statement).bind(chain.0.cast_signed()).bind(to).bind(told).execute().await?;
            if moved != 1 {
                let detail = format!("the final blocks of chain {name} changed while they were read");
                return Err(StoreError::Fenced(detail).into());
            }
            let news = by_block(tx.dialect(), &format!("event e WHERE {TELLABLE}"), Lifecycle::Finalized);
            let statement =
                insert_blocks(tx.dialect(), &format!("({news}) news"), Lifecycle::Finalized, "$4", "$5");
            let told: Vec<i32> = tx
                .query(&format!("{statement} RETURNING messages"))
                .bind(chain.0.cast_signed())
                .bind(from)
                .bind(to)
                .bind(&lane)
                .bind(now.as_millisecond())
                .scalars()
                .await?;
            Ok(told.into_iter().map(|messages| u64::from(messages.cast_unsigned())).sum())
        });
        match done {
            Ok(events) => Ok(Told { to: to.cast_unsigned(), events, done: to == last }),
            Err(StoreError::Fenced(_)) => Ok(Told { to: from.cast_unsigned(), events: 0, done: false }),
            Err(error) => Err(error),
        }
    }

    // Up to which block the page goes that begins after `from`: whole blocks, at least one, and at most `last`.
    async fn page_end(
        &self,
        chain: ChainId,
        (from, last): (i64, i64),
        limit: u32,
    ) -> Result<i64, StoreError> {
        let limit = i64::from(limit.max(1));
        let (count, first, highest): (i64, Option<i64>, Option<i64>) = read!(self, "tellable", |db| {
            let statement = format!(
                "SELECT count(*), min(block_number), max(block_number) FROM (
                    SELECT e.block_number FROM event e WHERE {TELLABLE} ORDER BY e.block_number LIMIT $4) page"
            );
            Ok(db
                .query(&statement)
                .bind(chain.0.cast_signed())
                .bind(from)
                .bind(last)
                .bind(limit + 1)
                .fetch_one()
                .await?)
        })?;
        Ok(match (first, highest) {
            (Some(first), Some(highest)) if count > limit => {
                // The last block of the page may be cut; the one before it is whole. If there is none, it is the page.
                if first < highest { highest - 1 } else { highest }
            }
            _ => last,
        })
    }
}
