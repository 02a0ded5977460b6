//! What an operator does with a deployment: replay, health, diagnosis.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use broker::{Broker, ConsumerConfig};
use domain::message::{CloudEvent, STREAM_CHAIN};
use store::{NotificationQuery, Store, StoreClock};
use testkit::{anvil::TestAnvil, deployment::Deployment, wait::eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    commands::say,
    on_both,
    world::{CAP, CHAIN, Stage, World, digest_watch, events},
};

on_both!(
    a_replay_of_what_is_held_changes_nothing,
    a_replay_notifies_once_of_what_was_never_notified,
    health_and_metrics_are_answered_and_a_dead_node_is_named,
);

// Events, notifications and messages that wait.
async fn everything(store: &Store) -> anyhow::Result<(Vec<String>, Vec<String>, usize)> {
    let told = store.notifications(&NotificationQuery { limit: 1_000, ..Default::default() }).await?;
    let told = told.iter().map(|row| format!("{row:?}")).collect();
    Ok((events(store).await?, told, waiting(store).await?))
}

async fn waiting(store: &Store) -> anyhow::Result<usize> {
    let lane = Store::lane_of_chain(&"local".parse()?);
    Ok(store.outbox_page(&lane, 1_000).await?.len()
        + store.outbox_page(Store::notify_lane(), 1_000).await?.len())
}

async fn a_replay_of_what_is_held_changes_nothing(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let world = World::new(deployment, &stage, &digest_watch("in", to, "500ms")).await?;
    let config = Some(world.config.as_path());
    world.run_through(stage.head().await?).await?;
    stage.transfers(to, 5).await?;
    stage.anvil.mine(80).await?;
    stage.transfers(to, 5).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let before = everything(&store).await?;
    let head = stage.head().await?.to_string();
    for only in [&[][..], &["--contract", "bell", "--to-block", &head], &["--notify"]] {
        let replay: Vec<_> = ["replay", "--chain", "local", "--from-block", "0"]
            .into_iter()
            .chain(only.iter().copied())
            .collect();
        let done = say(config, &replay).await?.well()?;
        assert!(done.err.contains("11 events") && done.err.contains("0 of them new"), "{done:?}");
        world.run_through(stage.head().await?).await?;
        assert_eq!(everything(&store).await?, before, "{only:?}");
    }
    let above = (stage.head().await? + 1).to_string();
    let replay = ["replay", "--chain", "local", "--from-block", "0", "--to-block", &above];
    say(config, &replay).await?.refused(2, &["--to-block", &head]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_replay_appears_on_the_broker_again_under_ids_of_its_own() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(Deployment::servers().await?, &stage, "").await?;
    world.run_through(stage.head().await?).await?;
    stage.transfers(stage.anvil.account(3), 4).await?;
    world.run_through(stage.head().await?).await?;
    let replay = ["replay", "--chain", "local", "--from-block", "0", "--publish"];
    say(Some(&world.config), &replay).await?.well()?;
    let store = world.store().await?;
    assert_eq!(waiting(&store).await?, 5);
    world.run_through(stage.head().await?).await?;

    let clock = Arc::new(StoreClock::measure(&store).await?);
    let broker = Broker::open(&world.deployment.broker, &world.deployment.prefix, clock).await?;
    let consumer = broker.consumer(STREAM_CHAIN, "another-service", ConsumerConfig::default()).await?;
    let mut messages = Vec::new();
    while messages.len() < 9 {
        let fetched = consumer.fetch(100, Duration::from_secs(5)).await?;
        anyhow::ensure!(!fetched.is_empty(), "only {} messages: {messages:#?}", messages.len());
        messages.extend(fetched.into_iter().map(|incoming| incoming.message));
    }
    // The mint was the past, which is not published; the replay has it.
    let (replayed, first): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.replay.is_some());
    assert_eq!((first.len(), replayed.len()), (4, 5));
    let ids: BTreeSet<_> = replayed.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), 5);
    for message in &replayed {
        let replay = message.replay.as_deref().context("the header Chainbell-Replay")?;
        assert!(message.id.ends_with(&format!(":seen:replay:{replay}")), "{message:?}");
        assert_eq!(serde_json::from_str::<CloudEvent>(&message.payload)?.id, message.id);
    }
    Ok(())
}

async fn a_replay_notifies_once_of_what_was_never_notified(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    stage.transfers(to, 6).await?;
    let world = World::new(deployment, &stage, &digest_watch("in", to, "500ms")).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    assert!(everything(&store).await?.1.is_empty(), "the past tells nobody");
    let replay = ["replay", "--chain", "local", "--from-block", "0", "--notify"];
    for _ in 0..2 {
        say(Some(&world.config), &replay).await?.well()?;
        world.run_through(stage.head().await?).await?;
        let counts: Vec<_> = world
            .receiver
            .inbox()
            .values()
            .map(|body| body["data"]["count"].as_u64().unwrap_or_default())
            .collect();
        assert_eq!(counts, [6], "{}", world.logged());
        assert_eq!(everything(&store).await?.1.len(), 1);
    }
    Ok(())
}

pub(crate) async fn get(port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

async fn health_and_metrics_are_answered_and_a_dead_node_is_named(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(deployment, &stage, "").await?;
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let text = std::fs::read_to_string(&world.config)?;
    std::fs::write(&world.config, text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")))?;
    let running = world.start(&[])?;
    let answers = |path: &'static str, wanted: u16| async move {
        eventually(path, CAP, || async {
            Ok(match get(port, path).await {
                Ok((status, body)) if status == wanted => Ok(body),
                other => Err(other.map_err(|error| error.to_string())),
            })
        })
        .await
    };
    let ready = answers("/readyz", 200).await.with_context(|| world.logged())?;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ready)?["ready"], true);
    assert_eq!(get(port, "/healthz").await?, (200, "ok\n".to_owned()));
    let store = world.store().await?;
    world.reached(&store, stage.head().await?).await?;
    let metrics = answers("/metrics", 200).await?;
    for name in ["chainbell_chain_lag_blocks", "chainbell_watches", "chainbell_events_total"] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    let Stage { anvil, .. } = stage;
    anvil.kill()?;
    let faults = answers("/readyz", 503).await.with_context(|| world.logged())?;
    assert!(faults.contains("ingest:local"), "{faults}");
    assert_eq!(get(port, "/healthz").await?.0, 200, "the process runs on");
    assert!(running.terminate().await?.success(), "{}", world.logged());
    assert!(store.chain(CHAIN).await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_wrong_or_says_what_is() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(Deployment::servers().await?, &stage, "").await?;
    world.run_through(stage.head().await?).await?;
    let well = say(Some(&world.config), &["doctor"]).await?.well()?;
    for part in [
        "the configuration is sound",
        "store",
        "broker",
        "timer index",
        "logs by block hash",
        "subscriptions; a new block costs one call",
        "several questions at once",
        "the tag finalized",
        "logs of old blocks",
        "ranges of",
        "an audit proves that no log is missing",
        "target 'hook'",
    ] {
        assert!(
            well.out.lines().any(|line| line.starts_with("ok") && line.contains(part)),
            "{part}: {}",
            well.out
        );
    }
    assert!(!well.out.contains("FAIL"), "{}", well.out);
    let Stage { anvil, .. } = stage;
    anvil.kill()?;
    let ill = say(Some(&world.config), &["doctor"]).await?;
    assert_eq!(ill.status, Some(1), "{ill:?}");
    assert!(ill.out.contains("FAIL") && ill.err.contains("one thing is wrong"), "{ill:?}");
    // Another chain than the configured one is the operator's mistake, and named.
    let other = TestAnvil::start_with(devnet::Options { chain_id: 5, ..Default::default() }).await?;
    let text = std::fs::read_to_string(&world.config)?;
    let rpc = text.lines().find(|line| line.starts_with("rpc =")).context("a node")?;
    std::fs::write(&world.config, text.replace(rpc, &format!("rpc = [\"{}\"]", other.ws_url())))?;
    let ill = say(Some(&world.config), &["doctor"]).await?;
    assert_eq!(ill.status, Some(1), "{ill:?}");
    assert!(ill.out.contains("serves chain 5, but 'local' is configured as 31337"), "{ill:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_chainbell_is_left_alone() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(Deployment::embedded()?, &stage, "").await?;
    say(Some(&world.config), &["migrate"]).await?.well()?;
    let path = world.deployment.store.trim_start_matches("sqlite://");
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(\"INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) VALUES (999999, 'later', 1, x'00', 0)\"); db.commit()";
    let done = tokio::process::Command::new("python3").args(["-c", script, path]).status().await?;
    assert!(done.success());
    for arguments in [&["migrate"][..], &["run"], &["status"]] {
        let said = say(Some(&world.config), arguments).await?;
        said.refused(1, &["999999", "install a newer chainbell"]);
        assert_eq!(said.err.trim().lines().count(), 1, "one sentence: {said:?}");
    }
    Ok(())
}
