//! Blocks and events as rows in bulk, and the small integers that stand for their names. Must not know when they are
//! written.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::B256;
use domain::{BlockRef, ChainId, ChainName, Content, Event, Header};
use jiff::Timestamp;

use crate::{
    Publish, Store, StoreError,
    bulk::Bulk,
    event::{EventKey, key_bulk, origin_number, params_text, schema_of, write_params},
};

/// The rows that events refer to, in their order.
pub(crate) struct Ids {
    contracts: Vec<i64>,
    schemas: Vec<Option<i64>>,
}

/// Events as rows that are stored and of which nobody is told: less than the events, and all that is left to do with them
/// is to insert them.
#[derive(Debug)]
pub struct EventRows {
    pub(crate) bulk: Bulk,
    pub(crate) count: usize,
}

impl EventRows {
    /// How many events they are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether they are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Store {
    /// Makes rows of the events of one chain, for [`Store::commit_backfill_rows`].
    ///
    /// # Errors
    /// See [`StoreError`]: the numbers that stand for names and schemas are looked up once.
    pub async fn event_rows(&self, chain: ChainId, events: &[Event]) -> Result<EventRows, StoreError> {
        let ids = self.ids_of(events).await?;
        let bulk = event_bulk(chain, events, &ids, Publish::No);
        let bulk = bulk.with_same_once(&["contract_id", "schema_id", "origin", "address", "published"]);
        Ok(EventRows { bulk, count: events.len() })
    }

    pub(crate) async fn ids_of(&self, events: &[Event]) -> Result<Ids, StoreError> {
        let mut ids =
            Ids { contracts: Vec::with_capacity(events.len()), schemas: Vec::with_capacity(events.len()) };
        // The events of a piece share few names and schemas; a schema is known by its place here, as hashing it takes
        // longer than all the rest.
        let (mut contracts, mut schemas) = (HashMap::new(), HashMap::new());
        for event in events {
            let contract = match contracts.get(&event.contract) {
                Some(id) => *id,
                None => {
                    let id = i64::from(self.contract_id(event.chain, &event.contract).await?);
                    contracts.insert(&event.contract, id);
                    id
                }
            };
            ids.contracts.push(contract);
            ids.schemas.push(match schema_of(&event.content) {
                Some(schema) => Some(match schemas.get(&Arc::as_ptr(schema).addr()) {
                    Some(id) => *id,
                    None => {
                        let id = i64::from(self.schema_id(schema).await?);
                        schemas.insert(Arc::as_ptr(schema).addr(), id);
                        id
                    }
                }),
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

/// The chain of a lane; `None` for the lane of notifications.
pub(crate) fn chain_of(lane: &str) -> Option<ChainName> {
    lane.strip_prefix("chain:").and_then(|name| name.parse().ok())
}

pub(crate) fn block_bulk(chain: ChainId, headers: &[Header]) -> Bulk {
    Bulk::new()
        .numbers("number", headers.iter().map(|header| header.block.number.cast_signed()))
        .bytes("hash", headers.iter().map(|header| header.block.hash))
        .bytes("parent_hash", headers.iter().map(|header| header.parent))
        .numbers("timestamp", headers.iter().map(|header| header.timestamp.cast_signed()))
        .same_number("chain_id", chain.0.cast_signed())
}

pub(crate) fn place_bulk(chain: ChainId, blocks: &[BlockRef]) -> Bulk {
    Bulk::new()
        .numbers("number", blocks.iter().map(|block| block.number.cast_signed()))
        .bytes("hash", blocks.iter().map(|block| block.hash))
        .same_number("chain_id", chain.0.cast_signed())
}

pub(crate) fn unmatched_bulk(rows: &[(EventKey, i64)], now: Timestamp) -> Bulk {
    let keys: Vec<_> = rows.iter().map(|(key, _)| *key).collect();
    key_bulk(&keys)
        .numbers("version", rows.iter().map(|(_, version)| *version))
        .numbers("since", rows.iter().map(|_| now.as_millisecond()))
}

/// Events of one chain as rows. The columns that only undecoded ones have are left out where there are none.
pub(crate) fn event_bulk(chain: ChainId, events: &[Event], ids: &Ids, publish: Publish) -> Bulk {
    let bulk = Bulk::new()
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
        .numbers("origin", events.iter().map(|event| origin_number(event.origin)))
        .same_number("chain_id", chain.0.cast_signed())
        .bools("published", events.iter().map(|event| publish.tells(event)));
    if ids.schemas.iter().all(Option::is_some) {
        bulk.json("params", events, |event, out| write_params(&event.content, out))
    } else {
        with_raw(bulk.maybe_json("params", events.iter().map(|event| params_text(&event.content))), events)
    }
}

fn with_raw(bulk: Bulk, events: &[Event]) -> Bulk {
    let raw = |event: &Event| match &event.content {
        Content::Decoded { .. } => (None, None, None),
        Content::Undecoded { topics, data, reason } => {
            let topics: Vec<u8> = topics.iter().flat_map(|topic: &B256| topic.0).collect();
            (Some(topics), Some(data.to_vec()), Some(reason.replace('\0', "")))
        }
    };
    bulk.maybe_bytes("raw_topics", events.iter().map(|event| raw(event).0))
        .maybe_bytes("raw_data", events.iter().map(|event| raw(event).1))
        .maybe_texts("reason", events.iter().map(|event| raw(event).2))
}
