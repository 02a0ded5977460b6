//! Tokens that answer late, through the real binary.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use serde_json::Value as Json;
use testkit::{
    deployment::Deployment,
    scripted_node::{LogSpec, Reply, ScriptedNode},
};

use crate::{
    commands::say,
    on_both,
    scripted::{BELL, chain, world},
    world::{CHAIN, immediate_watch},
};

on_both!(a_token_that_answers_late_is_told_raw_first_and_by_its_name_once_it_is_asked_again);

fn transfer(tx: u64) -> LogSpec {
    let mut log = LogSpec::new(BELL, keccak256("Transfer(address,address,uint256)"), tx);
    log.topics.extend([Address::repeat_byte(1), Address::repeat_byte(2)].map(|address| address.into_word()));
    log.data = B256::from(U256::from(5_000_000)).to_vec().into();
    log
}

fn encoded(text: &str) -> Json {
    let mut bytes = [U256::from(32), U256::from(text.len())].map(|word| word.to_be_bytes::<32>()).concat();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    Json::from(hex::encode_prefixed(bytes))
}

/// A token that says nothing until it is set up.
fn answer(node: &ScriptedNode) -> Arc<AtomicBool> {
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    node.answer("eth_call", move |params| {
        let call = &params[0];
        let input = call["input"].as_str().or_else(|| call["data"].as_str()).unwrap_or_default();
        Reply::Result(match input {
            _ if !is_ready.load(Ordering::Relaxed) => Json::from("0x"),
            "0x06fdde03" => encoded("Bell Token"),
            "0x95d89b41" => encoded("BELL"),
            _ => Json::from(B256::from(U256::from(6)).to_string()),
        })
    });
    ready
}

async fn a_token_that_answers_late_is_told_raw_first_and_by_its_name_once_it_is_asked_again(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let ready = answer(&node);
    let contract = format!(
        "[[contract]]\nname = \"token\"\nchain = \"local\"\naddress = \"{BELL}\"\nabi = \"abi/erc20.json\"\nstart_block = 0\n"
    );
    let watch = immediate_watch("all", "token", "Transfer", "value > 0");
    let world = world(deployment, &(chain("local", &node, "") + &contract + &watch)).await?;
    let config = Some(world.config.as_path());
    let token = BELL.to_string();
    let refresh = ["token", "refresh", token.as_str()];
    world.run_through(10).await?;
    node.mine(vec![transfer(1)]);
    world.run_through(11).await?;
    let bodies = || {
        let mut bodies: Vec<_> =
            world.receiver.received().into_iter().map(|one| one.body["data"].clone()).collect();
        bodies.sort_by_key(|body| body["facts"]["first"]["block"].as_u64());
        bodies
    };
    let raw = bodies().remove(0);
    assert_eq!(raw["facts"]["tokens"][0]["total"]["raw"], "5000000");
    let text = raw["body"].as_str().unwrap_or_default();
    assert!(text.contains("5,000,000") && text.contains("smallest unit"), "{text}");

    let silent = say(config, &refresh).await?;
    assert!(silent.status == Some(1) && silent.err.contains("answers neither"), "{silent:?}");
    ready.store(true, Ordering::Relaxed);
    let refreshed = say(config, &refresh).await?.well()?;
    assert!(refreshed.out.contains("BELL") && refreshed.out.contains('6'), "{refreshed:?}");
    let known = world.store().await?.token(CHAIN, BELL).await?;
    assert_eq!(known.and_then(|known| known.decimals), Some(6));
    node.mine(vec![transfer(2)]);
    world.run_through(12).await?;
    let named = bodies().remove(1);
    assert!(named["title"].as_str().is_some_and(|title| title.starts_with("5 BELL")), "{named}");

    let mistyped = "0x28C6c06298d514Db089934071355E5743bf21c60";
    say(config, &["token", "refresh", mistyped]).await?.refused(2, &["wrong checksum"]);
    say(config, &["ledger", mistyped]).await?.refused(2, &["wrong checksum"]);
    say(config, &["token", "refresh", &token, "--chain", "lokal"]).await?.refused(2, &["lokal", "local"]);
    Ok(())
}
