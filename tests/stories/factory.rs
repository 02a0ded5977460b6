//! Contracts that a factory creates, from the configuration to the notification and back to the commands.

use alloy_primitives::{Address, B256, keccak256};
use testkit::{
    deployment::Deployment,
    scripted_node::{LogSpec, ScriptedNode},
};

use crate::{
    commands::say,
    on_both,
    scripted::{bell, chain, ring, told_blocks, world},
    world::immediate_watch,
};

on_both!(a_child_is_told_of_from_the_block_of_its_creation_on,);

const FACTORY: Address = Address::repeat_byte(0xfa);
const POOL: Address = Address::repeat_byte(0x01);
const STRANGER: Address = Address::repeat_byte(0x09);

fn created(tx: u64) -> LogSpec {
    let mut log = LogSpec::new(FACTORY, keccak256("PoolCreated(address)"), tx);
    log.topics.push(B256::left_padding_from(POOL.as_slice()));
    log
}

fn rung(address: Address, tx: u64) -> LogSpec {
    LogSpec { address, ..ring(tx) }
}

async fn a_child_is_told_of_from_the_block_of_its_creation_on(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let factory = format!("address = \"{FACTORY}\"\nevents = [\"event PoolCreated(address indexed pool)\"]");
    let pools = "factory = { contract = \"factory\", event = \"PoolCreated\", parameter = \"pool\" }";
    let tables = chain("local", &node, "")
        + &bell("factory", "local", &factory)
        + &bell("pools", "local", pools)
        + &immediate_watch("rings", "pools", "Ring", "block_number > 0");
    let world = world(deployment, &tables).await?;
    let config = Some(world.config.as_path());
    world.run_through(10).await?;
    // It speaks before it exists, then in the transaction of its creation, before its factory tells of it.
    node.mine(vec![rung(POOL, 10), rung(STRANGER, 11)]);
    node.mine(vec![rung(POOL, 12), created(12), rung(STRANGER, 13)]);
    node.mine(vec![rung(POOL, 14), rung(STRANGER, 15)]);

    // The transaction of its creation is decoded whole, though nobody has read it yet.
    let tx = |number: u64| keccak256(number.to_be_bytes()).to_string();
    let decoded = say(config, &["decode", &tx(12)]).await?.well()?.lines()?;
    let contracts: Vec<_> =
        decoded.iter().map(|event| event["contract"].as_str().unwrap_or_default()).collect();
    assert_eq!(contracts, ["pools", "factory"]);

    world.run_through(13).await?;
    let store = world.store().await?;
    assert_eq!(told_blocks(&world, &store, &node, "rings").await?, [12, 13], "{}", world.logged());
    let of = say(config, &["events", "--chain", "local", "--contract", "pools", "--format", "jsonl"]).await?;
    let of: Vec<_> = of.well()?.lines()?.iter().map(|event| event["block_number"].as_u64()).collect();
    assert_eq!(of, [Some(12), Some(13)]);
    let decoded = say(config, &["decode", &tx(14)]).await?.well()?;
    assert_eq!(decoded.lines()?[0]["contract"], "pools", "{decoded:?}");
    let foreign = say(config, &["decode", &tx(15)]).await?.well()?;
    assert!(
        foreign.out.is_empty() && foreign.err.contains("1 of them of no configured contract"),
        "{foreign:?}"
    );
    Ok(())
}
