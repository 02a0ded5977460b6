//! What a person reads about approvals.

use alloy_primitives::{Address, U256};
use pipeline::texts::Texts;

use crate::{
    texts_kinds::{allowance, approved, for_all},
    texts_world::{ALICE, BOB, World, bells, nameless},
};

#[test]
fn an_approval_says_plainly_what_it_allows() {
    let zero = Address::ZERO;
    for (event, en, ru) in [
        (
            allowance(0, ALICE, U256::MAX),
            "0x3C44…93BC may spend BELL without limit",
            "0x3C44…93BC может тратить BELL без ограничений",
        ),
        (
            allowance(0, ALICE, bells(1200, 5)),
            "0x3C44…93BC may spend up to 1,200.5 BELL",
            "0x3C44…93BC может потратить до 1\u{a0}200,5 BELL",
        ),
        (
            allowance(0, ALICE, U256::ZERO),
            "0x3C44…93BC may no longer spend BELL (revoked)",
            "0x3C44…93BC больше не может тратить BELL (отозвано)",
        ),
        (approved(0, ALICE, 7), "0x3C44…93BC may move BELL #7", "0x3C44…93BC может перевести NFT BELL #7"),
        (
            approved(0, zero, 7),
            "Nobody is approved for BELL #7 any more (revoked)",
            "Разрешения на NFT BELL #7 больше нет (отозвано)",
        ),
        (
            for_all(0, ALICE, true),
            "0x3C44…93BC may move all BELL tokens",
            "0x3C44…93BC может переводить все токены BELL",
        ),
        (
            for_all(0, ALICE, false),
            "0x3C44…93BC may no longer move all BELL tokens (revoked)",
            "0x3C44…93BC больше не может переводить все токены BELL (отозвано)",
        ),
    ] {
        assert!(Texts::wants_token(&event));
        let text = World::new("en").render(std::slice::from_ref(&event));
        assert_eq!((text.kind, text.title.as_str()), ("approval", en));
        assert_eq!(World::new("ru").render(&[event]).title, ru);
    }
}

#[test]
fn what_nobody_could_use_up_is_unlimited() {
    let grant =
        |value| World::new("en").render(&[allowance(0, ALICE, value)]).facts["approval"]["grant"].clone();
    let power = |exponent: usize| U256::ONE << exponent;
    for unlimited in [U256::MAX, power(255), power(256 - 1) + U256::ONE, power(96) - U256::ONE] {
        assert_eq!(grant(unlimited), "unlimited", "{unlimited}");
    }
    for limited in [power(255) - U256::ONE, power(96), power(96) - U256::from(2), U256::ONE] {
        assert_eq!(grant(limited), "limited", "{limited}");
    }
    assert_eq!(grant(U256::ZERO), "revoked");
}

#[test]
fn the_body_says_whose_tokens_and_for_how_long() {
    let text = World::new("en").render(&[allowance(0, ALICE, U256::MAX)]);
    assert!(
        text.body.starts_with(
            "Owner: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\
             Spender: 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
             Allowance: unlimited\n\
             Unlimited: the spender may take every BELL that the owner has or will have, until it is revoked.\n\
             Token: Bell Token\n\
             Contract: bell, "
        ),
        "{}",
        text.body
    );
    let text = World::new("ru").render(&[for_all(0, ALICE, true)]);
    assert!(
        text.body.starts_with(
            "Владелец: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\
             Кому разрешено: 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
             Можно перевести любой токен коллекции, который есть и появится у владельца, пока разрешение не \
             отозвано.\n\
             Коллекция: Bell Token\n\
             Контракт: bell, "
        ),
        "{}",
        text.body
    );
    let text = World::new("en").with_token(nameless()).render(&[allowance(0, ALICE, U256::from(5000))]);
    assert_eq!(text.title, "0x3C44…93BC may spend up to 5,000 0x5FbD…0aa3");
    assert!(text.body.contains("\nThe amount is in the smallest unit: "));
}

#[test]
fn of_several_the_last_about_the_same_counts_and_the_most_dangerous_comes_first() {
    let events = [
        allowance(0, ALICE, U256::MAX),
        allowance(1, BOB, bells(3, 0)),
        approved(2, ALICE, 7),
        for_all(3, BOB, true),
        allowance(4, BOB, U256::MAX),
        allowance(5, ALICE, U256::ZERO),
        approved(6, Address::ZERO, 7),
        approved(7, BOB, 8),
        allowance(8, Address::with_last_byte(1), bells(1, 0)),
        allowance(9, Address::with_last_byte(2), bells(2, 0)),
    ];
    let text = World::new("en").render(&events);
    assert_eq!(text.title, "10 approvals, 1 for all tokens, 1 unlimited, 2 revoked");
    assert!(
        text.body.starts_with(
            "0x7099…79C8 may move all BELL tokens, of 0xf39F…2266\n\
             0x7099…79C8 may spend BELL without limit, of 0xf39F…2266\n\
             0x0000…0002 may spend up to 2 BELL, of 0xf39F…2266\n\
             0x0000…0001 may spend up to 1 BELL, of 0xf39F…2266\n\
             0x7099…79C8 may move BELL #8, of 0xf39F…2266\n\
             and 2 more\n\
             Contract: bell, "
        ),
        "{}",
        text.body
    );
    assert_eq!(text.facts["standing_count"], 7);
    assert_eq!(
        text.facts["totals"],
        serde_json::json!({ "all": 1, "unlimited": 1, "limited": 2, "token": 1, "revoked": 2 })
    );
    let text = World::new("ru").render(&events);
    assert_eq!(text.title, "10 разрешений, на все токены: 1, без ограничений: 1, отозвано: 2");
    assert!(text.body.starts_with("0x7099…79C8 может переводить все токены BELL, владелец 0xf39F…2266\n"));
}
