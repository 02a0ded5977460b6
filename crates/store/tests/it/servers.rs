//! Databases and servers that are not as the store needs them: each is named with its mend.

use std::time::Duration;

use anyhow::Context as _;
use futures::future::join_all;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use store::{Store, StoreError};
use testkit::postgres::{Pooler, TlsPostgres};

use crate::world::{World, header};

const TERM: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_database_that_cannot_hold_all_text_is_refused_with_the_mend() -> anyhow::Result<()> {
    let server = std::env::var("CHAINBELL_TEST_POSTGRES").context("CHAINBELL_TEST_POSTGRES is not set")?;
    let (base, _) = server.rsplit_once('/').context("a database")?;
    let mut beside = PgConnection::connect(&server).await?;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("store_{}", uuid::Uuid::new_v4().simple());
        let made = format!(
            "CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '{encoding}'"
        );
        sqlx::query(AssertSqlSafe(made)).execute(&mut beside).await?;
        let refused = Store::open(&format!("{base}/{name}")).await.expect_err("it cannot hold all text");
        assert!(matches!(refused, StoreError::Config { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(
            text.contains(encoding) && text.contains("UTF8") && text.contains("CREATE DATABASE"),
            "{text}"
        );
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut beside).await?;
    }
    Ok(())
}

/// A role of the test's own that owns the world's database and may have `limit` connections, and its URL.
async fn limited_role(world: &World, limit: u32) -> anyhow::Result<String> {
    let mut beside: PgConnection = world.server_options()?.connect().await?;
    let database = world.postgres_options()?.get_database().context("a database")?.to_owned();
    let role = format!("role_{}", uuid::Uuid::new_v4().simple());
    let mut owner: PgConnection = world.postgres_options()?.connect().await?;
    for statement in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT {limit}"),
        format!("GRANT ALL ON DATABASE {database} TO {role}"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut beside).await?;
    }
    for statement in [
        format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
        format!("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"),
        format!("GRANT ALL ON SCHEMA public TO {role}"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut owner).await?;
    }
    let (_, place) = world.url.rsplit_once('@').context("a host")?;
    Ok(format!("postgres://{role}:secret@{place}"))
}

#[tokio::test]
async fn a_role_with_four_connections_is_enough_and_one_is_left_for_commands() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let url = limited_role(&world, 4).await?;
    let store = Store::open_with(&url, None).await?;
    let connections = store.connections().context("a server has connections")?;
    assert_eq!((connections.most, connections.wanted), (3, 20));
    let why = connections.limited_by.as_deref().context("it is limited")?;
    assert!(why.contains("CONNECTION LIMIT 21") && why.contains("store.connections"), "{why}");
    let store = &store;
    let all = (0..32).map(|lane| async move {
        let taken = store.take_lease(&format!("lane {lane}"), "one", world_time(), TERM).await?;
        store.counts().await?;
        anyhow::Ok(taken)
    });
    for taken in join_all(all).await {
        assert!(taken?);
    }
    let command = Store::open(&url).await?;
    assert_eq!(command.connections().map(|connections| connections.most), Some(1));
    command.counts().await?;
    Ok(())
}

#[tokio::test]
async fn a_role_without_a_free_connection_is_told_what_to_raise() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let url = limited_role(&world, 1).await?;
    let _holds = PgConnection::connect(&url).await?;
    let refused = Store::open(&url).await.expect_err("it has no connection left");
    assert!(refused.is_transient(), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("CONNECTION LIMIT") && text.contains("store.connections"), "{text}");
    Ok(())
}

#[tokio::test]
async fn as_many_connections_are_used_as_are_set_and_one_is_enough() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let store = Store::open_with(&world.url, Some(1)).await?;
    assert_eq!(store.connections().map(|connections| connections.most), Some(1));
    let both = join_all((0..8).map(|_| store.counts())).await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    let headers = [header(1, 1, 1)];
    let commit = world.chain_commit(None, None, &headers, &[]);
    store.commit_chain(&commit).await?;
    Ok(())
}

#[tokio::test]
async fn a_pooler_that_gives_each_transaction_another_session_is_named_with_the_mend() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let pooler = Pooler::start(&world.url, "transaction").await?;
    let refused = Store::open(&pooler.url).await.expect_err("sessions change");
    assert!(matches!(refused, StoreError::Config { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("pgbouncer") && text.contains("pool_mode = session"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_is_as_good_as_the_server() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let pooler = Pooler::start(&world.url, "session").await?;
    let store = Store::open(&pooler.url).await?;
    assert!(store.take_lease("lane", "one", world.now, TERM).await?);
    assert!(!store.take_lease("lane", "two", world.now, TERM).await?);
    Ok(())
}

#[tokio::test]
async fn prepared_statements_that_are_gone_are_prepared_again_on_another_connection() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut beside: PgConnection = world.postgres_options()?.connect().await?;
    // As behind a pooler: what a session prepared is not there at its next transaction.
    for statement in [
        "CREATE SEQUENCE taken",
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('taken') = 1 THEN RAISE EXCEPTION 'unbekannt' USING ERRCODE = '26000'; END IF;
            RETURN NEW; END $$",
        "CREATE TRIGGER forget BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION forget()",
    ] {
        sqlx::query(statement).execute(&mut beside).await?;
    }
    assert!(world.store.take_lease("lane", "one", world.now, TERM).await?);
    Ok(())
}

#[tokio::test]
async fn a_server_with_tls_is_believed_by_the_authority_that_the_url_names() -> anyhow::Result<()> {
    let server = TlsPostgres::start().await?;
    let ca = server.certificates.file("ca.pem");
    let store =
        Store::open(&server.url(&format!("sslmode=verify-full&sslrootcert={}", ca.display()))).await?;
    assert!(store.take_lease("lane", "one", world_time(), TERM).await?);
    store.try_out(world_time()).await?;
    Ok(())
}

fn world_time() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}
