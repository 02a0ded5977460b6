//! Databases and servers that are not as the store needs them: each is named with its mend.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use futures::future::join_all;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use store::{Store, StoreError};
use testkit::wait::eventually;
use tokio::process::{Child, Command};

use crate::world::{World, header};

const TERM: Duration = Duration::from_secs(30);
const CAP: Duration = Duration::from_secs(30);

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

/// A pgbouncer of the test's own in front of the tests' server.
struct Pooler {
    port: u16,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Pooler {
    fn start(world: &World, mode: &str) -> anyhow::Result<Self> {
        let options = world.postgres_options()?;
        let (_, rest) = world.url.split_once("://").context("a scheme")?;
        let (login, _) = rest.split_once('@').context("a login")?;
        let (user, password) = login.split_once(':').context("a password")?;
        let dir = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let config = dir.path().join("pgbouncer.ini");
        std::fs::write(
            &config,
            format!(
                "[databases]\n* = host={} port={} user={user} password={password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nauth_type = any\nunix_socket_dir =\npool_mode = {mode}\n",
                options.get_host(),
                options.get_port(),
            ),
        )?;
        // It refuses to be root, and then reads its file as another.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644))?;
        let mut command = Command::new("pgbouncer");
        if std::fs::metadata(dir.path())?.uid() == 0 {
            command.args(["-u", "nobody"]);
        }
        let process = command
            .arg(&config)
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH")?))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("pgbouncer does not start: run `scripts/services start`, which installs it")?;
        Ok(Self { port, process, _dir: dir })
    }

    async fn url(&mut self, world: &World) -> anyhow::Result<String> {
        let database = world.postgres_options()?.get_database().context("a database")?.to_owned();
        let url = format!("postgres://any:any@127.0.0.1:{}/{database}", self.port);
        let process = &mut self.process;
        eventually("the pooler answers", CAP, || {
            let (url, over) = (url.clone(), process.try_wait());
            async move {
                anyhow::ensure!(over?.is_none(), "pgbouncer ended");
                let options: PgConnectOptions = url.parse()?;
                Ok(options.extra_float_digits(None).connect().await.map(drop))
            }
        })
        .await?;
        Ok(url)
    }
}

#[tokio::test]
async fn a_pooler_that_gives_each_transaction_another_session_is_named_with_the_mend() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut pooler = Pooler::start(&world, "transaction")?;
    let url = pooler.url(&world).await?;
    let refused = Store::open(&url).await.expect_err("sessions change");
    assert!(matches!(refused, StoreError::Config { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("pgbouncer") && text.contains("pool_mode = session"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_is_as_good_as_the_server() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut pooler = Pooler::start(&world, "session")?;
    let store = Store::open(&pooler.url(&world).await?).await?;
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

fn world_time() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}
