//! Which watches an event concerns, and what is said about a watch that makes no sense.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes};
use domain::{
    Catalog, ChainId, Content, Contract, DeliverAt, Event, EventSchema, ParamType, StartBlock, Strategy,
    Watch,
    matching::{WatchIndex, validate},
};

use crate::events::{MAINNET, address, event, schema, transfer, transfer_event, uint};

pub(crate) fn contract(name: &str, addresses: &[Address], events: Vec<EventSchema>) -> Contract {
    Contract {
        name: name.parse().unwrap(),
        chain: MAINNET,
        addresses: addresses.to_vec(),
        factory: None,
        events: events.into_iter().map(Arc::new).collect(),
        start: StartBlock::Latest,
    }
}

pub(crate) fn watch(id: &str, contract: &str, event: &str, filter: Option<&str>) -> Watch {
    Watch {
        id: id.parse().unwrap(),
        recipient: "ada".parse().unwrap(),
        contract: contract.parse().unwrap(),
        event: event.to_owned(),
        filter: filter.map(str::to_owned),
        strategy: Strategy::Immediate,
        telling: domain::Telling::default(),
        deliver_at: DeliverAt::Seen,
        paused: false,
        from_file: false,
    }
}

/// The token lives at the address of `transfer_event`; the NFT's transfers have another layout.
fn catalog() -> Arc<Catalog> {
    let nft = schema(
        "Transfer",
        &[
            ("from", ParamType::Address, true),
            ("to", ParamType::Address, true),
            ("tokenId", ParamType::Uint(256), true),
        ],
    );
    let overloaded = vec![
        schema("Paid", &[("who", ParamType::Address, false), ("amount", ParamType::Uint(256), false)]),
        schema("Paid", &[("who", ParamType::Address, false)]),
    ];
    Arc::new(Catalog::new(vec![
        contract("token", &[address(0xcc)], vec![transfer()]),
        contract("any", &[], vec![transfer(), nft]),
        contract("shop", &[address(0xdd)], overloaded),
    ]))
}

fn index(watches: Vec<Watch>) -> WatchIndex {
    let (index, problems) = WatchIndex::build(&catalog(), watches);
    assert!(problems.is_empty(), "{problems:?}");
    index
}

fn matched(index: &WatchIndex, event: &Event) -> Vec<String> {
    let mut ids: Vec<_> = index.matches(event).iter().map(|watch| watch.id.to_string()).collect();
    ids.sort();
    ids
}

fn to(last: u8) -> String {
    format!("to == {}", address(last))
}

#[test]
fn a_watch_sees_the_events_of_its_contract_that_its_filter_takes() {
    let index = index(vec![
        watch("all", "token", "Transfer", None),
        watch("to-two", "token", "Transfer", Some(&to(2))),
        watch("to-three", "token", "Transfer", Some(&to(3))),
        watch("large", "token", "Transfer", Some("value > 4")),
        watch("larger", "token", "Transfer", Some("value > 5")),
        watch("shop", "shop", "Paid", None),
    ]);
    assert_eq!(matched(&index, &transfer_event(1, 2, 5)), ["all", "large", "to-two"]);
}

#[test]
fn an_event_belongs_to_every_contract_that_covers_its_address() {
    let index =
        index(vec![watch("named", "token", "Transfer", None), watch("any", "any", "Transfer", Some(&to(2)))]);
    assert_eq!(matched(&index, &transfer_event(1, 2, 5)), ["any", "named"]);
    let elsewhere = Event { address: address(0xee), ..transfer_event(1, 2, 5) };
    assert_eq!(matched(&index, &elsewhere), ["any"]);
    let other_chain = Event { chain: ChainId(2), ..transfer_event(1, 2, 5) };
    assert!(matched(&index, &other_chain).is_empty());
}

#[test]
fn an_event_decoded_by_another_abi_of_the_same_layout_is_matched_by_position() {
    let renamed = Arc::new(schema(
        "Transfer",
        &[
            ("src", ParamType::Address, true),
            ("dst", ParamType::Address, true),
            ("wad", ParamType::Uint(256), false),
        ],
    ));
    let values = vec![domain::Value::Address(address(1)), domain::Value::Address(address(2)), uint(5)];
    let index = index(vec![watch("to-two", "token", "Transfer", Some(&to(2)))]);
    assert_eq!(matched(&index, &event(&renamed, address(0xcc), values)), ["to-two"]);
}

#[test]
fn a_name_means_every_overload_and_a_signature_one() {
    let paid = catalog().get(&"shop".parse().unwrap()).unwrap().events.clone();
    let index = index(vec![
        watch("both", "shop", "Paid", Some(&format!("who == {}", address(1)))),
        watch("long", "shop", "Paid(address, uint256)", Some("amount == 5")),
        watch("short", "shop", "Paid(address)", None),
    ]);
    let who = domain::Value::Address(address(1));
    assert_eq!(
        matched(&index, &event(&paid[0], address(0xdd), vec![who.clone(), uint(5)])),
        ["both", "long"]
    );
    assert_eq!(matched(&index, &event(&paid[1], address(0xdd), vec![who])), ["both", "short"]);
}

#[test]
fn paused_watches_and_undecoded_events_match_nothing() {
    let paused = Watch { paused: true, ..watch("paused", "token", "Transfer", None) };
    let mut index = index(vec![paused.clone(), watch("all", "token", "Transfer", None)]);
    assert_eq!((index.len(), matched(&index, &transfer_event(1, 2, 5))), (1, vec!["all".to_owned()]));
    let undecoded = Content::Undecoded { topics: vec![], data: Bytes::new(), reason: String::new() };
    let raw = Event { content: undecoded, ..transfer_event(1, 2, 5) };
    assert!(matched(&index, &raw).is_empty());
    index.insert(Watch { id: "all".parse().unwrap(), ..paused }).unwrap();
    assert!(index.is_empty());
}

#[test]
fn a_watch_that_both_sides_of_an_or_find_is_matched_once() {
    let either = format!("to == {0} or from == {0}", address(2));
    let index = index(vec![watch("either", "token", "Transfer", Some(&either))]);
    assert_eq!(matched(&index, &transfer_event(2, 2, 5)), ["either"]);
    assert_eq!(index.candidates(&transfer_event(2, 2, 5)), 1);
}

#[test]
fn an_event_costs_its_own_candidates() {
    let many = (0..5_000_u32).map(|n| {
        let filter = format!("to == 0x{n:040x} and value > 1");
        watch(&format!("w{n}"), "token", "Transfer", Some(&filter))
    });
    let index = index(many.collect());
    let event = transfer_event(1, 2, 5);
    assert_eq!((index.candidates(&event), matched(&index, &event)), (1, vec!["w2".to_owned()]));
}

#[test]
fn an_edited_watch_replaces_itself_and_a_removed_one_is_gone() {
    let mut index = index(vec![watch("w", "token", "Transfer", Some(&to(2)))]);
    let event = transfer_event(1, 2, 5);
    index.insert(watch("w", "token", "Transfer", Some(&to(3)))).unwrap();
    assert_eq!((index.candidates(&event), index.len()), (0, 1));
    assert_eq!(matched(&index, &transfer_event(1, 3, 5)), ["w"]);
    assert!(index.remove(&"w".parse().unwrap()));
    assert!(!index.remove(&"w".parse().unwrap()));
    assert!(matched(&index, &transfer_event(1, 3, 5)).is_empty());
    // An edit that makes no sense takes the old watch out: it no longer says what its owner wants.
    index.insert(watch("w", "token", "Transfer", None)).unwrap();
    assert!(index.insert(watch("w", "token", "Transfer", Some("nonsense"))).is_err());
    assert!(index.is_empty());
}

#[test]
fn the_filter_that_applies_to_an_event_can_be_asked_for() {
    let index =
        index(vec![watch("all", "token", "Transfer", None), watch("two", "token", "Transfer", Some(&to(2)))]);
    let event = transfer_event(1, 3, 5);
    let filter = |id: &str| index.filter_for(&id.parse().unwrap(), &event);
    assert!(matches!(filter("all"), Some(None)));
    let clauses = filter("two").flatten().unwrap().explain(&event);
    assert!(!clauses[0].holds && clauses[0].values[0].1 == address(3).to_checksum(None));
    assert!(filter("none").is_none());
    let elsewhere = Event { address: address(0xee), ..event.clone() };
    assert!(index.filter_for(&"two".parse().unwrap(), &elsewhere).is_none());
}

#[track_caller]
fn problem(contract: &str, event: &str, filter: Option<&str>) -> String {
    let watch = watch("w", contract, event, filter);
    let problem = validate(&catalog(), &watch).unwrap_err();
    let (index, problems) = WatchIndex::build(&catalog(), [watch.clone()]);
    assert!(index.is_empty());
    assert_eq!(problems, [(watch.id, problem.clone())]);
    problem.to_string()
}

#[test]
fn an_unknown_contract_or_event_gets_the_closest_one_and_the_list() {
    assert_eq!(
        problem("tokn", "Transfer", None),
        "contract 'tokn' is not configured; did you mean 'token' (the contracts are token, any and shop)?"
    );
    assert_eq!(
        problem("shop", "Piad", None),
        "event 'Piad' is none of contract 'shop'; its events are Paid(address,uint256) and Paid(address)"
    );
    assert_eq!(
        problem("token", "Transfr", None),
        "event 'Transfr' is none of contract 'token'; did you mean 'Transfer' (its events are Transfer)?"
    );
}

#[test]
fn a_wrong_filter_is_told_with_its_place() {
    assert_eq!(
        problem("token", "Transfer", Some("vlaue > 5")),
        "where: event 'Transfer' has no parameter 'vlaue'; did you mean 'value' (it has from, to, value, address, \
         tx_hash and block_number)? (at line 1, column 1)"
    );
}

#[test]
fn a_filter_that_fits_one_overload_only_asks_for_the_signature() {
    let told = problem("shop", "Paid", Some("amount > 5"));
    assert!(
        told.starts_with("where does not fit every 'Paid' of contract 'shop': for Paid(address), "),
        "{told}"
    );
    assert!(told.ends_with("set event to 'Paid(address,uint256)'"), "{told}");
    validate(&catalog(), &watch("w", "shop", "Paid(address,uint256)", Some("amount > 5"))).unwrap();
}

#[test]
fn two_layouts_of_one_signature_are_told_apart_by_their_declarations() {
    let told = problem("any", "Transfer", Some("value > 5"));
    let declaration = "event Transfer(address indexed from, address indexed to, uint256 value)";
    assert!(told.ends_with(&format!("set event to '{declaration}'")), "{told}");
    validate(&catalog(), &watch("w", "any", declaration, Some("value > 5"))).unwrap();
}
