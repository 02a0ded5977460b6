//! What holds for the facts of any approvals, swaps, changes of liquidity and transfers of several ids: they are those of
//! a plain recomputation, and the order in which the events are given does not matter.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, I256, U256};
use proptest::prelude::*;
use serde_json::Value as Json;
use store::StoredEvent;

use crate::{
    texts_kinds::{
        allowance, approved, batch, for_all, in_transaction, liquidity_v2, liquidity_v3, single, swap_v2,
        swap_v3,
    },
    texts_world::{ME, World, bells, erc20, erc721},
};

/// Small enough that the recomputation can use 128 bits with a sign.
fn small() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), any::<u64>()]
}

fn party(number: u8) -> Address {
    match number {
        0 => Address::ZERO,
        1 => ME,
        number => Address::with_last_byte(0x40 + number),
    }
}

fn number(json: &Json) -> i128 {
    json.as_str().unwrap().parse().unwrap()
}

fn shown<'a>(facts: &'a Json, name: &str) -> &'a Vec<Json> {
    facts[name].as_array().unwrap()
}

type Moved = (u8, u8, u8, Vec<(u8, u64)>);

fn moved() -> impl Strategy<Value = Moved> {
    (0..7_u8, 0..4_u8, 0..4_u8, prop::collection::vec((0..8_u8, small()), 0..4))
}

fn batches(moves: &[Moved]) -> Vec<StoredEvent> {
    let each = moves.iter().zip(0..).map(|((collection, from, to, ids), index)| {
        let ends = (party(*from), party(*to));
        let ids: Vec<_> = ids.iter().map(|(id, amount)| (U256::from(*id), U256::from(*amount))).collect();
        let at = Address::with_last_byte(*collection);
        let mut event = match &ids[..] {
            [(id, amount)] => single(index, ends, *id, *amount),
            ids => batch(index, at, ends, ids),
        };
        event.event.address = at;
        event
    });
    each.collect()
}

/// In, out, minted and burned.
type Sums = [i128; 4];

fn check_sums(facts: &Json, expected: &Sums) -> Result<(), TestCaseError> {
    let [incoming, out, minted, burned] = *expected;
    prop_assert_eq!(number(&facts["in"]), incoming);
    prop_assert_eq!(number(&facts["out"]), out);
    prop_assert_eq!(number(&facts["net"]), incoming - out);
    for (name, expected) in [("minted", minted), ("burned", burned)] {
        let told = facts[name].as_str().map_or(0, |digits| digits.parse().unwrap());
        prop_assert_eq!(told, expected, "{}", name);
    }
    Ok(())
}

type Swapped = (u8, u8, bool, [i64; 2]);

fn swaps(swapped: &[Swapped]) -> Vec<StoredEvent> {
    let each = swapped.iter().zip(0..).map(|((pool, tx, v2, deltas), index)| {
        let pool = Address::with_last_byte(*pool);
        let event = if *v2 {
            let side = |delta: i64, into: bool| {
                if (delta > 0) == into { U256::from(delta.unsigned_abs()) } else { U256::ZERO }
            };
            let [delta0, delta1] = *deltas;
            swap_v2(
                index,
                pool,
                [side(delta0, true), side(delta1, true), side(delta0, false), side(delta1, false)],
            )
        } else {
            swap_v3(index, pool, deltas.map(|delta| I256::try_from(delta).unwrap()))
        };
        in_transaction(event, u64::from(*tx))
    });
    each.collect()
}

fn check_pool(pool: &Json, deltas: &[&[i64; 2]]) -> Result<(), TestCaseError> {
    prop_assert_eq!(pool["count"].as_u64().unwrap(), deltas.len() as u64);
    for (side, name) in ["token0", "token1"].into_iter().enumerate() {
        let of_side = || deltas.iter().map(|deltas| i128::from(deltas[side]));
        let net: i128 = of_side().sum();
        prop_assert_eq!(number(&pool[name]["in"]), of_side().filter(|delta| *delta > 0).sum::<i128>());
        prop_assert_eq!(number(&pool[name]["out"]), -of_side().filter(|delta| *delta < 0).sum::<i128>());
        prop_assert_eq!(number(&pool[name]["net"]), net);
        let told = shown(pool, "moved").iter().find(|moved| moved["token"] == name);
        let told = told.map_or(0, |moved| {
            let amount = number(&moved["amount"]);
            if moved["direction"] == "in" { amount } else { -amount }
        });
        prop_assert_eq!(told, net);
    }
    Ok(())
}

type Said = (u8, u8, u8);

fn approvals(said: &[Said]) -> Vec<StoredEvent> {
    let each = said.iter().zip(0..).map(|((what, spender, value), index)| {
        let spender = party(*spender);
        match what {
            0 => allowance(index, spender, if *value == 3 { U256::MAX } else { bells(u64::from(*value), 0) }),
            1 => approved(index, spender, u64::from(*value)),
            _ => for_all(index, spender, *value > 1),
        }
    });
    each.collect()
}

/// The grant that each said last about its subject stands for.
fn standing(said: &[Said]) -> BTreeMap<(u8, u8), &'static str> {
    let each = said.iter().map(|(what, spender, value)| match (what, value) {
        (0, 0) => ((0, *spender), "revoked"),
        (0, 3) => ((0, *spender), "unlimited"),
        (0, _) => ((0, *spender), "limited"),
        (1, id) => ((1, *id), if *spender == 0 { "revoked" } else { "token" }),
        (_, yes) => ((2, *spender), if *yes > 1 { "all" } else { "revoked" }),
    });
    each.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn units_are_summed_by_collection_and_id(moves in prop::collection::vec(moved(), 1..25)) {
        let facts = World::watching_units().render(&batches(&moves)).facts;
        let mut by_id: BTreeMap<(Address, u8), Sums> = BTreeMap::new();
        let mut by_collection: BTreeMap<Address, (u64, Sums)> = BTreeMap::new();
        for (collection, from, to, ids) in &moves {
            let collection = Address::with_last_byte(*collection);
            let (count, all) = by_collection.entry(collection).or_default();
            for (id, amount) in ids {
                *count += 1;
                let counts = [*to == 1, *from == 1, *from == 0, *to == 0];
                let of_id = by_id.entry((collection, *id)).or_default();
                for (place, counts) in counts.into_iter().enumerate() {
                    let amount = if counts { i128::from(*amount) } else { 0 };
                    of_id[place] += amount;
                    all[place] += amount;
                }
            }
        }
        prop_assert_eq!(facts["collections_count"].as_u64().unwrap(), by_collection.len() as u64);
        let transfers: u64 = by_collection.values().map(|(count, _)| count).sum();
        prop_assert_eq!(facts["transfers_count"].as_u64().unwrap(), transfers);
        let mut told = facts["other_collections"]["transfers"].as_u64().unwrap();
        for collection in shown(&facts, "collections") {
            let address: Address = collection["address"].as_str().unwrap().parse().unwrap();
            let (count, sums) = &by_collection[&address];
            prop_assert_eq!(collection["count"].as_u64().unwrap(), *count);
            check_sums(collection, sums)?;
            told += count;
            let ids = by_id.keys().filter(|(at, _)| *at == address).count();
            let of_ids = shown(collection, "ids");
            prop_assert_eq!(collection["ids_count"].as_u64().unwrap(), ids as u64);
            prop_assert_eq!(of_ids.len() as u64 + collection["other_ids"]["ids"].as_u64().unwrap(), ids as u64);
            let totals: Vec<_> = of_ids.iter().map(|id| number(&id["total"])).collect();
            prop_assert!(totals.is_sorted_by(|one, two| one >= two));
            for id in of_ids {
                check_sums(id, &by_id[&(address, id["id"].as_str().unwrap().parse().unwrap())])?;
            }
        }
        prop_assert_eq!(told, transfers);
    }

    #[test]
    fn swaps_are_netted_by_pool_and_by_transaction(
        swapped in prop::collection::vec((0..7_u8, 0..9_u8, any::<bool>(), any::<[i64; 2]>()), 1..25)
    ) {
        let facts = World::new("ru").render(&swaps(&swapped)).facts;
        let transactions: BTreeSet<_> = swapped.iter().map(|(_, tx, ..)| *tx).collect();
        prop_assert_eq!(facts["trades_count"].as_u64().unwrap(), transactions.len() as u64);
        let trades = shown(&facts, "trades");
        prop_assert_eq!(trades.len() as u64 + facts["other_trades"].as_u64().unwrap(), transactions.len() as u64);
        let in_pool = |pool: &Json, tx: Option<&str>| {
            let at: Address = pool["address"].as_str().unwrap().parse().unwrap();
            let of_pool = swapped.iter().filter(|(pool, ..)| Address::with_last_byte(*pool) == at);
            let of_trade = of_pool.filter(|(_, number, ..)| {
                tx.is_none_or(|tx| tx.ends_with(&format!("{:x}", 0xabc0 + u64::from(*number))))
            });
            of_trade.map(|(.., deltas)| deltas).collect::<Vec<_>>()
        };
        for pool in shown(&facts, "pools") {
            check_pool(pool, &in_pool(pool, None))?;
        }
        for trade in trades {
            for pool in shown(trade, "pools") {
                check_pool(pool, &in_pool(pool, trade["transaction"].as_str()))?;
            }
        }
    }

    #[test]
    fn liquidity_is_netted_by_pool(
        changes in prop::collection::vec((0..7_u8, any::<bool>(), any::<bool>(), any::<[u32; 2]>()), 1..25)
    ) {
        let events: Vec<_> = changes.iter().zip(0..).map(|((pool, v2, added, amounts), index)| {
            let make = if *v2 { liquidity_v2 } else { liquidity_v3 };
            make(index, Address::with_last_byte(*pool), *added, amounts.map(U256::from))
        }).collect();
        let facts = World::new("en").render(&events).facts;
        let added = changes.iter().filter(|(_, _, added, _)| *added).count();
        prop_assert_eq!(facts["added"].as_u64().unwrap(), added as u64);
        prop_assert_eq!(facts["removed"].as_u64().unwrap(), (changes.len() - added) as u64);
        for pool in shown(&facts, "pools") {
            let at: Address = pool["address"].as_str().unwrap().parse().unwrap();
            let of_pool = changes.iter().filter(|(pool, ..)| Address::with_last_byte(*pool) == at);
            let deltas: Vec<[i64; 2]> = of_pool
                .map(|(_, _, added, amounts)| amounts.map(|amount| if *added { i64::from(amount) } else { -i64::from(amount) }))
                .collect();
            check_pool(pool, &deltas.iter().collect::<Vec<_>>())?;
        }
    }

    #[test]
    fn the_last_approval_about_the_same_counts(
        said in prop::collection::vec((0..3_u8, 0..6_u8, 0..4_u8), 1..25)
    ) {
        let facts = World::new("en").render(&approvals(&said)).facts;
        let standing = standing(&said);
        prop_assert_eq!(facts["standing_count"].as_u64().unwrap(), standing.len() as u64);
        for grant in ["all", "unlimited", "limited", "token", "revoked"] {
            let expected = standing.values().filter(|stands| **stands == grant).count();
            prop_assert_eq!(facts["totals"][grant].as_u64().unwrap(), expected as u64, "{}", grant);
        }
    }

    #[test]
    fn mints_and_burns_are_summed_exactly(
        moves in prop::collection::vec((0..4_u8, 0..4_u8, small()), 1..25)
    ) {
        let moved = || moves.iter().zip(0..);
        let coins: Vec<_> = moved()
            .map(|((from, to, value), index)| erc20(index, party(*from), party(*to), U256::from(*value)))
            .collect();
        let nfts: Vec<_> =
            moved().map(|((from, to, value), index)| erc721(index, party(*from), party(*to), *value)).collect();
        let (coins, nfts) = (World::new("en").render(&coins).facts, World::new("en").render(&nfts).facts);
        for (name, from_zero) in [("minted", true), ("burned", false)] {
            let of_zero = || moves.iter().filter(|(from, to, _)| if from_zero { *from == 0 } else { *to == 0 });
            let told = coins["tokens"][0][name]["raw"].as_str().map_or(0, |digits| digits.parse().unwrap());
            prop_assert_eq!(told, of_zero().map(|(_, _, value)| i128::from(*value)).sum::<i128>());
            prop_assert_eq!(nfts["collections"][0][name].as_u64().unwrap(), of_zero().count() as u64);
        }
        let largest: Vec<_> = shown(&coins, "largest").iter().map(|one| number(&one["sum"]["raw"])).collect();
        let mut expected: Vec<_> = moves.iter().map(|(_, _, value)| i128::from(*value)).collect();
        expected.sort_by_key(|value| std::cmp::Reverse(*value));
        prop_assert_eq!(&largest[..], &expected[..largest.len()]);
        prop_assert_eq!(largest.len(), expected.len().min(5));
    }

    #[test]
    fn in_no_kind_does_the_order_of_the_events_matter(
        (events, shuffled) in (
            prop::collection::vec(moved(), 1..15),
            prop::collection::vec((0..7_u8, 0..9_u8, any::<bool>(), any::<[i64; 2]>()), 1..15),
            prop::collection::vec((0..3_u8, 0..6_u8, 0..4_u8), 1..15),
            0..3_u8,
        ).prop_flat_map(|(moves, swapped, said, kind)| {
            let events = match kind {
                0 => batches(&moves),
                1 => swaps(&swapped),
                _ => approvals(&said),
            };
            (Just(events.clone()), Just(events).prop_shuffle())
        })
    ) {
        let world = World::watching_units();
        prop_assert_eq!(world.render(&events), world.render(&shuffled));
    }
}
