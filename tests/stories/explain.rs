//! Why somebody was, or was not, told: every case that a transaction can end in, asked of the running program.

use std::path::Path;

use alloy_primitives::{Address, B256, U256};
use devnet::Reorg;
use serde_json::{Value as Json, json};
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    commands::say,
    on_both,
    world::{CAP, Stage, World, digest_watch, immediate_watch},
};

on_both!(every_end_of_a_transaction_is_explained);

/// The watches' verdicts and states of the transaction's only event.
fn ends(explanation: &Json) -> Vec<(String, String, String)> {
    let watches = explanation["events"][0]["watches"].as_array().cloned().unwrap_or_default();
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    watches
        .iter()
        .map(|watch| (text(&watch["watch"]), text(&watch["verdict"]), text(&watch["hit"]["state"])))
        .collect()
}

fn hit(explanation: &Json, watch: &str) -> Json {
    let watches = explanation["events"][0]["watches"].as_array().cloned().unwrap_or_default();
    watches.iter().find(|one| one["watch"] == watch).map_or(Json::Null, |one| one["hit"].clone())
}

/// Waits until the explanation is as wanted, and gives it in words.
async fn explained(
    config: &Path,
    tx: B256,
    wanted: impl Fn(&Json) -> bool,
) -> anyhow::Result<(Json, String)> {
    let hash = tx.to_string();
    let json = eventually("it comes to that", CAP, || async {
        let told = say(Some(config), &["explain", &hash, "--json"]).await?.well()?.lines()?.remove(0);
        Ok(if wanted(&told) { Ok(told) } else { Err(told) })
    })
    .await?;
    let words = say(Some(config), &["explain", &hash]).await?.well()?.out;
    eprintln!("{words}\n");
    Ok((json, words))
}

async fn every_end_of_a_transaction_is_explained(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let account = |index| stage.anvil.account(index);
    let [bank, me, slow, dying, dead] = [0, 3, 4, 5, 6].map(account);
    let to = |id: &str, to: Address, more: &str| {
        format!("{}{more}", immediate_watch(id, "bell", "Transfer", &format!("to == {to}")))
    };
    let watches = [
        to("alert", me, ""),
        immediate_watch("big", "bell", "Transfer", &format!("to == {me} and value >= 1000")),
        to("sure", me, "deliver_at = 50\n"),
        to("dead", dead, ""),
        digest_watch("slow", slow, "1h"),
    ];
    let world = World::new(deployment, &stage, &watches.concat()).await?;
    let config = world.config.as_path();
    for index in [7, 8] {
        stage.anvil.send(stage.token.transfer(bank, account(index), U256::from(100))).await?;
    }
    let running = world.start(&[])?;
    let store = world.store().await?;
    world.reached(&store, stage.head().await?).await?;
    let send = async |from, to, value: u64| {
        let receipt = stage.anvil.send(stage.token.transfer(from, to, U256::from(value))).await?;
        anyhow::Ok(receipt.transaction_hash)
    };

    // Delivered, filtered out, waiting.
    let told = send(bank, me, 5).await?;
    let is_told =
        |json: &Json| hit(json, "alert")["notifications"][0]["deliveries"][0]["state"] == "delivered";
    let (json, words) = explained(config, told, is_told).await?;
    let expected = [
        ("alert", "hit", "notified"),
        ("big", "filtered_out", ""),
        ("dead", "filtered_out", ""),
        ("slow", "filtered_out", ""),
        ("sure", "hit", "waiting"),
    ];
    assert_eq!(ends(&json), expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    for part in [
        "to 'hook' by webhook: delivered",
        "`value >= 1000` does not hold: value is 5",
        "it waits for 50 blocks on top of its own",
    ] {
        assert!(words.contains(part), "'{part}' is not in\n{words}");
    }
    let others = say(Some(config), &["explain", &told.to_string(), "--recipient", "opps"]).await?;
    others.refused(2, &["opps", "ops"]);

    // Dead-lettered.
    world.receiver.fail_next(410, None);
    let given_up = send(bank, dead, 1).await?;
    let is_dead = |json: &Json| hit(json, "dead")["notifications"][0]["deliveries"][0]["state"] == "dead";
    let (_, words) = explained(config, given_up, is_dead).await?;
    assert!(words.contains("given up") && words.contains("410") && words.contains("dead-letters"), "{words}");

    // Suppressed: its watch goes while the window gathers.
    let address = dying.to_string();
    let filter = format!("to == {address}");
    let add = [
        "watch",
        "add",
        "dying",
        "--recipient",
        "ops",
        "--contract",
        "bell",
        "--event",
        "Transfer",
        "--where",
        &filter,
        "--strategy",
        "digest",
        "--window",
        "3s",
    ];
    say(Some(config), &add).await?.well()?;
    let suppressed = loop {
        // The watch is followed within a second; what comes before that is older than it.
        let tx = send(bank, dying, 1).await?;
        let (json, _) = explained(config, tx, |json| json["events"][0]["unmatched"] == false).await?;
        if hit(&json, "dying")["state"] == "pending" {
            break tx;
        }
    };
    say(Some(config), &["watch", "remove", "dying"]).await?.well()?;
    let (_, words) =
        explained(config, suppressed, |json| hit(json, "dying")["state"] == "suppressed").await?;
    assert!(words.contains("it was not told: its watch was removed"), "{words}");

    // Moved and orphaned, by one reorg.
    let moved = send(account(7), me, 7).await?;
    let raw = stage.anvil.raw_transaction(moved).await?;
    let (_, _) = explained(config, moved, is_told).await?;
    let gone = send(account(8), slow, 8).await?;
    explained(config, gone, |json| hit(json, "slow")["state"] == "pending").await?;
    stage.anvil.reorg(Reorg::new(2).remine(raw, 1)).await?;
    stage.anvil.mine(1).await?;
    let is_moved =
        |json: &Json| json["events"][0]["places"].as_array().is_some_and(|places| places.len() == 2);
    let (json, words) =
        explained(config, moved, |json| is_moved(json) && json["events"][0]["unmatched"] == false).await?;
    let alert = hit(&json, "alert");
    assert_eq!((&alert["state"], &alert["gone_since"]), (&json!("notified"), &Json::Null), "{json}");
    assert_eq!(alert["notifications"].as_array().map(Vec::len), Some(1), "neither told again nor taken back");
    assert!(words.contains("which left the chain") && words.contains("which is in the chain"), "{words}");
    let (_, words) = explained(config, gone, |json| hit(json, "slow")["state"] == "orphaned").await?;
    assert!(words.contains("left the chain before it was told") && words.contains("in no block"), "{words}");

    let nothing = say(Some(config), &["explain", &B256::repeat_byte(7).to_string()]).await?.well()?.out;
    assert!(nothing.contains("nothing of it is stored"), "{nothing}");
    running.terminate().await?;
    Ok(())
}
