//! Transfers that never were.

use alloy_primitives::Address;
use domain::{ContractName, ParamType, Value};
use store::StoredEvent;

use super::{
    super::kind::Kind,
    ME, SOMEONE,
    events::{decoded, event, schema, uint},
};

// One transfer in each direction, then several: of one token, of a few, of more than are shown.
fn plan(variant: u8) -> (u8, u8) {
    match variant / 2 {
        0..=2 => (1, 1),
        3 => (5, 1),
        4 => (21, 3),
        _ => (40, 8),
    }
}

fn ends(variant: u8, index: u8) -> (Address, Address) {
    let ends = [(SOMEONE, ME), (ME, SOMEONE), (ME, ME), (Address::ZERO, ME), (ME, Address::ZERO)];
    if index % 7 == 6 {
        return (Address::with_last_byte(index), ME);
    }
    ends[usize::from(variant + index) % ends.len()]
}

/// Of ERC-20 or ERC-721.
pub(super) fn alike(contract: &ContractName, kind: Kind, variant: u8) -> Vec<StoredEvent> {
    let (count, tokens) = plan(variant);
    let params = [
        ("from", ParamType::Address, true),
        ("to", ParamType::Address, true),
        ("value", ParamType::Uint(256), kind == Kind::Erc721),
    ];
    let schema = schema("Transfer", params);
    let each = |index| {
        let (from, to) = ends(variant, index);
        let value = uint(u64::from(index) + 1_000_000_000_000_000_000);
        let content = decoded(&schema, [Value::Address(from), Value::Address(to), value]);
        event(contract, content, Address::with_last_byte(index % tokens), u64::from(index))
    };
    (0..count).map(each).collect()
}

/// Of ERC-1155, each second one a batch; one of the batches is empty.
pub(super) fn of_several(contract: &ContractName, variant: u8) -> Vec<StoredEvent> {
    let (count, tokens) = plan(variant);
    let numbers = || ParamType::Array(Box::new(ParamType::Uint(256)));
    let declared = |name, id, value| {
        let parties = ["operator", "from", "to"].map(|name| (name, ParamType::Address, true));
        let [operator, from, to] = parties;
        schema(name, [operator, from, to, ("id", id, false), ("value", value, false)])
    };
    let single = declared("TransferSingle", ParamType::Uint(256), ParamType::Uint(256));
    let batch = declared("TransferBatch", numbers(), numbers());
    let each = |index: u8| {
        let (from, to) = ends(variant, index);
        let (schema, ids, amounts) = if (variant / 2 + index).is_multiple_of(2) {
            (&single, uint(index), uint(u64::from(index) + 1))
        } else {
            let ids = 0..if variant == 3 { 0 } else { (index + variant) % 9 };
            (&batch, Value::Array(ids.clone().map(uint).collect()), Value::Array(ids.map(uint).collect()))
        };
        let content =
            decoded(schema, [Value::Address(ME), Value::Address(from), Value::Address(to), ids, amounts]);
        event(contract, content, Address::with_last_byte(index % tokens), u64::from(index))
    };
    (0..count).map(each).collect()
}
