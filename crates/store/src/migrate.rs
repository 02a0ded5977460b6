//! The schema's migrations: embedded, and run by one process at a time. Must not know what they say.

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::{Store, StoreError, db::Db, error::TxError};

static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");
static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

impl Store {
    /// Runs the migrations that the database lacks. Processes that start at once wait for each other.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let named = |error: sqlx::Error| StoreError::from_sqlx("migrate", &self.url, &error);
        match &self.db {
            Db::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(named)?;
                let migrator = &POSTGRES_MIGRATIONS;
                // The check is behind the lock that the run takes again: the table of versions may be just being made.
                connection.lock().await.map_err(|error| self.refused(&error))?;
                let checked = self.check_version(migrator, &mut *connection).await;
                connection.unlock().await.map_err(|error| self.refused(&error))?;
                checked?;
                migrator.run_direct(None, &mut *connection, false).await.map_err(|error| self.refused(&error))
            }
            Db::Sqlite { writer, .. } => {
                // sqlx takes no lock on SQLite. In this transaction, of which its own are savepoints, nobody else writes.
                let done = async {
                    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
                    let migrator = &SQLITE_MIGRATIONS;
                    self.check_version(migrator, &mut *tx).await?;
                    migrator.run_direct(None, &mut *tx, false).await.map_err(|error| self.refused(&error))?;
                    tx.commit().await?;
                    Ok::<_, TxError>(())
                };
                done.await.map_err(|error| error.named("migrate", &self.url))
            }
        }
    }

    async fn check_version<C: Migrate>(
        &self,
        migrator: &Migrator,
        connection: &mut C,
    ) -> Result<(), StoreError> {
        let table = &migrator.table_name;
        connection.ensure_migrations_table(table).await.map_err(|error| self.refused(&error))?;
        let applied =
            connection.list_applied_migrations(table).await.map_err(|error| self.refused(&error))?;
        let found = applied.iter().map(|migration| migration.version).max().unwrap_or_default();
        let known = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
        if found > known {
            return Err(StoreError::NewerSchema { url: self.url.to_string(), found, known });
        }
        Ok(())
    }

    fn refused(&self, error: &MigrateError) -> StoreError {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                StoreError::from_sqlx("migrate", &self.url, error)
            }
            _ => StoreError::Refused { query: "migrate", detail: error.to_string() },
        }
    }
}
