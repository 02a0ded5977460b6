//! How a sample's events are put together.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use domain::{
    BlockRef, ChainId, Content, ContractName, Event, EventId, EventParam, EventSchema, Fields, Finality,
    LogicalId, Origin, ParamType, Value,
};
use store::StoredEvent;

const CHAIN: ChainId = ChainId(1);

/// An event's declaration: names, types, and which are topics.
pub(super) fn schema<const N: usize>(name: &str, params: [(&str, ParamType, bool); N]) -> Arc<EventSchema> {
    let params = params.map(|(name, ty, indexed)| EventParam { name: name.to_owned(), ty, indexed });
    Arc::new(EventSchema { name: name.to_owned(), params: params.into(), anonymous: false })
}

/// The event with its values in order.
pub(super) fn decoded<const N: usize>(schema: &Arc<EventSchema>, values: [Value; N]) -> Content {
    let names = schema.params.iter().map(|param| param.name.as_str());
    Content::Decoded { schema: Arc::clone(schema), params: Fields::named(names.zip(values)) }
}

/// A number as a value.
pub(super) fn uint(number: impl Into<u64>) -> Value {
    Value::Uint(U256::from(number.into()))
}

/// An event in a block and a transaction of its own.
pub(super) fn event(contract: &ContractName, content: Content, address: Address, index: u64) -> StoredEvent {
    let block = BlockRef::new(18_600_000 + index, B256::ZERO);
    let tx_hash = B256::from(U256::from(index));
    let event = Event {
        id: EventId::derive(CHAIN, block.hash, index),
        logical: LogicalId::derive(CHAIN, tx_hash, B256::ZERO, index),
        chain: CHAIN,
        block,
        // Far enough apart that a large sample spans more than a day.
        block_timestamp: 1_700_000_000 + index * 3600,
        tx_hash,
        tx_index: 0,
        log_index: index,
        address,
        contract: contract.clone(),
        content,
        origin: Origin::Live,
    };
    StoredEvent { event, finality: Finality::Seen, turn: 1, published: true }
}
