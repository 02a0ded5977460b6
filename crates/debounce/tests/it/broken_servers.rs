//! Servers that answer, and on which no window could ever be kept: each is named with its mend, by a trial and by every call.

use std::time::Duration;

use debounce::{RedisConfig, RedisDebouncer, RedisFiles, try_out};
use domain::{Debouncer as _, HitId, WindowAdd, WindowKey, window::WindowRule};
use jiff::Timestamp;
use testkit::{certificates::Certificates, clock::RealClock, servers::RedisServer, wait::eventually};
use uuid::Uuid;

const CAP: Duration = Duration::from_secs(30);

async fn command(url: &str, words: &[&str]) -> anyhow::Result<redis::Value> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    Ok(command.query_async(&mut connection).await?)
}

/// A trial fails with these parts and no secret; so does whoever adds a window.
async fn refused(url: &str, parts: &[&str]) -> anyhow::Result<()> {
    let tried =
        try_out(&RedisConfig::new(url, "p"), &RealClock).await.expect_err("it cannot work").to_string();
    let add = async {
        let now = Timestamp::UNIX_EPOCH;
        let add = WindowAdd {
            key: WindowKey::from_stored("r w"),
            rule: WindowRule::NOW,
            hits: vec![HitId(Uuid::from_u128(1))],
            now,
        };
        RedisDebouncer::connect(url, "p").await?.add(vec![add]).await
    };
    let added = add.await.expect_err("it cannot work").to_string();
    for said in [tried, added] {
        anyhow::ensure!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        anyhow::ensure!(!said.contains("s3cret"), "{said}");
        for of_the_library in ["Pipeline", "Index ", "ResponseError", "signalled by the server"] {
            anyhow::ensure!(!said.contains(of_the_library), "the library speaks: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_trial_on_a_sound_server_leaves_nothing_behind() -> anyhow::Result<()> {
    let server = RedisServer::start(&[]).await?;
    try_out(&RedisConfig::new(&server.url(), "p"), &RealClock).await?;
    assert_eq!(command(&server.url(), &["DBSIZE"]).await?, redis::Value::Int(0));
    Ok(())
}

#[tokio::test]
async fn a_cluster_is_refused_at_the_start_by_its_code() -> anyhow::Result<()> {
    let server = RedisServer::start(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        "$BUS",
        "--cluster-config-file",
        "nodes.conf",
    ])
    .await?;
    let mend = ["Redis Cluster", "use a Redis without cluster", "store:"];
    // Before it has its slots, and after.
    refused(&server.url(), &mend).await?;
    command(&server.url(), &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await?;
    eventually("the cluster is up", CAP, || async { Ok(command(&server.url(), &["GET", "any"]).await) })
        .await?;
    refused(&server.url(), &mend).await?;
    let started = RedisDebouncer::connect(&server.url(), "").await.expect_err("refused at once").to_string();
    assert!(started.contains("Redis Cluster"), "{started}");
    Ok(())
}

#[tokio::test]
async fn a_server_whose_memory_is_full_is_named() -> anyhow::Result<()> {
    let server = RedisServer::start(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]).await?;
    refused(&server.url(), &["its memory is full", "maxmemory"]).await
}

#[tokio::test]
async fn a_replica_is_named() -> anyhow::Result<()> {
    let primary = RedisServer::start(&[]).await?;
    let port = primary.port.to_string();
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port]).await?;
    refused(&replica.url(), &["it is a replica", "debounce.url"]).await?;
    // A client reads from it as from any other, which is why a question alone does not find this out.
    assert_eq!(RedisDebouncer::connect(&replica.url(), "p").await?.outlook().await?, (0, None));
    Ok(())
}

#[tokio::test]
async fn a_primary_without_its_replicas_is_named() -> anyhow::Result<()> {
    let server = RedisServer::start(&["--min-replicas-to-write", "1"]).await?;
    refused(&server.url(), &["too few replicas"]).await
}

#[tokio::test]
async fn a_login_without_scripts_or_without_our_keys_is_named() -> anyhow::Result<()> {
    let server = RedisServer::start(&[]).await?;
    let user = |name: &str, rules: &[&str]| {
        let words = ["ACL", "SETUSER", name, "on", ">s3cret:/#%ä"].into_iter().chain(rules.iter().copied());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    for words in [
        user("sound", &["~pchainbell:*", "+@read", "+@write", "+@scripting", "+@connection"]),
        user("scriptless", &["~*", "+@all", "-@scripting"]),
        user("elsewhere", &["~other:*", "+@all"]),
    ] {
        command(&server.url(), &words.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    let url = |name: &str, password: &str| format!("redis://{name}:{password}@127.0.0.1:{}", server.port);
    let password = "s3cret%3A%2F%23%25%C3%A4";
    try_out(&RedisConfig::new(&url("sound", password), "p"), &RealClock).await?;
    refused(&url("scriptless", password), &["lacks a command or our keys", "+@scripting"]).await?;
    refused(&url("elsewhere", password), &["lacks a command or our keys"]).await?;
    refused(&url("sound", "s3cret"), &["does not accept the user and password in debounce.url"]).await?;
    command(&server.url(), &["ACL", "SETUSER", "default", "off"]).await?;
    refused(&server.url(), &["asks for a password", "debounce.url"]).await
}

#[tokio::test]
async fn tls_with_an_authority_of_its_own_and_a_client_certificate_works() -> anyhow::Result<()> {
    let certificates = Certificates::make()?;
    let file = |name: &str| certificates.file(name).display().to_string();
    let (server, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let server = RedisServer::start(&[
        "--port",
        "0",
        "--tls-port",
        "$PORT",
        "--tls-cert-file",
        &server,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ])
    .await?;
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let config = |ca: &str, own: bool| RedisConfig {
        files: RedisFiles {
            ca: Some(ca.into()),
            certificate: own.then(|| certificates.file("client.pem")),
            key: own.then(|| certificates.file("client.key")),
        },
        ..RedisConfig::new(&url, "p")
    };
    try_out(&config(&ca, true), &RealClock).await?;
    assert!(try_out(&config(&ca, false), &RealClock).await.is_err(), "it asks for a certificate");
    assert!(try_out(&RedisConfig::new(&url, "p"), &RealClock).await.is_err(), "its authority is not known");
    let error = try_out(&config("/nowhere/ca.pem", true), &RealClock).await.expect_err("no file").to_string();
    assert!(error.contains("debounce.ca") && error.contains("/nowhere/ca.pem"), "{error}");
    let plain = RedisConfig { url: "redis://127.0.0.1:1".to_owned(), ..config(&ca, true) };
    let error = try_out(&plain, &RealClock).await.expect_err("no TLS").to_string();
    assert!(error.contains("rediss://"), "{error}");
    Ok(())
}
