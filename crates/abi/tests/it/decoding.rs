//! Logs as contracts emit them: which contract's, which layout, and what is refused with which reason.

use abi::{Layouts, to_event};
use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, B256, Bytes, I256, U256, keccak256};
use domain::{Content, EventId, LogicalId, Origin, Value};

use crate::logs::{
    MAINNET, TOKEN, contract, decoder, erc20, erc721, event, log, params, reason, transfer_log, word, words,
};

fn uint(value: u64) -> Value {
    Value::Uint(U256::from(value))
}

#[test]
fn a_transfer_becomes_an_event_of_its_contract() {
    let decoder = decoder(vec![contract("token", &[TOKEN], &[erc20()])]);
    let log = transfer_log();
    let decoded = decoder.decode(MAINNET, &log).unwrap();
    let logical = LogicalId::derive(MAINNET, log.tx_hash, log.content_hash(), 0);
    let event = to_event(MAINNET, &log, 1_700_000_000, Origin::Live, logical, decoded);
    assert_eq!(event.id, EventId::derive(MAINNET, log.block.hash, log.log_index));
    assert_eq!((event.contract.as_str(), event.name()), ("token", Some("Transfer")));
    assert_eq!(
        params(&event.content).0,
        [
            ("from".to_owned(), Value::Address(Address::with_last_byte(1))),
            ("to".to_owned(), Value::Address(Address::with_last_byte(2))),
            ("value".to_owned(), uint(5)),
        ]
    );
}

#[test]
fn erc20_and_erc721_transfers_are_told_apart_by_their_topics() {
    let both = decoder(vec![contract("tokens", &[TOKEN], &[erc20(), erc721()])]);
    let nft = log(&[erc20().topic0(), word(1), word(2), word(99)], &[]);
    assert_eq!(params(&both.decode(MAINNET, &transfer_log()).unwrap().content).get("value"), Some(&uint(5)));
    assert_eq!(params(&both.decode(MAINNET, &nft).unwrap().content).get("tokenId"), Some(&uint(99)));
}

#[test]
fn each_of_two_contracts_takes_the_transfer_of_its_shape() {
    let apart = decoder(vec![contract("nfts", &[], &[erc721()]), contract("coins", &[], &[erc20()])]);
    assert_eq!(apart.decode(MAINNET, &transfer_log()).unwrap().contract.as_str(), "coins");
}

#[test]
fn a_contract_that_names_the_address_goes_before_one_that_takes_any() {
    let decoder = decoder(vec![contract("any", &[], &[erc20()]), contract("named", &[TOKEN], &[erc20()])]);
    assert_eq!(decoder.decode(MAINNET, &transfer_log()).unwrap().contract.as_str(), "named");
    let elsewhere = domain::RawLog { address: Address::ZERO, ..transfer_log() };
    assert_eq!(decoder.decode(MAINNET, &elsewhere).unwrap().contract.as_str(), "any");
}

#[test]
fn a_log_of_no_configured_event_is_nobodys() {
    let decoder = decoder(vec![contract("token", &[TOKEN], &[erc20()])]);
    assert_eq!(decoder.decode(MAINNET, &log(&[keccak256("Other()")], &[])), None);
    assert_eq!(decoder.decode(MAINNET, &log(&[], &[1, 2, 3])), None);
    assert_eq!(decoder.decode(domain::ChainId(2), &transfer_log()), None);
    let elsewhere = domain::RawLog { address: Address::ZERO, ..transfer_log() };
    assert_eq!(decoder.decode(MAINNET, &elsewhere), None);
}

#[test]
fn a_log_that_fits_no_layout_is_kept_raw_with_the_reason() {
    let decoder = decoder(vec![contract("token", &[], &[erc20()])]);
    let nft = log(&[erc20().topic0(), word(1), word(2), word(99)], &[]);
    let decoded = decoder.decode(MAINNET, &nft).unwrap();
    assert_eq!(decoded.contract.as_str(), "token");
    assert_eq!(
        reason(&decoded.content),
        "it is no Transfer(address,address,uint256): the log has 4 topics, and the event 3"
    );
    assert!(
        matches!(&decoded.content, Content::Undecoded { topics, data, .. } if *topics == nft.topics && data.is_empty())
    );
}

#[test]
fn short_data_is_refused_and_trailing_data_is_not() {
    let decoder = decoder(vec![contract("token", &[TOKEN], &[erc20()])]);
    let topics = [erc20().topic0(), word(1), word(2)];
    let short = decoder.decode(MAINNET, &log(&topics, &[0; 31])).unwrap();
    assert!(reason(&short.content).ends_with("the log has 31 bytes of data, and the event at least 32"));
    let long = decoder.decode(MAINNET, &log(&topics, &words(&[word(5), word(6)]))).unwrap();
    assert_eq!(params(&long.content).get("value"), Some(&uint(5)));
}

#[test]
fn an_old_token_without_indexed_arguments_is_read_where_its_address_is_named() {
    let old = log(&[erc20().topic0()], &words(&[word(1), word(2), word(5)]));
    let named = decoder(vec![contract("token", &[TOKEN], &[erc20()])]);
    let decoded = named.decode(MAINNET, &old).unwrap();
    assert_eq!(params(&decoded.content).get("value"), Some(&uint(5)));
    assert!(matches!(&decoded.content, Content::Decoded { schema, .. } if schema.same_layout(&erc20())));
    // Anywhere else it may as well be an NFT older than its standard.
    let anywhere = decoder(vec![contract("any", &[], &[erc20()])]);
    assert!(reason(&anywhere.decode(MAINNET, &old).unwrap().content).contains("the log has 1 topics"));
}

#[test]
fn a_declared_layout_without_indexed_arguments_is_read_anywhere() {
    let unindexed = event("event Transfer(address from, address to, uint256 value)");
    let decoder = decoder(vec![contract("any", &[], &[erc20(), unindexed])]);
    let old = log(&[erc20().topic0()], &words(&[word(1), word(2), word(5)]));
    assert_eq!(params(&decoder.decode(MAINNET, &old).unwrap().content).get("value"), Some(&uint(5)));
}

#[test]
fn dirty_words_are_refused_with_the_parameter() {
    let cases = [
        ("address a", B256::repeat_byte(1), "an address has bytes set before its 20"),
        ("uint8 a", word(256), "a uint8 has bits set above its 8"),
        ("int8 a", word(128), "an int8 is not extended by its sign"),
        ("bool a", word(2), "a bool is neither 0 nor 1"),
        ("bytes4 a", word(1), "a value of 4 bytes has bytes set behind them"),
    ];
    for (param, word, why) in cases {
        let schema = event(&format!("event E({param})"));
        let content = Layouts::new([&schema]).decode(&log(&[schema.topic0()], word.as_slice()));
        assert_eq!(reason(&content), format!("it is no {}: in parameter 'a', {why}", schema.signature()));
    }
}

#[test]
fn the_edges_of_signed_integers_are_exact() {
    let schema = event("event E(int8 a, int8 b, int256 c)");
    let data = words(&[
        word(127),
        B256::from(I256::unchecked_from(-128).into_raw()),
        B256::from(I256::MIN.into_raw()),
    ]);
    let content = Layouts::new([&schema]).decode(&log(&[schema.topic0()], &data));
    let expected = [I256::unchecked_from(127), I256::unchecked_from(-128), I256::MIN].map(Value::Int);
    assert!(params(&content).0.iter().map(|(_, value)| value).eq(&expected));
}

#[test]
fn a_tail_that_is_not_padded_is_read() {
    let schema = event("event Note(uint256 id, string text)");
    let mut data =
        DynSolValue::Tuple(vec![DynSolValue::Uint(U256::from(7), 256), DynSolValue::String("hello".into())])
            .abi_encode_params();
    data.truncate(96 + 5);
    let content = Layouts::new([&schema]).decode(&log(&[schema.topic0()], &data));
    assert_eq!(params(&content).get("text"), Some(&Value::String("hello".into())));
}

#[test]
fn text_that_is_not_utf8_keeps_its_bytes_and_text_with_nul_is_text() {
    let schema = event("event Note(string text)");
    let mut data = words(&[word(32), word(3)]);
    data.extend([b'a', 0xff, b'b']);
    let content = Layouts::new([&schema]).decode(&log(&[schema.topic0()], &data));
    let read = params(&content);
    assert_eq!(read.get("text"), Some(&Value::RawString(Bytes::from_static(b"a\xffb"))));
    assert_eq!(read.to_json().to_string(), r#"{"text":{"hex":"0x61ff62"}}"#);

    let mut data = words(&[word(32), word(3)]);
    data.extend(*b"a\0b");
    let content = Layouts::new([&schema]).decode(&log(&[schema.topic0()], &data));
    assert_eq!(params(&content).to_json().to_string(), r#"{"text":"a\u0000b"}"#);
}

#[test]
fn an_indexed_dynamic_value_is_its_hash() {
    let schema = event("event Named(string indexed name, uint256[2] indexed pair, bytes3 indexed tag)");
    let hash = keccak256("gold");
    let tag = B256::right_padding_from(&[1, 2, 3]);
    let content = Layouts::new([&schema]).decode(&log(&[schema.topic0(), hash, word(1), tag], &[]));
    assert_eq!(params(&content).get("name"), Some(&Value::Hash(hash)));
    assert_eq!(params(&content).get("pair"), Some(&Value::Hash(word(1))));
    assert_eq!(params(&content).get("tag"), Some(&Value::Bytes(Bytes::from_static(&[1, 2, 3]))));
}

#[test]
fn overloaded_events_are_told_apart_by_their_signatures() {
    let (one, two) = (event("event Paid(uint256 a)"), event("event Paid(uint256 a, uint256 b)"));
    let layouts = Layouts::new([&one, &two]);
    let content = layouts.decode(&log(&[two.topic0()], &words(&[word(1), word(2)])));
    assert_eq!(params(&content).0.len(), 2);
}

#[test]
fn an_anonymous_event_is_found_where_exactly_one_fits() {
    let (note, pair) = (
        event("event LogNote(bytes4 indexed sig, address indexed guy, bytes data) anonymous"),
        event("event Pair(uint256 a, uint256 b) anonymous"),
    );
    let decoder_of = |events: &[_]| decoder(vec![contract("vat", &[TOKEN], events)]);
    let both = decoder_of(&[note, pair.clone()]);
    let sig = B256::right_padding_from(&[0xde, 0xad, 0xbe, 0xef]);
    let logged = log(&[sig, word(1)], &words(&[word(32), word(0)]));
    assert_eq!(
        params(&both.decode(MAINNET, &logged).unwrap().content).get("guy"),
        Some(&Value::Address(Address::with_last_byte(1)))
    );
    let numbers = log(&[], &words(&[word(1), word(2)]));
    assert_eq!(params(&both.decode(MAINNET, &numbers).unwrap().content).get("b"), Some(&uint(2)));
    // Neither the topics nor the length fit any.
    assert_eq!(both.decode(MAINNET, &log(&[], &words(&[word(1)]))), None);
    assert_eq!(both.decode(MAINNET, &log(&[], &words(&[word(1), word(2), word(3)]))), None);
    let twin = event("event Twin(int256 x, int256 y) anonymous");
    let several = decoder_of(&[pair, twin]).decode(MAINNET, &numbers).unwrap();
    assert_eq!(
        reason(&several.content),
        "several anonymous events fit the log: Pair(uint256,uint256), Twin(int256,int256)"
    );
}

#[test]
fn an_anonymous_event_never_takes_a_log_whose_topic_0_is_known() {
    let greedy =
        event("event Any(bytes32 indexed a, bytes32 indexed b, bytes32 indexed c, uint256 d) anonymous");
    let decoder = decoder(vec![contract("token", &[TOKEN], &[greedy, erc20()])]);
    let decoded = decoder.decode(MAINNET, &transfer_log()).unwrap();
    assert!(matches!(&decoded.content, Content::Decoded { schema, .. } if schema.name == "Transfer"));
}

#[test]
fn a_contract_without_address_has_no_anonymous_events() {
    let pair = event("event Pair(uint256 a, uint256 b) anonymous");
    let decoder = decoder(vec![contract("any", &[], &[pair])]);
    assert_eq!(decoder.decode(MAINNET, &log(&[], &words(&[word(1), word(2)]))), None);
}

#[test]
fn lengths_that_the_data_does_not_hold_are_refused_before_anything_is_allocated() {
    let schema = event("event E(uint256[] a)");
    let huge = B256::from(U256::ONE << 60);
    let layouts = Layouts::new([&schema]);
    let why = |data: &[B256]| reason(&layouts.decode(&log(&[schema.topic0()], &words(data)))).to_owned();
    assert!(
        why(&[word(32), huge])
            .ends_with("the length of an array is 1152921504606846976, and the data has 64 bytes")
    );
    assert!(
        why(&[word(32), word(3), word(1)])
            .ends_with("an array of 3 elements does not fit into the 32 bytes that are left")
    );
    assert!(why(&[B256::repeat_byte(0xff), word(0)]).contains("an offset is"));
    assert!(
        why(&[word(64), word(0)]).ends_with("an offset of 64 points behind the data, which has 64 bytes")
    );
    let bytes = event("event B(bytes a)");
    let content =
        Layouts::new([&bytes]).decode(&log(&[bytes.topic0()], &words(&[word(32), word(33), word(0)])));
    assert!(reason(&content).ends_with("33 bytes do not fit into the 32 that are left"));
}

#[test]
fn offsets_that_point_at_one_another_cannot_multiply_the_data() {
    // Eight levels of forty offsets, all to the level below: 40^8 elements, claimed by 10 KB.
    let schema = event("event Bomb(uint256[][][][][][][][] a)");
    let (levels, width) = (8, 40);
    let mut data = vec![word(32)];
    for level in 0..levels {
        data.push(word(width));
        let last = level + 1 == levels;
        // From the first element on, the next level begins behind this one's elements.
        data.extend((0..width).map(|_| if last { word(1) } else { word(32 * width) }));
    }
    let content = Layouts::new([&schema]).decode(&log(&[schema.topic0()], &words(&data)));
    assert!(
        reason(&content).ends_with("its offsets read the same bytes again and again"),
        "{}",
        reason(&content)
    );
}
