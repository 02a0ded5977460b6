//! Human-readable signatures and the messages about their faults.

use abi::parse_signature;
use domain::ParamType;

#[test]
fn a_signature_reads_back_as_its_declaration() {
    for text in [
        "event Transfer(address indexed from, address indexed to, uint256 value)",
        "event Filled(bytes32 indexed id, (address token, uint256 amount)[] legs, (uint8 side, (bool a, bool b) flags) order)",
        "event Log(bytes4 indexed sig, bytes data) anonymous",
        "event Nothing()",
        "event Odd(uint24[3][] indexed, int8, function callback)",
    ] {
        assert_eq!(parse_signature(text).unwrap().declaration(), text);
    }
}

#[test]
fn spaces_aliases_and_the_word_event_are_free() {
    let schema = parse_signature(
        "  Transfer ( uint  indexed a,int b , byte c,tuple( address payable d ) [ 2 ] e ) ; ",
    )
    .unwrap();
    assert_eq!(
        schema.declaration(),
        "event Transfer(uint256 indexed a, int256 b, bytes1 c, (address d)[2] e)"
    );
    assert_eq!(schema.signature(), "Transfer(uint256,int256,bytes1,(address)[2])");
}

#[test]
fn every_width_of_integer_and_bytes_is_a_type() {
    for bits in (8..=256).step_by(8) {
        let schema = parse_signature(&format!("E(uint{bits} a, int{bits} b)")).unwrap();
        assert_eq!(
            (&schema.params[0].ty, &schema.params[1].ty),
            (&ParamType::Uint(bits), &ParamType::Int(bits))
        );
    }
    for length in 1..=32 {
        let schema = parse_signature(&format!("E(bytes{length} a)")).unwrap();
        assert_eq!(schema.params[0].ty, ParamType::FixedBytes(length));
    }
}

#[track_caller]
fn fails(text: &str, column: usize, message: &str) {
    let error = parse_signature(text).expect_err(text);
    assert_eq!((error.message.as_str(), error.column), (message, column), "{text}");
}

#[test]
fn a_wrong_type_is_named_with_the_mend() {
    fails("E(uint7 a)", 3, "'uint7' is no type; integers have 8 to 256 bits in steps of 8");
    fails("E(int0256 a)", 3, "'int0256' is no type; integers have 8 to 256 bits in steps of 8");
    fails("E(bytes33 a)", 3, "'bytes33' is no type; fixed bytes are bytes1 to bytes32");
    fails(
        "E(address a, Order o)",
        14,
        "'Order' is no type; write a struct as its members in parentheses, an enum as uint8 and a contract as address",
    );
    fails("E(fixed128x18 a)", 3, "'fixed128x18' is a type that Solidity does not encode in events");
    fails("E(uint[0] a)", 3, "'[0]' is no array; its length is a number from 1 to 1048576");
    fails("E(uint[x] a)", 8, "'x' is no length of an array; write a number");
}

#[test]
fn what_does_not_parse_names_the_place() {
    fails("", 1, "the event's name must stand here, not the end");
    fails("event Transfer", 15, "'(' must follow the event's name, not the end");
    fails("E(address", 10, "',' or ')' must follow a parameter, not the end");
    fails("E(address a b)", 13, "',' or ')' must follow a parameter, not 'b'");
    fails("E(address a,)", 13, "a type must stand here, not ')'");
    fails("E(address a) x", 14, "the end must stand here, not 'x'");
    fails("E(string memory a)", 10, "'memory' has no meaning in an event; remove it");
    fails("E(address indexed indexed a)", 19, "'indexed' stands between type and name of a parameter, once");
    fails("E((address a, uint b c) d)", 22, "',' or ')' must follow a member, not 'c'");
    fails("E(() a)", 4, "a type must stand here, not ')'");
    fails("E(uint[ a)", 9, "'a' is no length of an array; write a number");
    fails("function transfer(address to)", 1, "it declares function and no event");
    fails("9E()", 1, "'9E' is no name; a name starts with a letter");
}

#[test]
fn topics_are_few() {
    let four = "E(uint indexed a, uint indexed b, uint indexed c, uint indexed d)";
    fails(four, 1, "4 parameters are indexed, and an event has 3 at most");
    parse_signature(&format!("{four} anonymous")).unwrap();
}

#[test]
fn nesting_has_a_limit() {
    let deep = format!("E({}uint a{})", "(".repeat(40), ")".repeat(40));
    fails(&deep, 35, "structs nest deeper than 32 levels");
    let arrays = format!("E(uint{} a)", "[]".repeat(40));
    fails(&arrays, 3, "arrays and structs nest deeper than 32 levels");
}

#[test]
fn the_message_is_one_sentence_with_the_signature_and_the_column() {
    let error = parse_signature("Transfer(adress from)").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the event signature 'Transfer(adress from)' is wrong at column 10: 'adress' is no type; write a struct as its \
         members in parentheses, an enum as uint8 and a contract as address"
    );
}
