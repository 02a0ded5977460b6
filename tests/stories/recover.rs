//! A chain that halts: what says so, what stays, and how an operator lets it go on.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use anyhow::Context as _;
use devnet::{Options, Reorg};
use domain::Finality;
use serde_json::Value as Json;
use store::{EventKey, EventQuery, Store};
use testkit::{
    anvil::TestAnvil, deployment::Deployment, process::Running, scripted_node::ScriptedNode, wait::eventually,
};

use crate::{
    commands::say,
    on_both,
    scripted::{BELL, bell, chain, get, held, listen, ring, told, world},
    world::{CAP, CHAIN, Stage, World, events, immediate_watch, told_once},
};

on_both!(
    a_reorg_across_what_was_final_waits_for_an_operator_and_then_goes_on_by_itself,
    a_chain_that_parts_below_the_blocks_that_are_held_is_compared_by_its_events,
);

/// How far `finalized` lies below Anvil's head: two epochs.
const FINAL_DEPTH: u64 = 4;
const DEPTH: u64 = 8;

struct Halted {
    stage: Stage,
    world: World,
    store: Store,
    running: Running,
    port: u16,
    // The last block that both chains have, and our tip.
    ancestor: u64,
    tip: u64,
}

/// Ten transfers are read and told; then the node replaces the last eight blocks, four of which were final.
async fn halted(deployment: Deployment) -> anyhow::Result<Halted> {
    let options = Options { slots_in_an_epoch: FINAL_DEPTH / 2, ..Options::default() };
    let anvil = TestAnvil::start_with(options).await?;
    let (token, exchange) = (anvil.token().await?, anvil.exchange().await?);
    let stage = Stage { anvil, token, exchange };
    let world =
        World::new(deployment, &stage, &immediate_watch("all", "bell", "Transfer", "value > 0")).await?;
    let port = listen(&world).await?;
    let bank = stage.anvil.account(0);
    stage.anvil.send(token.mint(bank, stage.anvil.account(5), U256::from(5_000))).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let running = world.start(&[])?;
    for value in 1..=9_u64 {
        stage.anvil.send(token.transfer(bank, stage.anvil.account(3), U256::from(value))).await?;
    }
    let moved = token.transfer(stage.anvil.account(5), stage.anvil.account(3), U256::from(4_000));
    let moved = stage.anvil.send(moved).await?;
    let tip = stage.head().await?;
    world.quiet(&store, tip).await?;
    eventually("what is final is noted", CAP, || async {
        let row = store.chain(CHAIN).await?.and_then(|row| row.finalized);
        Ok(if row >= Some(tip - FINAL_DEPTH) { Ok(()) } else { Err(row) })
    })
    .await?;
    let raw = stage.anvil.raw_transaction(moved.transaction_hash).await?;
    let other = token.transfer(bank, stage.anvil.account(4), U256::from(99));
    stage.anvil.reorg(Reorg::new(DEPTH).send(&other, 0).remine(raw, 2)).await?;
    stage.anvil.mine(2).await?;
    eventually("the chain halts", CAP, || async {
        let row = store.chain(CHAIN).await?.context("the chain")?;
        Ok(if row.halted.is_some() { Ok(()) } else { Err(row) })
    })
    .await
    .with_context(|| world.logged())?;
    Ok(Halted { stage, world, store, running, port, ancestor: tip - DEPTH, tip })
}

impl Halted {
    async fn says_so_everywhere(&self) -> anyhow::Result<()> {
        let faults = eventually("readiness names the halt", CAP, || async {
            let (status, body) = get(self.port, "/readyz").await?;
            let named = body["faults"].to_string().contains("recover --chain local");
            Ok(if status == 503 && named { Ok(body) } else { Err((status, body)) })
        });
        let faults = faults.await?;
        assert_eq!(faults["faults"][0]["part"], "ingest:local", "{faults}");
        assert_eq!(get(self.port, "/healthz").await.map(|(status, _)| status).unwrap_or(200), 200);
        let logged = std::fs::read_to_string(&self.world.log)?;
        assert!(logged.contains("ERROR") && logged.contains("chainbell recover --chain local"), "{logged}");
        let config = Some(self.world.config.as_path());
        let json = say(config, &["status", "--json"]).await?.well()?;
        let json: Json = serde_json::from_str(&json.out)?;
        let reason = json["chains"][0]["halted"].as_str().context("a reason")?;
        assert!(reason.contains("was final") && reason.contains("Nothing was changed"), "{reason}");
        assert_eq!(json["process"]["ready"], false, "{json:#}");
        let text = say(config, &["status"]).await?.well()?.out;
        assert!(text.lines().any(|line| line.starts_with("halted      local: chain 'local'")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        Ok(())
    }
}

async fn a_reorg_across_what_was_final_waits_for_an_operator_and_then_goes_on_by_itself(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let halted = halted(deployment).await?;
    let Halted { stage, world, store, ancestor, tip, .. } = &halted;
    let config = Some(world.config.as_path());
    let (before, told) = (events(store).await?, world.receiver.inbox());
    assert_eq!(told_once(&told, "all")?.len(), 10, "{}", world.logged());
    halted.says_so_everywhere().await?;

    // Where the chains part, and blocks that are none to go back to.
    let asked = say(config, &["recover", "--chain", "local"]).await?.well()?;
    let mend = format!("chainbell recover --chain local --to-block {ancestor}");
    for part in ["'local' is halted", &mend, &format!("the stored chain goes on to {tip}")] {
        assert!(asked.err.contains(part), "'{part}' is not in {asked:?}");
    }
    let to = |block: u64| {
        let block = block.to_string();
        async move { say(config, &["recover", "--chain", "local", "--to-block", &block]).await }
    };
    let wrong = to(ancestor + 1).await?;
    wrong.refused(2, &["--to-block", "name a block that both agree on"]);
    assert_eq!(wrong.err.trim().lines().count(), 1, "one sentence: {wrong:?}");
    to(tip + 100).await?.refused(2, &["--to-block", &format!("ends at block {tip}")]);
    assert_eq!((events(store).await?, world.receiver.inbox()), (before, told.clone()), "nothing changed");
    let query = EventQuery { chain: CHAIN, from: 0, to: u64::MAX, contract: None, after: None, limit: 100 };
    let dead = store.events(&query).await?;
    let dead = dead.iter().map(|stored| &stored.event).filter(|event| event.block.number > *ancestor);
    let dead: Vec<_> = dead.map(EventKey::of).collect();

    // The right one: the same process goes on.
    let settled = to(*ancestor).await?.well()?;
    assert!(settled.err.contains("8 events"), "{settled:?}");
    stage.transfers(stage.anvil.account(3), 1).await?;
    world.quiet(store, stage.head().await?).await?;
    let marked = store.events_by_keys(&dead).await?;
    assert_eq!(marked.len(), 8);
    assert!(marked.iter().all(|stored| stored.finality == Finality::Orphaned), "{marked:#?}");
    let held: Vec<Json> =
        events(store).await?.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let held: Vec<_> = held.iter().map(|event| event["block_hash"].as_str().unwrap_or_default()).collect();
    let truth = stage.anvil.logs(stage.token.address, 0, stage.head().await?).await?;
    let truth: Vec<_> = truth.iter().map(|log| log["blockHash"].as_str().unwrap_or_default()).collect();
    assert_eq!(held, truth, "{}", world.logged());
    settled_inbox(world, &told)?;
    assert_eq!(get(halted.port, "/readyz").await?.0, 200, "{}", world.logged());
    halted.running.terminate().await?;
    Ok(())
}

// What was told stays told once: the transfer that came back is no news, and two are new.
fn settled_inbox(world: &World, before: &std::collections::BTreeMap<String, Json>) -> anyhow::Result<()> {
    let received = world.receiver.received();
    let created = received.iter().filter(|one| one.body["type"] == "notification.created");
    let created: BTreeSet<_> = created.map(|one| one.id.clone()).collect();
    assert_eq!(created.len(), 12, "{}", world.logged());
    assert!(before.keys().all(|id| created.contains(id)));
    Ok(())
}

async fn a_chain_that_parts_below_the_blocks_that_are_held_is_compared_by_its_events(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    for tx in 11..=60_u64 {
        node.mine(if tx % 10 == 0 { vec![ring(tx)] } else { Vec::new() });
    }
    let tables = chain("local", &node, "audit = \"off\"") + &bell("bell", "local", "");
    let world = world(deployment, &tables).await?;
    let config = Some(world.config.as_path());
    // Read by range up to block 56, so that only blocks with events are known: 20, 30, 40 and 50.
    world.run_through(60).await?;
    node.chain(|chain| chain.rollback(25));
    for tx in 100..=130_u64 {
        node.mine(if tx % 10 == 0 { vec![ring(tx)] } else { Vec::new() });
    }
    let recover = |more: &'static [&'static str]| async move {
        say(config, &[&["recover", "--chain", "local"][..], more].concat()).await
    };
    let asked = recover(&[]).await?.well()?;
    assert!(asked.err.contains("from 56 on, and agrees on block 30"), "{asked:?}");
    recover(&["--to-block", "45"]).await?.refused(2, &["--to-block", "block 40 is 0x", "both agree on"]);
    recover(&["--to-block", "35"]).await?.well()?;
    world.run_through(66).await?;
    let store = world.store().await?;
    assert_eq!(held(&store, &node, BELL).await?, told(&node, BELL), "{}", world.logged());
    Ok(())
}
