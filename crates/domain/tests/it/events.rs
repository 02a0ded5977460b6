//! Schemas and events for the tests, with only what matters spelt out.

use std::{str::FromStr, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, I256, U256};
use domain::{
    BlockRef, ChainId, Content, Event, EventId, EventParam, EventSchema, Field, Fields, LogicalId, Origin,
    ParamType, Value,
};

pub(crate) const MAINNET: ChainId = ChainId(1);

pub(crate) fn schema(name: &str, params: &[(&str, ParamType, bool)]) -> EventSchema {
    let params = params
        .iter()
        .map(|(name, ty, indexed)| EventParam { name: (*name).to_owned(), ty: ty.clone(), indexed: *indexed })
        .collect();
    EventSchema { name: name.to_owned(), params, anonymous: false }
}

pub(crate) fn transfer() -> EventSchema {
    schema(
        "Transfer",
        &[
            ("from", ParamType::Address, true),
            ("to", ParamType::Address, true),
            ("value", ParamType::Uint(256), false),
        ],
    )
}

/// One parameter of every kind.
pub(crate) fn kitchen_sink() -> EventSchema {
    let leg = ParamType::Tuple(vec![
        Field { name: "token".into(), ty: ParamType::Address },
        Field { name: "amount".into(), ty: ParamType::Uint(256) },
        Field { name: String::new(), ty: ParamType::Bool },
    ]);
    schema(
        "Everything",
        &[
            ("who", ParamType::Address, true),
            ("amount", ParamType::Uint(256), false),
            ("delta", ParamType::Int(256), false),
            ("small", ParamType::Uint(8), false),
            ("tick", ParamType::Int(24), false),
            ("open", ParamType::Bool, false),
            ("id", ParamType::FixedBytes(4), false),
            ("blob", ParamType::Bytes, false),
            ("note", ParamType::String, false),
            ("label", ParamType::String, true),
            ("order", leg.clone(), false),
            ("legs", ParamType::Array(Box::new(leg)), false),
            ("pair", ParamType::FixedArray(Box::new(ParamType::Uint(64)), 2), false),
            ("key", ParamType::Array(Box::new(ParamType::Uint(256))), true),
            ("", ParamType::Uint(32), false),
        ],
    )
}

pub(crate) fn leg(amount: u64) -> Value {
    Value::Tuple(Fields::named([
        ("token", Value::Address(address(7))),
        ("amount", uint(amount)),
        ("", Value::Bool(true)),
    ]))
}

/// A value of every parameter of [`kitchen_sink`].
pub(crate) fn sink_values() -> Vec<Value> {
    vec![
        Value::Address(address(1)),
        Value::Uint(U256::ONE << 200),
        Value::Int(I256::from_str("-5").unwrap()),
        uint(200),
        Value::Int(I256::from_str("-887272").unwrap()),
        Value::Bool(true),
        Value::Bytes(Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef])),
        Value::Bytes(Bytes::from_static(&[1, 2, 3])),
        Value::String("it's \"fine\"\n".into()),
        Value::Hash(alloy_primitives::keccak256("gold")),
        leg(10),
        Value::Array(vec![leg(20), leg(30)]),
        Value::Array(vec![uint(1), uint(2)]),
        Value::Hash(B256::repeat_byte(0xaa)),
        uint(42),
    ]
}

pub(crate) fn uint(value: u64) -> Value {
    Value::Uint(U256::from(value))
}

pub(crate) fn address(last: u8) -> Address {
    Address::with_last_byte(last)
}

/// An event of `schema` at `address`, in block 100.
pub(crate) fn event(schema: &Arc<EventSchema>, emitter: Address, values: Vec<Value>) -> Event {
    let params = Fields::named(schema.params.iter().map(|param| param.name.as_str()).zip(values));
    let block = BlockRef::new(100, B256::repeat_byte(1));
    let tx_hash = B256::repeat_byte(0x11);
    Event {
        id: EventId::derive(MAINNET, block.hash, 0),
        logical: LogicalId::derive(MAINNET, tx_hash, B256::ZERO, 0),
        chain: MAINNET,
        block,
        block_timestamp: 1_700_000_000,
        tx_hash,
        tx_index: 0,
        log_index: 0,
        address: emitter,
        contract: "c".parse().unwrap(),
        content: Content::Decoded { schema: Arc::clone(schema), params },
        origin: Origin::Live,
    }
}

pub(crate) fn transfer_event(from: u8, to: u8, value: u64) -> Event {
    let values = vec![Value::Address(address(from)), Value::Address(address(to)), uint(value)];
    event(&Arc::new(transfer()), address(0xcc), values)
}
