//! The past: read once, told to nobody, in bounded memory.

use alloy_primitives::U256;
use anyhow::Context as _;
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    on_both,
    world::{CAP, CHAIN, Stage, World, digest_watch, events},
};

on_both!(the_past_is_read_completely_and_tells_nobody, memory_does_not_grow_with_the_length_of_the_past,);

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

const PER_TRANSACTION: u64 = 1_000;
/// Blocks of two thousand logs, so that a range can be halved often before it is one block.
const PER_BLOCK: u64 = 2;
const LOGS: u64 = 100_000;
// A debug build with its buffers, and several pieces read ahead; what matters is that it stays so.
const MEMORY_MAX: u64 = 256 * 1024 * 1024;

async fn memory_does_not_grow_with_the_length_of_the_past(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (bank, to) = (stage.anvil.account(0), stage.anvil.account(3));
    let call = stage.token.transfer_many(bank, to, U256::from(1), PER_TRANSACTION);
    for _ in 0..LOGS / PER_TRANSACTION / PER_BLOCK {
        stage.anvil.send_all(&[call.clone(), call.clone()]).await?;
    }
    let blocks = stage.head().await?;
    stage.anvil.mine(70).await?;
    let world = World::new(deployment, &stage, "").await?;
    let store = world.store().await?;
    let running = world.start(&[])?;
    let (mut early, mut before) = (None, 0);
    // Waits as long as it goes on, however slow the machine is.
    loop {
        let more = eventually("more of the past is read", CAP, || async {
            let cursors = store.contract_cursors(CHAIN).await?;
            let done = !cursors.is_empty() && cursors.iter().all(|cursor| !cursor.is_behind());
            let next = cursors.iter().map(|cursor| cursor.next_block).min().unwrap_or_default();
            Ok(if done || next > before { Ok((next, done)) } else { Err(cursors) })
        });
        let (next, done) = more.await.with_context(|| world.logged())?;
        before = next;
        // By then the ranges have grown to what they will be.
        if next >= blocks * 3 / 5 && early.is_none() {
            early = Some(running.peak_memory().await?);
        }
        if done {
            break;
        }
    }
    let (early, peak) = (early.context("it was looked at in between")?, running.peak_memory().await?);
    running.terminate().await?;
    let mib = |bytes: u64| bytes / 1024 / 1024;
    println!(
        "peak memory: {} MiB after three fifths of {LOGS} logs, {} MiB after all",
        mib(early),
        mib(peak)
    );
    assert!(
        peak < MEMORY_MAX && peak < early * 3 / 2,
        "{} then {} MiB\n{}",
        mib(early),
        mib(peak),
        world.logged()
    );
    Ok(())
}
