//! Keys of groups: the same for the same values, apart for others, and short whatever a contract puts into them.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use domain::{
    BlockRef, ChainId, Content, Event, EventId, EventSchema, Fields, LogicalId, Origin, Value, grouping,
};
use proptest::prelude::*;

fn event(params: Fields) -> Event {
    let schema = EventSchema { name: "E".into(), params: Vec::new(), anonymous: false };
    Event {
        id: EventId::derive(ChainId(1), B256::ZERO, 0),
        logical: LogicalId::derive(ChainId(1), B256::ZERO, B256::ZERO, 0),
        chain: ChainId(1),
        block: BlockRef::new(1, B256::ZERO),
        block_timestamp: 0,
        tx_hash: B256::repeat_byte(7),
        tx_index: 0,
        log_index: 0,
        address: Address::repeat_byte(1),
        contract: "c".parse().unwrap(),
        content: Content::Decoded { schema: Arc::new(schema), params },
        origin: Origin::Live,
    }
}

fn key(names: &[&str], params: Vec<(&str, Value)>) -> String {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    grouping::key(&names, &event(Fields::named(params)))
}

#[test]
fn plain_values_are_the_key_itself() {
    assert_eq!(key(&[], vec![]), "");
    let address = Address::repeat_byte(1).to_checksum(None);
    let hash = B256::repeat_byte(7).to_string();
    assert_eq!(key(&["address", "tx_hash"], vec![]), format!("{address},{hash}"));
    assert_eq!(key(&["id"], vec![("id", Value::Uint(U256::from(42)))]), "42");
    assert_eq!(key(&["on"], vec![("on", Value::Bool(true))]), "true");
    // What the event itself calls so goes first.
    assert_eq!(key(&["address"], vec![("address", Value::Uint(U256::ONE))]), "1");
}

#[test]
fn hostile_values_make_no_key_of_their_own_making() {
    for text in ["", " ", "a b", "a,b", "#1", "\u{202e}", "x\0", &"9".repeat(500)] {
        let key = key(&["name"], vec![("name", Value::String(text.to_owned()))]);
        assert!(key.starts_with('#') && key.len() == 33, "{text:?} gives {key}");
    }
}

proptest! {
    #[test]
    fn keys_are_short_without_spaces_and_differ_where_values_do(
        one in prop::collection::vec(".{0,120}", 1..6), two in prop::collection::vec(".{0,120}", 1..6),
    ) {
        let of = |texts: &[String]| {
            let names: Vec<String> = (0..texts.len()).map(|n| format!("p{n}")).collect();
            let params = names.iter().zip(texts).map(|(name, text)| (name.clone(), Value::String(text.clone())));
            grouping::key(&names, &event(Fields(params.collect())))
        };
        let (a, b) = (of(&one), of(&two));
        prop_assert!(a.len() <= 250 && a.is_ascii() && !a.contains(' '), "{a}");
        prop_assert_eq!(a == b, one == two);
        prop_assert_eq!(of(&one), a);
    }
}
