//! Tokens' answers, honest and hostile.

use abi::metadata::{MetadataCall, decode_decimals, decode_text};
use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{U256, hex};

fn text(content: &str) -> Vec<u8> {
    DynSolValue::String(content.to_owned()).abi_encode()
}

fn word(start: &[u8]) -> Vec<u8> {
    let mut word = start.to_vec();
    word.resize(32, 0);
    word
}

#[test]
fn the_calls_have_the_selectors_of_erc20() {
    assert_eq!(hex::encode(MetadataCall::Name.input()), "06fdde03");
    assert_eq!(hex::encode(MetadataCall::Symbol.input()), "95d89b41");
    assert_eq!(hex::encode(MetadataCall::Decimals.input()), "313ce567");
}

#[test]
fn strings_and_the_bytes32_of_older_tokens_are_read() {
    assert_eq!(decode_text(&text("USD Coin")).as_deref(), Some("USD Coin"));
    assert_eq!(decode_text(&word(b"MKR")).as_deref(), Some("MKR"));
    let mut unpadded = text("USD Coin");
    unpadded.truncate(64 + 8);
    assert_eq!(decode_text(&unpadded).as_deref(), Some("USD Coin"));
}

#[test]
fn empty_and_meaningless_answers_are_none() {
    let mut endless = text("abc");
    endless[32..64].fill(0xff);
    for answer in [
        vec![],
        text(""),
        word(b""),
        vec![0xff; 32],
        vec![0xff; 64],
        vec![1; 31],
        endless,
        U256::from(5).to_be_bytes_vec(),
    ] {
        assert_eq!(decode_text(&answer), None, "{}", hex::encode(&answer));
    }
}

#[test]
fn what_deceives_a_reader_is_removed() {
    assert_eq!(decode_text(&text("US\u{202e}DC\u{200b}\u{feff}")).as_deref(), Some("USDC"));
    assert_eq!(decode_text(&text(" a\n\tb\u{0}\u{1b}[31m  c ")).as_deref(), Some("a b[31m c"));
    assert_eq!(decode_text(&text("\u{200d}\u{e0041} \u{2028}")), None);
    assert_eq!(decode_text(&text(&"я".repeat(500))).unwrap().chars().count(), 64);
    assert_eq!(decode_text(&word(b"A\xffB")).as_deref(), Some("AB"));
}

#[test]
fn decimals_above_77_are_refused() {
    let decimals = |number: U256| decode_decimals(&number.to_be_bytes::<32>());
    assert_eq!(decimals(U256::from(6)), Some(6));
    assert_eq!(decimals(U256::from(77)), Some(77));
    assert_eq!(decimals(U256::from(78)), None);
    assert_eq!(decimals(U256::MAX), None);
    assert_eq!(decode_decimals(&[]), None);
    assert_eq!(decode_decimals(&[6; 31]), None);
}
