//! The parts of ingest's transactions: moving a tip or cursors behind their fences, marking what left the chain,
//! inserting events, and telling the rooms after it. Macros, because a part runs in a transaction of either dialect.

use domain::{
    BlockRef, ChainName, Event,
    message::{Lifecycle, Message, event_message},
};

use crate::event::{EventKey, Held, version};

/// Moves the tip, if it is still the expected one and the lease still held. Yields the block up to which events were
/// told to be final: of a chain that begins, none.
macro_rules! move_tip {
    ($tx:ident, $D:ident, $commit:expr) => {{
        let share = if <$D as $crate::db::Dialect>::POSTGRES { "FOR SHARE" } else { "" };
        // The share lock makes a taker of the lease wait for the end of this transaction.
        let statement = format!(
            "UPDATE chain SET tip_number = $2, tip_hash = $3, updated_at = $4,
                finalized_told = CASE WHEN $5 IS NULL THEN coalesce(finalized_told, 0) ELSE finalized_told END
             WHERE chain_id = $1 AND tip_hash IS NOT DISTINCT FROM $5
                AND ($6 IS NULL OR EXISTS (SELECT 1 FROM lease WHERE name = $6 AND owner = $7 {share}))
             RETURNING finalized_told"
        );
        let told: Option<Option<i64>> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind($commit.chain.0.cast_signed())
            .bind($commit.tip.number.cast_signed())
            .bind($commit.tip.hash.to_vec())
            .bind($commit.now.as_millisecond())
            .bind($commit.expected_tip.map(|tip| tip.hash.to_vec()))
            .bind($commit.fence.map(|fence| fence.lease))
            .bind($commit.fence.map(|fence| fence.owner))
            .fetch_optional(&mut *$tx)
            .await?;
        let Some(told) = told else {
            $crate::lease::check_fence!($tx, $D, $commit.fence);
            let detail =
                format!("the tip of chain {} is not {:?} any more", $commit.name, $commit.expected_tip);
            return Err(StoreError::Fenced(detail).into());
        };
        told.map(i64::cast_unsigned)
    }};
}
pub(crate) use move_tip;

/// Marks blocks, events and children above a height as orphaned. The events must be those that were read as `$orphans`,
/// which are told.
macro_rules! orphan_above {
    ($tx:ident, $D:ident, $chain:expr, $number:expr, $orphans:expr) => {{
        let marks = [
            "block SET canonical = false WHERE number > $2 AND canonical",
            "event SET canonical = false WHERE block_number > $2 AND canonical",
            "child SET canonical = false WHERE block_number > $2 AND canonical",
            // What was read without a contract is read again, maybe with it.
            "contract SET absent_from = $2 + 1 WHERE absent_from > $2 + 1",
        ];
        for mark in marks {
            let marked = sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE {mark} AND chain_id = $1")))
                .bind($chain.0.cast_signed())
                .bind($number.cast_signed())
                .execute(&mut *$tx)
                .await?;
            if mark.starts_with("event") && marked.rows_affected() != $orphans as u64 {
                let detail = "events appeared above the common ancestor while it was sought";
                return Err(StoreError::Fenced(detail.to_owned()).into());
            }
        }
    }};
}
pub(crate) use orphan_above;

/// Checks that a piece of the past may be committed, and moves the cursors of its contracts, if they are still where it
/// begins.
macro_rules! move_cursors {
    ($tx:ident, $D:ident, $commit:expr) => {{
        let share = if <$D as $crate::db::Dialect>::POSTGRES { "FOR SHARE" } else { "" };
        if let Some(block) = $commit.block {
            // The share lock makes an orphaning wait until these events are visible to it.
            let statement = format!(
                "SELECT canonical FROM block WHERE chain_id = $1 AND number = $2 AND hash = $3 {share}"
            );
            let canonical: Option<bool> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
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
        if !$commit.contracts.is_empty() {
            let bulk = $crate::commit::cursor_bulk($commit);
            let statement = format!(
                "UPDATE contract SET next_block = k.next FROM ({}) k
                 WHERE contract.chain_id = k.chain_id AND contract.name = k.name AND contract.next_block = k.was",
                <$D as $crate::bulk::BulkDialect>::select(&bulk)
            );
            let moved = <$D as $crate::bulk::BulkDialect>::bind(bulk, sqlx::AssertSqlSafe(statement))
                .execute(&mut *$tx)
                .await?;
            if moved.rows_affected() != $commit.contracts.len() as u64 {
                let names: Vec<_> =
                    $commit.contracts.iter().map(|(name, before, _)| format!("{name} up to {before}")).collect();
                let detail = format!("the past is not read as it was any more: {}", names.join(", "));
                return Err(StoreError::Fenced(detail).into());
            }
        }
    }};
}
pub(crate) use move_cursors;

/// Refuses events of blocks that are known to have left the chain since they were read.
macro_rules! check_blocks {
    ($tx:ident, $D:ident, $chain:expr, $name:expr, $events:expr) => {{
        let blocks = $crate::effects::blocks_of($events);
        if !blocks.is_empty() {
            // The share lock makes an orphaning wait until these events are visible to it.
            let share = if <$D as $crate::db::Dialect>::POSTGRES { "FOR SHARE OF b" } else { "" };
            let bulk = $crate::rows::place_bulk($chain, &blocks);
            let statement = format!(
                "SELECT b.number, b.canonical FROM ({}) k JOIN block b ON b.chain_id = k.chain_id
                    AND b.number = k.number AND b.hash = k.hash ORDER BY b.number {share}",
                <$D as $crate::bulk::BulkDialect>::select(&bulk)
            );
            let rows = <$D as $crate::bulk::BulkDialect>::bind(bulk, sqlx::AssertSqlSafe(statement))
                .fetch_all(&mut *$tx)
                .await?;
            for row in &rows {
                let (number, canonical): (i64, bool) = sqlx::FromRow::from_row(row)?;
                if !canonical {
                    let detail =
                        format!("block {number} of chain {} left the chain since it was read", $name);
                    return Err(StoreError::Fenced(detail).into());
                }
            }
        }
    }};
}
pub(crate) use check_blocks;

/// The blocks of events, each once, in order.
pub(crate) fn blocks_of(events: &[Event]) -> Vec<BlockRef> {
    let mut blocks: Vec<_> = events.iter().map(|event| event.block).collect();
    blocks.sort_unstable_by_key(|block| (block.number, block.hash));
    blocks.dedup();
    blocks
}

/// The block up to which a chain's events were told to be final, kept from moving until the end of the transaction.
macro_rules! told_up_to {
    ($tx:ident, $D:ident, $chain:expr) => {{
        let share = if <$D as $crate::db::Dialect>::POSTGRES { "FOR SHARE" } else { "" };
        let statement = format!("SELECT finalized_told FROM chain WHERE chain_id = $1 {share}");
        let told: Option<Option<i64>> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind($chain.0.cast_signed())
            .fetch_optional(&mut *$tx)
            .await?;
        told.flatten().map(i64::cast_unsigned)
    }};
}
pub(crate) use told_up_to;

/// A block that comes back after a reorg of a reorg restores its events, under a new turn. What was told once stays told, so
/// that its end is told too.
pub(crate) const COMES_BACK: &str =
    "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO UPDATE SET canonical = true,
    turn = event.turn + 1, published = event.published OR excluded.published WHERE NOT event.canonical";

/// A change of an event that is not matched yet is matched with the one before it.
pub(crate) const KNOWN_AGAIN: &str = "ON CONFLICT (chain_id, block_number, log_index, block_hash)
    DO UPDATE SET since = excluded.since, version = excluded.version";

/// Inserts events, and says which of those that are told of are new or came back, each with its turn.
macro_rules! insert_events {
    ($tx:ident, $D:ident, $chain:expr, $events:expr, $ids:expr, $publish:expr) => {{
        let bulk = $crate::rows::event_bulk($chain, $events, $ids, $publish);
        let tail = $crate::effects::COMES_BACK;
        let mut turns = $crate::effects::Turns::new();
        let seen = if $publish == $crate::Publish::No {
            let statement = <$D as $crate::bulk::BulkDialect>::insert(&bulk, "event", tail);
            <$D as $crate::bulk::BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?.rows_affected()
        } else {
            let tail = format!("{tail} RETURNING block_hash, log_index, turn, published");
            let statement = <$D as $crate::bulk::BulkDialect>::insert(&bulk, "event", &tail);
            let rows = <$D as $crate::bulk::BulkDialect>::bind(bulk, statement).fetch_all(&mut *$tx).await?;
            $crate::effects::take_turns!(rows, turns);
            rows.len() as u64
        };
        (seen, turns)
    }};
}
pub(crate) use insert_events;

/// Reads the turns of events that are told from rows of block hash, log index, turn and whether it is published.
macro_rules! take_turns {
    ($rows:expr, $turns:ident) => {
        for row in &$rows {
            let (hash, log_index, turn, told): (Vec<u8>, i64, i32, bool) = sqlx::FromRow::from_row(row)?;
            if told {
                $turns.insert((hash, log_index.cast_unsigned()), turn.cast_unsigned());
            }
        }
    };
}
pub(crate) use take_turns;

/// Puts messages into the chain's lane, and what they tell into the ledger of unmatched events.
macro_rules! tell {
    ($tx:ident, $D:ident, $name:expr, $news:expr, $now:expr) => {{
        if !$news.messages.is_empty() {
            let bulk = $crate::outbox::outbox_bulk(&$crate::rows::chain_lane($name), &$news.messages, $now);
            let statement = <$D as $crate::bulk::BulkDialect>::insert(
                &bulk,
                "outbox",
                "ON CONFLICT (message_id) DO NOTHING",
            );
            <$D as $crate::bulk::BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?;
        }
        if !$news.unmatched.is_empty() {
            let bulk = $crate::rows::unmatched_bulk(&$news.unmatched, $now);
            let tail = $crate::effects::KNOWN_AGAIN;
            let statement = <$D as $crate::bulk::BulkDialect>::insert(&bulk, "unmatched", tail);
            <$D as $crate::bulk::BulkDialect>::bind(bulk, statement).execute(&mut *$tx).await?;
        }
    }};
}
pub(crate) use tell;

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

    /// Puts the events that came back into the ledger of unmatched ones, each for itself, and tells nobody.
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
