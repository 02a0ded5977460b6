//! A chain that waits for a person: the halt, and the way out of it. Owns the operator's rewind; must not know why ingest
//! stopped.

use domain::{BlockRef, ChainId, ChainName};
use jiff::Timestamp;

use crate::{
    Committed, Store, StoreError,
    effects::{News, insert_news, orphan_above},
    error::TxError,
    tx::{Tx, tx},
};

/// An operator's decision: the chain goes on from this block, whatever was held above it.
#[derive(Debug)]
pub struct Rewind<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// The new tip, not above the present one.
    pub to: BlockRef,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// Brings the live frontier of contracts down to `live_from`, and what is read of their past to at most `unread`: the
/// lowest block that must be read again.
async fn lower_contracts(
    tx: &mut Tx<'_>,
    chain: ChainId,
    live_from: u64,
    unread: u64,
) -> Result<(), TxError> {
    // Written so that it reads the same in both dialects: the least of three, and never below the first block.
    let statement = "UPDATE contract SET
            live_from = CASE WHEN live_from > $2 THEN CASE WHEN start_block > $2 THEN start_block ELSE $2 END
                ELSE live_from END,
            next_block = CASE WHEN start_block > $3 OR (start_block > $2 AND live_from > $2) THEN start_block
                WHEN next_block > $3 THEN $3
                WHEN next_block > $2 THEN $2 ELSE next_block END
        WHERE chain_id = $1 AND (live_from > $2 OR next_block > $3)";
    tx.query(statement)
        .bind(chain.0.cast_signed())
        .bind(live_from.cast_signed())
        .bind(unread.cast_signed())
        .execute()
        .await?;
    Ok(())
}

/// Orphans what is held at the height of `to` under another hash, which are `orphans` events. Returns the lowest block that
/// must be read again.
async fn replace_at(tx: &mut Tx<'_>, chain: ChainId, to: BlockRef, orphans: usize) -> Result<u64, TxError> {
    let events = "event SET canonical = false WHERE block_number = $2 AND block_hash <> $3 AND canonical";
    let mut replaced = 0;
    for mark in [
        "block SET canonical = false WHERE number = $2 AND hash <> $3 AND canonical",
        events,
        "child SET canonical = false WHERE block_number = $2 AND block_hash <> $3 AND canonical",
        "block SET canonical = true WHERE number = $2 AND hash = $3 AND NOT canonical",
    ] {
        let marked = tx
            .query(&format!("UPDATE {mark} AND chain_id = $1"))
            .bind(chain.0.cast_signed())
            .bind(to.number.cast_signed())
            .bind(to.hash.to_vec())
            .execute()
            .await?;
        replaced += marked;
        if mark == events && marked != orphans as u64 {
            let detail = format!("events appeared at block {} meanwhile", to.number);
            return Err(StoreError::Fenced(detail).into());
        }
    }
    if replaced == 0 {
        return Ok(i64::MAX.cast_unsigned());
    }
    // What is read there now was not published as final.
    let statement =
        "UPDATE chain SET finalized_told = $2 - 1 WHERE chain_id = $1 AND finalized_told >= $2 AND $2 > 0";
    tx.query(statement).bind(chain.0.cast_signed()).bind(to.number.cast_signed()).execute().await?;
    Ok(to.number)
}

/// Takes back what audits said of `to` and of the blocks above it.
async fn unverify(tx: &mut Tx<'_>, chain: ChainId, to: BlockRef) -> Result<(), TxError> {
    for statement in [
        "DELETE FROM audit WHERE chain_id = $1 AND from_block >= $2",
        "UPDATE audit SET to_block = $2 - 1 WHERE chain_id = $1 AND to_block >= $2",
        "DELETE FROM unproved_block WHERE chain_id = $1 AND block_number >= $2",
    ] {
        tx.query(statement).bind(chain.0.cast_signed()).bind(to.number.cast_signed()).execute().await?;
    }
    Ok(())
}

impl Store {
    /// Notes that ingest of a chain stopped and why, until somebody clears it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn halt_chain(&self, chain: ChainId, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        self.set_halted(chain, Some(&reason.replace('\0', "")), now).await
    }

    /// Lets ingest of a chain go on where it stopped.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn clear_halt(&self, chain: ChainId, now: Timestamp) -> Result<(), StoreError> {
        self.set_halted(chain, None, now).await
    }

    async fn set_halted(
        &self,
        chain: ChainId,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx!(self, "set_halted", |tx| {
            tx.query("UPDATE chain SET halted = $2, updated_at = $3 WHERE chain_id = $1")
                .bind(chain.0.cast_signed())
                .bind(reason)
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })
    }

    /// Rewinds a chain: blocks, events and children above `to` are orphaned as in a reorg, finality and the live frontier
    /// of contracts come down to it, what audits said of these blocks is taken back, and the halt is cleared. What was held
    /// at the height of `to` under another hash is orphaned too; that block is then read again as the past. The events are
    /// held in memory: a rewind is for reorgs, not for forgetting a chain.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when `to` is above the tip, [`StoreError::Fenced`] when the chain moved meanwhile; nothing
    /// changed then.
    pub async fn rewind_chain(&self, rewind: &Rewind<'_>) -> Result<Committed, StoreError> {
        let Rewind { chain, name, to, now } = *rewind;
        let tip = self.chain(chain).await?.and_then(|row| row.tip);
        let Some(tip) = tip.filter(|tip| tip.number >= to.number) else {
            let held = tip.map_or_else(|| "none yet".to_owned(), |tip| tip.to_string());
            let detail = format!("block {to} is above the tip of chain {name}, {held}");
            return Err(StoreError::Refused { query: "rewind_chain", detail });
        };
        let orphans = self.events_above(chain, to.number, Some(to.hash)).await?;
        let above = orphans.iter().filter(|orphan| orphan.stored.event.block.number > to.number).count();
        let mut news = News::default();
        for orphan in &orphans {
            news.orphaned(name, orphan);
        }
        tx!(self, "rewind_chain", |tx| {
            let statement = "UPDATE chain SET tip_number = $2, tip_hash = $3, halted = NULL, updated_at = $4,
                    safe_number = CASE WHEN safe_number > $2 THEN $2 ELSE safe_number END,
                    finalized_number = CASE WHEN finalized_number > $2 THEN $2 ELSE finalized_number END,
                    finalized_told = CASE WHEN finalized_told > $2 THEN $2 ELSE finalized_told END
                WHERE chain_id = $1 AND tip_hash = $5";
            let moved = tx
                .query(statement)
                .bind(chain.0.cast_signed())
                .bind(to.number.cast_signed())
                .bind(to.hash.to_vec())
                .bind(now.as_millisecond())
                .bind(tip.hash.to_vec())
                .execute()
                .await?;
            if moved != 1 {
                return Err(
                    StoreError::Fenced(format!("the tip of chain {name} is not {tip} any more")).into()
                );
            }
            orphan_above(tx, chain, to.number, above).await?;
            let unread = replace_at(tx, chain, to, orphans.len() - above).await?;
            lower_contracts(tx, chain, to.number + 1, unread).await?;
            unverify(tx, chain, to).await?;
            insert_news(tx, name, &news, now).await?;
            Ok(Committed { seen: 0, orphaned: orphans.len() as u64 })
        })
    }
}
