//! The ledger of an address: what the canonical chain says passed through it, at any block that is held.

use alloy_primitives::U256;
use devnet::Reorg;
use testkit::deployment::Deployment;

use crate::{
    commands::say,
    on_both,
    world::{Stage, World},
};

on_both!(the_ledger_of_an_address_follows_the_chain_and_any_held_block);

async fn the_ledger_of_an_address_follows_the_chain_and_any_held_block(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (bank, me, other) = (stage.anvil.account(0), stage.anvil.account(3), stage.anvil.account(4));
    let world = World::new(deployment, &stage, "").await?;
    let config = Some(world.config.as_path());
    let (address, nobody) = (me.to_string(), stage.anvil.account(5).to_string());
    let send = |from, to, value: u64| stage.anvil.send(stage.token.transfer(from, to, U256::from(value)));
    send(bank, me, 100).await?;
    let early = stage.head().await?;
    send(me, other, 30).await?;
    send(bank, me, 7).await?;
    world.run_through(stage.head().await?).await?;

    let ledger = async |more: &[&str]| -> anyhow::Result<serde_json::Value> {
        let arguments = [&["ledger", &address, "--json"], more].concat();
        let told = say(config, &arguments).await?.well()?.lines()?.remove(0);
        assert_eq!(told["address"], address);
        Ok(told["tokens"].clone())
    };
    let sums = |tokens: &serde_json::Value| {
        let token = &tokens[0];
        let text = |key: &str| token[key].as_str().unwrap_or_default().to_owned();
        (text("in"), text("out"), text("net"), token["count"].as_u64().unwrap_or_default())
    };
    let of = |incoming: &str, out: &str, net: &str, count| (incoming.into(), out.into(), net.into(), count);
    assert_eq!(sums(&ledger(&[]).await?), of("107", "30", "77", 3));
    let early = early.to_string();
    assert_eq!(sums(&ledger(&["--chain", "local", "--at-block", &early]).await?), of("100", "0", "100", 1));

    // The last two vanish, and another takes their place.
    stage.anvil.reorg(Reorg::new(2).send(&stage.token.transfer(me, other, U256::from(100)), 1)).await?;
    stage.anvil.mine(2).await?;
    world.run_through(stage.head().await?).await?;
    assert_eq!(sums(&ledger(&[]).await?), of("100", "100", "0", 2));

    let people = say(config, &["ledger", &address]).await?.well()?.out;
    assert!(people.contains("erc20") && people.contains(&stage.token.address.to_string()), "{people}");
    let nothing = say(config, &["ledger", &nobody]).await?.well()?.out;
    assert!(nothing.contains("nothing"), "{nothing}");
    say(config, &["ledger", &address, "--chain", "local", "--at-block", "100000"])
        .await?
        .refused(2, &["--at-block", "not held"]);
    say(config, &["ledger", "0x12"]).await?.refused(2, &["0x12"]);
    Ok(())
}
