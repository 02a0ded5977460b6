//! How chainbell logs in to a NATS server: each way against a real server that asks for it.

use std::{path::PathBuf, sync::Arc};

use broker::{Broker, BrokerConfig, NatsFiles};
use domain::BrokerError;
use nkeys::KeyPair;
use testkit::{certificates::Certificates, clock::RealClock, servers::NatsServer, wait::eventually};

use crate::world::SOON;

const JETSTREAM: &str = "jetstream: { store_dir: \"$FOLDER/js\" }";

async fn connected(url: &str, files: NatsFiles) -> Result<Broker, BrokerError> {
    let config = BrokerConfig { files, ..BrokerConfig::new(url, "") };
    assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    Broker::connect(&config, Arc::new(RealClock)).await
}

/// It is refused with a sentence that has these parts and no secret.
async fn refused(url: &str, files: NatsFiles, parts: &[&str]) {
    let error = connected(url, files).await.expect_err(url).to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{parts:?}: {error}");
    assert!(!error.contains("s3cret") && !error.contains("s3%63ret"), "{error}");
}

fn file(path: impl Into<PathBuf>) -> Option<PathBuf> {
    Some(path.into())
}

#[tokio::test]
async fn a_user_and_a_password_in_the_url_are_used_percent_decoded() -> anyhow::Result<()> {
    let server = NatsServer::start(&format!(
        "{JETSTREAM}\nauthorization: {{ user: \"be@ll\", password: \"s3cret:/#%ä\" }}"
    ))
    .await?;
    let at = &server.address;
    let broker =
        connected(&format!("nats://be%40ll:s3%63ret%3A%2F%23%25%C3%A4@{at}"), NatsFiles::default()).await?;
    broker.try_out().await?;
    assert!(!format!("{broker:?}").contains("s3cret"), "{broker:?}");
    assert_eq!(broker.url(), format!("nats://…@{at}"));
    refused(
        &format!("nats://{at}"),
        NatsFiles::default(),
        &["asks for a login", "broker.url", "broker.credentials"],
    )
    .await;
    refused(
        &format!("nats://be%40ll:s3cret@{at}"),
        NatsFiles::default(),
        &["does not accept the user and password"],
    )
    .await;
    refused(&format!("nats://be%40ll:s3cret#@{at}"), NatsFiles::default(), &["%23"]).await;
    Ok(())
}

#[tokio::test]
async fn a_token_in_the_url_is_used() -> anyhow::Result<()> {
    let server =
        NatsServer::start(&format!("{JETSTREAM}\nauthorization: {{ token: \"s3cret/token\" }}")).await?;
    let at = &server.address;
    connected(&format!("nats://s3cret%2Ftoken@{at}"), NatsFiles::default()).await?.try_out().await?;
    refused(&format!("nats://s3cret@{at}"), NatsFiles::default(), &["does not accept the token"]).await;
    // Of several servers one is enough, and all are asked with the same login.
    let several = format!("nats://s3cret%2Ftoken@127.0.0.1:1,nats://s3cret%2Ftoken@{at}");
    let broker = connected(&several, NatsFiles::default()).await?;
    assert_eq!(broker.url(), format!("nats://…@127.0.0.1:1,nats://…@{at}"));
    Ok(())
}

#[tokio::test]
async fn the_seed_of_an_nkey_signs_what_the_server_sends() -> anyhow::Result<()> {
    let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
    let server = NatsServer::start(&format!(
        "{JETSTREAM}\nauthorization: {{ users: [ {{ nkey: {} }} ] }}",
        pair.public_key()
    ))
    .await?;
    let (url, folder) = (format!("nats://{}", server.address), tempfile::tempdir()?);
    let (seed, wrong, nothing) =
        (folder.path().join("user.nk"), folder.path().join("wrong.nk"), folder.path().join("nothing.nk"));
    std::fs::write(&seed, format!("{}\n{}\n", pair.seed()?, pair.public_key()))?;
    std::fs::write(&wrong, other.seed()?)?;
    std::fs::write(&nothing, KeyPair::new_account().seed()?)?;
    let nkey = |path: &PathBuf| NatsFiles { nkey: file(path), ..NatsFiles::default() };
    connected(&url, nkey(&seed)).await?.try_out().await?;
    refused(&url, nkey(&wrong), &["does not accept the file of broker.nkey"]).await;
    refused(&url, nkey(&nothing), &["broker.nkey", "nothing.nk", "seed of a user"]).await;
    refused(&url, nkey(&folder.path().join("gone.nk")), &["broker.nkey", "gone.nk", "cannot be read"]).await;
    refused(&url, NatsFiles::default(), &["asks for a login"]).await;
    Ok(())
}

/// A JWT as NATS writes it, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: &serde_json::Value) -> anyhow::Result<String> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = serde_json::json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name, "sub": subject.public_key(),
        "nats": nats,
    });
    let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes())?)))
}

fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\nNKEY Seed printed below can be used to sign.\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test]
async fn a_credentials_file_is_used_and_read_anew_at_each_connection() -> anyhow::Result<()> {
    let (operator, account, system) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let limits = serde_json::json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1 });
    let of_account = serde_json::json!({ "type": "account", "version": 2, "limits": limits });
    let of_system = serde_json::json!({ "type": "account", "version": 2, "limits": { "subs": -1, "data": -1,
        "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 } });
    let of_operator =
        serde_json::json!({ "type": "operator", "version": 2, "system_account": system.public_key() });
    let config = format!(
        "{JETSTREAM}\noperator: {}\nsystem_account: {sys}\nresolver: MEMORY\nresolver_preload: {{ {acc}: {}, {sys}: {} }}",
        jwt(&operator, &operator, "operator", &of_operator)?,
        jwt(&operator, &account, "account", &of_account)?,
        jwt(&operator, &system, "system", &of_system)?,
        acc = account.public_key(),
        sys = system.public_key(),
    );
    let mut server = NatsServer::start(&config).await?;
    let (url, folder) = (format!("nats://{}", server.address), tempfile::tempdir()?);
    let path = folder.path().join("bell.creds");
    let of_user = serde_json::json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
        "pub": {}, "sub": {} });
    let user = |pair: &KeyPair| -> anyhow::Result<String> {
        Ok(credentials(&jwt(&account, pair, "bell", &of_user)?, &pair.seed()?))
    };
    let first = KeyPair::new_user();
    std::fs::write(&path, user(&first)?)?;
    let files = NatsFiles { credentials: file(&path), ..NatsFiles::default() };
    let broker = connected(&url, files.clone()).await?;
    broker.try_out().await?;

    // The first user is revoked, and its file written anew for another: the next connection uses that.
    std::fs::write(&path, user(&KeyPair::new_user())?)?;
    let mut revoking = of_account.clone();
    revoking["revocations"] = serde_json::json!({ first.public_key(): 4_000_000_000_u64 });
    let revoked = config.replace(
        &jwt(&operator, &account, "account", &of_account)?,
        &jwt(&operator, &account, "account", &revoking)?,
    );
    server.restart(&revoked).await?;
    eventually("it is connected as the other user", SOON * 6, || async { Ok(broker.try_out().await) })
        .await?;

    std::fs::write(&path, user(&first)?)?;
    refused(&url, files.clone(), &["does not accept the file of broker.credentials"]).await;
    std::fs::write(&path, "nothing")?;
    refused(&url, files, &["broker.credentials", "bell.creds", "has no user JWT"]).await;
    Ok(())
}

#[tokio::test]
async fn tls_with_an_authority_of_its_own_is_trusted_where_that_is_named() -> anyhow::Result<()> {
    let certificates = Certificates::make()?;
    let folder = certificates.folder().display();
    let server = NatsServer::start(&format!(
        "{JETSTREAM}\ntls: {{ cert_file: \"{folder}/server.pem\", key_file: \"{folder}/server.key\" }}"
    ))
    .await?;
    let ca = NatsFiles { ca: file(certificates.file("ca.pem")), ..NatsFiles::default() };
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://{}", server.address);
        connected(&url, ca.clone()).await?.try_out().await?;
        refused(&url, NatsFiles::default(), &["set broker.ca to the file of that authority"]).await;
    }
    let url = format!("tls://{}", server.address);
    let other = Certificates::make()?;
    let wrong = NatsFiles { ca: file(other.file("ca.pem")), ..NatsFiles::default() };
    refused(&url, wrong, &["not by the authority in broker.ca"]).await;
    let key = NatsFiles { ca: file(certificates.file("server.key")), ..NatsFiles::default() };
    refused(&url, key, &["broker.ca", "server.key", "no certificate in PEM"]).await;
    let plain = NatsServer::start(JETSTREAM).await?;
    refused(&format!("tls://{}", plain.address), ca, &["speaks TLS"]).await;
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks_for_it() -> anyhow::Result<()> {
    let certificates = Certificates::make()?;
    let folder = certificates.folder().display();
    let server = NatsServer::start(&format!(
        "{JETSTREAM}\ntls: {{ cert_file: \"{folder}/server.pem\", key_file: \"{folder}/server.key\", \
         ca_file: \"{folder}/ca.pem\", verify: true }}"
    ))
    .await?;
    let url = format!("tls://{}", server.address);
    let ca = NatsFiles { ca: file(certificates.file("ca.pem")), ..NatsFiles::default() };
    let ours = NatsFiles {
        certificate: file(certificates.file("client.pem")),
        key: file(certificates.file("client.key")),
        ..ca.clone()
    };
    connected(&url, ours.clone()).await?.try_out().await?;
    refused(&url, ca.clone(), &["set broker.certificate and broker.key"]).await;
    let alone = NatsFiles { key: None, ..ours.clone() };
    refused(&url, alone, &["broker.certificate is useless without broker.key"]).await;
    let mixed = NatsFiles { key: file(certificates.file("server.key")), ..ours };
    refused(&url, mixed, &["broker.certificate and broker.key"]).await;
    Ok(())
}

#[tokio::test]
async fn what_a_login_may_not_do_is_said_in_the_servers_words() -> anyhow::Result<()> {
    let server = NatsServer::start(&format!(
        "{JETSTREAM}\nauthorization: {{ users: [ {{ user: bell, password: s3cret, permissions: {{ publish: [\"$JS.API.>\"], \
         subscribe: [\">\"] }} }} ] }}"
    ))
    .await?;
    let broker = connected(&format!("nats://bell:s3cret@{}", server.address), NatsFiles::default()).await?;
    let error = broker.try_out().await.expect_err("it may not publish").to_string();
    assert!(error.contains("a message is not taken") && error.contains("Permissions Violation"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_trial_keeps_to_the_subjects_under_the_prefix_and_out_of_a_neighbours_stream() -> anyhow::Result<()>
{
    let server = NatsServer::start(&format!(
        "{JETSTREAM}\nno_auth_user: all\nauthorization: {{ users: [ {{ user: all, password: all }}, {{ user: bell, \
         password: s3cret, permissions: {{ publish: [\"here.>\", \"$JS.API.>\", \"$JS.ACK.>\"], subscribe: [\"_INBOX.>\"] }} }} ] }}"
    ))
    .await?;
    server.create_stream("NEIGHBOUR", "doctor.>").await?;
    let url = format!("nats://bell:s3cret@{}", server.address);
    let broker = Broker::connect(&BrokerConfig::new(&url, "here"), Arc::new(RealClock)).await?;
    broker.try_out().await?;
    // Another prefix is another's.
    let other = Broker::connect(&BrokerConfig::new(&url, "there"), Arc::new(RealClock)).await;
    let tried = match other {
        Ok(other) => other.try_out().await,
        Err(error) => Err(error),
    };
    let refused = tried.expect_err("its subjects are not the login's").to_string();
    assert!(!refused.contains("s3cret"), "{refused}");
    Ok(())
}
