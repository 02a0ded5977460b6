//! Watches that are edited while the pipeline runs take effect within a second.

use std::time::Duration;

use alloy_primitives::U256;
use anyhow::Context as _;
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    commands::say,
    on_both,
    world::{CAP, Stage, World},
};

on_both!(a_watch_that_is_added_or_removed_while_running_counts_from_then_on);

async fn a_watch_that_is_added_or_removed_while_running_counts_from_then_on(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(deployment, &stage, "").await?;
    let config = Some(world.config.as_path());
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let running = world.start(&[])?;
    transfer(&stage, 1).await?;
    world.quiet(&store, stage.head().await?).await?;

    let add =
        ["watch", "add", "big", "--recipient", "ops", "--contract", "bell", "--event", "Transfer", "--where"];
    let wrong: Vec<_> = add.into_iter().chain(["amount > 1"]).collect();
    say(config, &wrong).await?.refused(2, &["amount", "value"]);
    let right: Vec<_> = add.into_iter().chain(["value >= 1"]).collect();
    say(config, &right).await?.well()?;
    let listed = say(config, &["watch", "list"]).await?.well()?.out;
    assert!(listed.contains("big") && listed.contains("value >= 1"), "{listed}");
    told_within_a_second(&stage, &world, &store).await?;

    say(config, &["watch", "remove", "big"]).await?.well()?;
    say(config, &["watch", "show", "big"]).await?.refused(2, &["'big'", "watch list"]);
    untold_within_a_second(&stage, &world, &store).await?;
    assert!(running.terminate().await?.success());
    Ok(())
}

async fn transfer(stage: &Stage, value: u64) -> anyhow::Result<()> {
    let (from, to) = (stage.anvil.account(0), stage.anvil.account(3));
    stage.anvil.send(stage.token.transfer(from, to, U256::from(value))).await?;
    Ok(())
}

// The clock of the store measures the second; a transfer now and then shows when the edit is in force.
async fn told_within_a_second(stage: &Stage, world: &World, store: &store::Store) -> anyhow::Result<()> {
    let clock = store::StoreClock::measure(store).await?;
    domain::Clock::sleep(&clock, Duration::from_secs(1)).await;
    transfer(stage, 2).await?;
    eventually("the transfer after the edit is told", CAP, || async {
        let inbox = world.receiver.inbox();
        Ok(if inbox.is_empty() { Err(world.logged()) } else { Ok(()) })
    })
    .await?;
    assert_eq!(world.receiver.inbox().len(), 1, "the one before it is not");
    Ok(())
}

async fn untold_within_a_second(stage: &Stage, world: &World, store: &store::Store) -> anyhow::Result<()> {
    let clock = store::StoreClock::measure(store).await?;
    domain::Clock::sleep(&clock, Duration::from_secs(1)).await;
    transfer(stage, 3).await?;
    world.quiet(store, stage.head().await?).await.context("after the removal")?;
    assert_eq!(world.receiver.inbox().len(), 1);
    Ok(())
}
