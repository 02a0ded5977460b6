//! ABI files in every form that tools write, and the messages about those that are none.

use abi::{AbiFile, select};

const TRANSFER: &str = r#"{"type":"event","name":"Transfer","anonymous":false,"inputs":[
    {"name":"from","type":"address","indexed":true},{"name":"to","type":"address","indexed":true},
    {"name":"value","type":"uint256","indexed":false}]}"#;

const APPROVAL: &str =
    r#"{"type":"event","name":"Approval","inputs":[{"name":"owner","type":"address","indexed":true}]}"#;

#[track_caller]
fn fails(text: &str, message: &str) {
    assert_eq!(AbiFile::parse("abi/x.json", text).expect_err(text).to_string(), message);
}

#[test]
fn an_array_an_artifact_and_a_text_inside_of_one_are_all_read() {
    let array =
        format!(r#"[{TRANSFER},{{"type":"function","name":"f","inputs":[]}},{{"type":"error","name":"E"}}]"#);
    let text = serde_json::to_string(&array).unwrap();
    for form in [
        array.clone(),
        format!("\u{feff}{array}"),
        format!(r#"{{"_format":"hh-sol-artifact-1","abi":{array},"bytecode":"0x"}}"#),
        format!(r#"{{"abi":{text}}}"#),
        r#"["event Transfer(address indexed from, address indexed to, uint256 value)", "function f()"]"#
            .to_owned(),
    ] {
        let abi = AbiFile::parse("x", &form).unwrap();
        assert_eq!(abi.functions, 1, "{form}");
        let declared: Vec<_> = abi.events.iter().map(domain::EventSchema::declaration).collect();
        assert_eq!(declared, ["event Transfer(address indexed from, address indexed to, uint256 value)"]);
    }
}

#[test]
fn structs_nest_in_arrays_and_structs() {
    let text = r#"[{"type":"event","name":"Filled","inputs":[{"indexed":false,"name":"order","type":"tuple[2][]","components":[
        {"name":"maker","type":"address"},
        {"name":"legs","type":"tuple[]","components":[{"name":"amount","type":"uint96"},{"name":"","type":"bytes"}]}]}]}]"#;
    let abi = AbiFile::parse("x", text).unwrap();
    assert_eq!(
        abi.events[0].declaration(),
        "event Filled((address maker, (uint96 amount, bytes)[] legs)[2][] order)"
    );
}

#[test]
fn an_event_declared_twice_counts_once_and_an_unreadable_function_not_at_all() {
    let strange = r#"{"type":"function","name":"f","inputs":[{"name":"a","type":"Lib.Kind"}]}"#;
    let abi = AbiFile::parse("x", &format!("[{TRANSFER},{TRANSFER},{strange}]")).unwrap();
    assert_eq!((abi.events.len(), abi.functions), (1, 1));
}

#[test]
fn a_file_that_is_no_abi_is_named_with_the_mend() {
    let mend = "give the ABI as a JSON array, or a Hardhat or Foundry artifact, which has it under \"abi\"";
    let no_abi = |what: &str| format!("the file 'abi/x.json' is JSON but holds no ABI: {what}; {mend}");
    fails("{}", &no_abi("it is an object without \"abi\""));
    fails("5", &no_abi("it is neither an array nor an object"));
    fails("[1]", &no_abi("it is an array of something else"));
    fails(r#"{"abi":{}}"#, &no_abi("its \"abi\" is no array"));
    fails(r#"{"abi":"x"}"#, &no_abi("its \"abi\" is a text that is no JSON array"));
    fails(
        "pragma solidity",
        "the ABI file 'abi/x.json' is not JSON (expected value at line 1 column 1); give the ABI as a JSON array, or a \
         Hardhat or Foundry artifact",
    );
    fails(
        "[]",
        "the ABI in 'abi/x.json' declares no event; give the ABI of the contract that emits the events",
    );
}

#[test]
fn an_event_that_cannot_be_read_is_named() {
    fails(
        r#"[{"type":"event","name":"Bad","inputs":[{"name":"a","type":"uint7","indexed":false}]}]"#,
        "the ABI file 'abi/x.json' has an event that cannot be read, 'Bad': 'uint7' is no type; integers have 8 to 256 \
         bits in steps of 8; compile the contract again or correct the entry",
    );
    let error = AbiFile::parse("abi/x.json", r#"[{"type":"event","inputs":[]}]"#).unwrap_err().to_string();
    assert!(error.contains("'entry 0'") && error.contains("name"), "{error}");
}

#[test]
fn a_missing_file_a_directory_and_a_binary_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let missing = AbiFile::load(directory.path().join("none.json")).unwrap_err().to_string();
    assert!(missing.contains("none.json' cannot be read: No such file"), "{missing}");
    assert!(missing.ends_with("correct the path or the file's permissions"), "{missing}");
    let opened = AbiFile::load(directory.path()).unwrap_err().to_string();
    assert!(opened.contains("directory"), "{opened}");
    let binary = directory.path().join("binary.json");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    let error = AbiFile::load(&binary).unwrap_err().to_string();
    assert!(error.contains("is not JSON (it is not UTF-8 text)"), "{error}");
}

#[test]
fn events_are_chosen_by_name_signature_or_declaration() {
    let other = TRANSFER.replace("\"indexed\":false", "\"indexed\":true");
    let abi = AbiFile::parse("x", &format!("[{TRANSFER},{other},{APPROVAL}]")).unwrap();
    let chosen = |wanted: &[&str]| select(&abi.events, wanted).unwrap().len();
    assert_eq!(chosen(&[]), 3);
    assert_eq!(chosen(&["Transfer"]), 2);
    assert_eq!(chosen(&["Transfer(address, address, uint256)", "Approval"]), 3);
    assert_eq!(chosen(&["Transfer(address indexed from, address indexed to, uint256 value)"]), 1);
}

#[test]
fn an_event_that_the_abi_lacks_gets_the_closest_one_and_the_list() {
    let abi = AbiFile::parse("x", &format!("[{TRANSFER},{APPROVAL}]")).unwrap();
    let message = |wanted: &str| select(&abi.events, &[wanted]).unwrap_err().to_string();
    assert_eq!(
        message("Transfr"),
        "event 'Transfr' is not in the ABI; did you mean 'Transfer' (it has Transfer and Approval)?"
    );
    assert_eq!(message("Deposit"), "event 'Deposit' is not in the ABI; it has Transfer and Approval");
    assert!(message("Approval(adress)").contains("did you mean 'Approval(address)' (it has"));
}
