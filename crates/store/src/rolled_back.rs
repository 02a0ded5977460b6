//! What is left of a connection whose database rolled back on its own, because there was no room.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Store, StoreError, db::Db, tx::tx};

const TERM: Duration = Duration::from_secs(30);

async fn small_store(dir: &tempfile::TempDir) -> anyhow::Result<(Store, Timestamp)> {
    let store = Store::open(&format!("sqlite://{}", dir.path().join("small.db").display())).await?;
    Ok((store, Timestamp::from_second(1_700_000_000)?))
}

/// The file of the writer's connection may not grow any more: what SQLite then answers is what a full disk makes it answer.
async fn full(store: &Store) -> anyhow::Result<()> {
    let Db::Sqlite { writer, .. } = &store.db else { anyhow::bail!("this is no SQLite") };
    sqlx::query("PRAGMA max_page_count = 1").execute(writer).await?;
    Ok(())
}

async fn large_write(store: &Store) -> Result<(), StoreError> {
    tx!(store, "large_write", |tx| {
        let statement = "INSERT INTO lease (name, owner, expires) VALUES (hex(zeroblob(100000)), 'x', $1)";
        tx.query(statement).bind(0_i64).execute().await?;
        Ok(())
    })
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_connection_goes_on_when_there_is_room() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (store, now) = small_store(&dir).await?;
    full(&store).await?;
    let refused = large_write(&store).await.expect_err("there is no room");
    assert!(refused.is_transient(), "{refused}");
    let (text, place) = (refused.to_string(), dir.path().display().to_string());
    assert!(text.contains("disk") && text.contains("full") && text.contains(&place), "{text}");
    assert!(store.take_lease("lane", "one", now, TERM).await?, "a small write after it");
    large_write(&store).await?;
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_is_abandoned_after_a_rollback_of_its_own_leaves_a_usable_connection()
-> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (store, now) = small_store(&dir).await?;
    full(&store).await?;
    {
        let Db::Sqlite { writer, .. } = &store.db else { anyhow::bail!("this is no SQLite") };
        let mut abandoned = writer.begin_with("BEGIN IMMEDIATE").await?;
        let statement = "INSERT INTO lease (name, owner, expires) VALUES (hex(zeroblob(100000)), 'x', 0)";
        sqlx::query(statement).execute(&mut *abandoned).await.expect_err("there is no room");
        // Its task ends here, without a word.
    }
    assert!(store.take_lease("lane", "one", now, TERM).await?);
    Ok(())
}
