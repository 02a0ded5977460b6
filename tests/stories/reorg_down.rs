//! A reorg while the program is down.

use alloy_primitives::U256;
use devnet::Reorg;
use testkit::deployment::Deployment;

use crate::{
    on_both,
    world::{Stage, World, digest_watch, events},
};

on_both!(
    a_reorg_while_the_program_is_down_is_found_at_the_next_start,
    a_reorg_that_is_buried_under_final_blocks_is_found_too,
);

async fn a_reorg_while_the_program_is_down_is_found_at_the_next_start(
    deployment: Deployment,
) -> anyhow::Result<()> {
    reorg_while_down(deployment, 1).await
}

async fn a_reorg_that_is_buried_under_final_blocks_is_found_too(
    deployment: Deployment,
) -> anyhow::Result<()> {
    reorg_while_down(deployment, 200).await
}

async fn reorg_while_down(deployment: Deployment, blocks_on_top: u64) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (bank, to) = (stage.anvil.account(0), stage.anvil.account(3));
    let world = World::new(deployment, &stage, &digest_watch("in", to, "500ms")).await?;
    world.run_through(stage.head().await?).await?;
    for value in 1..=3_u64 {
        stage.anvil.send(stage.token.transfer(bank, to, U256::from(value))).await?;
    }
    world.run_through(stage.head().await?).await?;
    assert_eq!(counted(&world), 3);

    // The last two vanish, and another takes their place.
    let other = stage.token.transfer(bank, to, U256::from(50));
    stage.anvil.reorg(Reorg::new(2).send(&other, 1)).await?;
    stage.anvil.mine(blocks_on_top).await?;
    world.run_through(stage.head().await?).await?;

    let store = world.store().await?;
    let held = events(&store).await?;
    let values: Vec<_> = held
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line))
        .collect::<Result<Vec<_>, _>>()?
        .iter()
        .map(|event| event["params"]["value"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(values[1..], ["1", "50"], "{held:#?}\n{}", world.logged());
    let told = stage.anvil.logs(stage.token.address, 0, stage.head().await?).await?;
    assert_eq!(told.len(), held.len());
    for (log, line) in told.iter().zip(&held) {
        assert!(line.contains(log["blockHash"].as_str().unwrap_or("no hash")), "{line}\n{log}");
    }
    assert_eq!(counted(&world), 4, "what came instead is told");
    Ok(())
}

fn counted(world: &World) -> u64 {
    let inbox = world.receiver.inbox();
    inbox
        .values()
        .filter(|body| body["type"] == "notification.created")
        .filter_map(|body| body["data"]["count"].as_u64())
        .sum()
}
