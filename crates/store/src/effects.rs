//! The parts of ingest's transactions: moving a tip or cursors behind their fences, marking what left the chain,
//! inserting events, and queueing what the rooms after it are to know.

use domain::{
    BlockRef, ChainId, ChainName, Event,
    message::{Lifecycle, Message, event_message},
};
use jiff::Timestamp;

use crate::{
    BackfillCommit, ChainCommit, Publish, StoreError,
    commit::cursor_bulk,
    error::TxError,
    event::{EventKey, Held, version},
    lease::check_fence,
    outbox::outbox_bulk,
    rows::{Ids, chain_lane, event_bulk, place_bulk, unmatched_bulk},
    tx::Tx,
};

/// Moves the tip, if it is still the expected one and the lease still held. Returns the block up to which events are
/// published as final; of a chain that begins there is none.
pub(crate) async fn move_tip(tx: &mut Tx<'_>, commit: &ChainCommit<'_>) -> Result<Option<u64>, TxError> {
    // The share lock makes a taker of the lease wait for the end of this transaction.
    let statement = "UPDATE chain SET tip_number = $2, tip_hash = $3, updated_at = $4,
            finalized_told = CASE WHEN $5 IS NULL THEN coalesce(finalized_told, 0) ELSE finalized_told END
         WHERE chain_id = $1 AND tip_hash IS NOT DISTINCT FROM $5
            AND ($6 IS NULL OR EXISTS (SELECT 1 FROM lease WHERE name = $6 AND owner = $7 {share}))
         RETURNING finalized_told";
    let moved: Option<Option<i64>> = tx
        .query(statement)
        .bind(commit.chain.0.cast_signed())
        .bind(commit.tip.number.cast_signed())
        .bind(commit.tip.hash.to_vec())
        .bind(commit.now.as_millisecond())
        .bind(commit.expected_tip.map(|tip| tip.hash.to_vec()))
        .bind(commit.fence.map(|fence| fence.lease))
        .bind(commit.fence.map(|fence| fence.owner))
        .optional_scalar()
        .await?;
    let Some(finalized) = moved else {
        check_fence(tx, commit.fence).await?;
        let detail = format!("the tip of chain {} is not {:?} any more", commit.name, commit.expected_tip);
        return Err(StoreError::Fenced(detail).into());
    };
    Ok(finalized.map(i64::cast_unsigned))
}

/// Marks blocks, events and children above a height as orphaned. The events must be those that were read before: there are
/// `orphans` of them.
pub(crate) async fn orphan_above(
    tx: &mut Tx<'_>,
    chain: ChainId,
    number: u64,
    orphans: usize,
) -> Result<(), TxError> {
    let events = "event SET canonical = false WHERE block_number > $2 AND canonical";
    let marks = [
        "block SET canonical = false WHERE number > $2 AND canonical",
        events,
        "child SET canonical = false WHERE block_number > $2 AND canonical",
        // What was read without a contract is read again, maybe with it.
        "contract SET absent_from = $2 + 1 WHERE absent_from > $2 + 1",
    ];
    for mark in marks {
        let marked = tx
            .query(&format!("UPDATE {mark} AND chain_id = $1"))
            .bind(chain.0.cast_signed())
            .bind(number.cast_signed())
            .execute()
            .await?;
        if mark == events && marked != orphans as u64 {
            let detail = "events appeared above the common ancestor while it was sought";
            return Err(StoreError::Fenced(detail.to_owned()).into());
        }
    }
    Ok(())
}

/// Checks that a piece of the past may be committed, and moves the cursors of its contracts, if they are still where it
/// begins.
pub(crate) async fn move_cursors(tx: &mut Tx<'_>, commit: &BackfillCommit<'_>) -> Result<(), TxError> {
    if let Some(block) = commit.block {
        // The share lock makes an orphaning wait until these events are visible to it.
        let statement =
            "SELECT canonical FROM block WHERE chain_id = $1 AND number = $2 AND hash = $3 {share}";
        let canonical: Option<bool> = tx
            .query(statement)
            .bind(commit.chain.0.cast_signed())
            .bind(block.number.cast_signed())
            .bind(block.hash.to_vec())
            .optional_scalar()
            .await?;
        if canonical == Some(false) {
            let detail = format!("block {block} of chain {} is not canonical any more", commit.name);
            return Err(StoreError::Fenced(detail).into());
        }
    }
    if commit.contracts.is_empty() {
        return Ok(());
    }
    let statement = "UPDATE contract SET next_block = k.next FROM ({rows}) k
         WHERE contract.chain_id = k.chain_id AND contract.name = k.name AND contract.next_block = k.was";
    let moved = tx.query_rows(statement, &cursor_bulk(commit)).execute().await?;
    if moved != commit.contracts.len() as u64 {
        let contracts = commit.contracts.iter();
        let names: Vec<_> = contracts.map(|(name, before, _)| format!("{name} up to {before}")).collect();
        let detail = format!("the past is not read as it was any more: {}", names.join(", "));
        return Err(StoreError::Fenced(detail).into());
    }
    Ok(())
}

/// Refuses events of blocks that are known to have left the chain since they were read.
pub(crate) async fn check_blocks(
    tx: &mut Tx<'_>,
    chain: ChainId,
    name: &ChainName,
    events: &[Event],
) -> Result<(), TxError> {
    let blocks = blocks_of(events);
    if blocks.is_empty() {
        return Ok(());
    }
    // The share lock makes an orphaning wait until these events are visible to it.
    let statement = "SELECT b.number, b.canonical FROM ({rows}) k JOIN block b ON b.chain_id = k.chain_id
            AND b.number = k.number AND b.hash = k.hash ORDER BY b.number {share of b}";
    let rows: Vec<(i64, bool)> = tx.query_rows(statement, &place_bulk(chain, &blocks)).fetch_all().await?;
    match rows.iter().find(|(_, canonical)| !canonical) {
        Some((number, _)) => {
            let detail = format!("block {number} of chain {name} left the chain since it was read");
            Err(StoreError::Fenced(detail).into())
        }
        None => Ok(()),
    }
}

/// The blocks of events, each once, in order.
pub(crate) fn blocks_of(events: &[Event]) -> Vec<BlockRef> {
    let mut blocks: Vec<_> = events.iter().map(|event| event.block).collect();
    blocks.sort_unstable_by_key(|block| (block.number, block.hash));
    blocks.dedup();
    blocks
}

/// The block up to which a chain's events are published as final, kept from moving until the end of the transaction.
pub(crate) async fn finalized_up_to(tx: &mut Tx<'_>, chain: ChainId) -> Result<Option<u64>, TxError> {
    let statement = "SELECT finalized_told FROM chain WHERE chain_id = $1 {share}";
    let finalized: Option<Option<i64>> =
        tx.query(statement).bind(chain.0.cast_signed()).optional_scalar().await?;
    Ok(finalized.flatten().map(i64::cast_unsigned))
}

/// A block that comes back after a reorg of a reorg restores its events, under a new turn. What was told once stays told, so
/// that its end is told too.
pub(crate) const COMES_BACK: &str =
    "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO UPDATE SET canonical = true,
    turn = event.turn + 1, published = event.published OR excluded.published WHERE NOT event.canonical";

/// A change of an event that is not matched yet is matched with the one before it.
pub(crate) const KNOWN_AGAIN: &str = "ON CONFLICT (chain_id, block_number, log_index, block_hash)
    DO UPDATE SET since = excluded.since, version = excluded.version";

/// Inserts events. Returns how many of them are new or came back, and the turns of those that are published.
pub(crate) async fn insert_events(
    tx: &mut Tx<'_>,
    chain: ChainId,
    events: &[Event],
    ids: &Ids,
    publish: Publish,
) -> Result<(u64, Turns), TxError> {
    let bulk = event_bulk(chain, events, ids, publish);
    if publish == Publish::No {
        return Ok((tx.insert("event", &bulk, COMES_BACK).execute().await?, Turns::new()));
    }
    let tail = format!("{COMES_BACK} RETURNING block_hash, log_index, turn, published");
    let rows: Vec<TurnRow> = tx.insert("event", &bulk, &tail).fetch_all().await?;
    Ok((rows.len() as u64, turns_of(rows)))
}

/// Block hash, log index, turn, and whether the event is published.
pub(crate) type TurnRow = (Vec<u8>, i64, i32, bool);

/// The turns of the events that are published.
pub(crate) fn turns_of(rows: Vec<TurnRow>) -> Turns {
    let published = rows.into_iter().filter(|(_, _, _, published)| *published);
    published
        .map(|(hash, log_index, turn, _)| ((hash, log_index.cast_unsigned()), turn.cast_unsigned()))
        .collect()
}

/// Puts messages into the chain's lane of the outbox, and the changes that they are about into the backlog of matching.
pub(crate) async fn insert_news(
    tx: &mut Tx<'_>,
    name: &ChainName,
    news: &News,
    now: Timestamp,
) -> Result<(), TxError> {
    if !news.messages.is_empty() {
        let bulk = outbox_bulk(&chain_lane(name), &news.messages, now);
        tx.insert("outbox", &bulk, "ON CONFLICT (message_id) DO NOTHING").execute().await?;
    }
    if !news.unmatched.is_empty() {
        tx.insert("unmatched", &unmatched_bulk(&news.unmatched, now), KNOWN_AGAIN).execute().await?;
    }
    Ok(())
}

/// The turns of events that are new or came back, by block hash and log index.
pub(crate) type Turns = std::collections::HashMap<(Vec<u8>, u64), u32>;

/// What a commit tells the rooms after it.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) messages: Vec<Message>,
    pub(crate) unmatched: Vec<(EventKey, i64)>,
}

impl News {
    /// The end of an event is told where its beginning was; matching looks at it in either case, since a replay can have
    /// made hits of it.
    pub(crate) fn orphaned(&mut self, name: &ChainName, orphan: &Held) {
        let Held { stored: orphan, published } = orphan;
        if *published {
            self.messages.push(event_message(name, &orphan.event, Lifecycle::Orphaned, orphan.turn));
        }
        self.unmatched.push((EventKey::of(&orphan.event), version(orphan.turn, false)));
    }

    /// Puts the events that came back into the backlog, each for itself, and tells nobody.
    pub(crate) fn back(&mut self, events: &[Event], turns: &Turns) {
        for event in events {
            match turns.get(&(event.block.hash.to_vec(), event.log_index)) {
                Some(turn) if *turn > 1 => self.unmatched.push((EventKey::of(event), version(*turn, true))),
                _ => {}
            }
        }
    }

    /// Tells of the events that have a turn, and of those up to `told` that they are final: nobody comes back to them.
    pub(crate) fn seen(&mut self, name: &ChainName, events: &[Event], turns: &Turns, told: Option<u64>) {
        let turn_of = |event: &Event| turns.get(&(event.block.hash.to_vec(), event.log_index)).copied();
        let seen: Vec<_> =
            events.iter().filter_map(|event| turn_of(event).map(|turn| (event, turn))).collect();
        for (event, turn) in &seen {
            self.messages.push(event_message(name, event, Lifecycle::Seen, *turn));
            self.unmatched.push((EventKey::of(event), version(*turn, true)));
        }
        for (event, _) in seen {
            if told.is_some_and(|told| event.block.number <= told) {
                self.finalized(name, event);
            }
        }
    }

    /// An event becomes final once, whatever its turn. Matching has nothing to do with it.
    pub(crate) fn finalized(&mut self, name: &ChainName, event: &Event) {
        self.messages.push(event_message(name, event, Lifecycle::Finalized, 1));
    }
}
