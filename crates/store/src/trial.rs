//! The trial that `doctor` asks for: whether the store takes a write now, gives it back, and lets go of it. Owns the row and
//! the file of the trial; must not know any room.
//!
//! The row is a lease that nobody waits for, since every room writes such rows. It is committed: what is rolled back never
//! comes to SQLite's file, and a server looks for room only for what it has to keep. Under SQLite a file of its own is written
//! beside the database first: a database that was larger once has free pages inside, and would hide that the disk is full.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    db::Db,
    fault,
    tx::{read, tx},
};

const QUERY: &str = "trial";
/// What the names of the trial's rows begin with; no room has such a lease.
const PREFIX: &str = "doctor:";
/// A row of a trial that was ended in the middle is removed by the next one after this time.
const TERM: Duration = Duration::from_secs(600);
/// So many times 32 characters that no server can compress: 64 KiB, more than is free in the pages of a table of leases.
const OWNER_PARTS: usize = 2_048;
/// As large as SQLite's log gets between two checkpoints.
const FILE_BYTES: usize = 4 << 20;

impl Store {
    /// Writes a row, reads it on another connection, and removes it.
    ///
    /// # Errors
    /// One sentence that names what refuses it, and the mend.
    pub async fn try_out(&self, now: Timestamp) -> Result<(), StoreError> {
        self.room_beside_the_file().await?;
        self.rights().await?;
        let name = format!("{PREFIX}{}", Uuid::new_v4().simple());
        let owner: String = (0..OWNER_PARTS).map(|_| Uuid::new_v4().simple().to_string()).collect();
        let expires = now.saturating_add(SignedDuration::try_from(TERM).unwrap_or(SignedDuration::MAX));
        let expires = expires.unwrap_or(Timestamp::MAX).as_millisecond();
        tx!(self, "trial", |tx| {
            tx.query("INSERT INTO lease (name, owner, expires, since) VALUES ($1, $2, $3, $4)")
                .bind(&name)
                .bind(&owner)
                .bind(expires)
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })?;
        let checkpoint = self.checkpoint().await;
        let found = read!(self, "trial", |db| {
            let statement = "SELECT owner FROM lease WHERE name = $1";
            Ok(db.query(statement).bind(&name).optional_scalar::<String>().await?)
        });
        let removed = self.forget_trials(&name, now).await;
        checkpoint?;
        if found?.as_deref() != Some(owner.as_str()) {
            let detail = "what is written and committed is not read back: store.url must name the primary itself, and not \
                a pooler or proxy that sends reads to a replica";
            return Err(StoreError::Config { url: self.url.to_string(), detail: detail.to_owned() });
        }
        removed
    }

    async fn forget_trials(&self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        tx!(self, "trial", |tx| {
            let statement = "DELETE FROM lease WHERE name = $1
                OR (name >= 'doctor:' AND name < 'doctor;' AND expires < $2)";
            tx.query(statement).bind(name).bind(now.as_millisecond()).execute().await?;
            Ok(())
        })
    }

    // What SQLite commits goes to its log: the database's file gets it here, as far as others do not read the old pages.
    async fn checkpoint(&self) -> Result<(), StoreError> {
        let Db::Sqlite { writer, .. } = &self.db else { return Ok(()) };
        let done = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(writer).await;
        done.map(drop).map_err(|error| StoreError::from_sqlx(QUERY, &self.url, &error))
    }

    async fn room_beside_the_file(&self) -> Result<(), StoreError> {
        let Db::Sqlite { writer, .. } = &self.db else { return Ok(()) };
        let file = writer.connect_options().get_filename().to_owned();
        if crate::sqlite::is_in_memory(&file) {
            return Ok(());
        }
        let tried =
            tokio::task::spawn_blocking(move || write_beside(&file, FILE_BYTES)).await.unwrap_or(Ok(()));
        tried.map_err(|error| StoreError::Unavailable {
            query: QUERY,
            detail: fault::about_file(&error, &self.url),
        })
    }

    // A role may have been granted some tables and not others: the row above says nothing of those.
    async fn rights(&self) -> Result<(), StoreError> {
        let Db::Postgres(pool) = &self.db else { return Ok(()) };
        let statement = "SELECT current_user::text, current_schema()::text, string_agg(c.relname, ', ' ORDER BY c.relname)
            FROM pg_class c
            WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'lease'::regclass)
                AND c.relowner = (SELECT relowner FROM pg_class WHERE oid = 'lease'::regclass)
                AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))";
        let row: (String, Option<String>, Option<String>) =
            sqlx::query_as(statement)
                .fetch_one(pool)
                .await
                .map_err(|error| StoreError::from_sqlx(QUERY, &self.url, &error))?;
        let (role, schema, Some(lacking)) = row else { return Ok(()) };
        let schema = schema.unwrap_or_else(|| "public".to_owned());
        let detail = format!(
            "the role {role} may not read and write {lacking}: make it the owner of these tables, or run GRANT ALL ON ALL \
             TABLES IN SCHEMA {schema} TO {role}"
        );
        Err(StoreError::Config { url: self.url.to_string(), detail })
    }
}

/// Writes a file of so many bytes beside the database's, to the disk, and removes it.
pub(crate) fn write_beside(database: &Path, bytes: usize) -> io::Result<()> {
    let path = beside(database);
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0x5a; bytes])?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(format!("-doctor-{}", std::process::id()));
    name.into()
}
