//! The halt: what stops a chain for a person, what lets it go on, and what does not.

use pipeline::{RoomError, ingest::Did};
use store::Rewind;

use crate::world::{BELL, CHAIN, World, name, on_both_stores, settle};

on_both_stores!(
    a_reorg_that_crosses_what_was_final_halts_however_shallow_it_is,
    a_halt_outlives_the_process_and_an_error_does_not_clear_it,
    a_halted_chain_goes_on_when_the_node_agrees_again,
    an_operator_settles_a_halt_by_naming_the_last_good_block,
);

/// A world whose stored chain of 16 blocks is final up to block 12, and whose node has taken block 12 back.
async fn crossed(world: &World) -> anyhow::Result<()> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=16);
    settle(&mut ingest).await?;
    world.node.chain(|chain| chain.rollback(5));
    world.ring(40..=50);
    Ok(())
}

fn is_halted(error: &RoomError) -> bool {
    matches!(error, RoomError::Halted(_))
}

async fn a_reorg_that_crosses_what_was_final_halts_however_shallow_it_is(world: World) -> anyhow::Result<()> {
    crossed(&world).await?;
    let held = world.held(BELL).await?;
    let halted = world.ingest_with(|config| config.max_reorg_depth = 100);
    let halted = {
        let mut ingest = halted;
        ingest.advance().await?;
        ingest.advance().await.unwrap_err()
    };
    assert!(is_halted(&halted), "{halted}");
    for part in ["block 12 was final", "chainbell recover --chain local", "Nothing was changed"] {
        assert!(halted.to_string().contains(part), "'{part}' is not in: {halted}");
    }
    assert_eq!(world.held(BELL).await?, held);
    let row = world.store.chain(CHAIN).await?.unwrap();
    assert_eq!(row.halted.as_deref(), Some(halted.to_string().as_str()));
    Ok(())
}

async fn a_halt_outlives_the_process_and_an_error_does_not_clear_it(world: World) -> anyhow::Result<()> {
    crossed(&world).await?;
    let mut ingest = world.ingest();
    ingest.advance().await?;
    assert!(is_halted(&ingest.advance().await.unwrap_err()));
    let mut other = world.ingest();
    assert!(is_halted(&other.advance().await.unwrap_err()), "another process begins halted");
    world.node.always("eth_getBlockByNumber", testkit::scripted_node::Reply::error(-32603, "Internal error"));
    assert!(is_halted(&other.advance().await.unwrap_err()), "a node that fails agrees with nobody");
    assert!(world.store.chain(CHAIN).await?.unwrap().halted.is_some());
    Ok(())
}

async fn a_halted_chain_goes_on_when_the_node_agrees_again(world: World) -> anyhow::Result<()> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=16);
    settle(&mut ingest).await?;
    let whole = world.branch();
    world.reorg(5, 40..=50);
    assert!(is_halted(&ingest.advance().await.unwrap_err()));
    world.switch_to(&whole);
    world.ring(17..=18);
    let done = settle(&mut ingest).await?;
    assert!(done.contains(&Did::Followed { blocks: 2, events: 2 }), "{done:?}");
    assert_eq!(world.store.chain(CHAIN).await?.unwrap().halted, None);
    world.agrees().await
}

async fn an_operator_settles_a_halt_by_naming_the_last_good_block(world: World) -> anyhow::Result<()> {
    crossed(&world).await?;
    let mut ingest = world.ingest();
    ingest.advance().await?;
    assert!(is_halted(&ingest.advance().await.unwrap_err()));
    let to = world.node.chain(|chain| chain.block(11).unwrap().block);
    let rewind =
        Rewind { chain: CHAIN, name: &name(), to, now: jiff::Timestamp::from_second(1_700_000_100)? };
    assert_eq!(world.store.rewind_chain(&rewind).await?.orphaned, 5);
    settle(&mut ingest).await?;
    assert_eq!(world.tip().await?, world.head());
    world.agrees().await
}
