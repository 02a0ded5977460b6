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

/// A running deployment with a watch for every end.
struct Scene {
    stage: Stage,
    world: World,
}

async fn every_end_of_a_transaction_is_explained(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let [bank, me, slow, dead] = [0, 3, 4, 6].map(|index| stage.anvil.account(index));
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
    for index in [7, 8] {
        let account = stage.anvil.account(index);
        stage.anvil.send(stage.token.transfer(bank, account, U256::from(100))).await?;
    }
    let running = world.start(&[])?;
    let store = world.store().await?;
    world.reached(&store, stage.head().await?).await?;
    let scene = Scene { stage, world };
    scene.told_filtered_out_and_waiting().await?;
    scene.given_up().await?;
    scene.suppressed().await?;
    scene.moved_and_orphaned().await?;
    let nothing = scene.words(B256::repeat_byte(7)).await?;
    assert!(nothing.contains("nothing of it is stored"), "{nothing}");
    running.terminate().await?;
    Ok(())
}

fn is_told(json: &Json) -> bool {
    hit(json, "alert")["notifications"][0]["deliveries"][0]["state"] == "delivered"
}

impl Scene {
    /// Sends from one account to another, by their places.
    async fn send(&self, from: usize, to: usize, value: u64) -> anyhow::Result<B256> {
        let [from, to] = [from, to].map(|index| self.stage.anvil.account(index));
        let receipt = self.stage.anvil.send(self.stage.token.transfer(from, to, U256::from(value))).await?;
        Ok(receipt.transaction_hash)
    }

    async fn explained(&self, tx: B256, wanted: impl Fn(&Json) -> bool) -> anyhow::Result<(Json, String)> {
        explained(&self.world.config, tx, wanted).await
    }

    async fn words(&self, tx: B256) -> anyhow::Result<String> {
        Ok(say(Some(&self.world.config), &["explain", &tx.to_string()]).await?.well()?.out)
    }

    async fn told_filtered_out_and_waiting(&self) -> anyhow::Result<()> {
        let told = self.send(0, 3, 5).await?;
        let (json, words) = self.explained(told, is_told).await?;
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
        let others = ["explain", &told.to_string(), "--recipient", "opps"];
        say(Some(&self.world.config), &others).await?.refused(2, &["opps", "ops"]);
        Ok(())
    }

    async fn given_up(&self) -> anyhow::Result<()> {
        self.world.receiver.fail_next(410, None);
        let given_up = self.send(0, 6, 1).await?;
        let is_dead = |json: &Json| hit(json, "dead")["notifications"][0]["deliveries"][0]["state"] == "dead";
        let (_, words) = self.explained(given_up, is_dead).await?;
        assert!(
            words.contains("given up") && words.contains("410") && words.contains("dead-letters"),
            "{words}"
        );
        Ok(())
    }

    /// Its watch goes while the window gathers.
    async fn suppressed(&self) -> anyhow::Result<()> {
        let config = Some(self.world.config.as_path());
        let filter = format!("to == {}", self.stage.anvil.account(5));
        let mut add = vec!["watch", "add", "dying", "--recipient", "ops", "--contract", "bell"];
        add.extend(["--event", "Transfer", "--where", &filter, "--strategy", "digest", "--window", "3s"]);
        say(config, &add).await?.well()?;
        let suppressed = loop {
            // The watch is followed within a second; what comes before that is older than it.
            let tx = self.send(0, 5, 1).await?;
            let (json, _) = self.explained(tx, |json| json["events"][0]["unmatched"] == false).await?;
            if hit(&json, "dying")["state"] == "pending" {
                break tx;
            }
        };
        say(config, &["watch", "remove", "dying"]).await?.well()?;
        let is_suppressed = |json: &Json| hit(json, "dying")["state"] == "suppressed";
        let (_, words) = self.explained(suppressed, is_suppressed).await?;
        assert!(words.contains("it was not told: its watch was removed"), "{words}");
        Ok(())
    }

    /// By one reorg.
    async fn moved_and_orphaned(&self) -> anyhow::Result<()> {
        let moved = self.send(7, 3, 7).await?;
        let raw = self.stage.anvil.raw_transaction(moved).await?;
        self.explained(moved, is_told).await?;
        let gone = self.send(8, 4, 8).await?;
        self.explained(gone, |json| hit(json, "slow")["state"] == "pending").await?;
        self.stage.anvil.reorg(Reorg::new(2).remine(raw, 1)).await?;
        self.stage.anvil.mine(1).await?;
        let is_moved = |json: &Json| {
            let event = &json["events"][0];
            event["places"].as_array().is_some_and(|places| places.len() == 2) && event["unmatched"] == false
        };
        let (json, words) = self.explained(moved, is_moved).await?;
        let alert = hit(&json, "alert");
        assert_eq!((&alert["state"], &alert["gone_since"]), (&json!("notified"), &Json::Null), "{json}");
        assert_eq!(
            alert["notifications"].as_array().map(Vec::len),
            Some(1),
            "neither told again nor taken back"
        );
        assert!(words.contains("which left the chain") && words.contains("which is in the chain"), "{words}");
        let (_, words) = self.explained(gone, |json| hit(json, "slow")["state"] == "orphaned").await?;
        assert!(
            words.contains("left the chain before it was told") && words.contains("in no block"),
            "{words}"
        );
        Ok(())
    }
}
