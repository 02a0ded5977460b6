//! ABIs that cannot be taken as they are: what is refused, what is left out and said, and what is stored raw.

use alloy_primitives::{Address, B256, U256, keccak256};
use serde_json::Value as Json;
use testkit::{
    deployment::Deployment,
    scripted_node::{LogSpec, ScriptedNode},
};

use crate::{
    commands::say,
    on_both,
    scripted::{BELL, chain, configure, ring, world},
};

on_both!(
    the_other_events_of_an_abi_with_an_unknown_type_are_told_and_its_logs_are_stored_raw,
    two_events_of_one_shape_are_refused_by_name,
);

fn contract(name: &str, abi: &str, keys: &str) -> String {
    format!(
        "[[contract]]\nname = \"{name}\"\nchain = \"local\"\naddress = \"{BELL}\"\nabi = \"{abi}\"\nstart_block = 0\n{keys}\n"
    )
}

async fn the_other_events_of_an_abi_with_an_unknown_type_are_told_and_its_logs_are_stored_raw(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let mut price = LogSpec::new(BELL, keccak256("Price(fixed168x10)"), 2);
    price.data = B256::from(U256::from(7)).to_vec().into();
    node.mine(vec![ring(1), price, LogSpec::new(BELL, keccak256("Set(Lib.Status)"), 3)]);
    let abi = r#"[{"type":"event","name":"Ring","inputs":[]},
        {"type":"event","name":"Price","inputs":[{"name":"at","type":"fixed168x10","indexed":false}]},
        {"type":"event","name":"Set","inputs":[{"name":"status","type":"Lib.Status","indexed":false}]}]"#;
    let file = deployment.folder.path().join("odd.json");
    std::fs::write(&file, abi)?;
    let world = world(deployment, &(chain("local", &node, "") + &contract("bell", "odd.json", ""))).await?;
    let config = Some(world.config.as_path());
    let types = ["'Price(fixed168x10)' is not decoded", "'Set(Lib.Status)' is not decoded", "stored raw"];
    let checked = say(config, &["config", "check"]).await?.well()?.err;
    let inspected = say(None, &["abi", "inspect", &file.display().to_string()]).await?.well()?.err;
    let doctor = say(config, &["doctor"]).await?.out;
    for part in types {
        for said in [&checked, &inspected, &doctor] {
            assert!(said.contains(part), "'{part}' is not in {said}");
        }
    }
    world.run_through(11).await?;
    let events = say(config, &["events", "--chain", "local", "--format", "jsonl"]).await?.well()?.lines()?;
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, [Json::from("Ring"), Json::Null, Json::Null]);
    let reason = events[1]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("Price(fixed168x10)") && reason.contains("'at'"), "{reason}");
    let watch = ["watch", "add", "w", "--recipient", "ops", "--contract", "bell", "--event", "Price"];
    say(config, &watch).await?.refused(2, &["fixed168x10", "not decoded"]);
    Ok(())
}

async fn two_events_of_one_shape_are_refused_by_name(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let word = |byte: u8| Address::repeat_byte(byte).into_word();
    let mut log = LogSpec::new(BELL, keccak256("Foo(address,address)"), 1);
    log.topics.push(word(1));
    log.data = word(2).to_vec().into();
    node.mine(vec![log]);
    let (one, two) = ("event Foo(address indexed a, address b)", "event Foo(address a, address indexed b)");
    let folder = deployment.folder.path().to_owned();
    for (name, events) in [("both", vec![one, two]), ("one", vec![one]), ("two", vec![two])] {
        std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string(&events)?)?;
    }
    let local = chain("local", &node, "");
    let world = world(deployment, &(local.clone() + &contract("foo", "both.json", ""))).await?;
    let config = Some(world.config.as_path());
    let parts = ["'foo': events", one, two, "one shape", "whole declaration"];
    say(config, &["config", "check"]).await?.refused(2, &parts);
    say(config, &["run"]).await?.refused(2, &parts);
    let both = contract("foo", "one.json", "") + &contract("bar", "two.json", "");
    configure(&world, &(local.clone() + &both))?;
    say(config, &["config", "check"])
        .await?
        .refused(2, &["'bar': events", "'foo' has the address", one, two]);
    let inspected = say(None, &["abi", "inspect", &folder.join("both.json").display().to_string()]).await?;
    assert!(inspected.well()?.err.contains("have one shape"));
    // The declaration chooses one of the two.
    configure(&world, &(local + &contract("foo", "both.json", &format!("events = [\"{two}\"]"))))?;
    world.run_through(11).await?;
    let events = say(config, &["events", "--chain", "local", "--format", "jsonl"]).await?.well()?.lines()?;
    assert_eq!(events[0]["params"]["b"], Address::repeat_byte(1).to_string());
    Ok(())
}
