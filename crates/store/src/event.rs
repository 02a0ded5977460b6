//! Events as rows: reading them back, typed and in ABI order.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes};
use domain::{
    BlockRef, ChainId, Content, ContractName, Event, EventId, Finality, LogicalId, Origin, confirmation,
};
use serde_json::Value as Json;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Store, StoreError, bulk::Bulk, chain::hash32, dialect::Dialect, tx::read};

/// Where an event is: its primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// Chain.
    pub chain: ChainId,
    /// Block.
    pub block: BlockRef,
    /// Position of the log in the block.
    pub log_index: u64,
}

impl EventKey {
    /// The key of an event.
    pub const fn of(event: &Event) -> Self {
        Self { chain: event.chain, block: event.block, log_index: event.log_index }
    }

    /// The event's physical identity.
    pub fn event_id(&self) -> EventId {
        EventId::derive(self.chain, self.block.hash, self.log_index)
    }
}

/// An event and what the store knows of its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event.
    pub event: Event,
    /// How sure it is.
    pub finality: Finality,
    /// How often it entered the canonical chain.
    pub turn: u32,
    /// Whether it was published: the past is stored only, unless somebody asks to be told of it.
    pub published: bool,
}

impl StoredEvent {
    /// Whether its block is in the canonical chain.
    pub fn is_canonical(&self) -> bool {
        self.finality != Finality::Orphaned
    }

    /// What matching has seen when it saw this: moves with every change of the event's place.
    pub(crate) fn version(&self) -> i64 {
        version(self.turn, self.is_canonical())
    }
}

/// An event that may leave the chain, and whether it was told that it was there.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) stored: StoredEvent,
    pub(crate) published: bool,
}

pub(crate) fn version(turn: u32, canonical: bool) -> i64 {
    i64::from(turn) * 2 + i64::from(!canonical)
}

/// Which events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Chain.
    pub chain: ChainId,
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// Only of this contract.
    pub contract: Option<ContractName>,
    /// Only after this place, for the next page: block number and log index.
    pub after: Option<(u64, u64)>,
    /// How many at most.
    pub limit: u32,
}

#[derive(Debug, FromRow)]
pub(crate) struct EventRow {
    chain_id: i64,
    block_number: i64,
    log_index: i64,
    block_hash: Vec<u8>,
    event_id: Uuid,
    logical_id: Uuid,
    block_timestamp: i64,
    tx_hash: Vec<u8>,
    tx_index: i64,
    address: Vec<u8>,
    contract_id: i32,
    schema_id: Option<i32>,
    params: Option<String>,
    raw_topics: Option<Vec<u8>>,
    raw_data: Option<Vec<u8>>,
    reason: Option<String>,
    origin: i16,
    canonical: bool,
    turn: i32,
    published: bool,
    safe_number: Option<i64>,
    finalized_number: Option<i64>,
    tip_number: Option<i64>,
}

/// The columns of an [`EventRow`], of `event e` joined with `chain c`.
pub(crate) const COLUMNS: &str = "e.chain_id, e.block_number, e.log_index, e.block_hash, e.event_id, e.logical_id, \
    e.block_timestamp, e.tx_hash, e.tx_index, e.address, e.contract_id, e.schema_id, \
    CAST(e.params AS text) AS params, e.raw_topics, e.raw_data, e.reason, e.origin, e.canonical, e.turn, e.published, \
    c.safe_number, c.finalized_number, c.tip_number";

impl Store {
    /// Canonical events, oldest first, one page.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let contract = match &query.contract {
            Some(name) => Some(self.contract_id(query.chain, name).await?),
            None => None,
        };
        let (after_block, after_log) =
            query.after.map_or((-1, -1), |(b, l)| (b.cast_signed(), l.cast_signed()));
        let rows: Vec<EventRow> = read!(self, "events", |db| {
            // One index range: the row comparison continues where the page before ended.
            let statement = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.chain_id = $1 AND e.block_number BETWEEN $2 AND $3
                   AND (e.block_number, e.log_index) > ($4, $5) AND e.canonical
                   AND e.contract_id = coalesce($6, e.contract_id)
                 ORDER BY e.block_number, e.log_index LIMIT $7"
            );
            Ok(db
                .query(&statement)
                .bind(query.chain.0.cast_signed())
                .bind(number(query.from))
                .bind(number(query.to))
                .bind(after_block)
                .bind(after_log)
                .bind(contract)
                .bind(i64::from(query.limit))
                .fetch_all()
                .await?)
        })?;
        self.stored(rows).await
    }

    /// The events under these keys, canonical or not; a key without an event is left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events_by_keys(&self, keys: &[EventKey]) -> Result<Vec<StoredEvent>, StoreError> {
        let held = self.held_by_keys(keys).await?;
        Ok(held.into_iter().map(|held| held.stored).collect())
    }

    pub(crate) async fn held_by_keys(&self, keys: &[EventKey]) -> Result<Vec<Held>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<EventRow> = read!(self, "events_by_keys", |db| {
            let bulk = key_bulk(keys);
            let statement = format!(
                "SELECT {COLUMNS} FROM ({{rows}}) k {}
                 JOIN chain c ON c.chain_id = e.chain_id
                 ORDER BY e.chain_id, e.block_number, e.log_index",
                event_of_key(db.dialect())
            );
            Ok(db.query_rows(&statement, &bulk).fetch_all().await?)
        })?;
        self.held(rows).await
    }

    /// All events of a transaction, orphaned ones included, in the order of blocks and logs.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events_of_transaction(&self, tx_hash: B256) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<EventRow> = read!(self, "events_of_transaction", |db| {
            let statement = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.tx_hash = $1 ORDER BY e.chain_id, e.block_number, e.log_index"
            );
            Ok(db.query(&statement).bind(tx_hash.to_vec()).fetch_all().await?)
        })?;
        self.stored(rows).await
    }

    /// The canonical events above a height, newest first: what a reorg to it orphans. With a hash also those at that
    /// height whose block is another.
    pub(crate) async fn events_above(
        &self,
        chain: ChainId,
        number: u64,
        hash: Option<B256>,
    ) -> Result<Vec<Held>, StoreError> {
        let rows: Vec<EventRow> = read!(self, "events_above", |db| {
            let statement = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.chain_id = $1 AND e.block_number >= $2 AND (e.block_number > $2 OR e.block_hash <> $3)
                    AND e.canonical
                 ORDER BY e.block_number DESC, e.log_index DESC"
            );
            Ok(db
                .query(&statement)
                .bind(chain.0.cast_signed())
                .bind(number.cast_signed())
                .bind(hash.map(|hash| hash.to_vec()))
                .fetch_all()
                .await?)
        })?;
        self.held(rows).await
    }

    async fn held(&self, rows: Vec<EventRow>) -> Result<Vec<Held>, StoreError> {
        let published: Vec<_> = rows.iter().map(|row| row.published).collect();
        let stored = self.stored(rows).await?.into_iter().zip(published);
        Ok(stored.map(|(stored, published)| Held { stored, published }).collect())
    }

    pub(crate) async fn stored(&self, rows: Vec<EventRow>) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            events.push(self.stored_event(row).await?);
        }
        Ok(events)
    }

    async fn stored_event(&self, row: EventRow) -> Result<StoredEvent, StoreError> {
        let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("event", error);
        let content = match (row.schema_id, row.params) {
            (Some(schema), Some(params)) => {
                let schema = self.schema(schema).await?;
                let json: Json = serde_json::from_str(&params).map_err(|error| bad(&error))?;
                let params = schema.params_from_json(&json).map_err(|error| bad(&error))?;
                Content::Decoded { schema, params }
            }
            _ => Content::Undecoded {
                topics: row.raw_topics.unwrap_or_default().chunks_exact(32).map(B256::from_slice).collect(),
                data: Bytes::from(row.raw_data.unwrap_or_default()),
                reason: row.reason.unwrap_or_default(),
            },
        };
        let number = row.block_number.cast_unsigned();
        let view = confirmation::ChainView {
            tip: row.tip_number.unwrap_or_default().cast_unsigned(),
            safe: row.safe_number.map(i64::cast_unsigned),
            finalized: row.finalized_number.map(i64::cast_unsigned),
        };
        let finality =
            if row.canonical { confirmation::finality_of(number, &view) } else { Finality::Orphaned };
        Ok(StoredEvent {
            event: Event {
                id: EventId(row.event_id),
                logical: LogicalId(row.logical_id),
                chain: ChainId(row.chain_id.cast_unsigned()),
                block: BlockRef::new(number, hash32("event", &row.block_hash)?),
                block_timestamp: row.block_timestamp.cast_unsigned(),
                tx_hash: hash32("event", &row.tx_hash)?,
                tx_index: row.tx_index.cast_unsigned(),
                log_index: row.log_index.cast_unsigned(),
                address: Address::try_from(row.address.as_slice()).map_err(|error| bad(&error))?,
                contract: self.contract_name(row.contract_id).await?,
                content,
                origin: if row.origin == ORIGIN_LIVE { Origin::Live } else { Origin::Backfill },
            },
            finality,
            turn: row.turn.cast_unsigned(),
            published: row.published,
        })
    }
}

pub(crate) const ORIGIN_LIVE: i16 = 0;

pub(crate) const fn origin_number(origin: Origin) -> i64 {
    match origin {
        Origin::Live => ORIGIN_LIVE as i64,
        Origin::Backfill => 1,
    }
}

// An open end is u64::MAX, which SQL's integers do not have.
pub(crate) fn number(block: u64) -> i64 {
    i64::try_from(block).unwrap_or(i64::MAX)
}

/// Joins `event e` to keys `k`, one by one and by the whole primary key. PostgreSQL, left the choice, takes a part of the key
/// as long as it knows little of the table, and reads all events of the chain for each key.
pub(crate) const fn event_of_key(dialect: Dialect) -> &'static str {
    if dialect.is_postgres() {
        "JOIN LATERAL (SELECT * FROM event WHERE chain_id = k.chain_id AND block_number = k.block_number
            AND log_index = k.log_index AND block_hash = k.block_hash OFFSET 0) e ON true"
    } else {
        "JOIN event e ON e.chain_id = k.chain_id AND e.block_number = k.block_number
            AND e.log_index = k.log_index AND e.block_hash = k.block_hash"
    }
}

pub(crate) fn key_bulk(keys: &[EventKey]) -> Bulk {
    Bulk::new()
        .numbers("chain_id", keys.iter().map(|key| key.chain.0.cast_signed()))
        .numbers("block_number", keys.iter().map(|key| key.block.number.cast_signed()))
        .numbers("log_index", keys.iter().map(|key| key.log_index.cast_signed()))
        .bytes("block_hash", keys.iter().map(|key| key.block.hash))
}

/// The parameters of a decoded event as the store keeps them.
pub(crate) fn params_text(content: &Content) -> Option<String> {
    match content {
        Content::Decoded { params, .. } => {
            let mut text = String::new();
            params.write_stored(&mut text);
            Some(text)
        }
        Content::Undecoded { .. } => None,
    }
}

/// The text of [`params_text`], of what is decoded.
pub(crate) fn write_params(content: &Content, out: &mut String) {
    if let Content::Decoded { params, .. } = content {
        params.write_stored(out);
    }
}

pub(crate) fn schema_of(content: &Content) -> Option<&Arc<domain::EventSchema>> {
    match content {
        Content::Decoded { schema, .. } => Some(schema),
        Content::Undecoded { .. } => None,
    }
}
