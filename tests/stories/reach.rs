//! What a watch can reach: any token, a tuple's member, values of 256 bits; and how edits reach it.

use alloy_primitives::{B256, U256};
use devnet::{Leg, Order};
use testkit::deployment::Deployment;

use crate::{
    on_both,
    world::{Stage, World, immediate_watch},
};

on_both!(
    one_watch_sees_an_address_across_all_tokens,
    a_tuple_member_and_a_value_above_two_to_the_128_are_matched_exactly,
    a_reorg_takes_pending_hits_back_and_a_moved_transfer_is_told_once,
);

fn titles(world: &World, watch: &str) -> Vec<String> {
    let inbox = world.receiver.inbox();
    let of_watch = inbox.values().filter(|body| body["data"]["watch"] == watch);
    of_watch.filter_map(|body| body["data"]["title"].as_str().map(str::to_owned)).collect()
}

async fn one_watch_sees_an_address_across_all_tokens(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let other = stage.anvil.bytes32_token().await?;
    let silent = stage.anvil.silent_token().await?;
    let hostile = stage.anvil.odd_token("x", "\u{202e}@everyone\u{1b}[2J{{7*7}}", 18).await?;
    let to = stage.anvil.account(4);
    let extra =
        "[[contract]]\nname = \"any\"\nchain = \"local\"\nabi = \"abi/erc20.json\"\nevents = [\"Transfer\"]\n"
            .to_owned()
            + &immediate_watch("mine", "any", "Transfer", &format!("to == {to} or from == {to}"));
    let world = World::new(deployment, &stage, &extra).await?;
    world.run_through(stage.head().await?).await?;
    let bank = stage.anvil.account(0);
    stage.transfers(to, 1).await?;
    for token in [&other, &silent, &hostile] {
        stage.anvil.send(token.mint(bank, to, U256::from(5))).await?;
    }
    stage.transfers(stage.anvil.account(5), 1).await?;
    world.run_through(stage.head().await?).await?;
    let told = titles(&world, "mine");
    // The odd token indexes nothing, so that its log may be anything's: it is kept undecoded, and not guessed at.
    assert_eq!(told.len(), 3, "{told:?}\n{}", world.logged());
    Ok(())
}

async fn a_tuple_member_and_a_value_above_two_to_the_128_are_matched_exactly(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let edge = (U256::from(1) << 200) + U256::from(1);
    let extra = immediate_watch(
        "orders",
        "exchange",
        "OrderPlaced",
        "order.amount > 100 and order.legs[0].delta < 0",
    ) + &immediate_watch("price", "exchange", "PriceSet", &format!("price == {edge}"));
    let world = World::new(deployment, &stage, &extra).await?;
    world.run_through(stage.head().await?).await?;
    let maker = stage.anvil.account(1);
    let order = |amount: u64, delta: i128| Order {
        token: stage.token.address,
        amount: U256::from(amount),
        deadline: 1,
        legs: vec![Leg { venue: maker, delta, route: vec![1, 2].into() }],
    };
    let calls = [
        stage.exchange.place_order(maker, &order(100, -1)),
        stage.exchange.place_order(maker, &order(101, 1)),
        stage.exchange.place_order(maker, &order(101, -1)),
        stage.exchange.set_price(maker, B256::ZERO, edge - U256::from(1)),
        stage.exchange.set_price(maker, B256::ZERO, edge),
        stage.exchange.set_price(maker, B256::ZERO, edge + U256::from(1)),
    ];
    stage.anvil.send_all(&calls).await?;
    world.run_through(stage.head().await?).await?;
    assert_eq!(titles(&world, "orders").len(), 1, "{}", world.logged());
    assert_eq!(titles(&world, "price").len(), 1, "{}", world.logged());
    Ok(())
}

async fn a_reorg_takes_pending_hits_back_and_a_moved_transfer_is_told_once(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let extra = crate::world::digest_watch("in", to, "3s")
        + &immediate_watch("all", "bell", "Transfer", "value == 77");
    let world = World::new(deployment, &stage, &extra).await?;
    let bank = stage.anvil.account(0);
    let grants: Vec<_> = (5..9).map(|index| (stage.anvil.account(index), U256::from(1_000))).collect();
    stage.anvil.send(stage.token.burst(bank, &grants)).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let running = world.start(&[])?;

    let moved = stage
        .anvil
        .send(stage.token.transfer(stage.anvil.account(5), stage.anvil.account(9), U256::from(77)))
        .await?;
    for (index, value) in [(6, 61_u64), (7, 62), (8, 63)] {
        stage.anvil.send(stage.token.transfer(stage.anvil.account(index), to, U256::from(value))).await?;
    }
    testkit::wait::eventually("three hits wait and one is told", crate::world::CAP, || async {
        let waiting = store.hits_by_state(Some(&"in".parse()?)).await?;
        let told = store.hits_by_state(Some(&"all".parse()?)).await?;
        let there = waiting.get("pending") == Some(&3) && told.get("notified") == Some(&1);
        Ok(if there { Ok(()) } else { Err((waiting, told, world.logged())) })
    })
    .await?;
    let raw = stage.anvil.raw_transaction(moved.transaction_hash).await?;
    stage.anvil.reorg(devnet::Reorg::new(4).remine(raw, 2)).await?;
    stage.transfers(stage.anvil.account(2), 1).await?;
    world.quiet(&store, stage.head().await?).await?;
    running.terminate().await?;

    let states = store.hits_by_state(Some(&"in".parse()?)).await?;
    assert_eq!(states.get("orphaned"), Some(&3), "{states:?}");
    assert!(titles(&world, "in").is_empty(), "{:?}", titles(&world, "in"));
    assert_eq!(titles(&world, "all").len(), 1);
    let events = store.events_of_transaction(moved.transaction_hash).await?;
    assert_eq!(events.iter().map(store::StoredEvent::is_canonical).collect::<Vec<_>>(), [false, true]);
    Ok(())
}
