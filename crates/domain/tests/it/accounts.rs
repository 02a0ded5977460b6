//! Transfers by their shape, and the account that they are folded into.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, U256, U512};
use domain::{ParamType, Standard, Transfer, Value, account::Account, transfer::in_units, transfers};
use proptest::prelude::*;

use crate::events::{event, schema, transfer};

const ME: Address = Address::repeat_byte(0x11);
const OTHER: Address = Address::repeat_byte(0x22);

fn addresses(names: &[&'static str]) -> Vec<(&'static str, ParamType, bool)> {
    names.iter().map(|name| (*name, ParamType::Address, true)).collect()
}

#[test]
fn a_standard_is_known_by_names_types_and_topics() {
    let number = ParamType::Uint(256);
    let numbers = ParamType::Array(Box::new(number.clone()));
    let with = |mut params: Vec<_>, more: &[(&'static str, &ParamType, bool)]| {
        params.extend(more.iter().map(|(name, ty, indexed)| (*name, (*ty).clone(), *indexed)));
        params
    };
    let ends = addresses(&["from", "to"]);
    let three = addresses(&["operator", "from", "to"]);
    for (name, params, expected) in [
        ("Transfer", with(ends.clone(), &[("value", &number, false)]), Some(Standard::Erc20)),
        ("Transfer", with(ends.clone(), &[("id", &number, true)]), Some(Standard::Erc721)),
        ("Transfer", with(ends.clone(), &[("_tokenId", &number, false)]), Some(Standard::Erc721)),
        ("Transfer", with(ends.clone(), &[("value", &ParamType::Uint(128), false)]), None),
        ("Moved", with(ends, &[("value", &number, false)]), None),
        (
            "TransferSingle",
            with(three.clone(), &[("id", &number, false), ("value", &number, false)]),
            Some(Standard::Erc1155),
        ),
        (
            "TransferBatch",
            with(three.clone(), &[("ids", &numbers, false), ("values", &numbers, false)]),
            Some(Standard::Erc1155),
        ),
        ("TransferBatch", with(three, &[("ids", &numbers, false), ("values", &number, false)]), None),
    ] {
        assert_eq!(Standard::of_schema(&schema(name, &params)), expected, "{name} {params:?}");
    }
    let anonymous = domain::EventSchema { anonymous: true, ..transfer() };
    assert_eq!(Standard::of_schema(&anonymous), None);
}

#[test]
fn a_batch_is_a_transfer_for_each_id_that_has_an_amount() {
    let numbers = ParamType::Array(Box::new(ParamType::Uint(256)));
    let mut params = addresses(&["operator", "from", "to"]);
    params.extend([("ids", numbers.clone(), false), ("values", numbers, false)]);
    let list = |numbers: &[u64]| Value::Array(numbers.iter().map(|n| Value::Uint(U256::from(*n))).collect());
    let values = vec![
        Value::Address(OTHER),
        Value::Address(Address::ZERO),
        Value::Address(ME),
        list(&[7, 8, 9]),
        list(&[1, 20]),
    ];
    let told = transfers(&event(&Arc::new(schema("TransferBatch", &params)), OTHER, values));
    let pairs: Vec<_> =
        told.iter().map(|t| (t.id.unwrap_or_default().to::<u64>(), t.amount.to::<u64>())).collect();
    assert_eq!(pairs, [(7, 1), (8, 20)]);
    assert!(told.iter().all(|transfer| transfer.from.is_zero() && transfer.to == ME));
}

#[test]
fn amounts_in_units_are_exact() {
    for (digits, decimals, expected) in
        [("0", 18, "0"), ("1240500000", 6, "1240.5"), ("-5", 3, "-0.005"), ("1000", 3, "1"), ("7", 0, "7")]
    {
        assert_eq!(in_units(digits, decimals), expected);
    }
}

proptest! {
    #[test]
    fn an_account_is_the_sum_of_what_touched_it(
        moves in prop::collection::vec((0..3_u8, 0..3_u8, 0..2_u8, any::<u64>()), 0..60)
    ) {
        let who = |place: u8| [ME, OTHER, Address::ZERO][usize::from(place)];
        let mut account = Account::new(ME);
        let mut naive: BTreeMap<Address, (U512, U512, u64)> = BTreeMap::new();
        for (from, to, token, amount) in moves {
            let token = Address::repeat_byte(0xa0 + token);
            let amount = U256::MAX - U256::from(amount);
            let transfer = Transfer { token, from: who(from), to: who(to), id: None, amount };
            account.add(Standard::Erc20, &transfer);
            if from == 0 || to == 0 {
                let sums = naive.entry(token).or_default();
                sums.0 += if to == 0 { U512::from(amount) } else { U512::ZERO };
                sums.1 += if from == 0 { U512::from(amount) } else { U512::ZERO };
                sums.2 += 1;
            }
        }
        let held: BTreeMap<_, _> =
            account.tokens().map(|(token, p)| (token, (p.incoming, p.outgoing, p.count))).collect();
        prop_assert_eq!(held, naive);
    }
}
