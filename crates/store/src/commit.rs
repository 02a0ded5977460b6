//! What ingest commits: blocks, events, orphan marks, outbox rows and checkpoint, together or not at all.

use std::collections::HashMap;

use alloy_primitives::B256;
use domain::{
    BlockRef, ChainId, ChainName, Content, ContractName, Event, Header,
    message::{Lifecycle, Message, event_message},
};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::{
    Store, StoreError,
    bulk::{Bulk, BulkDialect},
    db::tx,
    event::{EventKey, StoredEvent, origin_number, params_text, schema_of, version},
    outbox::outbox_bulk,
};

/// The effects of one decision about the live chain.
#[derive(Debug)]
pub struct ChainCommit<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// The tip that this commit extends: the fence. Another writer's tip refuses the commit.
    pub expected_tip: Option<BlockRef>,
    /// In a reorg, the common ancestor: everything above it is orphaned.
    pub ancestor: Option<BlockRef>,
    /// The headers of the new blocks, oldest first; of blocks read by range only the last.
    pub headers: &'a [Header],
    /// Their events, in order.
    pub events: &'a [Event],
    /// The new tip.
    pub tip: BlockRef,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// The effects of reading a piece of the past.
#[derive(Debug)]
pub struct BackfillCommit<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// The contracts that were read, and from where to where: `next_block` before and after.
    pub contracts: &'a [(ContractName, u64, u64)],
    /// The block that was read by hash; `None` for a range, which is final. A block that another writer orphaned
    /// refuses the commit.
    pub block: Option<BlockRef>,
    /// Their events, in order.
    pub events: &'a [Event],
    /// Whether anybody is told.
    pub publish: Publish,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// Whether events of the past become messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// They do: on the broker, and to matching.
    Yes,
    /// They are stored only.
    No,
}

/// What a commit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committed {
    /// Events that are new, or came back.
    pub seen: u64,
    /// Events whose block left the chain.
    pub orphaned: u64,
}

enum Cursor<'a> {
    Tip(&'a ChainCommit<'a>),
    Contracts(&'a BackfillCommit<'a>),
}

pub(crate) struct Ids {
    contracts: Vec<i64>,
    schemas: Vec<Option<i64>>,
}

/// Moves the tip, if it is still the expected one, and marks what a reorg orphans.
macro_rules! move_tip {
    ($tx:ident, $D:ident, $commit:expr, $orphans:expr) => {{
        let statement = "UPDATE chain SET tip_number = $2, tip_hash = $3, updated_at = $4
            WHERE chain_id = $1 AND tip_hash IS NOT DISTINCT FROM $5";
        let moved = sqlx::query(statement)
            .bind($commit.chain.0.cast_signed())
            .bind($commit.tip.number.cast_signed())
            .bind($commit.tip.hash.to_vec())
            .bind($commit.now.as_millisecond())
            .bind($commit.expected_tip.map(|tip| tip.hash.to_vec()))
            .execute(&mut *$tx)
            .await?;
        if moved.rows_affected() != 1 {
            let detail =
                format!("the tip of chain {} is not {:?} any more", $commit.name, $commit.expected_tip);
            return Err(StoreError::Fenced(detail).into());
        }
        if let Some(ancestor) = $commit.ancestor {
            for table in
                ["block SET canonical = false WHERE number", "event SET canonical = false WHERE block_number"]
            {
                let statement = format!("UPDATE {table} > $2 AND chain_id = $1 AND canonical");
                let marked = sqlx::query(AssertSqlSafe(statement))
                    .bind($commit.chain.0.cast_signed())
                    .bind(ancestor.number.cast_signed())
                    .execute(&mut *$tx)
                    .await?;
                if table.starts_with("event") && marked.rows_affected() != $orphans.len() as u64 {
                    let detail = "events appeared above the common ancestor while it was sought";
                    return Err(StoreError::Fenced(detail.to_owned()).into());
                }
            }
        }
        if !$commit.headers.is_empty() {
            let bulk = block_bulk($commit.chain, $commit.headers);
            let tail = "ON CONFLICT (chain_id, number, hash) DO UPDATE SET canonical = true";
            let statement = <$D as BulkDialect>::insert(&bulk, "block", tail);
            <$D as BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?;
        }
    }};
}

/// Moves the cursors of contracts, if they are still where the piece begins.
macro_rules! move_cursors {
    ($tx:ident, $D:ident, $commit:expr) => {{
        if let Some(block) = $commit.block {
            // The share lock makes an orphaning wait until these events are visible to it.
            let share = if <$D as crate::db::Dialect>::POSTGRES { "FOR SHARE" } else { "" };
            let statement = format!(
                "SELECT canonical FROM block WHERE chain_id = $1 AND number = $2 AND hash = $3 {share}"
            );
            let canonical: Option<bool> = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind($commit.chain.0.cast_signed())
                .bind(block.number.cast_signed())
                .bind(block.hash.to_vec())
                .fetch_optional(&mut *$tx)
                .await?;
            if canonical == Some(false) {
                let detail = format!("block {block} of chain {} is not canonical any more", $commit.name);
                return Err(StoreError::Fenced(detail).into());
            }
        }
        for (contract, before, after) in $commit.contracts {
            let statement = "UPDATE contract SET next_block = $3
                WHERE chain_id = $1 AND name = $2 AND next_block = $4";
            let moved = sqlx::query(statement)
                .bind($commit.chain.0.cast_signed())
                .bind(contract.as_str())
                .bind(after.cast_signed())
                .bind(before.cast_signed())
                .execute(&mut *$tx)
                .await?;
            if moved.rows_affected() != 1 {
                let detail = format!("{contract} is not read up to block {before} any more");
                return Err(StoreError::Fenced(detail).into());
            }
        }
    }};
}

/// Inserts events, and says which of them are new or came back, each with its turn, where anybody is told.
macro_rules! insert_events {
    ($tx:ident, $D:ident, $events:expr, $ids:expr, $publish:expr) => {{
        let bulk = event_bulk($events, $ids);
        // A block that comes back after a reorg of a reorg restores its events, under a new turn.
        let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash)
            DO UPDATE SET canonical = true, turn = event.turn + 1 WHERE NOT event.canonical";
        let mut turns = HashMap::new();
        let seen = if $publish == Publish::Yes {
            let tail = format!("{tail} RETURNING block_hash, log_index, turn");
            let statement = <$D as BulkDialect>::insert(&bulk, "event", &tail);
            let rows = <$D as BulkDialect>::bind(bulk, statement).fetch_all(&mut *$tx).await?;
            for row in &rows {
                let (hash, log_index, turn): (Vec<u8>, i64, i32) = sqlx::FromRow::from_row(row)?;
                turns.insert((hash, log_index.cast_unsigned()), turn.cast_unsigned());
            }
            rows.len() as u64
        } else {
            let statement = <$D as BulkDialect>::insert(&bulk, "event", tail);
            <$D as BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?.rows_affected()
        };
        (seen, turns)
    }};
}

/// Puts messages into the chain's lane, and what they tell into the ledger of unmatched events.
macro_rules! tell {
    ($tx:ident, $D:ident, $name:expr, $news:expr, $now:expr) => {{
        let bulk = outbox_bulk(&chain_lane($name), &$news.messages, $now);
        let statement = <$D as BulkDialect>::insert(&bulk, "outbox", "ON CONFLICT (message_id) DO NOTHING");
        <$D as BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?;
        let bulk = unmatched_bulk(&$news.unmatched, $now);
        let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash)
            DO UPDATE SET since = excluded.since, version = excluded.version";
        let statement = <$D as BulkDialect>::insert(&bulk, "unmatched", tail);
        <$D as BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?;
    }};
}

/// What a commit tells the rooms after it.
#[derive(Default)]
struct News {
    messages: Vec<Message>,
    unmatched: Vec<(EventKey, i64)>,
}

impl News {
    fn orphaned(&mut self, name: &ChainName, orphan: &StoredEvent) {
        self.messages.push(event_message(name, &orphan.event, Lifecycle::Orphaned, orphan.turn));
        self.unmatched.push((EventKey::of(&orphan.event), version(orphan.turn, false)));
    }

    fn seen(&mut self, name: &ChainName, event: &Event, turn: u32) {
        self.messages.push(event_message(name, event, Lifecycle::Seen, turn));
        self.unmatched.push((EventKey::of(event), version(turn, true)));
    }
}

impl Store {
    /// Commits a decision about the live chain.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the tip is not the expected one any more; nothing changed then.
    pub async fn commit_chain(&self, commit: &ChainCommit<'_>) -> Result<Committed, StoreError> {
        let orphans = match commit.ancestor {
            Some(ancestor) => self.events_above(commit.chain, ancestor.number).await?,
            None => Vec::new(),
        };
        self.commit(&Cursor::Tip(commit), commit.events, &orphans, Publish::Yes).await
    }

    /// Commits a piece of the past.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when a contract's cursor is not where the piece begins; nothing changed then.
    pub async fn commit_backfill(&self, commit: &BackfillCommit<'_>) -> Result<Committed, StoreError> {
        self.commit(&Cursor::Contracts(commit), commit.events, &[], commit.publish).await
    }

    async fn commit(
        &self,
        cursor: &Cursor<'_>,
        events: &[Event],
        orphans: &[StoredEvent],
        publish: Publish,
    ) -> Result<Committed, StoreError> {
        let ids = self.ids_of(events).await?;
        let (name, now) = match cursor {
            Cursor::Tip(commit) => (commit.name, commit.now),
            Cursor::Contracts(commit) => (commit.name, commit.now),
        };
        tx!(self, "commit", |tx, D| {
            match cursor {
                Cursor::Tip(commit) => move_tip!(tx, D, commit, orphans),
                Cursor::Contracts(commit) => move_cursors!(tx, D, commit),
            }
            let mut committed = Committed { orphaned: orphans.len() as u64, seen: 0 };
            let mut news = News::default();
            for orphan in orphans {
                news.orphaned(name, orphan);
            }
            if !events.is_empty() {
                let (seen, turns) = insert_events!(tx, D, events, &ids, publish);
                committed.seen = seen;
                for event in events {
                    if let Some(turn) = turns.get(&(event.block.hash.to_vec(), event.log_index)) {
                        news.seen(name, event, *turn);
                    }
                }
            }
            if !news.messages.is_empty() {
                tell!(tx, D, name, news, now);
            }
            Ok(committed)
        })
    }

    pub(crate) async fn ids_of(&self, events: &[Event]) -> Result<Ids, StoreError> {
        let mut ids =
            Ids { contracts: Vec::with_capacity(events.len()), schemas: Vec::with_capacity(events.len()) };
        for event in events {
            ids.contracts.push(i64::from(self.contract_id(event.chain, &event.contract).await?));
            ids.schemas.push(match schema_of(&event.content) {
                Some(schema) => Some(i64::from(self.schema_id(schema).await?)),
                None => None,
            });
        }
        Ok(ids)
    }
}

/// The outbox lane of a chain: its messages keep their order.
pub(crate) fn chain_lane(name: &ChainName) -> String {
    format!("chain:{name}")
}

fn block_bulk(chain: ChainId, headers: &[Header]) -> Bulk {
    Bulk::new()
        .numbers("chain_id", headers.iter().map(|_| chain.0.cast_signed()))
        .numbers("number", headers.iter().map(|header| header.block.number.cast_signed()))
        .bytes("hash", headers.iter().map(|header| header.block.hash))
        .bytes("parent_hash", headers.iter().map(|header| header.parent))
        .numbers("timestamp", headers.iter().map(|header| header.timestamp.cast_signed()))
}

pub(crate) fn unmatched_bulk(rows: &[(EventKey, i64)], now: Timestamp) -> Bulk {
    let keys: Vec<_> = rows.iter().map(|(key, _)| *key).collect();
    crate::event::key_bulk(&keys)
        .numbers("since", rows.iter().map(|_| now.as_millisecond()))
        .numbers("version", rows.iter().map(|(_, version)| *version))
}

pub(crate) fn event_bulk(events: &[Event], ids: &Ids) -> Bulk {
    let raw = |event: &Event| match &event.content {
        Content::Decoded { .. } => (None, None, None),
        Content::Undecoded { topics, data, reason } => {
            let topics: Vec<u8> = topics.iter().flat_map(|topic: &B256| topic.0).collect();
            (Some(topics), Some(data.to_vec()), Some(reason.replace('\0', "")))
        }
    };
    Bulk::new()
        .numbers("chain_id", events.iter().map(|event| event.chain.0.cast_signed()))
        .numbers("block_number", events.iter().map(|event| event.block.number.cast_signed()))
        .numbers("log_index", events.iter().map(|event| event.log_index.cast_signed()))
        .bytes("block_hash", events.iter().map(|event| event.block.hash))
        .uuids("event_id", events.iter().map(|event| event.id.0))
        .uuids("logical_id", events.iter().map(|event| event.logical.0))
        .numbers("block_timestamp", events.iter().map(|event| event.block_timestamp.cast_signed()))
        .bytes("tx_hash", events.iter().map(|event| event.tx_hash))
        .numbers("tx_index", events.iter().map(|event| event.tx_index.cast_signed()))
        .bytes("address", events.iter().map(|event| event.address))
        .numbers("contract_id", ids.contracts.iter().copied())
        .maybe_numbers("schema_id", ids.schemas.iter().copied())
        .json("params", events.iter().map(|event| params_text(&event.content)))
        .maybe_bytes("raw_topics", events.iter().map(|event| raw(event).0))
        .maybe_bytes("raw_data", events.iter().map(|event| raw(event).1))
        .maybe_texts("reason", events.iter().map(|event| raw(event).2))
        .numbers("origin", events.iter().map(|event| origin_number(event.origin)))
}
