//! What whole blocks tell, as one outbox row a block: at the head, a hundred messages are a hundred rows and their texts
//! otherwise, in the transaction that everybody waits for. Owns the way from such a row to its messages, which are made
//! of the events when they are published; must not know who commits when.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{
    BlockRef, ChainId, ChainName, Event,
    message::{Lifecycle, Message, event_message},
};
use jiff::Timestamp;

use crate::{
    ChainCommit, Store, StoreError,
    backlog::{self, MORE_OF_BLOCK},
    bulk::Bulk,
    chain::hash32,
    dialect::Dialect,
    effects::{News, Turns, insert_news},
    error::TxError,
    event::{COLUMNS, EventRow, StoredEvent},
    rows::chain_lane,
    tx::{Tx, read},
};

/// Events of one block that are told together: which, and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockNews {
    chain: ChainId,
    block: BlockRef,
    lifecycle: Lifecycle,
    turn: u32,
    log_indexes: Vec<u64>,
}

const SEEN: i16 = 0;
const FINALIZED: i16 = 1;

/// The columns of an outbox row that only a block's has.
pub(crate) type Columns =
    (Option<i64>, Option<i64>, Option<Vec<u8>>, Option<i16>, Option<i32>, Option<String>);

/// The query that makes one row of the events of each block and turn in `from`, which is a table of events or a query in
/// parentheses with a name: `told` is the turn, `list` their log indexes, `first` the lowest of them.
pub(crate) fn by_block(dialect: Dialect, from: &str, lifecycle: Lifecycle) -> String {
    let list = if dialect.is_postgres() {
        "string_agg(log_index::text, ',' ORDER BY log_index)"
    } else {
        "group_concat(log_index, ',' ORDER BY log_index)"
    };
    // An event becomes final once, whatever its turn.
    let turn = if lifecycle == Lifecycle::Finalized { "1" } else { "turn" };
    format!(
        "SELECT chain_id, block_number, block_hash, told, {list} AS list, min(log_index) AS first, count(*) AS events
         FROM (SELECT {turn} AS told, chain_id, block_number, block_hash, log_index FROM {from}) t
         GROUP BY chain_id, block_number, block_hash, told"
    )
}

/// The statement that makes a row of the outbox of each row of `news`, which is what [`by_block`] gives, in parentheses
/// with a name or by name. `lane` and `now` are parameters.
pub(crate) fn insert_blocks(
    dialect: Dialect,
    news: &str,
    lifecycle: Lifecycle,
    lane: &str,
    now: &str,
) -> String {
    let hash = if dialect.is_postgres() { "encode(block_hash, 'hex')" } else { "lower(hex(block_hash))" };
    let stage = if lifecycle == Lifecycle::Finalized { FINALIZED } else { SEEN };
    let word = lifecycle.as_str();
    format!(
        "INSERT INTO outbox (lane, message_id, subject, payload, created_at, chain_id, block_number, block_hash,
            lifecycle, turn, log_indexes, messages)
         SELECT {lane}, chain_id || ':' || {hash} || ':{word}:' || told || ':' || first || ':' || events, '', '', {now},
            chain_id, block_number, block_hash, {stage}, told, list, events
         FROM {news} WHERE true ORDER BY block_number, block_hash, told
         ON CONFLICT (message_id) DO NOTHING"
    )
}

/// Queues what is to be published of the events that have a turn, block by block, and puts them into the backlog of
/// matching.
pub(crate) async fn insert_block_news(
    tx: &mut Tx<'_>,
    commit: &ChainCommit<'_>,
    turns: &Turns,
) -> Result<(), TxError> {
    let news = BlockNews::seen(commit.events, turns);
    if !news.is_empty() {
        let bulk = news_bulk(&chain_lane(commit.name), &news, commit.now);
        tx.insert("outbox", &bulk, "ON CONFLICT (message_id) DO NOTHING").execute().await?;
    }
    if let Some(bulk) = backlog::block_bulk(&news, commit.now) {
        tx.insert("unmatched_block", &bulk, MORE_OF_BLOCK).execute().await?;
    }
    let mut changed = News::default();
    changed.back(commit.events, turns);
    insert_news(tx, commit.name, &changed, commit.now).await
}

impl BlockNews {
    /// Reads the columns; `None` for a row that is a message.
    pub(crate) fn from_row(columns: Columns) -> Result<Option<Self>, StoreError> {
        let (Some(chain), Some(number), Some(hash), Some(lifecycle), Some(turn), Some(list)) = columns else {
            return Ok(None);
        };
        let log_indexes = list.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
        let log_indexes = log_indexes.map_err(|error| StoreError::corrupt("outbox", error))?;
        Ok(Some(Self {
            chain: ChainId(chain.cast_unsigned()),
            block: BlockRef::new(number.cast_unsigned(), hash32("outbox", &hash)?),
            lifecycle: if lifecycle == FINALIZED { Lifecycle::Finalized } else { Lifecycle::Seen },
            turn: turn.cast_unsigned(),
            log_indexes,
        }))
    }

    /// The news of events that were seen, in chain order, by block and turn; those without a turn are none.
    pub(crate) fn seen(events: &[Event], turns: &Turns) -> Vec<Self> {
        let mut news: BTreeMap<_, Self> = BTreeMap::new();
        for event in events {
            let Some(turn) = turns.get(&(event.block.hash.to_vec(), event.log_index)) else { continue };
            let key = (event.block.number, event.block.hash, *turn);
            let of_block = news.entry(key).or_insert_with(|| Self {
                chain: event.chain,
                block: event.block,
                lifecycle: Lifecycle::Seen,
                turn: *turn,
                log_indexes: Vec::new(),
            });
            of_block.log_indexes.push(event.log_index);
        }
        news.into_values().collect()
    }

    fn message_id(&self) -> String {
        let (hash, stage) = (alloy_primitives::hex::encode(self.block.hash), self.lifecycle.as_str());
        let first = self.log_indexes.iter().min().copied().unwrap_or_default();
        // Two chains can share blocks: those from before their ways parted.
        format!("{}:{hash}:{stage}:{}:{first}:{}", self.chain, self.turn, self.log_indexes.len())
    }

    /// Whether the events were never seen before.
    pub(crate) const fn is_first(&self) -> bool {
        self.turn == 1
    }

    pub(crate) const fn place(&self) -> (ChainId, BlockRef) {
        (self.chain, self.block)
    }

    pub(crate) const fn len(&self) -> usize {
        self.log_indexes.len()
    }

    /// The log indexes, as the store keeps them.
    pub(crate) fn list(&self) -> String {
        let numbers: Vec<_> = self.log_indexes.iter().map(u64::to_string).collect();
        numbers.join(",")
    }

    fn messages(&self, name: &ChainName, events: &[&StoredEvent]) -> Vec<Message> {
        let wanted: HashSet<_> = self.log_indexes.iter().collect();
        let told = events.iter().filter(|stored| wanted.contains(&stored.event.log_index));
        told.map(|stored| event_message(name, &stored.event, self.lifecycle, self.turn)).collect()
    }
}

/// Rows of the outbox, all of them seen.
pub(crate) fn news_bulk(lane: &str, news: &[BlockNews], now: Timestamp) -> Bulk {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Bulk::new()
        .texts("lane", news.iter().map(|_| lane))
        .texts("message_id", news.iter().map(BlockNews::message_id))
        .texts("subject", news.iter().map(|_| ""))
        .texts("payload", news.iter().map(|_| ""))
        .numbers("created_at", news.iter().map(|_| now.as_millisecond()))
        .numbers("chain_id", news.iter().map(|news| news.chain.0.cast_signed()))
        .numbers("block_number", news.iter().map(|news| news.block.number.cast_signed()))
        .bytes("block_hash", news.iter().map(|news| news.block.hash))
        .numbers("lifecycle", news.iter().map(|_| i64::from(SEEN)))
        .numbers("turn", news.iter().map(|news| i64::from(news.turn)))
        .texts("log_indexes", news.iter().map(BlockNews::list))
        .numbers("messages", news.iter().map(|news| number(news.log_indexes.len())))
}

impl Store {
    /// The messages of each of these news.
    pub(crate) async fn messages_of(
        &self,
        name: &ChainName,
        news: &[&BlockNews],
    ) -> Result<Vec<Vec<Message>>, StoreError> {
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let blocks: HashSet<_> = news.iter().map(|news| (news.chain, news.block)).collect();
        let rows: Vec<EventRow> = read!(self, "events_of_blocks", |db| {
            let bulk = Bulk::new()
                .numbers("chain_id", blocks.iter().map(|(chain, _)| chain.0.cast_signed()))
                .numbers("number", blocks.iter().map(|(_, block)| block.number.cast_signed()))
                .bytes("hash", blocks.iter().map(|(_, block)| block.hash));
            // Left the choice, PostgreSQL can read all events of the chain for each block.
            let join = if db.dialect().is_postgres() {
                "JOIN LATERAL (SELECT * FROM event WHERE chain_id = k.chain_id AND block_number = k.number
                    AND block_hash = k.hash OFFSET 0) e ON true"
            } else {
                "JOIN event e ON e.chain_id = k.chain_id AND e.block_number = k.number AND e.block_hash = k.hash"
            };
            let statement = format!(
                "SELECT {COLUMNS} FROM ({{rows}}) k {join} JOIN chain c ON c.chain_id = e.chain_id
                 ORDER BY e.block_number, e.log_index"
            );
            Ok(db.query_rows(&statement, &bulk).fetch_all().await?)
        })?;
        let events = self.stored(rows).await?;
        let mut by_block: HashMap<_, Vec<&StoredEvent>> = HashMap::new();
        for stored in &events {
            by_block.entry((stored.event.chain, stored.event.block)).or_default().push(stored);
        }
        let none = Vec::new();
        let of =
            |news: &&BlockNews| news.messages(name, by_block.get(&(news.chain, news.block)).unwrap_or(&none));
        Ok(news.iter().map(of).collect())
    }
}
