//! The connection pools and the two dialects. Owns what PostgreSQL and SQLite disagree on; must not know any table.

use std::{
    fmt::{self, Write as _},
    future::Future,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::redact_url;
use sqlx::{
    AssertSqlSafe, Connection as _, Postgres, Sqlite,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{StoreError, catalog::Names};

const POSTGRES_CONNECTIONS_MAX: u32 = 16;
const POSTGRES_COMMITTERS_MAX: u32 = 4;
const SQLITE_READERS_MAX: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that was used within this time is taken to be alive: to ask first doubles the round trips. Where it is not,
/// the statement fails, and is tried again on another.
const FRESH: Duration = Duration::from_secs(2);

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Db,
    pub(crate) names: Arc<Names>,
    pub(crate) url: Arc<str>,
    // Connections of PostgreSQL that only ingest's commits use. The other pool hands out its connections in turn, so that a
    // stream of large commits would go through sixteen servers' caches instead of one's.
    commits: Option<PgPool>,
}

#[derive(Clone)]
pub(crate) enum Db {
    Postgres(PgPool),
    // One writer, so that writers queue here and not at the file's lock.
    Sqlite { writer: SqlitePool, readers: SqlitePool },
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Config`] for a URL that is none of ours, [`StoreError::Unavailable`] when nobody answers there,
    /// [`StoreError::NewerSchema`] when a newer chainbell made the database.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::connect(url).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Opens the store as it is.
    ///
    /// # Errors
    /// As [`Store::open`], the schema's version aside.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let shown = redact_url(url);
        let config = |detail: String| StoreError::Config { url: shown.clone(), detail };
        let mut commits = None;
        let db = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|error| {
                    config(format!("{error}; write postgres://user:password@host:5432/database"))
                })?
                .application_name("chainbell");
            commits = Some(postgres_pool(POSTGRES_COMMITTERS_MAX).connect_lazy_with(options.clone()));
            let pool = postgres_pool(POSTGRES_CONNECTIONS_MAX);
            Db::Postgres(pool.connect_with(options).await.map_err(|error| unreachable(&shown, &error))?)
        } else if url.starts_with("sqlite:") {
            connect_sqlite(url).await.map_err(|error| {
                if is_busy(&error) {
                    unreachable(&shown, &error)
                } else {
                    config(format!("{error}; write sqlite://path/to/file.db"))
                }
            })?
        } else {
            return Err(config("it must begin with postgres:// or sqlite://".to_owned()));
        };
        Ok(Self { db, names: Arc::default(), url: shown.into(), commits })
    }

    /// The same store over the connections that ingest's commits use.
    pub(crate) fn for_commits(&self) -> Self {
        let mut store = self.clone();
        if let Some(commits) = &self.commits {
            store.db = Db::Postgres(commits.clone());
        }
        store
    }

    /// The redacted URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether this is PostgreSQL.
    pub const fn is_postgres(&self) -> bool {
        matches!(self.db, Db::Postgres(_))
    }

    /// Whether the store answers now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        read!(self, "ping", |db, D| {
            sqlx::query("SELECT 1").execute(db).await?;
            Ok(())
        })
    }

    /// Closes all connections, after their work is done.
    pub async fn close(&self) {
        if let Some(commits) = &self.commits {
            commits.close().await;
        }
        match &self.db {
            Db::Postgres(pool) => pool.close().await,
            Db::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    /// Runs one query or transaction under its name: its time is measured, and a transaction that the server aborted
    /// in favour of another is run again.
    pub(crate) async fn timed<T, F>(
        &self,
        name: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, crate::error::TxError>>,
    {
        let started = started();
        let mut result = attempt().await.map_err(|error| error.named(name));
        for _ in 0..ABORTED_RETRIES_MAX {
            match &result {
                Err(StoreError::Unavailable { detail, .. }) if was_aborted(detail) => {
                    result = attempt().await.map_err(|error| error.named(name));
                }
                _ => break,
            }
        }
        metrics::histogram!("chainbell_store_query_seconds", "query" => name).record(started.elapsed());
        if let Err(error) = &result {
            tracing::debug!(store.query = name, error = %error, "store query failed");
            metrics::counter!("chainbell_store_query_errors_total", "query" => name).increment(1);
        }
        result
    }
}

/// Creates a PostgreSQL database on the server of `url` and returns the new database's URL: for tests and for
/// first set-ups.
///
/// # Errors
/// [`StoreError::Config`] when `url` is not PostgreSQL's, or the server refuses.
pub async fn create_database(url: &str, name: &str) -> Result<String, StoreError> {
    let refused = |detail: String| StoreError::Config { url: redact_url(url), detail };
    let options = PgConnectOptions::from_str(url).map_err(|error| refused(error.to_string()))?;
    if !is_database_name(name) {
        return Err(refused(format!("'{name}' is no database name: use letters, digits and '_'")));
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await;
    let pool = pool.map_err(|error| refused(error.to_string()))?;
    let created = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await;
    pool.close().await;
    created.map_err(|error| refused(error.to_string()))?;
    let (server, _) = url.rsplit_once('/').ok_or_else(|| refused("it names no database".to_owned()))?;
    Ok(format!("{server}/{name}"))
}

/// Drops a database that [`create_database`] made, with every connection to it.
///
/// # Errors
/// As [`create_database`].
pub async fn drop_database(url: &str, name: &str) -> Result<(), StoreError> {
    let refused = |detail: String| StoreError::Config { url: redact_url(url), detail };
    let options = PgConnectOptions::from_str(url).map_err(|error| refused(error.to_string()))?;
    if !is_database_name(name) {
        return Err(refused(format!("'{name}' is no database name: use letters, digits and '_'")));
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await;
    let pool = pool.map_err(|error| refused(error.to_string()))?;
    let dropped = sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
        .execute(&pool)
        .await;
    pool.close().await;
    dropped.map(|_| ()).map_err(|error| refused(error.to_string()))
}

fn is_database_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

const ABORTED_RETRIES_MAX: usize = 5;

fn was_aborted(detail: &str) -> bool {
    detail.contains("deadlock detected") || detail.contains("could not serialize")
}

#[expect(clippy::disallowed_methods, reason = "measures how long a query took, decides nothing")]
fn started() -> Instant {
    Instant::now()
}

fn unreachable(url: &str, error: &sqlx::Error) -> StoreError {
    match StoreError::from_sqlx("connect", error) {
        StoreError::Unavailable { detail, .. } => {
            StoreError::Unavailable { query: "connect", detail: format!("{url}: {detail}") }
        }
        _ => StoreError::Config { url: url.to_owned(), detail: error.to_string() },
    }
}

fn postgres_pool(most: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

async fn connect_sqlite(url: &str) -> Result<Db, sqlx::Error> {
    // NORMAL keeps the file consistent and loses nothing when the process dies; a power cut may undo the last
    // commits as a whole, after which they are simply done again.
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .optimize_on_close(true, None);
    // A file does not hang up.
    let pool = || SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT).test_before_acquire(false);
    let writer = first_connection(|| pool().max_connections(1).connect_with(options.clone())).await?;
    let readers = pool().max_connections(SQLITE_READERS_MAX).connect_with(options).await?;
    Ok(Db::Sqlite { writer, readers })
}

const WAL_TRIES_MAX: u32 = 100;
const WAL_RETRY: Duration = Duration::from_millis(50);

// The first connection to a new file switches it to WAL, for which SQLite wants the file alone, and it does not wait:
// of several processes that start at once all but one are refused as busy, whatever the busy timeout.
#[expect(clippy::disallowed_methods, reason = "the clock is the store's, and the store is not open yet")]
async fn first_connection<F>(connect: impl Fn() -> F) -> Result<SqlitePool, sqlx::Error>
where
    F: Future<Output = Result<SqlitePool, sqlx::Error>>,
{
    for _ in 1..WAL_TRIES_MAX {
        match connect().await {
            Err(error) if is_busy(&error) => tokio::time::sleep(WAL_RETRY).await,
            connected => return connected,
        }
    }
    connect().await
}

fn is_busy(error: &sqlx::Error) -> bool {
    StoreError::from_sqlx("connect", error).is_transient() && matches!(error, sqlx::Error::Database(_))
}

/// What differs between the dialects inside one statement.
pub(crate) trait Dialect: sqlx::Database {
    const POSTGRES: bool;
    type Uuids: for<'q> sqlx::Encode<'q, Self> + sqlx::Type<Self> + Send + 'static;
    type Numbers: for<'q> sqlx::Encode<'q, Self> + sqlx::Type<Self> + Send + 'static;
    type Texts: for<'q> sqlx::Encode<'q, Self> + sqlx::Type<Self> + Send + 'static;

    fn uuids(list: impl IntoIterator<Item = Uuid>) -> Self::Uuids;
    fn numbers(list: impl IntoIterator<Item = i64>) -> Self::Numbers;
    fn texts(list: impl IntoIterator<Item = String>) -> Self::Texts;
}

impl Dialect for Postgres {
    const POSTGRES: bool = true;
    type Uuids = Vec<Uuid>;
    type Numbers = Vec<i64>;
    type Texts = Vec<String>;

    fn uuids(list: impl IntoIterator<Item = Uuid>) -> Vec<Uuid> {
        list.into_iter().collect()
    }

    fn numbers(list: impl IntoIterator<Item = i64>) -> Vec<i64> {
        list.into_iter().collect()
    }

    fn texts(list: impl IntoIterator<Item = String>) -> Vec<String> {
        list.into_iter().collect()
    }
}

impl Dialect for Sqlite {
    const POSTGRES: bool = false;
    type Uuids = String;
    type Numbers = String;
    type Texts = String;

    fn uuids(list: impl IntoIterator<Item = Uuid>) -> String {
        let mut json = String::from("[");
        for (position, uuid) in list.into_iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(json, "{comma}\"{}\"", uuid.simple());
        }
        json.push(']');
        json
    }

    fn numbers(list: impl IntoIterator<Item = i64>) -> String {
        serde_json::Value::from_iter(list).to_string()
    }

    fn texts(list: impl IntoIterator<Item = String>) -> String {
        serde_json::Value::from_iter(list).to_string()
    }
}

/// The statement in the dialect `D`. Marks: `{uuids:N}`, `{numbers:N}`, `{texts:N}` for "is in the list bound as
/// `$N`", `{lock}` and `{skip locked}` for the row locks that SQLite, with its one writer, does not need.
pub(crate) fn sql<D: Dialect>(template: &str) -> AssertSqlSafe<String> {
    let mut text = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else { break };
        text.push_str(&rest[..start]);
        text.push_str(&mark::<D>(&rest[start + 1..start + length]));
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    // Every template is a literal of this crate; values are bound.
    AssertSqlSafe(text)
}

fn mark<D: Dialect>(mark: &str) -> String {
    match (mark.split_once(':'), D::POSTGRES) {
        (Some((_, number)), true) => format!("= ANY(${number})"),
        (Some(("uuids", number)), false) => format!("IN (SELECT unhex(value) FROM json_each(${number}))"),
        (Some((_, number)), false) => format!("IN (SELECT value FROM json_each(${number}))"),
        (None, true) if mark == "lock" => "FOR UPDATE".to_owned(),
        (None, true) if mark == "skip locked" => "FOR UPDATE SKIP LOCKED".to_owned(),
        (None, _) => String::new(),
    }
}

/// One read: `read!(store, "name", |db, D| { …; Ok(value) })`, with `db` the executor and `D` the dialect.
macro_rules! read {
    ($store:expr, $name:literal, |$db:ident, $dialect:ident| $body:block) => {
        match &$store.db {
            $crate::db::Db::Postgres($db) => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Postgres;
                $store.timed($name, || async { $crate::db::body(async { $body }).await }).await
            }
            $crate::db::Db::Sqlite { readers: $db, .. } => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Sqlite;
                $store.timed($name, || async { $crate::db::body(async { $body }).await }).await
            }
        }
    };
}

/// One transaction: `tx!(store, "name", |tx, D| { …; Ok(value) })`. An error rolls it back.
macro_rules! tx {
    ($store:expr, $name:literal, |$tx:ident, $dialect:ident| $body:block) => {
        match &$store.db {
            $crate::db::Db::Postgres(pool) => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Postgres;
                $store
                    .timed($name, || async {
                        let mut transaction = pool.begin().await?;
                        let $tx = &mut *transaction;
                        let value = $crate::db::body(async { $body }).await?;
                        transaction.commit().await?;
                        Ok(value)
                    })
                    .await
            }
            $crate::db::Db::Sqlite { writer: pool, .. } => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Sqlite;
                $store
                    .timed($name, || async {
                        // A deferred transaction that reads first and writes later can fail at the upgrade.
                        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                        let $tx = &mut *transaction;
                        let value = $crate::db::body(async { $body }).await?;
                        transaction.commit().await?;
                        Ok(value)
                    })
                    .await
            }
        }
    };
}

/// Fixes the error type of a body, so that `?` works in it on both kinds of error.
pub(crate) async fn body<T>(
    body: impl Future<Output = Result<T, crate::error::TxError>>,
) -> Result<T, crate::error::TxError> {
    body.await
}

pub(crate) use {read, tx};
