//! The states of hits: which state may follow which, as the rule and as the store has it.

use std::time::Duration;

use domain::HitState;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use store::{Holding, Store};

use crate::{on_both, world::World};

on_both!(a_holding_stays_as_it_was_noted_first_until_its_watch_changes);

// A hit of the state `from`, which is then brought to `to`: what the server says.
macro_rules! step {
    ($connection:expr, $from:expr, $to:expr, $uuid:literal) => {{
        let row = |state: HitState, what: &str| match (what, state) {
            ("notification", HitState::Notified) => $uuid.to_owned(),
            ("reason", HitState::Suppressed | HitState::Dead) => "'r'".to_owned(),
            _ => "NULL".to_owned(),
        };
        let (from, to): (HitState, HitState) = ($from, $to);
        let statements = [
            "DELETE FROM hit".to_owned(),
            format!(
                "INSERT INTO hit (id, watch_id, recipient_id, logical_id, event_id, chain_id, block_number, log_index,
                    block_hash, deliver_at, state, reason, notification_id, due_hint, created_at)
                 VALUES ({id}, 'w', 'r', {id}, {id}, 1, 1, 0, {id}, 'seen', '{from}', {reason}, {told}, 0, 0)",
                id = $uuid,
                reason = row(from, "reason"),
                told = row(from, "notification"),
            ),
            format!(
                "UPDATE hit SET state = '{to}', reason = {reason}, notification_id = {told}",
                reason = row(to, "reason"),
                told = row(to, "notification"),
            ),
        ];
        let mut done = Ok(());
        for statement in statements {
            done = sqlx::query(AssertSqlSafe(statement)).execute(&mut *$connection).await.map(drop);
        }
        done
    }};
}

fn agrees(from: HitState, to: HitState, done: Result<(), sqlx::Error>) {
    let allowed = from == to || from.may_become(to);
    match done {
        Ok(()) => assert!(allowed, "the store lets a hit go from {from} to {to}"),
        Err(error) => {
            assert!(!allowed, "the store does not let a hit go from {from} to {to}: {error}");
            let error = error.to_string();
            let named =
                error.contains("hit_state_follows_the_ledger") || error.contains("a hit does not go from");
            assert!(named, "{error}");
        }
    }
}

fn pairs() -> impl Iterator<Item = (HitState, HitState)> {
    HitState::ALL.into_iter().flat_map(|from| HitState::ALL.into_iter().map(move |to| (from, to)))
}

#[tokio::test]
async fn the_rule_and_sqlite_agree_on_every_step() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite://{}", dir.path().join("test.db").display());
    Store::open(&url).await?.close().await;
    let mut connection = SqliteConnection::connect(&url).await?;
    for (from, to) in pairs() {
        agrees(from, to, step!(&mut connection, from, to, "x'00000000000000000000000000000001'"));
    }
    Ok(())
}

#[tokio::test]
async fn the_rule_and_postgres_agree_on_every_step() -> anyhow::Result<()> {
    let server = std::env::var("CHAINBELL_TEST_POSTGRES")?;
    let name = format!("store_{}", uuid::Uuid::new_v4().simple());
    let url = store::create_database(&server, &name).await?;
    Store::open(&url).await?.close().await;
    let mut connection = PgConnection::connect(&url).await?;
    for (from, to) in pairs() {
        agrees(from, to, pg_step(&mut connection, from, to).await);
    }
    connection.close().await?;
    store::drop_database(&server, &name).await?;
    assert!(Store::connect(&url).await.is_err(), "the database is gone");
    Ok(())
}

async fn pg_step(connection: &mut PgConnection, from: HitState, to: HitState) -> Result<(), sqlx::Error> {
    step!(connection, from, to, "'00000000-0000-0000-0000-000000000001'")
}

// 50,000 hits go from pending to notified in one statement, as the closing of a window has them. How long that takes with
// the trigger and without it is said by `--nocapture`; here it only must not be a matter of many seconds.
#[tokio::test]
async fn the_trigger_on_states_is_no_burden_for_a_large_window() -> anyhow::Result<()> {
    let server = std::env::var("CHAINBELL_TEST_POSTGRES")?;
    let name = format!("store_{}", uuid::Uuid::new_v4().simple());
    let url = store::create_database(&server, &name).await?;
    Store::open(&url).await?.close().await;
    let mut connection = PgConnection::connect(&url).await?;
    let fill = "INSERT INTO hit (id, watch_id, recipient_id, logical_id, event_id, chain_id, block_number, log_index,
            block_hash, deliver_at, state, due_hint, created_at)
        SELECT gen_random_uuid(), 'w', 'r', gen_random_uuid(), gen_random_uuid(), 1, 1, i, '\\x00', 'seen', 'pending', 0, 0
        FROM generate_series(1, 50000) i";
    let tell = "UPDATE hit SET state = 'notified', notification_id = id WHERE state = 'pending'";
    let mut took = Vec::new();
    for trigger in ["ENABLE", "DISABLE"] {
        let switch = format!("ALTER TABLE hit {trigger} TRIGGER hit_state_follows_the_ledger");
        for statement in ["TRUNCATE hit", fill, &switch] {
            sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
        }
        let began = now();
        let done = sqlx::query(AssertSqlSafe(tell)).execute(&mut connection).await?;
        assert_eq!(done.rows_affected(), 50_000);
        took.push(began.elapsed());
    }
    println!("with the trigger {:?}, without it {:?}", took[0], took[1]);
    assert!(took[0] < took[1] * 3 + Duration::from_secs(2), "{took:?}");
    connection.close().await?;
    store::drop_database(&server, &name).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measures how long a statement took")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

async fn a_holding_stays_as_it_was_noted_first_until_its_watch_changes(world: &World) -> anyhow::Result<()> {
    let holding = |revision, from_block| Holding {
        watch: "w".parse().expect("a name"),
        revision,
        fingerprint: "a".into(),
        from_block,
    };
    world.store.note_holdings(&[holding(1, 10)]).await?;
    world.store.note_holdings(&[holding(1, 99)]).await?;
    assert_eq!(world.store.holdings().await?, [holding(1, 10)]);
    world.store.note_holdings(&[holding(2, 99)]).await?;
    let changed = Holding { fingerprint: "b".into(), ..holding(2, 120) };
    assert_eq!(world.store.holdings().await?, [holding(2, 99)]);
    world.store.note_holdings(std::slice::from_ref(&changed)).await?;
    assert_eq!(world.store.holdings().await?, [changed]);
    Ok(())
}
