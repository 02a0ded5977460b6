//! What a watch would have sent: told beforehand, and sent to nobody.

use serde_json::{Value as Json, json};
use testkit::deployment::Deployment;

use crate::{
    commands::say,
    on_both,
    world::{Stage, World, digest_watch, immediate_watch},
};

on_both!(a_rehearsal_says_what_a_watch_would_have_sent_and_sends_nothing);

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
    let day = digest_watch("day", me, "60s").replace("window = \"60s\"", "schedule = \"0 9 * * *\"");
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
