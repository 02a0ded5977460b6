//! Two events whose logs have one shape: no log says which of them it is, and none is guessed.

use std::sync::Arc;

use abi::{Layouts, clash};
use alloy_primitives::{Address, B256};
use domain::{EventSchema, Value};

use crate::logs::{
    MAINNET, TOKEN, contract, decoder, erc20, erc721, event, log, params, reason, word, words,
};

fn clashing(one: &str, two: &str) -> bool {
    let (one, two) = (event(one), event(two));
    clash(&[&one, &two]).is_some()
}

fn twins() -> [Arc<EventSchema>; 2] {
    [event("event Foo(address indexed a, address b)"), event("event Foo(address a, address indexed b)")]
}

#[test]
fn events_of_one_shape_clash_and_those_that_a_log_tells_apart_do_not() {
    for (one, two, expected) in [
        ("event Foo(address indexed a, address b)", "event Foo(address a, address indexed b)", true),
        ("event Foo(uint256 indexed a, bytes b)", "event Foo(uint256 indexed a, bytes b)", false),
        ("event Foo(address indexed a, address b)", "event Foo(address indexed x, address y)", false),
        // One layout, and the names are exchanged.
        ("event Foo(address indexed a, address b)", "event Foo(address indexed b, address a)", true),
        // Other numbers of topics.
        ("event Foo(address indexed a, address b)", "event Foo(address a, address b)", false),
        // Other lengths of data: 32 and 64 bytes.
        ("event Foo(uint256 indexed a, uint256[2] b)", "event Foo(uint256 a, uint256[2] indexed b)", false),
        // The least data of a string is longer than a word, and no longer than two.
        ("event Foo(uint256 indexed a, string b)", "event Foo(uint256 a, string indexed b)", false),
        ("event Foo(uint256[2] indexed a, string b)", "event Foo(uint256[2] a, string indexed b)", true),
        ("event Foo(string indexed a, bytes b)", "event Foo(string a, bytes indexed b)", true),
        ("event Foo(address indexed a)", "event Bar(address indexed a)", false),
        ("event Foo(uint256 indexed a)", "event Foo(int256 indexed a)", false),
        // Each log of an anonymous event is judged by itself.
        ("event Foo(address a) anonymous", "event Foo(address b) anonymous", false),
    ] {
        assert_eq!(clashing(one, two), expected, "{one} and {two}");
        assert_eq!(clashing(two, one), expected, "{two} and {one}");
    }
    assert!(clash(&[&erc20(), &erc721()]).is_none(), "the standards differ in their topics");
}

#[test]
fn a_log_that_two_events_of_one_contract_read_is_undecoded_with_the_reason() {
    let [one, two] = twins();
    let foo = log(&[one.topic0(), word(1)], word(2).as_slice());
    for order in [[&one, &two], [&two, &one]] {
        let said = Layouts::new(order).decode(&foo);
        let reason = reason(&said);
        assert!(reason.starts_with("several events read the log, each differently: "), "{reason}");
        assert!(reason.contains(&one.declaration()) && reason.contains(&two.declaration()), "{reason}");
    }
    let both = decoder(vec![contract("foo", &[TOKEN], &twins())]);
    assert!(reason(&both.decode(MAINNET, &foo).unwrap().content).contains("each differently"));
}

#[test]
fn a_value_that_only_one_of_two_events_can_have_decides() {
    let one = event("event Foo(address indexed a, bytes32 b)");
    let two = event("event Foo(address a, bytes32 indexed b)");
    let hash = B256::repeat_byte(0xab);
    let layouts = Layouts::new([&two, &one]);
    let said = layouts.decode(&log(&[one.topic0(), word(1)], hash.as_slice()));
    assert_eq!(params(&said).get("b"), Some(&Value::Bytes(hash.to_vec().into())));
}

#[test]
fn a_reading_of_all_the_data_goes_before_one_that_leaves_some_over() {
    let short = event("event Foo(uint256 a, uint256[2] indexed b)");
    let long = event("event Foo(uint256 indexed a, uint256[2] b)");
    for order in [[&short, &long], [&long, &short]] {
        let layouts = Layouts::new(order);
        let said = layouts.decode(&log(&[long.topic0(), word(1)], &words(&[word(2), word(3)])));
        assert!(matches!(params(&said).get("b"), Some(Value::Array(_))), "{said:?}");
        let said = layouts.decode(&log(&[long.topic0(), word(1)], word(2).as_slice()));
        assert!(matches!(params(&said).get("b"), Some(Value::Hash(_))), "{said:?}");
        // Three words are neither.
        let said = layouts.decode(&log(&[long.topic0(), word(1)], &words(&[word(2), word(3), word(4)])));
        assert!(reason(&said).contains("each differently"), "{said:?}");
    }
}

#[test]
fn two_contracts_at_one_address_that_read_a_log_differently_leave_it_undecoded() {
    let [one, two] = twins();
    let foo = log(&[one.topic0(), word(1)], word(2).as_slice());
    let (ones, twos) = ([one], [two]);
    let (first, second) = (contract("first", &[TOKEN], &ones), contract("second", &[TOKEN], &twos));
    let decoded = decoder(vec![first.clone(), second]).decode(MAINNET, &foo).unwrap();
    assert_eq!(decoded.contract.as_str(), "first");
    assert!(reason(&decoded.content).contains("each differently"));
    // The ABI that somebody gave for the address is more than one for any address.
    let anywhere = contract("any", &[], &twos);
    let decoded = decoder(vec![anywhere.clone(), first]).decode(MAINNET, &foo).unwrap();
    assert_eq!(params(&decoded.content).get("a"), Some(&Value::Address(Address::with_last_byte(1))));
    // Two that take any address are equal.
    let other = contract("other", &[], &ones);
    let decoded = decoder(vec![anywhere, other]).decode(MAINNET, &foo).unwrap();
    assert!(reason(&decoded.content).contains("each differently"));
    // Where both read alike, the first has it.
    let (alike, same) = (contract("alike", &[], &twos), contract("same", &[], &twos));
    assert_eq!(decoder(vec![alike, same]).decode(MAINNET, &foo).unwrap().contract.as_str(), "alike");
}

#[test]
fn an_old_transfer_that_may_be_an_amount_or_an_id_is_neither() {
    let old = log(&[erc20().topic0()], &words(&[word(1), word(2), word(5)]));
    let both = decoder(vec![contract("tokens", &[TOKEN], &[erc20(), erc721()])]);
    assert!(reason(&both.decode(MAINNET, &old).unwrap().content).contains("each differently"));
    // An ABI of its own at the same address settles it, in whatever order the two are named.
    let kitties = event("event Transfer(address from, address to, uint256 tokenId)");
    let (coin, cat) = (contract("coin", &[TOKEN], &[erc20()]), contract("cat", &[TOKEN], &[kitties]));
    for contracts in [vec![coin.clone(), cat.clone()], vec![cat, coin]] {
        let decoded = decoder(contracts).decode(MAINNET, &old).unwrap();
        assert!(params(&decoded.content).get("tokenId").is_some() && decoded.contract.as_str() == "cat");
    }
}
