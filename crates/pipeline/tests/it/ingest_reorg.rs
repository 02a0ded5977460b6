//! Reorgs, in every way that a node can stage one, and what only looks like one.

use std::sync::Arc;

use abi::Decoder;
use alloy_primitives::U256;
use devnet::Reorg;
use domain::{Catalog, Clock, Contract, Finality, StartBlock};
use pipeline::{
    Bell, RoomError,
    ingest::{Did, Ingest, IngestConfig, IngestDeps},
};
use store::EventKey;
use testkit::anvil::TestAnvil;

use crate::world::{BELL, CHAIN, World, client, name, on_both_stores, settle};

on_both_stores!(
    a_new_hash_at_the_same_height_is_a_reorg,
    a_reorg_back_restores_the_first_branch_under_a_new_turn,
    a_reorg_that_happened_while_nobody_looked_is_marked_exactly,
    a_long_stop_does_not_hide_a_reorg_below_what_is_final_now,
    a_reorg_in_the_middle_of_the_past_leaves_no_hole,
    a_block_that_another_writer_orphaned_is_not_backfilled,
);

async fn a_new_hash_at_the_same_height_is_a_reorg(world: World) -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let token = anvil.token().await?;
    let (bank, to) = (anvil.account(0), anvil.account(3));
    let schema =
        abi::parse_signature("event Transfer(address indexed from, address indexed to, uint256 value)")?;
    let contract = Contract {
        name: "token".parse()?,
        chain: CHAIN,
        addresses: vec![token.address],
        factory: None,
        events: vec![Arc::new(schema)],
        start: StartBlock::Number(0),
    };
    let catalog = Arc::new(Catalog::new(vec![contract]));
    let deps = IngestDeps {
        client: client(&anvil.http_url(), &world.store).await?,
        store: world.store.clone(),
        decoder: Arc::new(Decoder::new(Arc::clone(&catalog))),
        catalog,
        clock: Arc::clone(&world.clock) as Arc<dyn Clock>,
        relay: Bell::new(),
        committed: Bell::new(),
    };
    let mut ingest = Ingest::new(deps, IngestConfig::new(CHAIN, name()));
    settle(&mut ingest).await?;
    anvil.send(token.transfer(bank, to, U256::from(1))).await?;
    settle(&mut ingest).await?;
    let old = world.tip().await?;
    anvil.reorg(Reorg::new(1).send(&token.transfer(bank, to, U256::from(2)), 0)).await?;
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 1, orphaned: 1 }]);
    assert_eq!(world.tip().await?, old);
    let told = anvil.logs(token.address, 0, old).await?;
    let held = world.held(token.address).await?;
    let told: Vec<_> = told.iter().map(|log| log["blockHash"].as_str().unwrap().to_owned()).collect();
    assert_eq!(held.iter().map(|(_, hash, _)| hash.to_string()).collect::<Vec<_>>(), told);
    Ok(())
}

async fn a_reorg_back_restores_the_first_branch_under_a_new_turn(world: World) -> anyhow::Result<()> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=13);
    let first = world.branch();
    settle(&mut ingest).await?;
    world.reorg(2, 20..=22);
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 2, orphaned: 2 }]);
    world.agrees().await?;
    world.switch_to(&first);
    world.ring(14..=15);
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 3, orphaned: 3 }]);
    world.agrees().await?;
    let stored = world.stored().await?;
    let turns: Vec<_> = stored.iter().map(|stored| (stored.event.block.number, stored.turn)).collect();
    assert_eq!(turns, [(11, 1), (12, 2), (13, 2), (14, 1), (15, 1)]);
    let id = stored[1].event.id;
    let told = world.outbox().await?;
    let of: Vec<_> = told.iter().filter(|message| message.starts_with(&id.to_string())).collect();
    assert_eq!(of, [&format!("{id}:seen"), &format!("{id}:orphaned"), &format!("{id}:seen:2")]);
    Ok(())
}

async fn a_reorg_that_happened_while_nobody_looked_is_marked_exactly(world: World) -> anyhow::Result<()> {
    world.ring(11..=16);
    settle(&mut world.ingest()).await?;
    let dead: Vec<_> =
        world.stored().await?.iter().skip(4).map(|stored| EventKey::of(&stored.event)).collect();
    world.reorg(2, 30..=33);
    let done = settle(&mut world.ingest()).await?;
    assert_eq!(done[1..], [Did::Recovered { depth: 2, orphaned: 2 }]);
    world.agrees().await?;
    let dead = world.store.events_by_keys(&dead).await?;
    assert_eq!(dead.iter().map(|stored| stored.finality).collect::<Vec<_>>(), [Finality::Orphaned; 2]);
    Ok(())
}

async fn a_long_stop_does_not_hide_a_reorg_below_what_is_final_now(world: World) -> anyhow::Result<()> {
    world.ring(11..=16);
    settle(&mut world.ingest_with(|config| config.blocks_max = 4)).await?;
    // By the time that we look again, the new branch is final far above our tip.
    world.reorg(2, 30..=90);
    let mut ingest = world.ingest_with(|config| config.blocks_max = 4);
    let done = settle(&mut ingest).await?;
    assert_eq!(done[1], Did::Recovered { depth: 2, orphaned: 2 }, "{done:?}");
    world.agrees().await
}

async fn a_reorg_in_the_middle_of_the_past_leaves_no_hole(world: World) -> anyhow::Result<()> {
    world.ring(11..=20);
    let mut ingest = world.ingest();
    while !matches!(ingest.advance().await?, Did::Backfilled { to: 18, .. }) {}
    // One block of it was read on the old branch, and two were not read yet.
    world.reorg(3, 40..=45);
    settle(&mut ingest).await?;
    world.agrees().await?;
    // And once more onto a branch that is shorter than where the past ends.
    let again = World::sqlite().await?;
    again.ring(11..=20);
    let mut ingest = again.ingest();
    while !matches!(ingest.advance().await?, Did::Backfilled { to: 18, .. }) {}
    again.reorg(4, 40..=41);
    settle(&mut ingest).await?;
    again.ring(42..=48);
    settle(&mut ingest).await?;
    again.agrees().await
}

async fn a_block_that_another_writer_orphaned_is_not_backfilled(world: World) -> anyhow::Result<()> {
    world.ring(11..=20);
    let mut slow = world.ingest();
    while !matches!(slow.advance().await?, Did::Backfilled { to: 18, .. }) {}
    let old = world.branch();
    world.reorg(2, 40..=42);
    // The other one follows the reorg, and reads no past.
    let mut other = world.ingest();
    while !matches!(other.advance().await?, Did::Recovered { .. }) {}
    // The slow one's node still lives on the old branch, and knows the block that is next in its past.
    world.switch_to(&old);
    let fenced = slow.advance().await.unwrap_err();
    assert!(matches!(fenced, RoomError::Store(store::StoreError::Fenced(_))), "{fenced}");
    let held = world.held(BELL).await?;
    let heights: std::collections::HashSet<_> = held.iter().map(|(number, ..)| number).collect();
    assert_eq!(heights.len(), held.len(), "no height has events of two branches: {held:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_node_moves_nothing() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=15);
    settle(&mut ingest).await?;
    let told = world.outbox().await?;
    let whole = world.branch();
    world.node.chain(|chain| chain.rollback(3));
    assert_eq!(ingest.advance().await?, Did::Idle);
    assert_eq!((world.tip().await?, world.outbox().await?), (15, told));
    world.switch_to(&whole);
    world.ring(16..=16);
    assert_eq!(settle(&mut ingest).await?, [Did::Followed { blocks: 1, events: 1 }]);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lags_below_everything_that_is_held_is_waited_for() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest_with(|config| config.blocks_max = 4);
    settle(&mut ingest).await?;
    let early = world.branch();
    world.ring(11..=60);
    // After a range only its last block is held, so nothing is known of a head below it.
    settle(&mut ingest).await?;
    let whole = world.branch();
    world.switch_to(&early);
    for _ in 0..2 {
        let fault = ingest.advance().await.unwrap_err();
        assert!(!matches!(fault, RoomError::Halted(_)), "{fault}");
        assert!(fault.to_string().contains("store.url"), "{fault}");
    }
    world.switch_to(&whole);
    world.ring(61..=61);
    settle(&mut ingest).await?;
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_shrinks_is_followed_when_it_grows_another_way() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=15);
    settle(&mut ingest).await?;
    world.node.chain(|chain| chain.rollback(3));
    assert_eq!(ingest.advance().await?, Did::Idle, "a shorter chain of the same blocks says nothing yet");
    world.ring(20..=20);
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 3, orphaned: 3 }]);
    assert_eq!(world.tip().await?, 13);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_deeper_than_allowed_halts_and_changes_nothing() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest_with(|config| config.max_reorg_depth = 3);
    settle(&mut ingest).await?;
    world.ring(11..=16);
    settle(&mut ingest).await?;
    let held = world.held(BELL).await?;
    let (told, tip) = (world.outbox().await?, world.tip().await?);
    world.reorg(5, 40..=50);
    for _ in 0..2 {
        let halted = ingest.advance().await.unwrap_err();
        assert!(matches!(halted, RoomError::Halted(_)), "{halted}");
        for part in ["'local'", "max_reorg_depth (3)", "Nothing was changed", "rpc", "store.url"] {
            assert!(halted.to_string().contains(part), "'{part}' is not in: {halted}");
        }
    }
    assert_eq!((world.held(BELL).await?, world.outbox().await?, world.tip().await?), (held, told, tip));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_reorgs_ends_with_what_the_node_tells() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.node.chain(|chain| chain.finalized_depth = Some(8));
    let mut ingest = world.ingest_with(|config| config.blocks_max = 3);
    let mut tx = 1_000;
    // A fixed walk: depth of each reorg, blocks of the new branch, and whether the program was away.
    let walk = [
        (0, 5, false),
        (2, 1, false),
        (1, 4, true),
        (3, 3, false),
        (4, 12, true),
        (1, 1, false),
        (6, 2, true),
        (0, 40, true),
        (2, 9, false),
    ];
    for (depth, blocks, away) in walk {
        if away {
            ingest = world.ingest_with(|config| config.blocks_max = 3);
        }
        world.reorg(depth, tx..=tx + blocks - 1);
        tx += blocks;
        settle(&mut ingest).await?;
        // A branch that is shorter than ours and holds no block at our height is followed when it grows.
        if world.tip().await? == world.head() {
            world.agrees().await?;
        }
    }
    world.ring(tx..=tx + 10);
    settle(&mut ingest).await?;
    world.agrees().await
}
