//! A head that was announced is wanted until it is held, whatever is said of the newest block in between.

use std::time::Duration;

use domain::ChainClient;
use pipeline::{Room as _, ingest::Ingest};
use serde_json::json;
use std::sync::Arc;
use testkit::scripted_node::{Reply, ScriptedChain};

use super::sound;
use crate::world::{World, client, settle};

/// An ingest that listens to the node, and looks by itself once an hour.
async fn listener(world: &World) -> anyhow::Result<Ingest> {
    let live: Arc<dyn ChainClient> = client(&world.node.ws_url(), &world.store).await?;
    let mut ingest =
        world.ingest_of(&live, &world.catalog(), |config| config.poll = Duration::from_secs(3_600));
    settle(&mut ingest).await?;
    while world.node.subscriptions().len() < 2 {
        world.clock.advance(Duration::from_secs(1));
        let hear = tokio::time::timeout(Duration::from_millis(100), ingest.rest());
        let _ = hear.await;
    }
    settle(&mut ingest).await?;
    Ok(ingest)
}

/// The node says that `old` is its newest block, and knows all blocks.
fn lag(world: &World, old: &ScriptedChain) {
    let (chain, old) = (world.branch(), old.clone());
    world.node.answer("eth_getBlockByNumber", move |params| {
        let chain = if params[0] == "latest" { &old } else { &chain };
        chain.answer("eth_getBlockByNumber", params)
    });
}

/// Steps and rests, a second for each, until the tip is at `number` or `turns` are over. Returns how many were needed.
async fn turns(world: &World, ingest: &mut Ingest, number: u64, turns: usize) -> anyhow::Result<usize> {
    for turn in 0..turns {
        if world.tip().await? == number {
            return Ok(turn);
        }
        let _ = ingest.step().await;
        let _ = tokio::time::timeout(Duration::from_millis(100), ingest.rest()).await;
        world.clock.advance(Duration::from_secs(1));
    }
    Ok(turns)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_head_stays_wanted_when_the_step_fails_and_the_newest_block_lags() -> anyhow::Result<()>
{
    let world = World::sqlite().await?;
    let mut ingest = listener(&world).await?;
    let old = world.branch();
    world.node.always("eth_getLogs", Reply::error(-32603, "Internal error"));
    world.ring(11..=11);
    lag(&world, &old);
    assert_eq!(turns(&world, &mut ingest, 11, 3).await?, 3, "it cannot be read yet");
    world.node.restore("eth_getLogs");
    // No further head comes, and the newest block is still said to be the one before.
    assert!(turns(&world, &mut ingest, 11, 60).await? < 60, "the wake-up went out");
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_head_that_no_machine_knows_yet_is_asked_for_again_and_less_and_less_often()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = listener(&world).await?;
    let old = world.branch();
    // The machine that is asked lags in everything.
    for method in ["eth_getBlockByNumber", "eth_getBlockByHash", "eth_getLogs"] {
        let old = old.clone();
        world.node.answer(method, move |params| old.answer(method, params));
    }
    world.ring(11..=11);
    let before = world.node.calls().len();
    assert_eq!(turns(&world, &mut ingest, 11, 60).await?, 60);
    let asked = world.node.calls().len() - before;
    assert!((4..60).contains(&asked), "{asked} questions in a minute");
    for method in ["eth_getBlockByNumber", "eth_getBlockByHash", "eth_getLogs"] {
        world.node.restore(method);
    }
    lag(&world, &old);
    assert!(turns(&world, &mut ingest, 11, 60).await? < 60);
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_head_that_left_the_chain_in_silence_is_not_wanted_for_ever_nor_followed()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = listener(&world).await?;
    let old = world.branch();
    world.node.always("eth_getLogs", Reply::error(-32603, "Internal error"));
    world.ring(11..=11);
    turns(&world, &mut ingest, 11, 2).await?;
    world.node.restore("eth_getLogs");
    world.switch_to(&old);
    // The node still finds the block by its hash, as nodes do with dead ones.
    assert_eq!(turns(&world, &mut ingest, 11, 200).await?, 200);
    let before = world.node.calls().len();
    turns(&world, &mut ingest, 11, 60).await?;
    let asked: Vec<_> =
        world.node.calls().into_iter().skip(before).map(|call| call.params[0].clone()).collect();
    assert!(!asked.contains(&json!("0xb")), "{asked:?}");
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_reorg_stays_wanted_though_its_height_is_held() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = listener(&world).await?;
    world.ring(11..=12);
    assert!(turns(&world, &mut ingest, 12, 60).await? < 60);
    let old = world.branch();
    world.node.always("eth_getLogs", Reply::error(-32603, "Internal error"));
    world.reorg(1, 40..=40);
    lag(&world, &old);
    turns(&world, &mut ingest, 13, 3).await?;
    world.node.restore("eth_getLogs");
    let new = world.branch().head().block;
    for _ in 0..60 {
        turns(&world, &mut ingest, 13, 1).await?;
    }
    let row = world.store.chain(crate::world::CHAIN).await?;
    assert_eq!(row.and_then(|row| row.tip), Some(new));
    sound(&world).await
}
