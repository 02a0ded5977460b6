//! Every kind in both languages with 0, 1, 2, 5 and 21 items: English has two forms of a word and Russian three, and 1,
//! 2, 5 and 21 tell them apart. With 0 items there is nothing to tell; what is told then is that all of it is gone.

use alloy_primitives::{I256, U256};
use store::StoredEvent;

use crate::{
    texts_kinds::{allowance, liquidity_v2, single, swap_v3},
    texts_world::{ALICE, BELL, BOB, ME, World, bells, erc20, erc721, order_filled},
};

/// The titles of 1, 2, 5 and 21 events, and after that of 2 those lines of the body that only this kind has. A space
/// within a number is written `_`.
fn told(locale: &str, make: &dyn Fn(u64) -> StoredEvent) -> Vec<String> {
    let world = World::new(locale);
    let mut told = Vec::new();
    for count in [1, 2, 5, 21] {
        let events: Vec<_> = (0..count).map(make).collect();
        let text = world.render(&events);
        assert_eq!(text.facts["count"], count);
        told.push(text.title.replace('\u{a0}', "_"));
        if count == 2 {
            let own = text
                .body
                .lines()
                .take_while(|line| !line.starts_with("Contract:") && !line.starts_with("Контракт:"));
            told.extend(own.map(|line| format!("  {}", line.replace('\u{a0}', "_"))));
        }
    }
    told
}

type Make = Box<dyn Fn(u64) -> StoredEvent>;

/// One maker of events for each kind, by its name.
fn kinds() -> Vec<(&'static str, Make)> {
    let one = |number: u64| I256::try_from(number + 1).unwrap();
    vec![
        ("erc20_transfer", Box::new(|index| erc20(index, ALICE, BOB, bells(index + 1, 0)))),
        ("erc721_transfer", Box::new(|index| erc721(index, ALICE, BOB, index))),
        ("erc1155_transfer", Box::new(|index| single(index, (ALICE, BOB), U256::from(index), U256::from(3)))),
        (
            "approval",
            Box::new(|index| allowance(index, if index == 0 { ALICE } else { BOB }, bells(index, 0))),
        ),
        ("swap", Box::new(move |index| swap_v3(index, BELL, [one(index), -one(1999)]))),
        (
            "liquidity",
            Box::new(|index| {
                liquidity_v2(index, BELL, index % 3 != 1, [U256::from(index + 1), U256::from(7)])
            }),
        ),
        ("contract_event", Box::new(|index| order_filled(index, ALICE))),
    ]
}

fn of_kind(locale: &str, wanted: &str) -> Vec<String> {
    let (_, make) = kinds().into_iter().find(|(kind, _)| *kind == wanted).unwrap();
    assert_eq!(World::new(locale).render(&[make(0)]).kind, wanted);
    told(locale, &make)
}

#[test]
fn erc20_transfers() {
    assert_eq!(
        of_kind("en", "erc20_transfer"),
        [
            "1 BELL moved from 0x3C44…93BC to 0x7099…79C8",
            "2 transfers, 3 BELL in total",
            "  Total: 3 BELL",
            "  Token: Bell Token",
            "  Largest:",
            "  2 BELL from 0x3C44…93BC to 0x7099…79C8",
            "  1 BELL from 0x3C44…93BC to 0x7099…79C8",
            "  Participants (2): 0x3C44…93BC (2), 0x7099…79C8 (2)",
            "5 transfers, 15 BELL in total",
            "21 transfers, 231 BELL in total",
        ]
    );
    assert_eq!(
        of_kind("ru", "erc20_transfer"),
        [
            "Перевод 1 BELL с 0x3C44…93BC на 0x7099…79C8",
            "2 перевода на сумму 3 BELL",
            "  Всего: 3 BELL",
            "  Токен: Bell Token",
            "  Крупнейшие:",
            "  2 BELL с 0x3C44…93BC на 0x7099…79C8",
            "  1 BELL с 0x3C44…93BC на 0x7099…79C8",
            "  Участники (2): 0x3C44…93BC (2), 0x7099…79C8 (2)",
            "5 переводов на сумму 15 BELL",
            "21 перевод на сумму 231 BELL",
        ]
    );
}

#[test]
fn erc721_transfers() {
    assert_eq!(
        of_kind("en", "erc721_transfer"),
        [
            "BELL #0 moved from 0x3C44…93BC to 0x7099…79C8",
            "2 BELL transfers",
            "  Tokens (2): #0, #1",
            "  Collection: Bell Token",
            "  Participants (2): 0x3C44…93BC (2), 0x7099…79C8 (2)",
            "5 BELL transfers",
            "21 BELL transfers",
        ]
    );
    assert_eq!(
        of_kind("ru", "erc721_transfer"),
        [
            "Перевод NFT BELL #0 с 0x3C44…93BC на 0x7099…79C8",
            "2 перевода BELL",
            "  Токены (2): #0, #1",
            "  Коллекция: Bell Token",
            "  Участники (2): 0x3C44…93BC (2), 0x7099…79C8 (2)",
            "5 переводов BELL",
            "21 перевод BELL",
        ]
    );
}

#[test]
fn erc1155_transfers() {
    assert_eq!(
        of_kind("en", "erc1155_transfer"),
        [
            "3 × BELL #0 moved from 0x3C44…93BC to 0x7099…79C8",
            "2 transfers of BELL, 6 in total",
            "  Total: 6",
            "  #0: 3",
            "  #1: 3",
            "  Collection: Bell Token",
            "  Participants (2): 0x3C44…93BC (2), 0x7099…79C8 (2)",
            "5 transfers of BELL, 15 in total",
            "21 transfers of BELL, 63 in total",
        ]
    );
    assert_eq!(
        of_kind("ru", "erc1155_transfer"),
        [
            "Перевод 3 × BELL #0 с 0x3C44…93BC на 0x7099…79C8",
            "2 перевода BELL, всего 6",
            "  Всего: 6",
            "  #0: 3",
            "  #1: 3",
            "  Коллекция: Bell Token",
            "  Участники (2): 0x3C44…93BC (2), 0x7099…79C8 (2)",
            "5 переводов BELL, всего 15",
            "21 перевод BELL, всего 63",
        ]
    );
}

#[test]
fn approvals() {
    assert_eq!(
        of_kind("en", "approval"),
        [
            "0x3C44…93BC may no longer spend BELL (revoked)",
            "2 approvals, 1 revoked",
            "  0x7099…79C8 may spend up to 1 BELL, of 0xf39F…2266",
            "  0x3C44…93BC may no longer spend BELL (revoked), of 0xf39F…2266",
            "5 approvals, 1 revoked",
            "21 approvals, 1 revoked",
        ]
    );
    assert_eq!(
        of_kind("ru", "approval"),
        [
            "0x3C44…93BC больше не может тратить BELL (отозвано)",
            "2 разрешения, отозвано: 1",
            "  0x7099…79C8 может потратить до 1 BELL, владелец 0xf39F…2266",
            "  0x3C44…93BC больше не может тратить BELL (отозвано), владелец 0xf39F…2266",
            "5 разрешений, отозвано: 1",
            "21 разрешение, отозвано: 1",
        ]
    );
}

#[test]
fn swaps() {
    assert_eq!(
        of_kind("en", "swap"),
        [
            "Swap in bell: 1 token0 in, 2,000 token1 out",
            "2 trades in bell: 3 token0 in, 4,000 token1 out",
            "  Pool: 0x5FbDB2315678afecb367f032d93F642f64180aa3",
            "  Largest:",
            "  0x0000…abc1: 2 token0 in, 2,000 token1 out",
            "  0x0000…abc0: 1 token0 in, 2,000 token1 out",
            "  In and out as the pool sees them, in the smallest units of its token0 and token1, which a swap does not name.",
            "5 trades in bell: 15 token0 in, 10,000 token1 out",
            "21 trades in bell: 231 token0 in, 42,000 token1 out",
        ]
    );
    assert_eq!(
        of_kind("ru", "swap"),
        [
            "Обмен в bell: приход 1 token0, расход 2_000 token1",
            "2 сделки в bell: приход 3 token0, расход 4_000 token1",
            "  Пул: 0x5FbDB2315678afecb367f032d93F642f64180aa3",
            "  Крупнейшие:",
            "  0x0000…abc1: приход 2 token0, расход 2_000 token1",
            "  0x0000…abc0: приход 1 token0, расход 2_000 token1",
            "  Приход и расход — со стороны пула, в наименьших единицах его token0 и token1: какие это токены, обмен не сообщает.",
            "5 сделок в bell: приход 15 token0, расход 10_000 token1",
            "21 сделка в bell: приход 231 token0, расход 42_000 token1",
        ]
    );
}

#[test]
fn changes_of_liquidity() {
    assert_eq!(
        of_kind("en", "liquidity"),
        [
            "Liquidity added to bell: 1 token0, 7 token1",
            "2 liquidity changes in bell: 1 added, 1 removed",
            "  token0: in 1, out 2, net -1",
            "  token1: in 7, out 7, net 0",
            "  In the smallest units of the pool's token0 and token1, which the event does not name.",
            "5 liquidity changes in bell: 3 added, 2 removed",
            "21 liquidity changes in bell: 14 added, 7 removed",
        ]
    );
    assert_eq!(
        of_kind("ru", "liquidity"),
        [
            "Ликвидность внесена в bell: 1 token0, 7 token1",
            "2 изменения ликвидности в bell: внесена 1 раз, изъята 1 раз",
            "  token0: внесено 1, изъято 2, итог -1",
            "  token1: внесено 7, изъято 7, итог 0",
            "  В наименьших единицах токенов пула token0 и token1: какие это токены, событие не сообщает.",
            "5 изменений ликвидности в bell: внесена 3 раза, изъята 2 раза",
            "21 изменение ликвидности в bell: внесена 14 раз, изъята 7 раз",
        ]
    );
}

#[test]
fn contract_events() {
    assert_eq!(
        of_kind("en", "contract_event"),
        [
            "OrderFilled on bell",
            "2 OrderFilled events on bell",
            "  maker (1): 0x3C44…93BC (2)",
            "5 OrderFilled events on bell",
            "21 OrderFilled events on bell",
        ]
    );
    assert_eq!(
        of_kind("ru", "contract_event"),
        [
            "Событие OrderFilled в bell",
            "2 события OrderFilled в bell",
            "  maker (1): 0x3C44…93BC (2)",
            "5 событий OrderFilled в bell",
            "21 событие OrderFilled в bell",
        ]
    );
}

#[test]
fn without_items_a_factory_says_why_it_says_nothing() {
    let error = World::new("en").try_render(&[]).unwrap_err();
    assert_eq!(error.to_string(), "template contract_event.txt: there are no events to tell of");
}

#[test]
fn when_no_item_is_left_the_retraction_names_what_was_told() {
    for (kind, make) in kinds() {
        for count in [1, 2, 5, 21] {
            let events: Vec<_> = (0..count).map(&make).collect();
            let (en, ru) = (World::new("en"), World::new("ru"));
            let text = en.render(&events);
            let (title, body) = en.retract(&text, events.len());
            assert_eq!(title, format!("Taken back: {}", text.title), "{kind}");
            let expected = if count == 1 {
                "The chain replaced the block of this event. It did not happen."
            } else {
                "The chain replaced the blocks of these events. They did not happen."
            };
            assert_eq!(body, expected, "{kind}");
            let text = ru.render(&events);
            let (title, body) = ru.retract(&text, events.len());
            assert_eq!(title, format!("Отменено: {}", text.title), "{kind}");
            let expected = if count == 1 {
                "Сеть заменила блок с этим событием: его не было."
            } else {
                "Сеть заменила блоки с этими событиями: их не было."
            };
            assert_eq!(body, expected, "{kind}");
        }
    }
}

#[test]
fn when_some_items_are_left_the_correction_tells_them_anew() {
    for (kind, make) in kinds() {
        for (count, said) in [
            (1, "1 of the event told of before is in it now, not 21."),
            (2, "2 of the events told of before are in it now, not 21."),
            (5, "5 of the events told of before are in it now, not 21."),
        ] {
            let world = World::new("en");
            let events: Vec<_> = (0..21).map(&make).collect();
            let text = world.render(&events);
            let left = world.render(&events[..count]);
            let now = world.correct(&text, events.len(), &events[..count]);
            assert_eq!(now.title, format!("Correction: {}", left.title), "{kind}");
            let begin =
                format!("Before: {}\nThe chain replaced blocks, and {said}\n{}", text.title, left.body);
            assert_eq!(now.body, begin, "{kind}");
            assert_eq!(now.facts, left.facts, "{kind}");
        }
    }
}

#[test]
fn of_a_mint_all_standards_say_so() {
    let zero = alloy_primitives::Address::ZERO;
    let pair = |from, to| {
        [
            erc20(0, from, to, bells(2, 0)),
            erc721(0, from, to, 7),
            single(0, (from, to), U256::from(7), U256::from(3)),
        ]
    };
    let titles = |locale: &str, watching: bool, from, to| {
        let world = if watching { World::watching_me(locale) } else { World::new(locale) };
        pair(from, to).map(|event| world.render(&[event]).title)
    };
    assert_eq!(
        titles("en", false, zero, BOB),
        [
            "2 BELL minted to 0x7099…79C8",
            "BELL #7 minted to 0x7099…79C8",
            "3 × BELL #7 minted to 0x7099…79C8"
        ]
    );
    assert_eq!(
        titles("ru", false, BOB, zero),
        [
            "Сожжено 2 BELL с 0x7099…79C8",
            "Сожжён NFT BELL #7 с 0x7099…79C8",
            "Сожжено 3 × BELL #7 с 0x7099…79C8"
        ]
    );
    assert_eq!(titles("en", true, ME, zero)[..2], ["2 BELL burned", "BELL #7 burned"]);
}

#[test]
fn of_mints_and_burns_among_others_digests_say_how_much() {
    let zero = alloy_primitives::Address::ZERO;
    let ends = [(zero, ME), (ALICE, ME), (ME, zero), (zero, zero)];
    let digest = |make: &dyn Fn(u64, _, _) -> StoredEvent| {
        let events: Vec<_> =
            ends.iter().zip(0..).map(|((from, to), index)| make(index, *from, *to)).collect();
        let bodies = ["en", "ru"].map(|locale| World::new(locale).render(&events).body);
        bodies.map(|body| {
            let lines = body.lines().filter(|line| {
                ["Minted:", "Burned:", "Выпущено:", "Сожжено:"].iter().any(|word| line.starts_with(word))
            });
            lines.collect::<Vec<_>>().join(" ")
        })
    };
    let coins = digest(&|index, from, to| erc20(index, from, to, bells(index + 1, 0)));
    assert_eq!(coins, ["Minted: 5 BELL Burned: 7 BELL", "Выпущено: 5 BELL Сожжено: 7 BELL"]);
    let nfts = digest(&|index, from, to| erc721(index, from, to, index));
    assert_eq!(nfts, ["Minted: 2 Burned: 2", "Выпущено: 2 Сожжено: 2"]);
    let units = digest(&|index, from, to| single(index, (from, to), U256::ONE, U256::from(index + 1)));
    assert_eq!(units, ["Minted: 5 Burned: 7", "Выпущено: 5 Сожжено: 7"]);
}
