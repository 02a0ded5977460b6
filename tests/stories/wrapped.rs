//! The ledger of tokens that make and destroy without a transfer.

use std::path::Path;

use alloy_primitives::{Address, B256, U256, keccak256};
use serde_json::{Value as Json, json};
use testkit::{
    deployment::Deployment,
    scripted_node::{LogSpec, ScriptedNode},
};

use crate::{
    commands::say,
    on_both,
    scripted::{chain, world},
    world::World,
};

on_both!(
    what_was_wrapped_passed_on_and_unwrapped_leaves_nothing,
    what_a_transfer_tells_too_is_counted_once,
    what_may_change_a_balance_and_is_not_counted_is_said,
);

const WETH: Address = Address::repeat_byte(0xe7);
const ME: Address = Address::repeat_byte(0x11);
const OTHER: Address = Address::repeat_byte(0x22);

fn log(signature: &str, indexed: &[Address], amount: u64, tx: u64) -> LogSpec {
    let mut log = LogSpec::new(WETH, keccak256(signature), tx);
    log.topics.extend(indexed.iter().map(Address::into_word));
    log.data = B256::from(U256::from(amount)).to_vec().into();
    log
}

fn deposit(amount: u64, tx: u64) -> LogSpec {
    log("Deposit(address,uint256)", &[ME], amount, tx)
}

fn withdrawal(amount: u64, tx: u64) -> LogSpec {
    log("Withdrawal(address,uint256)", &[ME], amount, tx)
}

fn transfer(from: Address, to: Address, amount: u64, tx: u64) -> LogSpec {
    log("Transfer(address,address,uint256)", &[from, to], amount, tx)
}

fn weth(keys: &str) -> String {
    format!(
        "[[contract]]\nname = \"weth\"\nchain = \"local\"\naddress = \"{WETH}\"\nabi = \"abi/weth.json\"\nstart_block = 0\n\
         {keys}\n"
    )
}

async fn reading(deployment: Deployment, node: &ScriptedNode, contract: &str) -> anyhow::Result<World> {
    let world = world(deployment, &(chain("local", node, "") + contract)).await?;
    world.run_through(node.chain(|chain| chain.head().block.number)).await?;
    Ok(world)
}

async fn ledger(config: &Path, more: &[&str]) -> anyhow::Result<Json> {
    let address = ME.to_string();
    let arguments = [&["ledger", &address, "--json"], more].concat();
    Ok(say(Some(config), &arguments).await?.well()?.lines()?.remove(0)["tokens"][0].clone())
}

fn sums(row: &Json) -> Json {
    json!([row["in"], row["out"], row["net"], row["count"]])
}

async fn what_was_wrapped_passed_on_and_unwrapped_leaves_nothing(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    node.mine(vec![deposit(10, 1)]);
    node.mine(vec![transfer(ME, OTHER, 4, 2)]);
    node.mine(vec![withdrawal(6, 3)]);
    let world = reading(deployment, &node, &weth("")).await?;
    let now = ledger(&world.config, &[]).await?;
    assert_eq!((sums(&now), &now["left_out"]), (json!(["10", "10", "0", 3]), &json!([])));
    let at = |block: &'static str| ["--chain", "local", "--at-block", block];
    assert_eq!(sums(&ledger(&world.config, &at("11")).await?), json!(["10", "0", "10", 1]));
    assert_eq!(sums(&ledger(&world.config, &at("12")).await?), json!(["10", "4", "6", 2]));
    let people = say(Some(&world.config), &["ledger", &ME.to_string()]).await?.well()?;
    assert!(people.out.contains("erc20") && !people.err.contains("leaves out"), "{people:?}");
    // The withdrawal leaves the chain, and a smaller one comes.
    node.chain(|chain| chain.rollback(1));
    node.mine(vec![withdrawal(1, 4)]);
    node.mine(vec![]);
    world.run_through(14).await?;
    assert_eq!(sums(&ledger(&world.config, &[]).await?), json!(["10", "5", "5", 3]));
    Ok(())
}

async fn what_a_transfer_tells_too_is_counted_once(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    // Both beside each other, in either order; then a deposit alone in the same block as another's mint.
    node.mine(vec![deposit(10, 1), transfer(Address::ZERO, ME, 10, 1)]);
    node.mine(vec![transfer(ME, Address::ZERO, 3, 2), withdrawal(3, 2)]);
    node.mine(vec![transfer(Address::ZERO, OTHER, 1, 3), deposit(5, 4)]);
    // Beside a mint of another amount for somebody else, a deposit says nothing certain.
    node.mine(vec![deposit(100, 5), transfer(Address::ZERO, OTHER, 90, 5)]);
    let world = reading(deployment, &node, &weth("")).await?;
    let row = ledger(&world.config, &[]).await?;
    assert_eq!(sums(&row), json!(["15", "3", "12", 3]));
    assert_eq!(row["left_out"][0]["event"], "Deposit(address,uint256)");
    assert!(row["left_out"][0]["why"].as_str().is_some_and(|why| why.contains("another amount")), "{row}");
    Ok(())
}

async fn what_may_change_a_balance_and_is_not_counted_is_said(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let burn = |amount, tx| log("Burn(address,uint256)", &[ME], amount, tx);
    node.mine(vec![transfer(OTHER, ME, 9, 1), burn(2, 2)]);
    node.mine(vec![transfer(ME, Address::ZERO, 2, 3), burn(2, 3), deposit(1, 4)]);
    let abi = r#"["event Transfer(address indexed from, address indexed to, uint256 value)",
        "event Burn(address indexed who, uint256 value)", "event Mint(address indexed who, uint256 value)",
        "event Rebase(uint256 supply)", "event Deposit(address indexed dst, uint256 wad)"]"#;
    std::fs::write(deployment.folder.path().join("odd.json"), abi)?;
    let keys = "events = [\"Transfer\", \"Burn\", \"Mint\", \"Rebase\"]";
    let contract = weth(keys).replace("abi/weth.json", "odd.json");
    let world = reading(deployment, &node, &contract).await?;
    let row = ledger(&world.config, &[]).await?;
    assert_eq!(sums(&row), json!(["9", "2", "7", 2]));
    let left_out: Vec<_> =
        row["left_out"].as_array().into_iter().flatten().map(|one| &one["event"]).collect();
    assert_eq!(left_out, ["Burn(address,uint256)", "Deposit(address,uint256)", "Rebase(uint256)"]);
    let people = say(Some(&world.config), &["ledger", &ME.to_string()]).await?.well()?;
    for part in [
        "leaves out Burn(address,uint256): it names the address, no transfer stands beside it",
        "leaves out Deposit(address,uint256): it is in the ABI and not among the events that are read",
        "leaves out Rebase(uint256): it names no account",
    ] {
        assert!(people.err.contains(part), "'{part}' is not in {people:?}");
    }
    assert!(!people.err.contains("Mint("), "nothing of it was seen: {people:?}");
    Ok(())
}
