//! Events of the kinds that are no plain transfers, as the standards and Uniswap's contracts declare them.

use std::sync::Arc;

use alloy_primitives::{Address, B256, I256, U256};
use domain::{EventSchema, ParamType, Value};
use store::StoredEvent;

use crate::texts_world::{ALICE, BELL, BOB, ME, event, param};

/// A declaration of an event: of each parameter the name, the type, and whether it is a topic.
pub(crate) fn declared<const N: usize>(name: &str, params: [(&str, ParamType, bool); N]) -> Arc<EventSchema> {
    let params = params.map(|(name, ty, indexed)| param(name, ty, indexed)).into();
    Arc::new(EventSchema { name: name.into(), params, anonymous: false })
}

pub(crate) fn uint(number: u64) -> Value {
    Value::Uint(U256::from(number))
}

fn party(name: &str) -> (&str, ParamType, bool) {
    (name, ParamType::Address, true)
}

fn amount(name: &str) -> (&str, ParamType, bool) {
    (name, ParamType::Uint(256), false)
}

/// `TransferSingle` of the collection at `BELL`.
pub(crate) fn single(index: u64, (from, to): (Address, Address), id: U256, value: U256) -> StoredEvent {
    let params = [party("operator"), party("from"), party("to"), amount("id"), amount("value")];
    let ends = [Value::Address(BOB), Value::Address(from), Value::Address(to)];
    let [operator, from, to] = ends;
    let values = [operator, from, to, Value::Uint(id), Value::Uint(value)];
    event(declared("TransferSingle", params), BELL, index, values)
}

/// `TransferBatch` of the collection at `collection`.
pub(crate) fn batch(
    index: u64,
    collection: Address,
    (from, to): (Address, Address),
    moved: &[(U256, U256)],
) -> StoredEvent {
    let list = |name| (name, ParamType::Array(Box::new(ParamType::Uint(256))), false);
    let params = [party("operator"), party("from"), party("to"), list("ids"), list("values")];
    let ids = moved.iter().map(|(id, _)| Value::Uint(*id)).collect();
    let values = moved.iter().map(|(_, value)| Value::Uint(*value)).collect();
    let ends = [Value::Address(BOB), Value::Address(from), Value::Address(to)];
    let [operator, from, to] = ends;
    let values = [operator, from, to, Value::Array(ids), Value::Array(values)];
    event(declared("TransferBatch", params), collection, index, values)
}

/// ERC-20 `Approval` of the token at `BELL`, by `ME`.
pub(crate) fn allowance(index: u64, spender: Address, value: U256) -> StoredEvent {
    let schema = declared("Approval", [party("owner"), party("spender"), amount("value")]);
    event(schema, BELL, index, [Value::Address(ME), Value::Address(spender), Value::Uint(value)])
}

/// ERC-721 `Approval` of a token of the collection at `BELL`, by `ME`.
pub(crate) fn approved(index: u64, approved: Address, id: u64) -> StoredEvent {
    let params = [party("owner"), party("approved"), ("tokenId", ParamType::Uint(256), true)];
    event(declared("Approval", params), BELL, index, [Value::Address(ME), Value::Address(approved), uint(id)])
}

/// `ApprovalForAll` of the collection at `BELL`, by `ME`.
pub(crate) fn for_all(index: u64, operator: Address, yes: bool) -> StoredEvent {
    let params = [party("owner"), party("operator"), ("approved", ParamType::Bool, false)];
    let values = [Value::Address(ME), Value::Address(operator), Value::Bool(yes)];
    event(declared("ApprovalForAll", params), BELL, index, values)
}

/// `Swap` of a Uniswap V2 pair: what went in and out of both tokens.
pub(crate) fn swap_v2(index: u64, pool: Address, [in0, in1, out0, out1]: [U256; 4]) -> StoredEvent {
    let [a, b, c, d] = ["amount0In", "amount1In", "amount0Out", "amount1Out"].map(amount);
    let amounts = [in0, in1, out0, out1].map(Value::Uint);
    let [in0, in1, out0, out1] = amounts;
    let values = [Value::Address(ALICE), in0, in1, out0, out1, Value::Address(BOB)];
    event(declared("Swap", [party("sender"), a, b, c, d, party("to")]), pool, index, values)
}

/// `Swap` of a Uniswap V3 pool: what the pool got, below zero what it gave.
pub(crate) fn swap_v3(index: u64, pool: Address, [delta0, delta1]: [I256; 2]) -> StoredEvent {
    let params = [
        party("sender"),
        party("recipient"),
        ("amount0", ParamType::Int(256), false),
        ("amount1", ParamType::Int(256), false),
        ("sqrtPriceX96", ParamType::Uint(160), false),
        ("liquidity", ParamType::Uint(128), false),
        ("tick", ParamType::Int(24), false),
    ];
    let (sender, to) = (Value::Address(ALICE), Value::Address(BOB));
    let state = [uint(1), uint(2), Value::Int(I256::MINUS_ONE)];
    let [price, liquidity, tick] = state;
    let values = [sender, to, Value::Int(delta0), Value::Int(delta1), price, liquidity, tick];
    event(declared("Swap", params), pool, index, values)
}

/// `Mint` or `Burn` of a Uniswap V2 pair.
pub(crate) fn liquidity_v2(index: u64, pool: Address, added: bool, amounts: [U256; 2]) -> StoredEvent {
    let [amount0, amount1] = amounts.map(Value::Uint);
    let sender = Value::Address(ALICE);
    if added {
        let params = [party("sender"), amount("amount0"), amount("amount1")];
        return event(declared("Mint", params), pool, index, [sender, amount0, amount1]);
    }
    let params = [party("sender"), amount("amount0"), amount("amount1"), party("to")];
    event(declared("Burn", params), pool, index, [sender, amount0, amount1, Value::Address(BOB)])
}

/// `Mint` or `Burn` of a Uniswap V3 pool, of `ME`'s position.
pub(crate) fn liquidity_v3(index: u64, pool: Address, added: bool, amounts: [U256; 2]) -> StoredEvent {
    let [amount0, amount1] = amounts.map(Value::Uint);
    let [lower, upper] = ["tickLower", "tickUpper"].map(|name| (name, ParamType::Int(24), true));
    let share = ("amount", ParamType::Uint(128), false);
    let at = || Value::Int(I256::ZERO);
    if added {
        let sender = ("sender", ParamType::Address, false);
        let params = [sender, party("owner"), lower, upper, share, amount("amount0"), amount("amount1")];
        let (sender, owner) = (Value::Address(BOB), Value::Address(ME));
        return event(
            declared("Mint", params),
            pool,
            index,
            [sender, owner, at(), at(), uint(9), amount0, amount1],
        );
    }
    let params = [party("owner"), lower, upper, share, amount("amount0"), amount("amount1")];
    event(declared("Burn", params), pool, index, [Value::Address(ME), at(), at(), uint(9), amount0, amount1])
}

/// The event in another transaction: the `number`th.
pub(crate) fn in_transaction(mut stored: StoredEvent, number: u64) -> StoredEvent {
    stored.event.tx_hash = B256::from(U256::from(0xabc0 + number));
    stored
}
