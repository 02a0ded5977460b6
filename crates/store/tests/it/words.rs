//! What a person reads of a database's refusal: what it is and how to mend it, and nothing of a statement.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};
use store::{Store, StoreError};

use crate::world::World;

fn reads(error: &StoreError, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
    for word in [
        "no such table",
        "relation",
        "does not exist",
        "constraint failed",
        "error returned",
        "authentication",
    ] {
        assert!(!text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn a_refusal_of_sqlite_has_its_code_and_no_words_of_the_driver() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut beside = SqliteConnection::connect(&world.url).await?;
    sqlx::query("ALTER TABLE outbox RENAME TO gone").execute(&mut beside).await?;
    reads(&world.store.outbox_page("lane", 1).await.expect_err("it is gone"), &["outbox", "SQLite's code 1"]);
    Ok(())
}

#[tokio::test]
async fn a_refusal_of_postgresql_has_its_code_and_no_words_of_the_driver() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut beside: PgConnection = world.postgres_options()?.connect().await?;
    sqlx::query("ALTER TABLE outbox RENAME TO gone").execute(&mut beside).await?;
    let error = world.store.outbox_page("lane", 1).await.expect_err("it is gone");
    reads(&error, &["outbox", "not as chainbell made it", "SQLSTATE 42P01"]);
    Ok(())
}

#[tokio::test]
async fn a_password_with_reserved_characters_is_written_percent_encoded() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut server: PgConnection = world.server_options()?.connect().await?;
    let role = format!("bell{}", uuid::Uuid::new_v4().simple());
    let make = format!("CREATE ROLE \"{role}@x\" SUPERUSER LOGIN PASSWORD 's3cret:/#%ä'");
    sqlx::query(AssertSqlSafe(make)).execute(&mut server).await?;
    let (_, place) = world.url.rsplit_once('@').expect("a password");
    let sound = Store::open(&format!("postgres://{role}%40x:s3cret%3A%2F%23%25%C3%A4@{place}")).await;
    let wrong = Store::open(&format!("postgres://{role}%40x:s3cret@{place}")).await;
    let missing = Store::open(&format!("{}_none", world.url)).await;
    if let Ok(store) = &sound {
        store.ping().await?;
    }
    let connected = sound.map(drop);
    sqlx::query(AssertSqlSafe(format!("DROP ROLE \"{role}@x\""))).execute(&mut server).await?;
    connected?;
    let wrong = wrong.expect_err("another password");
    reads(&wrong, &["does not accept the user and password", "28P01"]);
    assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
    reads(&missing.expect_err("no such database"), &["there is no such database", "3D000"]);
    Ok(())
}
