//! Types that an ABI names and nothing here decodes: the events beside theirs are read, and their logs are stored raw.

use abi::{AbiFile, Layouts, parse_signature};
use alloy_primitives::{Address, keccak256};
use domain::{
    Catalog, Content, Watch,
    matching::{WatchProblem, validate},
};

use crate::logs::{MAINNET, TOKEN, contract, decoder, log, params, reason, transfer_log, word};

const ABI: &str = r#"[
    {"type":"event","name":"Transfer","inputs":[{"name":"from","type":"address","indexed":true},
        {"name":"to","type":"address","indexed":true},{"name":"value","type":"uint256","indexed":false}]},
    {"type":"event","name":"Price","inputs":[{"name":"at","type":"fixed168x10","indexed":false}]},
    {"type":"event","name":"Set","inputs":[{"name":"status","type":"Lib.Status","indexed":true},
        {"name":"legs","type":"tuple[]","components":[{"name":"rate","type":"decimal"}],"indexed":false}]},
    "event Moved(Lib.Status indexed status, uint256 amount)",
    "event Broken(uint256 a",
    {"type":"event","inputs":[]},
    {"type":"function","name":"f"}
]"#;

fn file() -> AbiFile {
    AbiFile::parse("abi/x.json", ABI).unwrap()
}

#[test]
fn the_events_beside_one_of_an_unknown_type_are_read() {
    let file = file();
    let signatures: Vec<_> = file.events.iter().map(domain::EventSchema::signature).collect();
    let expected = [
        "Transfer(address,address,uint256)",
        "Price(fixed168x10)",
        "Set(Lib.Status,(decimal)[])",
        "Moved(Lib.Status,uint256)",
    ];
    assert_eq!(signatures, expected);
    assert_eq!(file.unreadable.len(), 2, "{:?}", file.unreadable);
    let notes = file.notes().join("\n");
    for part in [
        "event 'Price(fixed168x10)' is not decoded, its logs are stored raw: 'fixed168x10' is a type that",
        "event 'Set(Lib.Status,(decimal)[])' is not decoded",
        "event 'event Broken(uint256 a' cannot be read and is left out",
        "event 'entry 5' cannot be read and is left out",
    ] {
        assert!(notes.contains(part), "'{part}' is not in {notes}");
    }
    let topic0 = |at: usize| file.events[at].topic0();
    assert_eq!(topic0(1), keccak256("Price(fixed168x10)"));
    assert_eq!(topic0(3), keccak256("Moved(Lib.Status,uint256)"));
}

#[test]
fn a_log_of_an_unknown_type_is_kept_raw_with_the_type() {
    let events: Vec<_> = file().events.into_iter().map(std::sync::Arc::new).collect();
    let decoder = decoder(vec![contract("vault", &[TOKEN], &events)]);
    let price = log(&[events[1].topic0()], word(7).as_slice());
    let decoded = decoder.decode(MAINNET, &price).unwrap();
    let why = "it is stored raw as Price(fixed168x10): its parameter 'at' has the type 'fixed168x10', which is not decoded";
    assert_eq!(reason(&decoded.content), why);
    assert!(matches!(&decoded.content, Content::Undecoded { topics, data, .. }
        if *topics == price.topics && *data == price.data));
    assert_eq!(params(&decoder.decode(MAINNET, &transfer_log()).unwrap().content).0.len(), 3);
    assert_eq!(reason(&Layouts::new(&events).decode(&price)), why);
    // The node is asked for it too.
    let contracts = [std::sync::Arc::new(contract("vault", &[TOKEN], &events))];
    assert!(Catalog::filters(&contracts)[0].topics0.contains(&events[1].topic0()));
}

#[test]
fn an_abi_of_unknown_types_alone_is_refused_with_the_first_of_them() {
    let text =
        r#"[{"type":"event","name":"Price","inputs":[{"name":"at","type":"fixed168x10","indexed":false}]}]"#;
    let error = AbiFile::parse("abi/x.json", text).unwrap_err().to_string();
    assert!(error.contains("'Price': ") && error.contains("'fixed168x10' is a type"), "{error}");
    // A person who writes a declaration is corrected.
    let error = parse_signature("event Price(fixed168x10 at)").unwrap_err().to_string();
    assert!(error.contains("'fixed168x10'"), "{error}");
    assert!(parse_signature("event Set(Lib.Status status)").is_err());
}

#[test]
fn a_watch_on_an_event_of_an_unknown_type_is_refused_with_the_type() {
    let events: Vec<_> = file().events.into_iter().map(std::sync::Arc::new).collect();
    let catalog = Catalog::new(vec![contract("vault", &[Address::ZERO], &events)]);
    let watch = |event: &str| Watch {
        id: "w".parse().unwrap(),
        recipient: "ops".parse().unwrap(),
        contract: "vault".parse().unwrap(),
        event: event.to_owned(),
        filter: None,
        strategy: domain::Strategy::Immediate,
        telling: domain::Telling::default(),
        deliver_at: domain::DeliverAt::Seen,
        paused: false,
        from_file: false,
    };
    assert_eq!(validate(&catalog, &watch("Transfer")), Ok(()));
    let problem = validate(&catalog, &watch("Price")).unwrap_err();
    assert!(matches!(problem, WatchProblem::Opaque { .. }), "{problem}");
    assert!(problem.to_string().contains("type 'fixed168x10', which is not decoded"), "{problem}");
}
