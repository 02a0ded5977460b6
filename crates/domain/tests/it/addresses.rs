//! How addresses are read that people write.

use domain::{BadAddress, filter::Filter, parse_address};

use crate::events::kitchen_sink;

const RIGHT: &str = "0x28C6c06298d514Db089934071355E5743bf21d60";
/// The third digit from the end is another one.
const MISTYPED: &str = "0x28C6c06298d514Db089934071355E5743bf21c60";

#[test]
fn an_address_is_read_in_one_case_or_with_its_checksum() {
    let address: alloy_primitives::Address = RIGHT.parse().unwrap();
    let lower = RIGHT.to_lowercase();
    let upper = format!("0x{}", RIGHT[2..].to_uppercase());
    for text in [RIGHT, &lower, &upper, &lower[2..], &upper.replace("0x", "0X")] {
        assert_eq!(parse_address(text), Ok(address), "{text}");
    }
}

#[test]
fn a_wrong_checksum_is_refused_with_the_right_spelling() {
    let error = parse_address(MISTYPED).unwrap_err();
    let right = MISTYPED.parse::<alloy_primitives::Address>().unwrap().to_checksum(None);
    assert!(matches!(&error, BadAddress::Checksum { right: said, .. } if *said == right), "{error:?}");
    assert_ne!(right, MISTYPED);
    let said = error.to_string();
    assert!(said.contains(MISTYPED) && said.contains(&right) && said.lines().count() == 1, "{said}");
    assert!(parse_address(&right).is_ok());
}

#[test]
fn the_checksum_of_a_chain_that_puts_its_id_into_it_is_taken() {
    // From EIP-1191, of chain 30 and of chain 31.
    for text in ["0x5aaEB6053f3e94c9b9a09f33669435E7ef1bEAeD", "0x5aAeb6053F3e94c9b9A09F33669435E7EF1BEaEd"] {
        assert!(parse_address(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_no_address_is_said_to_be_none() {
    let long = format!("{RIGHT}0");
    for text in
        ["", "0x", "0x12", &RIGHT[..41], &long, "0x28C6c06298d514Db089934071355E5743bf21d6g", "vitalik.eth"]
    {
        let error = parse_address(text).expect_err(text).to_string();
        assert!(error.contains("is no address: write 0x and 40 hex digits"), "{error}");
    }
}

#[test]
fn a_filter_takes_addresses_by_the_same_rule_and_a_stored_one_by_its_digits() {
    let event = kitchen_sink();
    let source = |address: &str| [format!("who == {address}"), format!("amount > 1 and who in [{address}]")];
    for ok in source(RIGHT).into_iter().chain(source(&RIGHT.to_lowercase())) {
        Filter::compile(&ok, &event).unwrap();
    }
    for bad in source(MISTYPED) {
        let error = Filter::compile(&bad, &event).expect_err(&bad);
        assert!(error.message.contains("wrong checksum"), "{error}");
        assert_eq!(error.position.offset, bad.find("0x").unwrap(), "{error}");
        Filter::compile_held(&bad, &event).unwrap();
    }
}
