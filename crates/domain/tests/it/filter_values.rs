//! What expressions mean, by example.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use domain::{
    Content, Event, EventSchema, ParamType,
    filter::{CoverPlace, Filter},
};

use crate::events::{address, event, kitchen_sink, schema, sink_values, transfer, transfer_event};

fn sink_event() -> Event {
    event(&Arc::new(kitchen_sink()), address(0xcc), sink_values())
}

#[track_caller]
fn holds(source: &str) -> bool {
    match Filter::compile(source, &kitchen_sink()) {
        Ok(filter) => filter.matches(&sink_event()),
        Err(error) => panic!("{}", error.render(source)),
    }
}

#[track_caller]
fn all_hold(sources: &[&str]) {
    for source in sources {
        assert!(holds(source), "{source}");
        assert!(!holds(&format!("not ({source})")), "not ({source})");
    }
}

#[track_caller]
fn none_holds(sources: &[&str]) {
    for source in sources {
        assert!(!holds(source), "{source}");
    }
}

#[test]
fn integers_are_exact_at_256_bits() {
    let exact = "1606938044258990275541962092341162602522202993782792835301376";
    all_hold(&[
        &format!("amount == {exact}"),
        &format!("amount < {}7", &exact[..exact.len() - 1]),
        &format!("amount > {}5", &exact[..exact.len() - 1]),
        "amount == 0x100000000000000000000000000000000000000000000000000",
        "amount >= 1.5e18 and amount > 1_000_000",
        "amount != 1e60",
    ]);
}

#[test]
fn signed_integers_compare_across_zero_and_with_unsigned_ones() {
    all_hold(&[
        "delta == -5",
        "delta < 0 and delta > -6",
        "delta < amount and amount > delta",
        "delta != small",
        "tick == -887_272",
        "small == 0xc8 and small > tick",
        "-6 < delta",
    ]);
}

#[test]
fn addresses_compare_by_value_in_any_case() {
    let upper = "0x000000000000000000000000000000000000000A";
    let lower = upper.to_lowercase();
    let transfer_to_ten = transfer_event(1, 0x0a, 5);
    for text in [upper, &lower] {
        assert!(Filter::compile(&format!("to == {text}"), &transfer()).unwrap().matches(&transfer_to_ten));
    }
    all_hold(&[
        "who == 0x0000000000000000000000000000000000000001",
        "who != 0x0000000000000000000000000000000000000002",
    ]);
}

#[test]
fn bytes_and_strings_compare_by_content() {
    all_hold(&[
        "id == 0xDEADbeef",
        "blob == 0x010203",
        "blob != 0x",
        r#"note == "it's \"fine\"\n""#,
        r"note == 'it\'s \u{22}fine\u{22}\u{a}'",
        "note != 'other'",
    ]);
}

#[test]
fn an_indexed_string_compares_by_the_hash_of_the_literal() {
    all_hold(&[
        "label == 'gold'",
        "label != 'silver'",
        "label in ['silver', 'gold']",
        &format!("label.hash == {}", alloy_primitives::keccak256("gold")),
        &format!("key.hash == {}", B256::repeat_byte(0xaa)),
    ]);
}

#[test]
fn tuples_arrays_and_lengths_are_reached_by_path() {
    all_hold(&[
        "order.amount == 10",
        "order.$2",
        "legs[1].amount == 30",
        "legs[0].token == order.token",
        "pair[0] < pair[1]",
        "len(legs) == 2 and len(blob) == 3 and len(note) == 12 and len(pair) == 2",
        "$14 == 42 and $0 == who",
    ]);
}

#[test]
fn an_element_beyond_the_end_satisfies_no_comparison() {
    none_holds(&[
        "legs[2].amount == 0",
        "legs[2].amount != 0",
        "legs[2].amount < 1e30",
        "legs[2].amount in [0]",
        "legs[2].amount not in [0]",
        "legs[2].amount == legs[2].amount",
    ]);
    assert!(holds("not legs[2].amount == 0"));
}

#[test]
fn lists_negated_lists_and_bare_bools() {
    all_hold(&[
        "small in [1, 2e2, 3,]",
        "small not in [1, 2]",
        "who in [0x0000000000000000000000000000000000000001]",
        "open",
        "open == true and open in [true]",
        "not (open == false)",
        "true",
    ]);
    none_holds(&["false", "small in [1]", "not open"]);
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    all_hold(&[
        "true or false and false",
        "not false and true",
        "not not true",
        "(((true)))",
        "not (true and false)",
    ]);
    none_holds(&["(true or false) and false", "not (false or true)"]);
}

#[test]
fn every_event_has_its_address_transaction_and_block() {
    all_hold(&[
        "address == 0x00000000000000000000000000000000000000cc",
        "tx_hash == 0x1111111111111111111111111111111111111111111111111111111111111111",
        "block_number == 100 and 99 < block_number",
    ]);
}

#[test]
fn a_parameter_hides_the_built_in_of_its_name() {
    let hiding = Arc::new(schema("Odd", &[("address", ParamType::Uint(8), false)]));
    let filter = Filter::compile("address == 7", &hiding).unwrap();
    assert!(filter.matches(&event(&hiding, address(1), vec![crate::events::uint(7)])));
}

#[test]
fn a_filter_holds_for_another_abi_of_the_same_layout() {
    let renamed = schema(
        "Transfer",
        &[
            ("src", ParamType::Address, true),
            ("dst", ParamType::Address, true),
            ("wad", ParamType::Uint(256), false),
        ],
    );
    let filter =
        Filter::compile("dst == 0x0000000000000000000000000000000000000002 and wad > 4", &renamed).unwrap();
    assert!(filter.matches(&transfer_event(1, 2, 5)));
    assert!(!filter.matches(&transfer_event(2, 1, 5)));
}

#[test]
fn an_undecoded_event_satisfies_nothing() {
    let mut undecoded = transfer_event(1, 2, 5);
    undecoded.content = Content::Undecoded { topics: vec![], data: Bytes::new(), reason: "why".into() };
    let filter = Filter::compile("true", &transfer()).unwrap();
    assert!(!filter.matches(&undecoded));
    assert!(filter.explain(&undecoded).is_empty());
}

#[test]
fn explaining_names_the_clause_that_failed_and_the_values_it_saw() {
    let filter = Filter::compile(
        "value >= 100 and (to == from or from == 0x0000000000000000000000000000000000000001)",
        &transfer(),
    )
    .unwrap();
    let clauses = filter.explain(&transfer_event(1, 2, 5));
    assert_eq!(clauses.len(), 2);
    assert_eq!(clauses[0].clause, "value >= 100");
    assert!(!clauses[0].holds);
    assert_eq!(clauses[0].values, [("value".to_owned(), "5".to_owned())]);
    assert!(clauses[1].holds);
    let names: Vec<_> = clauses[1].values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["to", "from"]);
}

#[track_caller]
fn cover(source: &str, schema: &EventSchema) -> Option<Vec<CoverPlace>> {
    let keys = Filter::compile(source, schema).unwrap().cover()?;
    Some(keys.into_iter().map(|key| key.place).collect())
}

#[test]
fn a_cover_is_the_rarest_of_what_every_match_must_have() {
    let a = "0x0000000000000000000000000000000000000001";
    let at = |position| Some(vec![CoverPlace::Param(position)]);
    assert_eq!(cover(&format!("to == {a} and value >= 5"), &transfer()), at(1));
    assert_eq!(cover(&format!("value == 5 and to == {a}"), &transfer()), at(1));
    assert_eq!(
        cover(&format!("value == 5 and address == {a}"), &transfer()),
        Some(vec![CoverPlace::Address])
    );
    assert_eq!(
        cover(&format!("to == {a} or from == {a}"), &transfer()),
        Some(vec![CoverPlace::Param(1), CoverPlace::Param(0)])
    );
    assert_eq!(cover(&format!("to in [{a}, {a}]"), &transfer()), at(1));
    assert_eq!(cover("label == 'gold' and open", &kitchen_sink()), at(9));
    assert_eq!(cover("false", &transfer()), Some(vec![]));
}

#[test]
fn a_filter_that_promises_no_value_has_no_cover() {
    let a = "0x0000000000000000000000000000000000000001";
    for source in [
        format!("to != {a}"),
        format!("not to == {a}"),
        "value > 5".into(),
        format!("to == {a} or value > 5"),
    ] {
        assert_eq!(cover(&source, &transfer()), None, "{source}");
    }
    assert_eq!(cover("open", &kitchen_sink()), None);
    assert_eq!(cover("order.amount == 5", &kitchen_sink()), None);
    assert_eq!(cover("small not in [5]", &kitchen_sink()), None);
}

#[test]
fn a_list_of_ten_thousand_addresses_compiles() {
    let list: Vec<_> = (0..10_000u32).map(|n| format!("0x{n:040x}")).collect();
    let source = format!("to in [{}]", list.join(","));
    let filter = Filter::compile(&source, &transfer()).unwrap();
    assert!(filter.matches(&transfer_event(1, 2, 5)));
    assert_eq!(filter.cover().unwrap().len(), 10_000);
}
