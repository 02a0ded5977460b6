//! What a watch would have sent: told beforehand, and sent to nobody.

use alloy_primitives::{Address, U256};
use anyhow::Context as _;
use serde_json::{Value as Json, json};
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    commands::say,
    on_both,
    world::{CAP, Stage, World, digest_watch, immediate_watch},
};

on_both!(
    a_rehearsal_says_what_a_watch_would_have_sent_and_sends_nothing,
    a_rehearsal_gathers_or_drops_what_looks_like_spam_as_the_run_did
);

async fn rehearsed(world: &World, watch: &str, more: &[&str]) -> anyhow::Result<Json> {
    let arguments = [&["watch", "dry-run", watch, "--from-block", "0", "--json"], more].concat();
    Ok(say(Some(&world.config), &arguments).await?.well()?.lines()?.remove(0))
}

async fn a_rehearsal_says_what_a_watch_would_have_sent_and_sends_nothing(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (me, other) = (stage.anvil.account(3), stage.anvil.account(4));
    let sent = immediate_watch("sent", "bell", "Transfer", &format!("to == {other}"));
    let world = World::new(deployment, &stage, &sent).await?;
    let config = Some(world.config.as_path());
    let file = world.config.with_file_name("watch.toml");
    let path = file.display().to_string();
    // Bursts that are an hour apart.
    for count in [3_u64, 4] {
        stage.transfers(me, count).await?;
        stage.anvil.rpc::<Json>("evm_increaseTime", json!([3_600])).await?;
    }
    stage.transfers(other, 2).await?;
    world.run_through(stage.head().await?).await?;
    let before = (world.receiver.received().len(), world.store().await?.counts().await?);

    std::fs::write(&file, immediate_watch("all", "bell", "Transfer", &format!("to == {me}")))?;
    let one_by_one = rehearsed(&world, &path, &[]).await?;
    assert_eq!((&one_by_one["events"], &one_by_one["notifications"]), (&json!(7), &json!(7)), "{one_by_one}");
    std::fs::write(&file, digest_watch("bursts", me, "60s"))?;
    let bursts = rehearsed(&world, &path, &[]).await?;
    assert_eq!((&bursts["events"], &bursts["notifications"]), (&json!(7), &json!(2)), "{bursts}");
    assert_eq!((&bursts["largest"], &bursts["noisiest_hour"][1]), (&json!(4), &json!(1)), "{bursts}");
    let samples = bursts["samples"].as_array().cloned().unwrap_or_default();
    let counts: Vec<_> = samples.iter().map(|sample| sample["count"].clone()).collect();
    assert_eq!(counts, [json!(3), json!(4)], "{bursts}");
    // Both bursts lie before one time of the schedule, at whatever hour this runs.
    let schedule = format!("schedule = \"0 {} * * *\"", hour_half_a_day_from_now(&stage).await?);
    let day = digest_watch("day", me, "60s").replace("window = \"60s\"", &schedule);
    std::fs::write(&file, day)?;
    let daily = rehearsed(&world, &path, &[]).await?;
    assert_eq!((&daily["events"], &daily["largest"]), (&json!(7), &json!(7)), "{daily}");
    let cut = rehearsed(&world, &path, &["--events", "5"]).await?;
    assert_eq!((&cut["events"], &cut["cut"]), (&json!(5), &json!(true)));
    // One that is there, by its id, in words.
    let words = say(config, &["watch", "dry-run", "sent", "--from-block", "0"]).await?.well()?.out;
    assert!(words.contains("nothing was sent") && words.contains("notifications  2"), "{words}");

    let after = (world.receiver.received().len(), world.store().await?.counts().await?);
    assert_eq!(before, after, "the store and the recipient are as they were");
    let refused = say(config, &["watch", "dry-run", "nothing", "--from-block", "0"]).await?;
    refused.refused(2, &["nothing", "watch list"]);
    std::fs::write(&file, "[[watch]]\nid = \"x\"\n")?;
    say(config, &["watch", "dry-run", &path, "--from-block", "0"])
        .await?
        .refused(2, &["watch.toml", "recipient"]);
    say(config, &["watch", "dry-run", "sent", "--from-block", "99999"]).await?.refused(2, &["--from-block"]);
    Ok(())
}

/// The hour of the day, in UTC, that is twelve hours from the newest block.
async fn hour_half_a_day_from_now(stage: &Stage) -> anyhow::Result<u64> {
    let block = stage.anvil.rpc::<Json>("eth_getBlockByNumber", json!(["latest", false])).await?;
    let timestamp = block["timestamp"].as_str().and_then(|hex| hex.strip_prefix("0x"));
    let seconds = u64::from_str_radix(timestamp.context("a block has a timestamp")?, 16)?;
    Ok((seconds / 3_600 + 12) % 24)
}

/// Begins and ends as `of` does.
fn twin(of: Address) -> Address {
    let mut bytes = of.into_array();
    bytes[2..18].fill(0x77);
    Address::from(bytes)
}

/// Two transfers to a friend, two of nothing, and one to who looks like the friend.
async fn attacked(stage: &Stage, friend: Address) -> anyhow::Result<()> {
    let me = stage.anvil.account(0);
    for (to, value) in [(friend, 5), (friend, 0), (twin(friend), 1), (friend, 6), (twin(friend), 0)] {
        stage.anvil.send(stage.token.transfer(me, to, U256::from(value))).await?;
    }
    Ok(())
}

async fn a_rehearsal_gathers_or_drops_what_looks_like_spam_as_the_run_did(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (me, friend) = (stage.anvil.account(0), stage.anvil.account(3));
    let watch = |id: &str, more: &str| {
        immediate_watch(id, "bell", "Transfer", &format!("from == {me} and value < 1e30")) + more
    };
    let tables =
        watch("gathers", "") + &watch("drops", "spam = \"drop\"\n") + &watch("tells", "spam = \"tell\"\n");
    let world = World::new(deployment, &stage, &tables).await?;
    let config = Some(world.config.as_path());
    // Nobody is told of what was there before the first run.
    world.run_through(stage.head().await?).await?;
    attacked(&stage, friend).await?;
    let store = world.store().await?;
    let running = world.start(&[])?;
    // What is gathered waits for tomorrow.
    for (id, state, count) in
        [("gathers", "pending", 3), ("drops", "suppressed", 3), ("tells", "notified", 5)]
    {
        let watch = Some(id.parse()?);
        let judged = eventually("the run has judged", CAP, || async {
            let hits = store.hits_by_state(watch.as_ref()).await?;
            let done = hits.get(state) == Some(&count) && hits.values().sum::<u64>() == 5;
            Ok(if done { Ok(()) } else { Err(hits) })
        });
        judged.await.with_context(|| world.logged())?;
    }
    running.kill().await?;

    let reasons = json!([
        { "reason": "zero_value", "count": 1 },
        { "reason": "look_alike", "count": 2 },
    ]);
    // At once, and the day's spam; at once alone; each at once.
    for (id, notifications, largest, suspected) in
        [("gathers", 3, 3, &reasons), ("drops", 2, 1, &reasons), ("tells", 5, 1, &json!([]))]
    {
        let said = rehearsed(&world, id, &[]).await?;
        assert_eq!((&said["events"], &said["notifications"]), (&json!(5), &json!(notifications)), "{said}");
        assert_eq!((&said["largest"], &said["suspected"]), (&json!(largest), suspected), "{said}");
        assert_eq!((&said["tokens_unknown"], &said["deliver_at"]), (&json!(0), &Json::Null), "{said}");
    }

    let words = async |watch: &str| {
        anyhow::Ok(say(config, &["watch", "dry-run", watch, "--from-block", "0"]).await?.well()?.out)
    };
    let gathered = words("gathers").await?;
    for line in [
        "3 of the events look like spam and are gathered, and told once a day",
        "1: it transfers nothing",
        "2: a counterparty's address begins and ends like a known one",
        "Looks like spam: ",
    ] {
        assert!(gathered.contains(line), "{gathered}");
    }
    assert!(!gathered.contains("deliver_at"), "{gathered}");
    let dropped = words("drops").await?;
    assert!(dropped.contains("3 of the events look like spam and are not told"), "{dropped}");
    assert!(!words("tells").await?.contains("look like spam"));
    // It is sure at once here, and says so.
    let file = world.config.with_file_name("watch.toml");
    std::fs::write(&file, watch("patient", "deliver_at = \"finalized\"\n"))?;
    let path = file.display().to_string();
    assert_eq!(rehearsed(&world, &path, &[]).await?["deliver_at"], "finalized");
    let patient = words(&path).await?;
    assert!(patient.contains("deliver_at     \"finalized\" is not waited for here"), "{patient}");
    Ok(())
}
