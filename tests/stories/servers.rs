//! Servers that answer, and on which nothing would work: `doctor` names each with its mend, and `run` says one sentence.

use testkit::{
    deployment::Deployment,
    servers::{NatsServer, RedisServer},
    wait::eventually,
};

use crate::{
    commands::say,
    world::{CAP, Stage, World},
};

const JETSTREAM: &str = "jetstream: { store_dir: \"$FOLDER/js\" }";

/// An embedded deployment, one of whose servers is another.
struct Ward {
    world: World,
    text: String,
    _stage: Stage,
}

impl Ward {
    async fn new() -> anyhow::Result<Self> {
        let stage = Stage::set().await?;
        let world = World::new(Deployment::embedded()?, &stage, "").await?;
        let text = std::fs::read_to_string(&world.config)?;
        Ok(Self { world, text, _stage: stage })
    }

    fn with(&self, server: &str, url: &str) -> anyhow::Result<()> {
        let was = if server == "broker" { "url = \"memory:\"" } else { "url = \"store:\"" };
        anyhow::ensure!(self.text.contains(was), "{}", self.text);
        Ok(std::fs::write(&self.world.config, self.text.replace(was, &format!("url = \"{url}\"")))?)
    }

    /// `doctor` finds one thing, and says it with these parts.
    async fn finds(&self, parts: &[&str]) -> anyhow::Result<()> {
        let said = say(Some(&self.world.config), &["doctor"]).await?;
        let wrong: Vec<_> = said.out.lines().filter(|line| line.starts_with("FAIL")).collect();
        anyhow::ensure!(said.status == Some(1) && wrong.len() == 1, "{said:?}");
        anyhow::ensure!(parts.iter().all(|part| wrong[0].contains(part)), "{parts:?}: {said:?}");
        anyhow::ensure!(!said.out.contains("s3cret") && !said.err.contains("s3cret"), "{said:?}");
        anyhow::ensure!(said.err == "chainbell: one thing is wrong\n", "and no library speaks: {said:?}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_nats_that_cannot_work_and_run_says_one_sentence() -> anyhow::Result<()> {
    let ward = Ward::new().await?;
    let server =
        NatsServer::start(&format!("{JETSTREAM}\nauthorization: {{ user: bell, password: \"s3cret#\" }}"))
            .await?;
    let sound = format!("nats://bell:s3cret%23@{}", server.address);
    ward.with("broker", &sound)?;
    let well = say(Some(&ward.world.config), &["doctor"]).await?.well()?;
    assert!(well.out.contains("messages are published, read and acknowledged"), "{well:?}");
    for (url, part, status) in [
        (format!("nats://{}", server.address), "asks for a login, and none is configured", 1),
        (
            format!("nats://bell:s3cret@{}", server.address),
            "does not accept the user and password in broker.url",
            1,
        ),
        (format!("nats://bell:s3cret#@{}", server.address), "%23", 2),
    ] {
        ward.with("broker", &url)?;
        ward.finds(&["broker at nats://", part]).await?;
        let run = say(Some(&ward.world.config), &["run", "--until-block", "1"]).await?;
        run.refused(status, &[part]);
        assert_eq!(run.err.lines().filter(|line| line.contains("ERROR")).count(), 0, "{run:?}");
        assert!(run.err.lines().last().is_some_and(|line| line.starts_with("chainbell: ")), "{run:?}");
    }
    let bare = NatsServer::start("").await?;
    ward.with("broker", &format!("nats://{}", bare.address))?;
    ward.finds(&["start nats-server with -js"]).await?;
    // The limit of the whole of JetStream is smaller than one message of a trial.
    let full = NatsServer::start(
        "jetstream: { store_dir: \"$FOLDER/js\", max_file_store: 100000, max_memory_store: 100000 }",
    )
    .await?;
    ward.with("broker", &format!("nats://{}", full.address))?;
    ward.finds(&["it has no room for another message"]).await?;
    let taken = NatsServer::start(JETSTREAM).await?;
    taken.create_stream("CHAIN", "orders.>").await?;
    ward.with("broker", &format!("nats://{}", taken.address))?;
    ward.finds(&["chainbell did not make this stream", "broker.prefix"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_redis_that_cannot_work() -> anyhow::Result<()> {
    let ward = Ward::new().await?;
    let sound = RedisServer::start(&[]).await?;
    ward.with("debounce", &sound.url())?;
    let well = say(Some(&ward.world.config), &["doctor"]).await?.well()?;
    assert!(
        well.out.contains(&format!("timer index {}: windows are opened and closed", sound.url())),
        "{well:?}"
    );
    let cluster = RedisServer::start(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        "$BUS",
        "--cluster-config-file",
        "nodes.conf",
    ])
    .await?;
    ward.with("debounce", &cluster.url())?;
    ward.finds(&["Redis Cluster", "use a Redis without cluster"]).await?;
    say(Some(&ward.world.config), &["run", "--until-block", "1"]).await?.refused(1, &["Redis Cluster"]);
    let full = RedisServer::start(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]).await?;
    ward.with("debounce", &full.url())?;
    ward.finds(&["its memory is full", "raise maxmemory"]).await?;
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &sound.port.to_string()]).await?;
    ward.with("debounce", &replica.url())?;
    let found = || async { Ok(ward.finds(&["it is a replica", "debounce.url"]).await) };
    eventually("it is named", CAP, found).await
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_the_timer_index_of_an_embedded_deployment() -> anyhow::Result<()> {
    let ward = Ward::new().await?;
    let well = say(Some(&ward.world.config), &["doctor"]).await?.well()?;
    assert!(well.out.contains("ok    timer index store:"), "{well:?}");
    assert!(well.out.contains("ok    broker memory:"), "{well:?}");
    Ok(())
}
