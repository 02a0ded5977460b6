//! Swaps and changes of liquidity that never were.

use alloy_primitives::{Address, B256, I256};
use domain::{Content, ContractName, ParamType, Value};
use store::StoredEvent;

use super::{
    ME, SOMEONE,
    events::{decoded, event, schema, uint},
};

/// One swap of each shape, then trades of several: in one pool, in a few, in more than are shown.
pub(super) fn swaps(contract: &ContractName, variant: u8) -> Vec<StoredEvent> {
    let (count, trades, pools) = match variant {
        0..=3 => (1, 1, 1),
        4 => (3, 1, 1),
        5 => (3, 1, 2),
        6 => (14, 1, 7),
        7 => (5, 5, 1),
        8 | 9 => (21, 4, 3),
        _ => (40, 20, 8),
    };
    let each = |index: u8| {
        let content =
            if (variant + index).is_multiple_of(2) { swap_v2(index) } else { swap_v3(variant, index) };
        let mut stored = event(contract, content, Address::with_last_byte(index % pools), u64::from(index));
        stored.event.tx_hash = B256::with_last_byte(index % trades);
        stored
    };
    (0..count).map(each).collect()
}

/// One change of each shape, then several: in one pool, in a few, in more than are shown.
pub(super) fn changes(contract: &ContractName, variant: u8) -> Vec<StoredEvent> {
    let (count, pools) = match variant {
        0..=3 => (1, 1),
        4..=6 => (variant, 1),
        7..=9 => (21, 3),
        _ => (40, 8),
    };
    let each = |index: u8| {
        let content = change(variant + index, index);
        event(contract, content, Address::with_last_byte(index % pools), u64::from(index))
    };
    (0..count).map(each).collect()
}

fn swap_v2(index: u8) -> Content {
    let [in0, in1, out0, out1] = ["amount0In", "amount1In", "amount0Out", "amount1Out"]
        .map(|name| (name, ParamType::Uint(256), false));
    let (sender, to) = (("sender", ParamType::Address, true), ("to", ParamType::Address, true));
    let schema = schema("Swap", [sender, in0, in1, out0, out1, to]);
    let (sender, to) = (Value::Address(SOMEONE), Value::Address(ME));
    decoded(&schema, [sender, uint(1000 + u64::from(index)), uint(0_u8), uint(0_u8), uint(900_u16), to])
}

fn swap_v3(variant: u8, index: u8) -> Content {
    let params = [
        ("sender", ParamType::Address, true),
        ("recipient", ParamType::Address, true),
        ("amount0", ParamType::Int(256), false),
        ("amount1", ParamType::Int(256), false),
        ("sqrtPriceX96", ParamType::Uint(160), false),
        ("liquidity", ParamType::Uint(128), false),
        ("tick", ParamType::Int(24), false),
    ];
    let int = |number: i8| Value::Int(I256::unchecked_from(number));
    // A swap that moves nothing is possible: a sample of it takes the path of no nets.
    let amounts = if variant == 3 { (0, 0) } else { (-50, 40) };
    let (sender, to) = (Value::Address(SOMEONE), Value::Address(ME));
    let values = [sender, to, int(amounts.0), int(amounts.1), uint(1_u8), uint(index), int(0)];
    decoded(&schema("Swap", params), values)
}

fn change(which: u8, index: u8) -> Content {
    let address = |name| (name, ParamType::Address, true);
    let uint256 = |name| (name, ParamType::Uint(256), false);
    let tick = |name| (name, ParamType::Int(24), true);
    let liquidity = ("amount", ParamType::Uint(128), false);
    let (me, someone) = (Value::Address(ME), Value::Address(SOMEONE));
    let (amount0, amount1) = (uint(index), uint(u64::from(index) + 7));
    let at = || Value::Int(I256::ZERO);
    match which % 4 {
        0 => {
            let schema = schema("Mint", [address("sender"), uint256("amount0"), uint256("amount1")]);
            decoded(&schema, [me, amount0, amount1])
        }
        1 => {
            let params = [address("sender"), uint256("amount0"), uint256("amount1"), address("to")];
            decoded(&schema("Burn", params), [me, amount0, amount1, someone])
        }
        2 => {
            let [sender, owner] = ["sender", "owner"].map(address);
            let [lower, upper] = ["tickLower", "tickUpper"].map(tick);
            let params = [sender, owner, lower, upper, liquidity, uint256("amount0"), uint256("amount1")];
            decoded(&schema("Mint", params), [someone, me, at(), at(), uint(1_u8), amount0, amount1])
        }
        _ => {
            let [lower, upper] = ["tickLower", "tickUpper"].map(tick);
            let params = [address("owner"), lower, upper, liquidity, uint256("amount0"), uint256("amount1")];
            decoded(&schema("Burn", params), [me, at(), at(), uint(1_u8), amount0, amount1])
        }
    }
}
