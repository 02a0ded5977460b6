//! What makes and destroys tokens without a transfer, and what counts beside one.

use alloy_primitives::{Address, U256};
use domain::{
    ParamType, Transfer, Value,
    account::Account,
    supply::{Change, Standing, may_change, standing},
};

use crate::events::{event, schema, transfer};

const ME: Address = Address::repeat_byte(0x11);
const OTHER: Address = Address::repeat_byte(0x22);
const TOKEN: Address = Address::repeat_byte(0x33);

fn moved(from: Address, to: Address, amount: u64) -> Transfer {
    Transfer { token: TOKEN, from, to, id: None, amount: U256::from(amount) }
}

fn made(amount: u64) -> Transfer {
    moved(Address::ZERO, ME, amount)
}

fn destroyed(amount: u64) -> Transfer {
    moved(ME, Address::ZERO, amount)
}

#[test]
fn the_events_of_wrapped_ether_are_known_by_name_and_shape() {
    let number = ParamType::Uint(256);
    let (who, amount) = (("dst", ParamType::Address, true), ("wad", number.clone(), false));
    for (name, params, expected) in [
        ("Deposit", vec![who.clone(), amount.clone()], Some(Change::Made)),
        ("Withdrawal", vec![who.clone(), amount.clone()], Some(Change::Destroyed)),
        // A vault's and a farm's.
        ("Deposit", vec![who.clone(), who.clone(), amount.clone(), amount.clone()], None),
        ("Deposit", vec![who.clone(), ("pid", number, true)], None),
        ("Withdraw", vec![who, amount], None),
    ] {
        assert_eq!(Change::of_schema(&schema(name, &params)), expected, "{name} {params:?}");
    }
    let deposit =
        schema("Deposit", &[("dst", ParamType::Address, true), ("wad", ParamType::Uint(256), false)]);
    let event =
        event(&std::sync::Arc::new(deposit), TOKEN, vec![Value::Address(ME), Value::Uint(U256::from(10))]);
    let transfer = Change::as_transfer(&event).unwrap();
    assert_eq!((transfer.from, transfer.to, transfer.amount), (Address::ZERO, ME, U256::from(10)));
    assert_eq!(transfer.token, TOKEN);
}

#[test]
fn an_event_counts_unless_a_transfer_of_its_transaction_may_tell_the_same() {
    let foreign = Transfer { token: OTHER, ..made(10) };
    for (change, beside, expected) in [
        (made(10), vec![], Standing::Alone),
        (made(10), vec![foreign, moved(ME, OTHER, 10), destroyed(10), made(0)], Standing::Alone),
        (made(10), vec![made(3), made(10)], Standing::Told),
        // A router deposits for somebody else.
        (made(10), vec![moved(Address::ZERO, OTHER, 10)], Standing::Told),
        // A vault's shares for an asset.
        (made(10), vec![moved(Address::ZERO, OTHER, 9)], Standing::Unclear),
        (destroyed(6), vec![], Standing::Alone),
        (destroyed(6), vec![destroyed(6)], Standing::Told),
        (destroyed(6), vec![destroyed(5)], Standing::Unclear),
        // Somebody else burns something of his own.
        (destroyed(6), vec![moved(OTHER, Address::ZERO, 5)], Standing::Alone),
    ] {
        assert_eq!(standing(&change, &beside), expected, "{change:?} beside {beside:?}");
    }
}

#[test]
fn what_was_wrapped_passed_on_and_unwrapped_leaves_nothing() {
    let mut account = Account::new(ME);
    for change in [made(10), moved(ME, OTHER, 4), destroyed(6)] {
        account.add(domain::Standard::Erc20, &change);
    }
    let (_, passed) = account.tokens().next().unwrap();
    assert_eq!((passed.net(), passed.count), ("0".to_owned(), 3));
}

#[test]
fn events_that_may_make_or_destroy_are_known_by_their_names() {
    let number = ("amount", ParamType::Uint(256), false);
    let who = ("who", ParamType::Address, true);
    for (name, params, expected) in [
        ("Mint", vec![who.clone(), number.clone()], true),
        ("Issue", vec![number.clone()], true),
        ("DestroyedBlackFunds", vec![who.clone(), number.clone()], true),
        ("LogRebase", vec![number.clone(), number.clone()], true),
        ("MinterConfigured", vec![who.clone(), number.clone()], false),
        ("Unwrapped", vec![who.clone()], false),
        ("Approval", vec![who.clone(), who.clone(), number.clone()], false),
        ("Deposit", vec![who.clone(), number.clone()], false),
        ("Price", vec![number], false),
    ] {
        assert_eq!(may_change(&schema(name, &params)), expected, "{name}");
    }
    assert!(!may_change(&transfer()));
}
