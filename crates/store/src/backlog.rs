//! The backlog of unmatched events: those whose last change matching has not seen. Owns both its tables and what may go
//! from them; must not know what matching does with an event.
//!
//! The events of a new block are one row while nobody has touched any of them, since everybody waits for the transaction
//! that writes it. Whoever matches some of a block takes its row away and leaves a row for each of the others. A later
//! change of an event always has a row of its own, so that the row of a block is older than any row of its events.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{BlockRef, ChainId};
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    block_news::BlockNews,
    bulk::Bulk,
    chain::hash32,
    error::TxError,
    event::{EventKey, StoredEvent, key_bulk, version},
    tx::{Tx, read, tx},
};

/// A block whose row is there still: more of its events are unmatched now.
pub(crate) const MORE_OF_BLOCK: &str = "ON CONFLICT (chain_id, block_number, block_hash) DO UPDATE SET
    log_indexes = unmatched_block.log_indexes || ',' || excluded.log_indexes,
    events = unmatched_block.events + excluded.events";

/// Rows of blocks that are taken away: chain, number, hash, since when, which events.
pub(crate) type BlockRow = (i64, i64, Vec<u8>, i64, String);

/// The rows of blocks that were seen for the first time; `None` where there are none.
pub(crate) fn block_bulk(news: &[BlockNews], now: Timestamp) -> Option<Bulk> {
    let first: Vec<_> = news.iter().filter(|news| news.is_first()).collect();
    if first.is_empty() {
        return None;
    }
    let bulk = places(first.iter().map(|news| news.place()))
        .numbers("since", first.iter().map(|_| now.as_millisecond()))
        .texts("log_indexes", first.iter().map(|news| news.list()))
        .numbers("events", first.iter().map(|news| i64::try_from(news.len()).unwrap_or(i64::MAX)));
    Some(bulk)
}

/// The blocks of events, each once.
pub(crate) fn blocks_of(keys: &[EventKey]) -> Bulk {
    let blocks: BTreeSet<_> = keys.iter().map(|key| (key.chain, key.block.number, key.block.hash)).collect();
    places(blocks.into_iter().map(|(chain, number, hash)| (chain, BlockRef::new(number, hash))))
}

fn places(places: impl Iterator<Item = (ChainId, BlockRef)>) -> Bulk {
    let places: Vec<_> = places.collect();
    Bulk::new()
        .numbers("chain_id", places.iter().map(|(chain, _)| chain.0.cast_signed()))
        .numbers("block_number", places.iter().map(|(_, block)| block.number.cast_signed()))
        .bytes("block_hash", places.iter().map(|(_, block)| block.hash))
}

/// The events of a block's row, each with its age.
fn events_of(row: &BlockRow) -> Result<Vec<(EventKey, i64)>, StoreError> {
    let (chain, number, hash, since, list) = row;
    let chain = ChainId(chain.cast_unsigned());
    let block = BlockRef::new(number.cast_unsigned(), hash32("unmatched_block", hash)?);
    list.split(',')
        .map(|log_index| match log_index.parse() {
            Ok(log_index) => Ok((EventKey { chain, block, log_index }, *since)),
            Err(error) => Err(StoreError::corrupt("unmatched_block", error)),
        })
        .collect()
}

/// What stays of blocks whose rows were taken away because `seen` of their events are matched.
pub(crate) fn rest(rows: &[BlockRow], seen: &[EventKey]) -> Result<Option<Bulk>, StoreError> {
    let seen: HashSet<_> = seen.iter().copied().collect();
    let mut left = Vec::new();
    for row in rows {
        left.extend(events_of(row)?.into_iter().filter(|(key, _)| !seen.contains(key)));
    }
    if left.is_empty() {
        return Ok(None);
    }
    left.sort_unstable_by_key(|(key, _)| (key.chain, key.block.number, key.block.hash, key.log_index));
    let keys: Vec<_> = left.iter().map(|(key, _)| *key).collect();
    let bulk = key_bulk(&keys)
        .numbers("version", left.iter().map(|_| version(1, true)))
        .numbers("since", left.iter().map(|(_, since)| *since));
    Ok(Some(bulk))
}

/// Takes events out of the backlog as they were seen; one that changed meanwhile stays.
pub(crate) async fn take_out(tx: &mut Tx<'_>, seen: &[StoredEvent]) -> Result<(), TxError> {
    let keys: Vec<_> = seen.iter().map(|seen| EventKey::of(&seen.event)).collect();
    let statement = "DELETE FROM unmatched_block WHERE (chain_id, block_number, block_hash) IN ({rows})
         RETURNING chain_id, block_number, block_hash, since, log_indexes";
    let rows: Vec<BlockRow> = tx.query_rows(statement, &blocks_of(&keys)).fetch_all().await?;
    if let Some(bulk) = rest(&rows, &keys)? {
        // A row that is there already is of a later change.
        let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO NOTHING";
        tx.insert("unmatched", &bulk, tail).execute().await?;
    }
    // After the blocks' rows: what another matching left of them is seen by this statement.
    let bulk = key_bulk(&keys).numbers("version", seen.iter().map(StoredEvent::version));
    let statement =
        "DELETE FROM unmatched WHERE (chain_id, block_number, log_index, block_hash, version) IN ({rows})";
    tx.query_rows(statement, &bulk).execute().await?;
    Ok(())
}

type Row = (i64, i64, i64, Vec<u8>, i64);

fn key_of((chain, number, log_index, hash, since): Row) -> Result<(EventKey, i64), StoreError> {
    let block = BlockRef::new(number.cast_unsigned(), hash32("unmatched", &hash)?);
    let key = EventKey { chain: ChainId(chain.cast_unsigned()), block, log_index: log_index.cast_unsigned() };
    Ok((key, since))
}

impl Store {
    /// Keys of events whose last change was not matched since before `before` (ms), oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unmatched(&self, before: Timestamp, limit: u32) -> Result<Vec<EventKey>, StoreError> {
        let (rows, blocks): (Vec<Row>, Vec<BlockRow>) = read!(self, "unmatched", |db| {
            let single = "SELECT chain_id, block_number, log_index, block_hash, since FROM unmatched
                 WHERE since < $1 ORDER BY since LIMIT $2";
            let whole = "SELECT chain_id, block_number, block_hash, since, log_indexes FROM unmatched_block
                 WHERE since < $1 ORDER BY since, block_number LIMIT $2";
            let (before, limit) = (before.as_millisecond(), i64::from(limit));
            let rows = db.query(single).bind(before).bind(limit).fetch_all().await?;
            let blocks = db.query(whole).bind(before).bind(limit).fetch_all().await?;
            Ok((rows, blocks))
        })?;
        let mut since: HashMap<EventKey, i64> = HashMap::new();
        for row in &blocks {
            since.extend(events_of(row)?);
        }
        for row in rows {
            let (key, age) = key_of(row)?;
            since.entry(key).and_modify(|since| *since = age.min(*since)).or_insert(age);
        }
        let mut keys: Vec<_> = since.into_iter().collect();
        keys.sort_unstable_by_key(|(key, since)| {
            (*since, key.chain, key.block.number, key.block.hash, key.log_index)
        });
        keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(keys.into_iter().map(|(key, _)| key).collect())
    }

    /// Those of these events whose last change is not matched yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn in_backlog(&self, keys: &[EventKey]) -> Result<HashSet<EventKey>, StoreError> {
        let (rows, blocks): (Vec<Row>, Vec<BlockRow>) = read!(self, "in_backlog", |db| {
            let bulk = key_bulk(keys);
            let statement = "SELECT chain_id, block_number, log_index, block_hash, since FROM unmatched
                 WHERE (chain_id, block_number, log_index, block_hash) IN ({rows})";
            let rows = db.query_rows(statement, &bulk).fetch_all().await?;
            let bulk = blocks_of(keys);
            let statement =
                "SELECT chain_id, block_number, block_hash, since, log_indexes FROM unmatched_block
                 WHERE (chain_id, block_number, block_hash) IN ({rows})";
            Ok((rows, db.query_rows(statement, &bulk).fetch_all().await?))
        })?;
        let wanted: HashSet<_> = keys.iter().copied().collect();
        let mut found = HashSet::new();
        for row in &blocks {
            found.extend(events_of(row)?.into_iter().map(|(key, _)| key).filter(|key| wanted.contains(key)));
        }
        for row in rows {
            found.insert(key_of(row)?.0);
        }
        Ok(found)
    }

    /// Forgets that these events, as they were seen, are unmatched: no watch wanted them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mark_matched(&self, seen: &[StoredEvent]) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        tx!(self, "mark_matched", |tx| {
            take_out(tx, seen).await?;
            Ok(())
        })
    }
}
