//! PostgreSQL's pools: how many connections there may be, and whether the database is fit for the store. Must not know any
//! table.

use std::{str::FromStr, sync::Arc, time::Duration};

use domain::redact_url;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use crate::{StoreError, connection::Suspicion};

/// How many connections one process uses where the server has room for them.
const CONNECTIONS_WANTED: u32 = 20;
/// How many of them only ingest's commits use.
const COMMITTERS_MAX: u32 = 4;
/// With fewer connections than this, commits have none of their own.
const COMMITTERS_FROM: u32 = 4;
/// Connections that are left for commands beside a running process, where the server limits them.
const LEFT_FOR_COMMANDS: u32 = 1;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that was used within this time is taken to be alive: to ask first doubles the round trips. Where it is not,
/// the statement fails, and is tried again on another.
const FRESH: Duration = Duration::from_secs(2);

/// How many connections a process may have, and why not as many as it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// How many it has at most.
    pub most: u32,
    /// How many it wants.
    pub wanted: u32,
    /// What limits them, and the mend; `None` where nothing does.
    pub limited_by: Option<String>,
}

pub(crate) struct Pools {
    pub(crate) main: PgPool,
    /// Only ingest's commits use these. The other pool hands out its connections in turn, so that a stream of large commits
    /// would go through the caches of all servers instead of one's.
    pub(crate) commits: Option<PgPool>,
    pub(crate) connections: Connections,
}

pub(crate) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Config {
        url: redact_url(url),
        detail: format!("{error}; write postgres://user:password@host:5432/database"),
    })?;
    // No statement reads a float as text, and a pooler refuses a session that sets what it does not know.
    Ok(options.application_name("chainbell").extra_float_digits(None))
}

/// How many connections are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Those of a running process: as many as it is set to, else as it wants and may have.
    Process(Option<u32>),
    /// Those of a command, which takes no more than it is set to, and than running processes left.
    Command(Option<u32>),
}

pub(crate) async fn connect(
    url: &str,
    share: Share,
    suspicion: &Arc<Suspicion>,
) -> Result<Pools, StoreError> {
    let (options, shown) = (options(url)?, redact_url(url));
    let first = pool(1, suspicion).connect_with(options.clone()).await;
    let first = match first {
        Ok(first) => first,
        // Its pool tried again and again, and says only that time went by.
        Err(sqlx::Error::PoolTimedOut) => return Err(refusal(&options, &shown).await),
        Err(error) => return Err(unreachable(&shown, &error)),
    };
    let answer = examine(&first, &options, &shown, share).await;
    first.close().await;
    let connections = answer?;
    let most = connections.most.max(1);
    let committers = if most < COMMITTERS_FROM { 0 } else { COMMITTERS_MAX.min(most / 4) };
    let main = pool(most - committers, suspicion).connect_lazy_with(options.clone());
    let commits = (committers > 0).then(|| pool(committers, suspicion).connect_lazy_with(options));
    Ok(Pools { main, commits, connections })
}

fn pool(most: u32, suspicion: &Arc<Suspicion>) -> PgPoolOptions {
    let suspicion = Arc::clone(suspicion);
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let suspected = suspicion.is_on(&meta);
            Box::pin(async move {
                if !suspected && meta.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(!suspected)
            })
        })
}

async fn refusal(options: &PgConnectOptions, shown: &str) -> StoreError {
    match PgConnection::connect_with(options).await {
        Ok(connection) => {
            drop(connection);
            unreachable(shown, &sqlx::Error::PoolTimedOut)
        }
        Err(error) => unreachable(shown, &error),
    }
}

fn unreachable(shown: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some("08P01") {
        let detail = format!("the server refuses how a session begins ({error}): {}", pooled(shown));
        return StoreError::Config { url: shown.to_owned(), detail };
    }
    match StoreError::from_sqlx("connect", shown, error) {
        StoreError::Unavailable { query, detail } => {
            let named = if detail.contains(shown) { detail } else { format!("{shown}: {detail}") };
            StoreError::Unavailable { query, detail: named }
        }
        _ => StoreError::Config { url: shown.to_owned(), detail: crate::fault::sentence(error, shown) },
    }
}

/// What stands between, and the mend.
pub(crate) fn pooled(shown: &str) -> String {
    format!(
        "a pooler (as pgbouncer) at {shown} gives each transaction another session, and chainbell's prepared statements and \
         locks belong to one: let store.url name the PostgreSQL server itself, or set pool_mode = session there"
    )
}

async fn examine(
    first: &PgPool,
    options: &PgConnectOptions,
    shown: &str,
    share: Share,
) -> Result<Connections, StoreError> {
    let named = |error: sqlx::Error| StoreError::from_sqlx("connect", shown, &error);
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .persistent(false)
        .fetch_one(first)
        .await
        .map_err(named)?;
    if encoding != "UTF8" {
        let detail = format!(
            "the database stores text as {encoding}, which cannot hold what tokens and people write: make one by \
             CREATE DATABASE chainbell ENCODING 'UTF8' TEMPLATE template0, and name it here"
        );
        return Err(StoreError::Config { url: shown.to_owned(), detail });
    }
    let limits = limits(first, share).await.map_err(named)?;
    let port: Option<i32> =
        sqlx::query_scalar("SELECT inet_server_port()").fetch_one(first).await.map_err(named)?;
    // Another port than the one that was asked for may be a forwarded one, or there is a pooler between. A pooler that is
    // not found here is found by its first failure.
    let elsewhere = port != Some(i32::from(options.get_port())) && options.get_socket().is_none();
    if elsewhere && shares_sessions(first, options).await.map_err(named)? {
        return Err(StoreError::Config { url: shown.to_owned(), detail: pooled(shown) });
    }
    Ok(limits)
}

/// Whether two connections that are open at once are served by one session, or one connection by two.
async fn shares_sessions(first: &PgPool, options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut one = first.acquire().await?;
    let mut other = PgConnection::connect_with(options).await?;
    let before = session(&mut one).await?;
    let mut transaction = other.begin().await?;
    let others = session(&mut transaction).await?;
    let after = if others == before { before } else { session(&mut one).await? };
    transaction.rollback().await?;
    other.close().await?;
    Ok(others == before || after != before)
}

// Asked without preparing anything, since a prepared statement is what may be elsewhere.
async fn session(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?;
    row.try_get(0)
}

type Limits = (String, i32, i64, String, i32, i64, i32);

/// How many connections this process may have: as many as it is set to, else as role, database and server allow. How many
/// others use at the moment counts for a command only: a process that is being replaced would halve its successor.
async fn limits(first: &PgPool, share: Share) -> Result<Connections, sqlx::Error> {
    // A superuser has no limits of its own.
    let statement = "SELECT r.rolname::text, CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END,
            (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.pid <> pg_backend_pid()),
            d.datname::text, CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END,
            (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_backend_pid()),
            current_setting('max_connections')::integer
                - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::integer END
        FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()";
    let (role, of_role, by_role, database, of_database, by_database, of_server): Limits =
        sqlx::query_as(statement).fetch_one(first).await?;
    let (Share::Process(set) | Share::Command(set)) = share;
    let wanted = set.unwrap_or(CONNECTIONS_WANTED);
    let enough = wanted + LEFT_FOR_COMMANDS;
    let raise_role = format!("ALTER ROLE {role} CONNECTION LIMIT {enough}");
    let raise_database = format!("ALTER DATABASE {database} CONNECTION LIMIT {enough}");
    let limits = [
        (of_role, by_role, format!("the role {role} may have {of_role}: {raise_role}")),
        (
            of_database,
            by_database,
            format!("the database {database} may have {of_database}: {raise_database}"),
        ),
        (of_server, 0, format!("the server takes {of_server}: raise max_connections")),
    ];
    let (mut most, mut limited_by) = (wanted, None);
    for (limit, used, mend) in limits {
        // Less than none is no limit.
        let Ok(limit) = u32::try_from(limit) else { continue };
        let free = match share {
            Share::Process(_) => limit,
            Share::Command(_) => limit.saturating_sub(u32::try_from(used).unwrap_or(limit)),
        };
        let ours = free.min(limit.saturating_sub(LEFT_FOR_COMMANDS)).max(1);
        if ours < most {
            (most, limited_by) = (ours, Some(format!("{mend}, or set store.connections")));
        }
    }
    // What is set for a process holds whatever is free at the moment.
    let most = match share {
        Share::Process(Some(set)) => set,
        _ => most,
    };
    Ok(Connections { most, wanted, limited_by })
}

/// Creates a PostgreSQL database on the server of `url` and returns the new database's URL: for tests and for
/// first set-ups.
///
/// # Errors
/// [`StoreError::Config`] when `url` is not PostgreSQL's, or the server refuses.
pub async fn create_database(url: &str, name: &str) -> Result<String, StoreError> {
    create_database_as(url, name, "ENCODING 'UTF8' TEMPLATE template0").await
}

pub(crate) async fn create_database_as(url: &str, name: &str, options: &str) -> Result<String, StoreError> {
    on_server(url, name, format!("CREATE DATABASE {name} {options}")).await?;
    let (server, _) = url.rsplit_once('/').ok_or_else(|| refused(url, "it names no database"))?;
    Ok(format!("{server}/{name}"))
}

/// Drops a database that [`create_database`] made, with every connection to it.
///
/// # Errors
/// As [`create_database`].
pub async fn drop_database(url: &str, name: &str) -> Result<(), StoreError> {
    on_server(url, name, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

async fn on_server(url: &str, name: &str, statement: String) -> Result<(), StoreError> {
    let options = options(url)?;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(refused(url, format!("'{name}' is no database name: use letters, digits and '_'")));
    }
    let connected = PgConnection::connect_with(&options).await;
    let mut connection = connected.map_err(|error| refused(url, error.to_string()))?;
    let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await;
    let closed = connection.close().await;
    done.map(drop).and(closed).map_err(|error| refused(url, error.to_string()))
}

fn refused(url: &str, detail: impl Into<String>) -> StoreError {
    StoreError::Config { url: redact_url(url), detail: detail.into() }
}
