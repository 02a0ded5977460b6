//! What a replay commits: events that were missing, and messages and work for matching where it is asked for them.

use domain::{
    ChainId, ChainName, Event, Message,
    message::{Lifecycle, event_message},
};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    Child, Publish, Store, StoreError,
    bulk::BulkDialect,
    child::insert_children,
    db::tx,
    effects::check_blocks,
    event::{EventKey, key_bulk, version},
    outbox::outbox_bulk,
    rows::{chain_lane, event_bulk, unmatched_bulk},
};

/// One piece of a replay.
#[derive(Debug)]
pub struct ReplayCommit<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// The events as the node tells them now, in order.
    pub events: &'a [Event],
    /// The replay's id, under which the events are published again.
    pub publish: Option<&'a str>,
    /// Whether matching looks at the events again, as news.
    pub notify: bool,
    /// The children that those events tell of.
    pub children: &'a [Child],
    /// The replay's row, the next block that it reads, and how many events were read for this piece: moved with it.
    pub progress: Option<(Uuid, u64, u64)>,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// Moves a replay's row behind what was read, if it runs still and is not beyond it.
macro_rules! move_progress {
    ($tx:ident, $commit:expr, $added:expr) => {{
        if let Some((id, next, read)) = $commit.progress {
            let statement = "UPDATE replay SET next_block = $2, read = read + $3, added = added + $4,
                updated_at = $5 WHERE id = $1 AND state = 0 AND next_block < $2";
            let moved = sqlx::query(statement)
                .bind(id)
                .bind(next.cast_signed())
                .bind(read.cast_signed())
                .bind($added.cast_signed())
                .bind($commit.now.as_millisecond())
                .execute(&mut *$tx)
                .await?;
            if moved.rows_affected() != 1 {
                let detail = format!("replay {id} was ended, or is beyond block {next} already");
                return Err(StoreError::Fenced(detail).into());
            }
        }
    }};
}

impl Store {
    /// Adds the events that are missing, and leaves those that are held as they are. Returns how many were missing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the replay was ended, another process is further, or a block left the chain since it
    /// was read; nothing changed then.
    pub async fn commit_replay(&self, commit: &ReplayCommit<'_>) -> Result<u64, StoreError> {
        if commit.events.is_empty() && commit.progress.is_none() {
            return Ok(0);
        }
        let children = self.child_rows(commit.chain, commit.children).await?;
        let ids = self.ids_of(commit.events).await?;
        let keys: Vec<_> = commit.events.iter().map(EventKey::of).collect();
        let messages: Vec<Message> = match commit.publish {
            Some(replay) => commit
                .events
                .iter()
                .map(|event| event_message(commit.name, event, Lifecycle::Seen, 1).replayed(replay))
                .collect(),
            None => Vec::new(),
        };
        tx!(self, "commit_replay", |tx, D| {
            check_blocks!(tx, D, commit.chain, commit.name, commit.events);
            let added = if commit.events.is_empty() {
                0
            } else {
                let bulk = event_bulk(commit.chain, commit.events, &ids, Publish::No);
                let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO NOTHING";
                let statement = <D as BulkDialect>::insert(&bulk, "event", tail);
                <D as BulkDialect>::bind(bulk, statement).execute(&mut *tx).await?.rows_affected()
            };
            insert_children!(tx, D, &children);
            move_progress!(tx, commit, added);
            if !messages.is_empty() {
                let bulk = outbox_bulk(&chain_lane(commit.name), &messages, commit.now);
                let statement =
                    <D as BulkDialect>::insert(&bulk, "outbox", "ON CONFLICT (message_id) DO NOTHING");
                <D as BulkDialect>::bind(bulk, statement).execute(&mut *tx).await?;
            }
            if commit.notify && !commit.events.is_empty() {
                // What an operator asks to be told is news, whenever it was read.
                let bulk = key_bulk(&keys);
                let statement = format!(
                    "UPDATE event SET origin = 0 WHERE (chain_id, block_number, log_index, block_hash) IN ({})",
                    <D as BulkDialect>::select(&bulk)
                );
                <D as BulkDialect>::bind(bulk, AssertSqlSafe(statement)).execute(&mut *tx).await?;
                // The sweep takes what is old at once, so that no message is needed.
                let rows: Vec<_> = keys.iter().map(|key| (*key, version(1, true))).collect();
                let bulk = unmatched_bulk(&rows, Timestamp::UNIX_EPOCH);
                let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO NOTHING";
                let statement = <D as BulkDialect>::insert(&bulk, "unmatched", tail);
                <D as BulkDialect>::bind(bulk, statement).execute(&mut *tx).await?;
                let bulk = key_bulk(&keys);
                let statement = format!(
                    "UPDATE unmatched SET version = (SELECT 2 * e.turn + CASE WHEN e.canonical THEN 0 ELSE 1 END
                        FROM event e WHERE e.chain_id = unmatched.chain_id AND e.block_number = unmatched.block_number
                            AND e.log_index = unmatched.log_index AND e.block_hash = unmatched.block_hash)
                     WHERE (chain_id, block_number, log_index, block_hash) IN ({})",
                    <D as BulkDialect>::select(&bulk)
                );
                <D as BulkDialect>::bind(bulk, AssertSqlSafe(statement)).execute(&mut *tx).await?;
            }
            Ok(added)
        })
    }
}
