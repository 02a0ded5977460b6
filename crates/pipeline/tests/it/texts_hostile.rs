//! Names that want to be more than names, in every kind. A text is plain; each channel escapes it for its own medium.

use alloy_primitives::U256;
use store::{StoredEvent, TokenRow};

use crate::{
    texts_kinds::{allowance, for_all, liquidity_v2, single, swap_v3},
    texts_world::{ALICE, BELL, ME, World, bells, erc20, erc721, order_filled},
};

const HIDDEN: [char; 7] = ['\u{202e}', '\u{1b}', '\u{200b}', '\u{2066}', '\u{2029}', '\r', '\0'];

/// What a name may say, and what a reader then sees of it.
const NAMES: [(&str, &str); 8] = [
    ("**[x](y)**", "**[x](y)**"),
    ("@everyone", "@everyone"),
    ("<!channel>", "<!channel>"),
    ("${x}", "${x}"),
    ("{{ 7 * 7 }}", "\"{{ 7 * 7 }}\""),
    ("{% raw %}", "\"{% raw %}\""),
    ("A\u{202e}B\u{2066}\0\u{1b}C", "ABC"),
    ("A\u{2029}\r\nWatch: b", "\"A Watch: b\""),
];

type Make = fn(u64) -> StoredEvent;

fn kinds() -> Vec<(&'static str, Make)> {
    vec![
        ("erc20_transfer", |index| erc20(index, ALICE, ME, bells(5, 0))),
        ("erc721_transfer", |index| erc721(index, ALICE, ME, index)),
        ("erc1155_transfer", |index| single(index, (ALICE, ME), U256::from(index), U256::from(3))),
        ("approval", |index| allowance(index, ALICE, U256::MAX)),
        ("approval", |index| for_all(index, ALICE, true)),
        ("swap", |index| {
            swap_v3(index, BELL, [alloy_primitives::I256::ONE, alloy_primitives::I256::MINUS_ONE])
        }),
        ("liquidity", |index| liquidity_v2(index, BELL, true, [U256::ONE, U256::ONE])),
        ("contract_event", |index| order_filled(index, ALICE)),
    ]
}

fn called(name: &str) -> TokenRow {
    TokenRow { name: Some(name.into()), symbol: Some(name.into()), decimals: Some(18), ..TokenRow::default() }
}

#[test]
fn hostile_names_are_shown_as_they_are_and_do_nothing() {
    for (kind, make) in kinds() {
        for locale in ["en", "ru"] {
            for count in [1, 5] {
                let events: Vec<_> = (0..count).map(make).collect();
                let plain = World::new(locale).with_token(called("PLAIN")).render(&events);
                assert_eq!(plain.kind, kind);
                for (name, shown) in NAMES {
                    let text = World::new(locale).with_token(called(name)).render(&events);
                    let told = format!("{}\n{}", text.title, text.body);
                    let all = format!("{told}{}", text.facts);
                    assert!(!all.contains(HIDDEN), "{kind}: {name:?}");
                    assert_eq!(text.body.lines().count(), plain.body.lines().count(), "{kind}: {name:?}");
                    // A symbol that could pass for digits is in quotes; a name on a line of its own needs none.
                    let plainly = format!("{}\n{}", plain.title, plain.body);
                    let expected = plainly.replace("PLAIN", shown);
                    assert_eq!(told.replace('"', ""), expected.replace('"', ""), "{kind}: {name:?}");
                }
            }
        }
    }
}

#[test]
fn names_of_ten_thousand_characters_are_shortened() {
    for long in ["x".repeat(10_000), "\u{1f4a9}".repeat(2_500), "я ".repeat(5_000)] {
        for (kind, make) in kinds() {
            let events: Vec<_> = (0..5).map(make).collect();
            let text = World::new("en").with_token(called(&long)).render(&events);
            assert!(text.title.chars().count() < 300, "{kind}");
            assert!(text.body.chars().count() < 2_000, "{kind}: {}", text.body.chars().count());
            assert!(text.facts.to_string().chars().count() < 6_000, "{kind}");
        }
    }
}
