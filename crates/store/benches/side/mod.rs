//! What the comparisons share: the sides, each a process, and what is measured of them.

#![allow(dead_code, reason = "no comparison uses all of it")]

pub(crate) mod bare;
pub(crate) mod binary;
pub(crate) mod node;

use std::{collections::BTreeMap, time::Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What one side reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Rows in the table of events.
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) peak_bytes: u64,
    /// Where the time went, by part. Parts that run beside each other add up to more than the whole.
    pub(crate) parts: BTreeMap<String, f64>,
    /// Calls by method.
    pub(crate) calls: BTreeMap<String, u64>,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds.max(0.001)
    }

    #[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
    pub(crate) fn peak_mb(&self) -> f64 {
        self.peak_bytes as f64 / 1e6
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A database of its own.
pub(crate) async fn database(server: &str) -> anyhow::Result<String> {
    Ok(store::create_database(server, &format!("bench_{}", uuid::Uuid::new_v4().simple())).await?)
}

/// The most memory that a process ever had, in bytes (`VmHWM`); `None` when it is gone.
pub(crate) fn peak_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// How many rows the table of events has.
pub(crate) async fn rows(store: &str) -> anyhow::Result<u64> {
    let statement = "SELECT count(*) FROM event";
    let count: i64 = if store.starts_with("sqlite") {
        sqlx::query_scalar(statement).fetch_one(&sqlx::SqlitePool::connect(store).await?).await?
    } else {
        sqlx::query_scalar(statement).fetch_one(&sqlx::PgPool::connect(store).await?).await?
    };
    u64::try_from(count).context("a count")
}

/// Drops a database of [`database`]: each is half a gigabyte.
pub(crate) async fn drop_database(store: &str) -> anyhow::Result<()> {
    let (server, name) = store.rsplit_once('/').context("a database")?;
    let pool = sqlx::PgPool::connect(&format!("{server}/postgres")).await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&pool).await?;
    Ok(())
}
