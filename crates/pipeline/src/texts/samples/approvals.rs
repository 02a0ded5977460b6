//! Approvals that never were.

use alloy_primitives::{Address, U256};
use domain::{Content, ContractName, ParamType, Value};
use store::StoredEvent;

use super::{
    ME, SOMEONE,
    events::{decoded, event, schema, uint},
};

/// How many different approvals there are.
const SAID: u8 = 7;

/// One of each, then all of them, of one token and of more than are shown.
pub(super) fn new(contract: &ContractName, variant: u8) -> Vec<StoredEvent> {
    let count = match variant {
        0..SAID => 1,
        SAID => 2,
        _ => 10 * (variant - SAID),
    };
    let tokens = 1 + count / 4;
    let each = |index: u8| {
        event(
            contract,
            said(variant + index, index),
            Address::with_last_byte(index % tokens),
            u64::from(index),
        )
    };
    (0..count).map(each).collect()
}

fn said(which: u8, index: u8) -> Content {
    let declared = |name, ty, indexed| {
        let parties = ["owner", "spender"].map(|name| (name, ParamType::Address, true));
        let [owner, spender] = parties;
        schema(name, [owner, spender, ("value", ty, indexed)])
    };
    let amount = declared("Approval", ParamType::Uint(256), false);
    let token = declared("Approval", ParamType::Uint(256), true);
    let all = declared("ApprovalForAll", ParamType::Bool, false);
    let (schema, spender, value) = match which % SAID {
        0 => (amount, SOMEONE, Value::Uint(U256::MAX)),
        1 => (amount, SOMEONE, uint(index + 1)),
        2 => (amount, Address::with_last_byte(index), uint(0_u8)),
        3 => (token, SOMEONE, uint(index)),
        4 => (token, Address::ZERO, uint(index)),
        5 => (all, SOMEONE, Value::Bool(true)),
        _ => (all, Address::with_last_byte(index), Value::Bool(false)),
    };
    decoded(&schema, [Value::Address(ME), Value::Address(spender), value])
}
