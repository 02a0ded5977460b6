//! `chainbell replay`: counted first, ended in the middle, taken up again, given up, and limited.

use anyhow::Context as _;
use serde_json::json;
use store::{ReplayState, Store};
use testkit::{
    deployment::Deployment,
    process::command,
    scripted_node::{LogSpec, Reply, ScriptedNode},
    wait::eventually,
};
use tokio::process::Child;

use crate::{
    commands::say,
    on_both,
    scripted::{BELL, bell, chain, held, ring, told, world},
    world::{CAP, CHAIN, World},
};

on_both!(
    a_replay_that_is_ended_in_the_middle_goes_on_where_it_ended,
    a_replay_counts_what_it_would_add_and_then_adds_it_for_one_contract_or_all,
);

const GONG: alloy_primitives::Address = alloy_primitives::Address::repeat_byte(0x60);

fn gong(tx: u64) -> LogSpec {
    LogSpec { address: GONG, ..ring(tx) }
}

/// Thirty blocks with a ring of the bell and, in every third, one of the gong; read to the end, and mostly final.
async fn read(deployment: Deployment) -> anyhow::Result<(ScriptedNode, World, Store)> {
    let node = ScriptedNode::start().await?;
    let gongs = bell("gong", "local", &format!("address = \"{GONG}\""));
    let tables =
        chain("local", &node, "range_max = 1\naudit = \"off\"") + &bell("bell", "local", "") + &gongs;
    let world = world(deployment, &tables).await?;
    for tx in 11..=40_u64 {
        let mut logs = vec![ring(tx)];
        logs.extend((tx % 3 == 0).then(|| gong(100 + tx)));
        node.mine(logs);
    }
    world.run_through(40).await?;
    let store = world.store().await?;
    Ok((node, world, store))
}

const REPLAY: [&str; 7] = ["replay", "--chain", "local", "--from-block", "0", "--to-block", "36"];

/// A replay that publishes, held by the node at block 20.
async fn held_in_the_middle(node: &ScriptedNode, world: &World, store: &Store) -> anyhow::Result<Child> {
    let whole = node.chain(|chain| chain.clone());
    node.answer("eth_getLogs", move |params| {
        if params[0]["fromBlock"] == json!("0x14") {
            Reply::Silence
        } else {
            whole.answer("eth_getLogs", params)
        }
    });
    let mut command = command(Some(&world.config), &[&REPLAY[..], &["--publish"]].concat())?;
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn()?;
    eventually("the replay is in the middle", CAP, || async {
        let rows = store.replays(CHAIN).await?;
        let there = rows.iter().any(|row| row.state == ReplayState::Running && row.next_block == 20);
        Ok(if there { Ok(()) } else { Err(rows) })
    })
    .await?;
    Ok(child)
}

async fn published(store: &Store) -> anyhow::Result<usize> {
    let rows = store.outbox_page(&Store::lane_of_chain(&"local".parse()?), 10_000).await?;
    let messages = rows.iter().flat_map(|row| &row.messages);
    let ids: std::collections::BTreeSet<_> =
        messages.filter(|message| message.replay.is_some()).map(|message| message.id.clone()).collect();
    Ok(ids.len())
}

async fn a_replay_that_is_ended_in_the_middle_goes_on_where_it_ended(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let (node, world, store) = read(deployment).await?;
    let config = Some(world.config.as_path());
    let before = held(&store, &node, BELL).await?;
    let publish = [&REPLAY[..], &["--publish"]].concat();
    // 26 of the bell and 9 of the gong up to block 36.
    let all = "replayed blocks 0 to 36: 35 events, published again, 0 of them new";

    let mut killed = held_in_the_middle(&node, &world, &store).await?;
    killed.kill().await?;
    node.restore("eth_getLogs");
    let done = say(config, &publish).await?.well()?;
    assert!(done.err.contains("unfinished replay at block 20") && done.err.contains(all), "{done:?}");
    assert_eq!(published(&store).await?, 35);

    let stopped = held_in_the_middle(&node, &world, &store).await?;
    let id = stopped.id().context("it runs")?.to_string();
    let sent = tokio::process::Command::new("kill").args(["-INT", &id]).status().await?;
    assert!(sent.success());
    let ended = tokio::time::timeout(CAP, stopped.wait_with_output()).await.context("it ends")??;
    let said = String::from_utf8(ended.stderr)?;
    assert!(ended.status.success() && said.contains("the same command goes on"), "{said}");
    node.restore("eth_getLogs");
    let done = say(config, &publish).await?.well()?;
    assert!(done.err.contains("unfinished replay at block 20") && done.err.contains(all), "{done:?}");
    assert_eq!(published(&store).await?, 70, "each replay under ids of its own");

    // Given up, it begins anew; there is nothing to give up twice, and other options are another replay.
    let cancel = [&publish[..], &["--cancel"]].concat();
    held_in_the_middle(&node, &world, &store).await?.kill().await?;
    node.restore("eth_getLogs");
    let other = [&REPLAY[..], &["--cancel"]].concat();
    say(config, &other).await?.refused(2, &["--cancel", "no unfinished replay of blocks 0 to 36"]);
    let gone = say(config, &cancel).await?.well()?;
    assert!(gone.err.contains("given up before block 20"), "{gone:?}");
    say(config, &cancel).await?.refused(2, &["--cancel", "no unfinished replay"]);
    let done = say(config, &publish).await?.well()?;
    assert!(!done.err.contains("unfinished") && done.err.contains(all), "{done:?}");
    assert_eq!(held(&store, &node, BELL).await?, before);
    let states: Vec<_> = store.replays(CHAIN).await?.iter().map(|row| row.state).collect();
    assert_eq!(states.iter().filter(|state| **state == ReplayState::Done).count(), 3, "{states:?}");
    assert_eq!(states.len(), 4);
    Ok(())
}

async fn a_replay_counts_what_it_would_add_and_then_adds_it_for_one_contract_or_all(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let (node, world, store) = read(deployment).await?;
    let config = Some(world.config.as_path());
    // What the node left out when it was asked first: the gong in one block, the bell in another.
    for tx in 41..=42_u64 {
        node.mine(vec![ring(tx), gong(100 + tx)]);
    }
    let whole = node.chain(|chain| chain.clone());
    node.answer("eth_getLogs", move |params| {
        let Reply::Result(logs) = whole.answer("eth_getLogs", params) else { return Reply::Silence };
        let kept = logs.as_array().into_iter().flatten().filter(|log| {
            let (block, index) = (log["blockNumber"].as_str(), log["logIndex"].as_str());
            !matches!((block, index), (Some("0x29"), Some("0x1")) | (Some("0x2a"), Some("0x0")))
        });
        Reply::Result(kept.cloned().collect())
    });
    world.run_through(42).await?;
    node.restore("eth_getLogs");
    assert_eq!(held(&store, &node, BELL).await?.len() + 1, told(&node, BELL).len());

    let replay = |more: &'static [&'static str]| async move {
        let command = [&["replay", "--chain", "local", "--from-block", "40"][..], more].concat();
        say(config, &command).await
    };
    let counted = replay(&["--dry-run"]).await?.well()?;
    assert!(
        counted.err.contains("blocks 40 to 42 have 5 events, 2 of them new; nothing was changed"),
        "{counted:?}"
    );
    let counted = replay(&["--dry-run", "--contract", "gong"]).await?.well()?;
    assert!(counted.err.contains("2 events, 1 of them new"), "{counted:?}");
    assert_eq!(held(&store, &node, BELL).await?.len() + 1, told(&node, BELL).len());
    assert!(store.replays(CHAIN).await?.is_empty(), "a dry run leaves no trace");

    let done = replay(&["--contract", "gong"]).await?.well()?;
    assert!(done.err.contains("2 events, 1 of them new"), "{done:?}");
    assert_eq!(held(&store, &node, GONG).await?, told(&node, GONG));
    assert_eq!(held(&store, &node, BELL).await?.len() + 1, told(&node, BELL).len());
    let done = replay(&[]).await?.well()?;
    assert!(done.err.contains("5 events, 1 of them new"), "{done:?}");
    assert_eq!(held(&store, &node, BELL).await?, told(&node, BELL));

    replay(&["--contract", "gon"]).await?.refused(2, &["--contract", "'gon'", "gong"]);
    replay(&["--to-block", "43"]).await?.refused(2, &["--to-block", "42"]);
    replay(&["--to-block", "39"]).await?.refused(2, &["--from-block", "40", "39"]);
    replay(&["--dry-run", "--publish"]).await?.refused(2, &["--dry-run"]);
    Ok(())
}
