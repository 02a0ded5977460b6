//! The file and the disk under the store: whose it is, and what happens when there is no room on it.

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};
use store::Store;

use crate::world::World;

const TERM: Duration = Duration::from_secs(30);

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

async fn open(path: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(&format!("sqlite://{}", path.display())).await?)
}

#[tokio::test]
async fn a_new_database_file_is_readable_by_its_owner_only() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("new.db");
    let store = open(&path).await?;
    for file in ["new.db", "new.db-wal", "new.db-shm"] {
        assert_eq!(mode(&dir.path().join(file))?, 0o600, "{file}");
    }
    store.close().await;
    assert_eq!(mode(&path)?, 0o600);
    Ok(())
}

#[tokio::test]
async fn a_database_file_that_others_may_read_is_tightened_with_the_files_beside_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("old.db");
    let held = open(&path).await?;
    let files = ["old.db", "old.db-wal", "old.db-shm"].map(|file| dir.path().join(file));
    for file in &files {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o664))?;
    }
    let again = open(&path).await?;
    for file in &files {
        assert_eq!(mode(file)?, 0o600, "{}", file.display());
    }
    again.close().await;
    held.close().await;
    Ok(())
}

#[tokio::test]
async fn a_statement_that_makes_sqlite_roll_back_on_its_own_costs_no_other_write() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("own.db");
    let store = open(&path).await?;
    let now = jiff::Timestamp::from_second(1_700_000_000)?;
    let mut beside = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
    let trigger = "CREATE TRIGGER no_lane BEFORE INSERT ON lease WHEN NEW.name = 'lane'
        BEGIN SELECT RAISE(ROLLBACK, 'no lane here'); END";
    sqlx::query(trigger).execute(&mut beside).await?;
    for _ in 0..3 {
        let refused = store.take_lease("lane", "one", now, TERM).await.expect_err("the trigger refuses it");
        assert!(refused.to_string().contains("no lane here"), "{refused}");
    }
    assert!(store.take_lease("other", "one", now, TERM).await?);
    Ok(())
}

#[tokio::test]
async fn a_postgres_without_room_is_named_and_goes_on_when_there_is_some() -> anyhow::Result<()> {
    let world = World::postgres().await?;
    let mut beside: PgConnection = world.postgres_options()?.connect().await?;
    for (code, word) in [("53100", "disk"), ("53200", "memory"), ("53400", "limit")] {
        for statement in [
            format!(
                "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'kein Platz' USING ERRCODE = '{code}'; END $$"
            ),
            "CREATE OR REPLACE TRIGGER no_room BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION no_room()"
                .to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut beside).await?;
        }
        let refused =
            world.store.take_lease(code, "one", world.now, TERM).await.expect_err("there is no room");
        assert!(refused.is_transient(), "{refused}");
        assert!(refused.to_string().contains(word), "{code}: {refused}");
        sqlx::query("DROP TRIGGER no_room ON lease").execute(&mut beside).await?;
        assert!(world.store.take_lease(code, "one", world.now, TERM).await?);
    }
    Ok(())
}
