//! A server that hands over to another, or ends sessions: what becomes of the connections that were made before.

use std::time::Duration;

use futures::future::join_all;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use store::Store;

use crate::world::{World, all, block, header};

const TERM: Duration = Duration::from_secs(30);
/// More than any pool of the store has connections.
const AT_ONCE: usize = 32;

async fn default_read_only(beside: &mut PgConnection, database: &str, on: bool) -> anyhow::Result<()> {
    let setting =
        if on { "SET default_transaction_read_only = on" } else { "RESET default_transaction_read_only" };
    sqlx::query(AssertSqlSafe(format!("ALTER DATABASE {database} {setting}"))).execute(beside).await?;
    Ok(())
}

/// Every connection of the pools is made.
async fn warm(store: &Store) {
    for result in join_all((0..AT_ONCE).map(|_| store.ping())).await {
        result.expect("the store answers");
    }
}

#[tokio::test]
async fn connections_that_a_failover_left_read_only_are_closed_and_others_taken() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut beside: PgConnection = world.server_options()?.connect().await?;
    let options = world.postgres_options()?;
    let database = options.get_database().expect("a database").to_owned();
    default_read_only(&mut beside, &database, true).await?;
    let old = Store::connect(&world.url).await?;
    warm(&old).await;
    let (first, commit) = ([header(1, 1, 1)], world.chain_commit(None, None, &[], &[]));
    let refused = old.take_lease("lane", "one", world.now, TERM).await.expect_err("the server is read-only");
    assert!(refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains("read-only"), "{refused}");
    let commit = store::ChainCommit { headers: &first, tip: block(1, 1), ..commit };
    old.commit_chain(&commit).await.expect_err("the server is read-only");
    warm(&old).await;

    default_read_only(&mut beside, &database, false).await?;
    for lane in 0..AT_ONCE {
        assert!(old.take_lease(&format!("lane {lane}"), "one", world.now, TERM).await?);
    }
    old.commit_chain(&commit).await?;
    Ok(())
}

#[tokio::test]
async fn sessions_that_the_server_ended_cost_no_call() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut beside: PgConnection = world.server_options()?.connect().await?;
    let database = world.postgres_options()?.get_database().expect("a database").to_owned();
    for round in 0..3 {
        warm(&world.store).await;
        let ended = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = $1";
        let ended: i64 = sqlx::query_scalar(ended).bind(&database).fetch_one(&mut beside).await?;
        assert!(ended > 1, "{ended} sessions");
        for lane in 0..4 {
            let lane = format!("lane {round} {lane}");
            assert!(world.store.take_lease(&lane, "one", world.now, TERM).await?);
            world.store.events(&all()).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_the_server_aborts_is_run_again_in_whatever_language_it_says_so()
-> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut beside: PgConnection = world.postgres_options()?.connect().await?;
    for statement in [
        "CREATE SEQUENCE refusals",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('refusals') < 3 THEN RAISE EXCEPTION 'Verklemmung entdeckt' USING ERRCODE = '40P01'; END IF;
            RETURN NEW; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION refuse()",
    ] {
        sqlx::query(statement).execute(&mut beside).await?;
    }
    assert!(world.store.take_lease("lane", "one", world.now, TERM).await?);
    Ok(())
}
