//! Every error message of the filter language, with its place.

use domain::{ParamType, filter::Filter};

use crate::events::{kitchen_sink, schema};

#[track_caller]
fn fails(source: &str, at: usize, message: &str) {
    let error = Filter::compile(source, &kitchen_sink()).expect_err(source);
    assert_eq!((error.message.as_str(), error.position.offset), (message, at), "{source}");
}

#[test]
fn an_unknown_name_gets_the_closest_one_and_the_list() {
    fails(
        "open and amuont > 5",
        9,
        "event 'Everything' has no parameter 'amuont'; did you mean 'amount' (it has who, amount, delta, small, tick, \
         open, id, blob, note, label, order, legs, pair, key, $14, address, tx_hash and block_number)?",
    );
    fails(
        "order.tokne == 5",
        6,
        "'order' has no member 'tokne'; did you mean 'token' (it has token, amount and $2)?",
    );
    fails("order.zebra == 5", 6, "'order' has no member 'zebra'; it has token, amount and $2");
}

#[test]
fn a_repeated_name_asks_for_the_position() {
    let twice = schema("Twice", &[("a", ParamType::Uint(8), false), ("a", ParamType::Uint(8), false)]);
    let error = Filter::compile("a == 1", &twice).unwrap_err();
    assert_eq!(error.message, "the name 'a' stands for several parameters; write $0 or $1");
    Filter::compile("$1 == 1", &twice).unwrap();
}

#[test]
fn an_address_of_the_wrong_length_says_so() {
    fails(
        "who == 0x28C6c06298d514Db089934071355E5743bf21d6",
        7,
        "'who' is an address, which has 40 hex digits after 0x, and this has 39",
    );
    fails("id == 0xdead", 6, "'id' is a bytes4, which has 8 hex digits after 0x, and this has 4");
    fails("blob == 0xabc", 8, "bytes are pairs of hex digits, and this has 3 digits; write a leading 0");
}

#[test]
fn a_literal_of_the_wrong_type_says_what_to_write() {
    fails(
        "amount > '5'",
        9,
        "'amount' is a uint256 and cannot be compared with a text; write a number without quotes",
    );
    fails(
        "who == \"0x0000000000000000000000000000000000000001\"",
        7,
        "'who' is an address and cannot be compared with a text; write the address without quotes",
    );
    fails(
        "who == 5",
        7,
        "'who' is an address and cannot be compared with the number 5; write 0x and 40 hex digits",
    );
    fails("open == 1", 8, "'open' is a bool and cannot be compared with the number 1; write true or false");
    fails("note == 0xab", 8, "'note' is a string and cannot be compared with 0xab; write the text in quotes");
    fails("id == 'a'", 6, "'id' is a bytes4 and cannot be compared with a text; write 0x and 8 hex digits");
    fails(
        "blob == -5",
        8,
        "'blob' is bytes and cannot be compared with the number -5; write 0x and hex digits",
    );
    fails("amount == true", 10, "'amount' is a uint256 and cannot be compared with true; write a number");
}

#[test]
fn a_number_outside_of_its_type_is_an_error_and_no_silent_mismatch() {
    fails("small == 256", 9, "'small' is a uint8, from 0 to 255, and this is outside of it");
    fails("amount > -1", 9, "'amount' is a uint256, from 0 to 2^256 - 1, and this is outside of it");
    fails("tick == 8388608", 8, "'tick' is an int24, from -2^23 to 2^23 - 1, and this is outside of it");
    Filter::compile("tick == -8388608 and small == 255", &kitchen_sink()).unwrap();
    let edge = "57896044618658097711785492504343953926634992332820282019728792003956564819968";
    fails(
        &format!("delta == {edge}"),
        9,
        "'delta' is an int256, from -2^255 to 2^255 - 1, and this is outside of it",
    );
    Filter::compile(&format!("delta == -{edge}"), &kitchen_sink()).unwrap();
}

#[test]
fn a_composite_asks_for_its_parts() {
    fails(
        "legs == 5",
        8,
        "'legs' is an array of structs and cannot be compared with the number 5; compare an element such as \
         'legs[0]', or 'len(legs)'",
    );
    fails(
        "order == 5",
        9,
        "'order' is a struct and cannot be compared with the number 5; compare a member such as 'order.token'",
    );
    fails("legs.amount == 5", 5, "'legs' is an array of structs; choose an element first, as in 'legs[0]'");
    fails("order[0] == 5", 6, "'order' is a struct; choose a member by its name or as 'order.$0'");
    fails("pair[2] == 5", 5, "'pair' is a uint64[2], whose elements are 0 to 1");
    fails("who.x == 5", 4, "'who' is an address and has no parts");
    fails("order.0 == 5", 6, "a member without a name is written '$0'");
    fails(
        "legs == legs",
        0,
        "'legs' is an array of structs and 'legs' is an array of structs; compare their members",
    );
}

#[test]
fn an_indexed_dynamic_value_says_that_only_its_hash_is_there() {
    fails(
        "label < 'gold'",
        0,
        "'label' is indexed, so only its hash is on chain and '<' says nothing about it; use '==' or '!='",
    );
    fails("len(label) > 4", 4, "'label' is indexed, so only its hash is on chain and its length is unknown");
    fails(
        "key[0] == 5",
        4,
        "'key' is an indexed uint256[], so only its hash is on chain; compare 'key.hash' with 0x and 64 hex digits",
    );
    fails(
        "key == 5",
        7,
        "'key' is an indexed uint256[], so only its hash is on chain; compare 'key.hash' with 0x and 64 hex digits",
    );
    fails(
        "label == note",
        0,
        "'label' is the hash of a string and 'note' is a string; compare parameters of one type",
    );
}

#[test]
fn an_order_is_for_integers_only() {
    fails("note < 'a'", 0, "'<' compares integers only, and 'note' is a string; use '==' or '!='");
    fails("who >= who", 0, "'>=' compares integers only, and 'who' is an address; use '==' or '!='");
}

#[test]
fn two_parameters_must_be_of_one_type() {
    fails(
        "who == amount",
        0,
        "'who' is an address and 'amount' is a uint256; compare parameters of one type",
    );
    fails("id == blob", 0, "'id' is a bytes4 and 'blob' is bytes; compare parameters of one type");
}

#[test]
fn a_value_alone_is_no_condition() {
    fails("amount", 0, "'amount' is a uint256 and no condition; compare it with a value");
    fails("5", 0, "this is a value and no condition; compare a parameter with it");
    fails("len(legs)", 0, "'len(legs)' is a uint256 and no condition; compare it with a value");
    fails("5 == 5", 0, "two literals are compared; one side must be a parameter");
    fails(
        "(open or open) == true",
        0,
        "a condition cannot be compared; join conditions with 'and', 'or' and 'not'",
    );
    fails("len(who) == 5", 4, "'who' is an address and has no length");
}

#[test]
fn a_list_holds_literals() {
    fails("who in who", 7, "a list in brackets must follow 'in', not 'who'");
    fails("small in []", 9, "the list is empty, so nothing is in it; name a value");
    fails("small in [1 2]", 12, "',' or ']' must follow a value of a list, not '2'");
    fails("small in [tick]", 10, "a list holds literals only; compare two parameters with '=='");
    fails("small in [256]", 10, "'small' is a uint8, from 0 to 255, and this is outside of it");
    fails("5 in [5]", 0, "a parameter must stand before 'in', not a literal");
    fails("[5] == small", 0, "a list can only stand behind 'in'");
}

#[test]
fn habits_of_other_languages_are_corrected() {
    fails("small = 5", 6, "'=' compares nothing; write '=='");
    fails("open && open", 5, "'&' is not part of the language; write 'and'");
    fails("open || open", 5, "'|' is not part of the language; write 'or'");
    fails("!open", 0, "'!' is not part of the language; write 'not'");
    fails("open AND open", 5, "write 'AND' in small letters");
    fails("small + 1 == 2", 6, "'+' is not part of the language; write the result of the calculation");
    fails("small == 2 - 1", 11, "there is no arithmetic; write the result of the calculation");
    fails("small == -tick", 10, "a number must follow '-'; there is no arithmetic");
    fails("1 < small < 5", 10, "comparisons do not chain; write 'a < b and b < c'");
    fails("note == “a”", 8, "'“' opens no string; use the plain quotes \" or '");
}

#[test]
fn what_does_not_parse_names_the_place() {
    fails("", 0, "the expression is empty; leave 'where' out to match every event");
    fails("  ", 2, "the expression is empty; leave 'where' out to match every event");
    fails("small ==", 8, "a value must stand here, not the end");
    fails("open and or open", 9, "a value must stand here, not 'or'");
    fails("(open", 0, "this '(' is not closed; end it with ')'");
    fails("open)", 4, "this ')' closes nothing; remove it or open it with '('");
    fails("open open", 5, "'and', 'or', a comparison or the end must stand here, not 'open'");
    fails("open not open", 9, "'in' must follow 'not' here; to join two conditions write 'and not'");
    fails("len(5) == 1", 4, "'len' takes a parameter's name, not '5'");
    fails("len(legs == 1", 9, "')' must close 'len(', not '=='");
    fails("order. == 1", 7, "a member's name must follow '.', not '=='");
    fails("legs[x] == 1", 5, "a position such as 0 must stand between '[' and ']'");
    fails("legs[1 == 1", 7, "']' must follow the position, not '=='");
    fails("note == 'abc", 8, "the string is not closed; end it with '");
    fails(r"note == 'a\q'", 10, r#"this escape is unknown; use one of \\ \" \' \n \r \t \u{1f514}"#);
    fails("open # yes", 5, "the character '#' is not part of the language");
}

#[test]
fn a_number_that_is_none_says_why() {
    fails(
        "small == 1.5",
        9,
        "1.5 is not a whole number; amounts are in the token's smallest unit, such as 1.5e18",
    );
    fails("amount == 1e78", 10, "1e78 does not fit into 256 bits");
    fails("small == 12abc", 9, "'12abc' is not a number");
    fails("small == 0xfg", 12, "'g' is not a hex digit");
    fails("small == 0x", 9, "hex digits must follow 0x");
}

#[test]
fn limits_are_named() {
    let deep = format!("{}open{}", "(".repeat(65), ")".repeat(65));
    fails(&deep, 64, "parentheses and 'not' nest deeper than 64 levels");
    fails(&format!("{}open", "not ".repeat(65)), 260, "parentheses and 'not' nest deeper than 64 levels");
    let long = format!("open{}", " or open".repeat(600));
    fails(&long, 0, "the expression is too long; at most 4096 bytes, lists not counted, and 1048576 in all");
    let list = format!("small in [{}]", "1,".repeat(10_001));
    fails(&list, 20_010, "the list is too long; at most 10000 values");
}

#[test]
fn an_error_is_shown_under_its_place() {
    let source = "open and\n  amuont > 5";
    let error = Filter::compile(source, &kitchen_sink()).unwrap_err();
    assert_eq!((error.position.line, error.position.column, error.width), (2, 3, 6));
    let shown = error.render(source);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[..2], ["    amuont > 5", "    ^^^^^^"]);
    assert!(lines[2].ends_with("(at line 2, column 3)"), "{}", lines[2]);
}

#[test]
fn an_error_in_a_long_line_shows_only_what_is_around_it() {
    let source = format!("note == '{}' and amuont > 5 and note == '{}'", "я".repeat(300), "x".repeat(300));
    let error = Filter::compile(&source, &kitchen_sink()).unwrap_err();
    assert_eq!(error.position.column, 316);
    let shown = error.render(&source);
    let lines: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
    assert!(lines[0].len() < 140);
    let caret = lines[1].iter().position(|c| *c == '^').unwrap();
    assert_eq!(lines[0][caret..caret + 6].iter().collect::<String>(), "amuont");
}
