//! What a person reads about ERC-1155 transfers.

use alloy_primitives::{Address, U256};

use crate::{
    texts_kinds::{batch, single},
    texts_world::{ALICE, BELL, BOB, ME, World, nameless, token},
};

fn watching_me(locale: &str) -> World {
    let mut world = World::watching_units();
    world.recipient.locale = locale.into();
    world
}

fn numbers(pairs: &[(u64, u64)]) -> Vec<(U256, U256)> {
    pairs.iter().map(|(id, amount)| (U256::from(*id), U256::from(*amount))).collect()
}

#[test]
fn one_id_reads_as_one_sentence_whether_single_or_in_a_batch_of_one() {
    let one = single(0, (ALICE, ME), U256::from(8817), U256::from(1200));
    let alone = batch(0, BELL, (ALICE, ME), &numbers(&[(8817, 1200)]));
    let text = watching_me("en").render(&[one]);
    assert_eq!(text.kind, "erc1155_transfer");
    assert_eq!(text.title, "1,200 × BELL #8817 received from 0x3C44…93BC");
    assert!(text.body.starts_with(
        "From: 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
         To: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\
         Token: #8817\n\
         Amount: 1,200\n\
         Collection: Bell Token\n\
         Contract: bell, "
    ));
    assert_eq!(watching_me("en").render(&[alone]).title, text.title);
}

#[test]
fn the_operator_is_no_end_of_a_transfer() {
    // The builder's operator is BOB.
    let mut world = World::new("en");
    world.watch.filter = Some(format!("operator == {BOB}"));
    let text = world.render(&[single(0, (ALICE, ME), U256::ONE, U256::ONE)]);
    assert!(text.facts["watched"].is_null());
    assert_eq!(text.title, "1 × BELL #1 moved from 0x3C44…93BC to 0xf39F…2266");
}

#[test]
fn a_batch_is_netted_by_id_and_those_of_which_most_moved_are_shown() {
    let events = [
        batch(0, BELL, (ALICE, ME), &numbers(&[(1, 10), (2, 2000), (3, 5), (4, 4), (5, 3), (6, 2), (7, 2)])),
        batch(1, BELL, (ME, BOB), &numbers(&[(2, 500), (1, 15)])),
        batch(2, BELL, (Address::ZERO, ME), &numbers(&[(1, 1)])),
    ];
    let text = watching_me("en").render(&events);
    assert_eq!(text.title, "10 transfers of BELL, net +1,512");
    assert!(
        text.body.starts_with(
            "In: 2,027\nOut: 515\nNet: +1,512\nMinted: 1\n\
             #2: in 2,000, out 500, net +1,500\n\
             #1: in 11, out 15, net -4, minted 1\n\
             #3: in 5, out 0, net +5\n\
             #4: in 4, out 0, net +4\n\
             #5: in 3, out 0, net +3\n\
             and 2 more ids with 2 transfers\n\
             Collection: Bell Token\n\
             Counterparties (3): 0x3C44…93BC (7), 0x7099…79C8 (2), 0x0000…0000 (1)\n"
        ),
        "{}",
        text.body
    );
    assert_eq!((text.facts["count"].as_u64(), text.facts["transfers_count"].as_u64()), (Some(3), Some(10)));
    let text = watching_me("ru").render(&events);
    assert_eq!(text.title, "10 переводов BELL, сальдо +1\u{a0}512");
    assert!(text.body.contains("\n#1: поступило 11, отправлено 15, сальдо -4, выпущено 1\n"));
    assert!(text.body.contains("\nи ещё 2 номера, 2 перевода\n"));
}

#[test]
fn several_collections_are_told_one_by_one() {
    let at = |n: u64| Address::with_last_byte(u8::try_from(n).unwrap());
    let mut world = watching_me("en").with_token(nameless());
    world.tokens.insert(at(1), token("SWORD", 18));
    // Collection n has one batch of 7 - n ids.
    let events: Vec<_> = (0..7)
        .map(|n| {
            let moved: Vec<_> = (0..7 - n).map(|id| (id, 10)).collect();
            batch(n, at(n), (ALICE, ME), &numbers(&moved))
        })
        .collect();
    let text = world.render(&events);
    assert_eq!(text.title, "28 transfers in 7 collections");
    let lines: Vec<_> = text.body.lines().take(6).collect();
    assert_eq!(lines[0], "0x0000…0000: 7 transfers of 7 ids, in 70, out 0, net +70");
    assert_eq!(lines[1], "SWORD (0x0000…0001): 6 transfers of 6 ids, in 60, out 0, net +60");
    assert_eq!(lines[5], "and 2 more collections with 3 transfers");
    world.recipient.locale = "ru".into();
    let text = world.render(&events);
    assert_eq!(text.title, "28 переводов, 7 коллекций");
    assert!(text.body.contains("\nи ещё 2 коллекции, 3 перевода\n"));
}

#[test]
fn an_empty_batch_and_lists_of_different_lengths_are_told_too() {
    let text = watching_me("en").render(&[batch(0, BELL, (ALICE, ME), &[])]);
    assert_eq!(text.title, "0 transfers of BELL, net 0");
    assert_eq!(
        watching_me("ru").render(&[batch(0, BELL, (ALICE, ME), &[])]).title,
        "0 переводов BELL, сальдо 0"
    );
}

#[test]
fn sums_wider_than_256_bits_are_exact() {
    let max = [(U256::ONE, U256::MAX)];
    let events = [batch(0, BELL, (ALICE, ME), &max), batch(1, BELL, (ALICE, ME), &max)];
    let facts = watching_me("en").render(&events).facts;
    let twice = "231584178474632390847141970017375815706539969331281128078915168015826259279870";
    assert_eq!(facts["collections"][0]["net"], twice);
    assert_eq!(facts["collections"][0]["ids"][0]["in"], twice);
}
