//! What a replay commits: events that were missing, and messages and work for matching where it is asked for them.

use domain::{
    ChainId, ChainName, Event, Message,
    message::{Lifecycle, event_message},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Child, Publish, Store, StoreError,
    child::insert_children,
    effects::check_blocks,
    error::TxError,
    event::{EventKey, key_bulk, version},
    outbox::outbox_bulk,
    rows::{chain_lane, event_bulk, unmatched_bulk},
    tx::{Tx, tx},
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
async fn move_progress(tx: &mut Tx<'_>, commit: &ReplayCommit<'_>, added: u64) -> Result<(), TxError> {
    let Some((id, next, read)) = commit.progress else { return Ok(()) };
    let statement = "UPDATE replay SET next_block = $2, read = read + $3, added = added + $4,
        updated_at = $5 WHERE id = $1 AND state = 0 AND next_block < $2";
    let moved = tx
        .query(statement)
        .bind(id)
        .bind(next.cast_signed())
        .bind(read.cast_signed())
        .bind(added.cast_signed())
        .bind(commit.now.as_millisecond())
        .execute()
        .await?;
    if moved != 1 {
        let detail = format!("replay {id} was ended, or is beyond block {next} already");
        return Err(StoreError::Fenced(detail).into());
    }
    Ok(())
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
        tx!(self, "commit_replay", |tx| {
            check_blocks(tx, commit.chain, commit.name, commit.events).await?;
            let added = if commit.events.is_empty() {
                0
            } else {
                let bulk = event_bulk(commit.chain, commit.events, &ids, Publish::No);
                let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO NOTHING";
                tx.insert("event", &bulk, tail).execute().await?
            };
            insert_children(tx, &children).await?;
            move_progress(tx, commit, added).await?;
            if !messages.is_empty() {
                let bulk = outbox_bulk(&chain_lane(commit.name), &messages, commit.now);
                tx.insert("outbox", &bulk, "ON CONFLICT (message_id) DO NOTHING").execute().await?;
            }
            if commit.notify && !commit.events.is_empty() {
                // What an operator asks to be told is news, whenever it was read.
                let bulk = key_bulk(&keys);
                let statement = "UPDATE event SET origin = 0 WHERE (chain_id, block_number, log_index, block_hash) IN ({rows})";
                tx.query_rows(statement, &bulk).execute().await?;
                // The sweep takes what is old at once, so that no message is needed.
                let rows: Vec<_> = keys.iter().map(|key| (*key, version(1, true))).collect();
                let bulk = unmatched_bulk(&rows, Timestamp::UNIX_EPOCH);
                let tail = "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO NOTHING";
                tx.insert("unmatched", &bulk, tail).execute().await?;
                let bulk = key_bulk(&keys);
                let statement = "UPDATE unmatched SET version = (SELECT 2 * e.turn + CASE WHEN e.canonical THEN 0 ELSE 1 END
                        FROM event e WHERE e.chain_id = unmatched.chain_id AND e.block_number = unmatched.block_number
                            AND e.log_index = unmatched.log_index AND e.block_hash = unmatched.block_hash)
                     WHERE (chain_id, block_number, log_index, block_hash) IN ({rows})";
                tx.query_rows(statement, &bulk).execute().await?;
            }
            Ok(added)
        })
    }
}
