//! The past: read once, told to nobody, in bounded memory.

use alloy_primitives::U256;
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    on_both,
    world::{CAP, CHAIN, Stage, World, digest_watch, events},
};

on_both!(
    the_past_is_read_completely_and_tells_nobody,
    memory_stays_bounded_while_two_hundred_thousand_logs_are_read,
);

async fn the_past_is_read_completely_and_tells_nobody(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    stage.transfers(to, 40).await?;
    // Far enough below the head to be final, so that it is read by range, and the rest by hash.
    stage.anvil.mine(100).await?;
    stage.transfers(to, 10).await?;
    let world = World::new(deployment, &stage, &digest_watch("in", to, "1s")).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    assert_eq!(events(&store).await?.len(), 51, "the mint and 50 transfers\n{}", world.logged());
    assert!(store.hits_by_state(None).await?.is_empty());
    stage.transfers(to, 3).await?;
    world.run_through(stage.head().await?).await?;
    let told = world.receiver.inbox();
    assert_eq!(told.values().map(|body| body["data"]["count"].as_u64()).collect::<Vec<_>>(), [Some(3)]);
    Ok(())
}

const LOGS: u64 = 200_000;
const PER_TRANSACTION: u64 = 2_000;
// A debug build with its buffers; what matters is that it does not grow with the number of logs.
const MEMORY_MAX: u64 = 256 * 1024 * 1024;

async fn memory_stays_bounded_while_two_hundred_thousand_logs_are_read(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (bank, to) = (stage.anvil.account(0), stage.anvil.account(3));
    let call = stage.token.transfer_many(bank, to, U256::from(1), PER_TRANSACTION);
    for _ in 0..LOGS / PER_TRANSACTION / 10 {
        stage.anvil.send_all(&vec![call.clone(); 10]).await?;
    }
    stage.anvil.mine(70).await?;
    let world = World::new(deployment, &stage, "").await?;
    let running = world.start(&[])?;
    let store = world.store().await?;
    eventually("the past is read", CAP * 3, || async {
        let cursors = store.contract_cursors(CHAIN).await?;
        let done = !cursors.is_empty() && cursors.iter().all(|cursor| !cursor.is_behind());
        Ok(if done { Ok(()) } else { Err(cursors) })
    })
    .await?;
    let peak = running.peak_memory().await?;
    running.terminate().await?;
    println!("peak memory: {} MiB", peak / 1024 / 1024);
    assert!(peak < MEMORY_MAX, "{} MiB\n{}", peak / 1024 / 1024, world.logged());
    Ok(())
}
