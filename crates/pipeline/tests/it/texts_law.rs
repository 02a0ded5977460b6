//! What holds for the facts of any transfers: exact sums, and no dependence on the order in which they are given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use alloy_primitives::{Address, U256};
use proptest::prelude::*;
use store::StoredEvent;

use crate::texts_world::{ME, World, transfer, transfer_schema};

// One for all cases: trying every template at its start is most of a case's time.
static WORLD: LazyLock<World> = LazyLock::new(|| World::watching_me("ru"));

/// A transfer of one of three tokens between a few addresses, one of which is watched.
#[derive(Debug, Clone, Copy)]
struct Moved {
    token: u8,
    from: u8,
    to: u8,
    value: U256,
}

fn moved() -> impl Strategy<Value = Moved> {
    let value = prop_oneof![
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
        Just(U256::MAX),
        any::<u64>().prop_map(U256::from),
        Just(U256::ZERO),
    ];
    (1..4_u8, 0..6_u8, 0..6_u8, value).prop_map(|(token, from, to, value)| Moved { token, from, to, value })
}

fn party(number: u8) -> Address {
    if number == 5 { ME } else { Address::with_last_byte(0x40 + number) }
}

fn events(moves: &[Moved]) -> Vec<StoredEvent> {
    let schema = transfer_schema(2, "value");
    moves
        .iter()
        .zip(0..)
        .map(|(moved, index)| {
            let ends = (party(moved.from), party(moved.to), moved.value);
            transfer(schema.clone(), Address::with_last_byte(moved.token), index, ends)
        })
        .collect()
}

/// An unsigned integer of any size as its decimal digits, least first: slow, and plainly right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Digits(Vec<u8>);

impl Digits {
    fn of(text: &str) -> Self {
        let mut digits = Self(text.bytes().rev().map(|digit| digit - b'0').collect());
        digits.trim();
        digits
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = Vec::new();
        let mut carry = 0;
        for place in 0..=self.0.len().max(other.0.len()) {
            let at = |digits: &Self| digits.0.get(place).copied().unwrap_or_default();
            let digit = at(self) + at(other) + carry;
            sum.push(digit % 10);
            carry = digit / 10;
        }
        let mut sum = Self(sum);
        sum.trim();
        sum
    }
}

fn sum<'m>(moves: impl Iterator<Item = &'m Moved>) -> Digits {
    moves.fold(Digits::default(), |sum, moved| sum.plus(&Digits::of(&moved.value.to_string())))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn sums_are_exact(moves in prop::collection::vec(moved(), 1..40)) {
        let text = WORLD.render(&events(&moves));
        let mut by_token: BTreeMap<String, Vec<Moved>> = BTreeMap::new();
        for moved in &moves {
            let token = Address::with_last_byte(moved.token).to_checksum(None);
            by_token.entry(token).or_default().push(*moved);
        }
        prop_assert_eq!(text.facts["count"].as_u64(), Some(moves.len() as u64));
        prop_assert_eq!(text.facts["tokens_count"].as_u64(), Some(by_token.len() as u64));
        for token in text.facts["tokens"].as_array().unwrap() {
            let of_token = &by_token[token["address"].as_str().unwrap()];
            let raw = |name: &str| token[name]["raw"].as_str().unwrap();
            prop_assert_eq!(token["count"].as_u64(), Some(of_token.len() as u64));
            prop_assert_eq!(Digits::of(raw("total")), sum(of_token.iter()));
            let (incoming, outgoing) = (Digits::of(raw("in")), Digits::of(raw("out")));
            prop_assert_eq!(&incoming, &sum(of_token.iter().filter(|moved| party(moved.to) == ME)));
            prop_assert_eq!(&outgoing, &sum(of_token.iter().filter(|moved| party(moved.from) == ME)));
            match raw("net").strip_prefix('-') {
                Some(loss) => {
                    prop_assert!(loss != "0");
                    prop_assert_eq!(incoming.plus(&Digits::of(loss)), outgoing);
                }
                None => prop_assert_eq!(outgoing.plus(&Digits::of(raw("net"))), incoming),
            }
        }
    }

    #[test]
    fn distinct_counterparties_are_counted_exactly(moves in prop::collection::vec(moved(), 1..40)) {
        let text = WORLD.render(&events(&moves));
        let ends = moves.iter().flat_map(|moved| [party(moved.from), party(moved.to)]);
        let others: BTreeSet<_> = ends.filter(|end| *end != ME).collect();
        let facts = &text.facts["counterparties"];
        prop_assert_eq!(facts["count"].as_u64(), Some(others.len() as u64));
        let shown = facts["top"].as_array().unwrap().len() as u64;
        prop_assert_eq!(shown + facts["others"].as_u64().unwrap(), others.len() as u64);
        prop_assert!(shown <= 3);
    }

    #[test]
    fn the_order_of_the_events_does_not_matter(
        (moves, shuffled) in prop::collection::vec(moved(), 1..30).prop_flat_map(|moves| {
            let events = events(&moves);
            (Just(moves), Just(events).prop_shuffle())
        })
    ) {
        prop_assert_eq!(WORLD.render(&events(&moves)), WORLD.render(&shuffled));
    }
}
