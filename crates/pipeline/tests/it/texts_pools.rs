//! What a person reads about swaps and liquidity.

use alloy_primitives::{Address, I256, U256};
use pipeline::texts::Texts;
use serde_json::json;

use crate::{
    texts_kinds::{in_transaction, liquidity_v2, liquidity_v3, swap_v2, swap_v3},
    texts_world::{BELL, World},
};

fn n(number: u64) -> U256 {
    U256::from(number)
}

fn int(number: i64) -> I256 {
    I256::try_from(number).unwrap()
}

fn pool(number: u8) -> Address {
    Address::with_last_byte(number)
}

const NOTE: &str = "In and out as the pool sees them, in the smallest units of its token0 and token1, which a swap \
                    does not name.";

#[test]
fn a_swap_says_what_the_pool_got_and_gave_whichever_version_it_is_of() {
    let v2 = swap_v2(0, BELL, [n(1000), n(0), n(0), n(990)]);
    let v3 = swap_v3(0, BELL, [int(1000), int(-990)]);
    assert!(!Texts::wants_token(&v2));
    let text = World::new("en").render(&[v2]);
    assert_eq!((text.kind, text.title.as_str()), ("swap", "Swap in bell: 1,000 token0 in, 990 token1 out"));
    let start = format!("Pool: 0x5FbDB2315678afecb367f032d93F642f64180aa3\n{NOTE}\nContract: bell, ");
    assert!(text.body.starts_with(&start), "{}", text.body);
    assert_eq!(World::new("en").render(std::slice::from_ref(&v3)).facts, text.facts);
    let text = World::new("ru").render(&[v3]);
    assert_eq!(text.title, "Обмен в bell: приход 1\u{a0}000 token0, расход 990 token1");
}

#[test]
fn a_swap_that_pays_back_what_it_took_is_netted() {
    let flash = swap_v2(0, BELL, [n(1003), n(0), n(1000), n(0)]);
    assert_eq!(World::new("en").render(&[flash]).title, "Swap in bell: 3 token0 in");
    let nothing = swap_v3(0, BELL, [int(0), int(0)]);
    let titles = ["en", "ru"].map(|locale| World::new(locale).render(std::slice::from_ref(&nothing)).title);
    assert_eq!(titles, ["Swap in bell: nothing moved", "Обмен в bell: ничего не перемещено"]);
    let least = swap_v3(0, BELL, [I256::MIN, I256::MAX]);
    let facts = World::new("en").render(&[least]).facts;
    assert_eq!(facts["pools"][0]["token0"]["net"], I256::MIN.to_string());
    assert_eq!(facts["pools"][0]["token1"]["net"], I256::MAX.to_string());
}

#[test]
fn swaps_of_one_transaction_are_one_trade() {
    let events = [
        in_transaction(swap_v2(0, BELL, [n(100), n(0), n(0), n(50)]), 0),
        in_transaction(swap_v3(1, BELL, [int(-20), int(9)]), 0),
    ];
    let text = World::new("en").render(&events);
    assert_eq!(text.title, "Trade of 2 swaps in bell: 80 token0 in, 41 token1 out");
    assert_eq!(text.facts["trades_count"], 1);
    assert_eq!(
        text.facts["trades"][0]["pools"][0],
        json!({
            "address": "0x5FbDB2315678afecb367f032d93F642f64180aa3", "count": 2,
            "token0": { "in": "100", "out": "20", "net": "80" },
            "token1": { "in": "9", "out": "50", "net": "-41" },
            "moved": [
                { "token": "token0", "direction": "in", "amount": "80" },
                { "token": "token1", "direction": "out", "amount": "41" },
            ],
        })
    );
    let text = World::new("ru").render(&events);
    assert_eq!(text.title, "Сделка (2 обмена) в bell: приход 80 token0, расход 41 token1");
}

#[test]
fn a_trade_through_several_pools_is_told_in_the_order_of_its_route() {
    let events: Vec<_> = [3, 1, 2, 4, 6, 5, 3]
        .into_iter()
        .zip(0..)
        .map(|(at, index)| in_transaction(swap_v3(index, pool(at), [int(10), int(-9)]), 0))
        .collect();
    let text = World::new("en").render(&events);
    assert_eq!(text.title, "Trade of 7 swaps in 6 pools");
    let lines: Vec<_> = text.body.lines().take(6).collect();
    assert_eq!(lines[0], "0x0000…0003: 20 token0 in, 18 token1 out");
    assert_eq!(lines[1], "0x0000…0001: 10 token0 in, 9 token1 out");
    assert_eq!(lines[5], "and 1 more pool with 1 swap");
    let text = World::new("ru").render(&events);
    assert_eq!(text.title, "Сделка: 7 обменов, 6 пулов");
    assert!(text.body.contains("\nи ещё 1 пул, 1 обмен\n"));
}

#[test]
fn several_trades_are_netted_and_the_largest_shown() {
    let events: Vec<_> = (0..7_i64)
        .map(|index| {
            let swap = swap_v3(index.unsigned_abs(), BELL, [int(10 * (index + 1)), int(-index)]);
            in_transaction(swap, index.unsigned_abs() / 2)
        })
        .chain([in_transaction(swap_v3(9, BELL, [int(-200), int(1000)]), 9)])
        .collect();
    let text = World::new("en").render(&events);
    assert_eq!(text.title, "8 swaps in 5 trades in bell: 80 token0 in, 979 token1 in");
    assert!(
        text.body.starts_with(&format!(
            "Pool: 0x5FbDB2315678afecb367f032d93F642f64180aa3\n\
             Largest:\n\
             0x0000…abc9: 200 token0 out, 1,000 token1 in\n\
             0x0000…abc2: 110 token0 in, 9 token1 out\n\
             0x0000…abc1: 70 token0 in, 5 token1 out\n\
             0x0000…abc3: 70 token0 in, 6 token1 out\n\
             0x0000…abc0: 30 token0 in, 1 token1 out\n\
             {NOTE}\nContract: "
        )),
        "{}",
        text.body
    );
}

#[test]
fn trades_in_several_pools_are_told_pool_by_pool() {
    let events: Vec<_> = (0..8)
        .map(|index| swap_v3(index, pool(u8::try_from(index % 7).unwrap()), [int(10), int(-20)]))
        .collect();
    let text = World::new("en").render(&events);
    assert_eq!(text.title, "8 trades in 7 pools");
    let lines: Vec<_> = text.body.lines().collect();
    assert_eq!(lines[0], "0x0000…0000: 20 token0 in, 40 token1 out");
    assert_eq!(lines[5..7], ["and 2 more pools with 2 swaps", "Largest:"]);
    assert_eq!(lines[12], "and 3 more");
    assert_eq!(World::new("ru").render(&events).title, "8 сделок, 7 пулов");
}

#[test]
fn liquidity_says_who_added_or_removed_what() {
    let amounts = [n(1000), n(7)];
    for (event, en, ru, who) in [
        (
            liquidity_v2(0, BELL, true, amounts),
            "Liquidity added to bell: 1,000 token0, 7 token1",
            "Ликвидность внесена в bell: 1\u{a0}000 token0, 7 token1",
            "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        ),
        (
            liquidity_v2(0, BELL, false, amounts),
            "Liquidity removed from bell: 1,000 token0, 7 token1",
            "Ликвидность изъята из bell: 1\u{a0}000 token0, 7 token1",
            "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        ),
        (
            liquidity_v3(0, BELL, true, amounts),
            "Liquidity added to bell: 1,000 token0, 7 token1",
            "Ликвидность внесена в bell: 1\u{a0}000 token0, 7 token1",
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
        (
            liquidity_v3(0, BELL, false, amounts),
            "Liquidity removed from bell: 1,000 token0, 7 token1",
            "Ликвидность изъята из bell: 1\u{a0}000 token0, 7 token1",
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
    ] {
        let text = World::new("en").render(std::slice::from_ref(&event));
        assert_eq!((text.kind, text.title.as_str()), ("liquidity", en));
        assert!(text.body.starts_with(&format!("By: {who}\nPool: 0x5FbD")), "{}", text.body);
        assert_eq!(World::new("ru").render(&[event]).title, ru);
    }
}

#[test]
fn changes_of_several_pools_are_told_one_by_one() {
    let events: Vec<_> = (0..8)
        .map(|index| liquidity_v3(index, pool(u8::try_from(index % 7).unwrap()), index < 6, [n(10), n(20)]))
        .collect();
    let text = World::new("en").render(&events);
    assert_eq!(text.title, "8 liquidity changes in 7 pools: 6 added, 2 removed");
    let lines: Vec<_> = text.body.lines().collect();
    assert_eq!(lines[0], "0x0000…0000 token0: in 10, out 10, net 0");
    assert_eq!(lines[3], "0x0000…0001 token1: in 20, out 0, net +20");
    assert_eq!(lines[10], "and 2 more pools with 2 changes");
    let text = World::new("ru").render(&events);
    assert_eq!(text.title, "8 изменений ликвидности, 7 пулов: внесена 6 раз, изъята 2 раза");
    assert!(text.body.contains("\nи ещё 2 пула, 2 изменения\n"));
}

#[test]
fn events_of_the_same_names_and_other_shapes_are_contract_events() {
    let mut renamed = swap_v2(0, BELL, [n(1), n(0), n(0), n(1)]);
    if let domain::Content::Decoded { schema, .. } = &mut renamed.event.content {
        let mut other = (**schema).clone();
        other.params[1].ty = domain::ParamType::Uint(112);
        *schema = std::sync::Arc::new(other);
    }
    assert_eq!(World::new("en").render(&[renamed]).kind, "contract_event");
    let mixed = [swap_v2(0, BELL, [n(1), n(0), n(0), n(1)]), liquidity_v2(1, BELL, true, [n(1), n(1)])];
    assert_eq!(World::new("en").render(&mixed).kind, "contract_event");
}
