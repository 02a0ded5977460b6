//! The use of one connection: taken from its pool, given back, or closed when it is of no use any more. Owns the macros of
//! reads and transactions; must not know any table.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, Database, Transaction,
    pool::{PoolConnection, PoolConnectionMetadata},
};

use crate::{dialect::Dialect, error::TxError};

/// When a connection last turned out to be of no use. Those that were made before it are suspected of the same, as after a
/// failover of the server, and are closed when they are taken next.
#[derive(Debug)]
pub(crate) struct Suspicion {
    origin: Instant,
    // Milliseconds since the origin; 0 for never.
    raised: AtomicU64,
}

#[expect(clippy::disallowed_methods, reason = "compares the ages of connections, which the pool measures so")]
impl Suspicion {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), raised: AtomicU64::new(0) }
    }

    fn millis(&self, before: Duration) -> u64 {
        let since = self.origin.elapsed().saturating_sub(before);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn raise(&self) {
        self.raised.store(self.millis(Duration::ZERO).max(1), Ordering::Release);
    }

    /// Whether a connection was made before the last failure.
    pub(crate) fn is_on(&self, meta: &PoolConnectionMetadata) -> bool {
        let raised = self.raised.load(Ordering::Acquire);
        raised > 0 && self.millis(meta.age) <= raised
    }
}

/// Ends a transaction as its body ended.
pub(crate) async fn end<T, DB: Database>(
    transaction: Transaction<'_, DB>,
    outcome: Result<T, TxError>,
) -> Result<T, TxError> {
    match outcome {
        Ok(value) => {
            transaction.commit().await.map_err(TxError::Commit)?;
            Ok(value)
        }
        Err(error) => {
            // When this fails, the connection shows it: see `settle`.
            if let Err(refused) = transaction.rollback().await {
                tracing::debug!(error = %refused, "a transaction was not rolled back");
            }
            Err(error)
        }
    }
}

/// Gives a connection back to its pool after its use, or closes it. SQLite rolls back on its own when it is out of disk or
/// memory, and the driver, which counts transactions, does not learn of it: such a connection begins no other one.
pub(crate) async fn settle<T, DB: Dialect>(
    suspicion: &Suspicion,
    mut connection: PoolConnection<DB>,
    outcome: Result<T, TxError>,
) -> Result<T, TxError> {
    let Err(error) = &outcome else { return outcome };
    let spoiled = error.fault().is_some_and(crate::fault::Fault::spoils);
    if spoiled || !is_idle::<DB>(&mut connection).await {
        suspicion.raise();
        connection.close_on_drop();
    }
    outcome
}

/// Whether no transaction is left on a connection. What is queued on it is done first.
pub(crate) async fn is_idle<DB: Dialect>(connection: &mut DB::Connection) -> bool {
    (DB::POSTGRES || connection.ping().await.is_ok()) && !connection.is_in_transaction()
}

/// One read: `read!(store, "name", |db, D| { …; Ok(value) })`, with `db` the connection and `D` the dialect.
macro_rules! read {
    ($store:expr, $name:literal, |$db:ident, $dialect:ident| $body:block) => {
        match &$store.db {
            $crate::db::Db::Postgres(pool) => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Postgres;
                $crate::connection::read_on!($store, $name, pool, |$db| $body)
            }
            $crate::db::Db::Sqlite { readers: pool, .. } => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Sqlite;
                $crate::connection::read_on!($store, $name, pool, |$db| $body)
            }
        }
    };
}

macro_rules! read_on {
    ($store:expr, $name:literal, $pool:ident, |$db:ident| $body:block) => {
        $store
            .timed($name, || async {
                let mut connection = $pool.acquire().await.map_err($crate::error::TxError::Acquire)?;
                let outcome = {
                    let $db = &mut *connection;
                    $crate::connection::body(async { $body }).await
                };
                $crate::connection::settle(&$store.suspicion, connection, outcome).await
            })
            .await
    };
}

/// One transaction: `tx!(store, "name", |tx, D| { …; Ok(value) })`. An error rolls it back.
macro_rules! tx {
    ($store:expr, $name:literal, |$tx:ident, $dialect:ident| $body:block) => {
        match &$store.db {
            $crate::db::Db::Postgres(pool) => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Postgres;
                $crate::connection::tx_on!($store, $name, pool, "BEGIN", |$tx| $body)
            }
            $crate::db::Db::Sqlite { writer: pool, .. } => {
                #[allow(dead_code, reason = "not every statement differs by dialect")]
                type $dialect = sqlx::Sqlite;
                // A deferred transaction that reads first and writes later can fail at the upgrade.
                $crate::connection::tx_on!($store, $name, pool, "BEGIN IMMEDIATE", |$tx| $body)
            }
        }
    };
}

macro_rules! tx_on {
    ($store:expr, $name:literal, $pool:ident, $begin:literal, |$tx:ident| $body:block) => {
        $store
            .timed($name, || async {
                let mut connection = $pool.acquire().await.map_err($crate::error::TxError::Acquire)?;
                let outcome = match sqlx::Connection::begin_with(&mut *connection, $begin).await {
                    Ok(mut transaction) => {
                        let $tx = &mut *transaction;
                        let outcome = $crate::connection::body(async { $body }).await;
                        $crate::connection::end(transaction, outcome).await
                    }
                    Err(error) => Err($crate::error::TxError::Sqlx(error)),
                };
                $crate::connection::settle(&$store.suspicion, connection, outcome).await
            })
            .await
    };
}

/// Fixes the error type of a body, so that `?` works in it on both kinds of error.
pub(crate) async fn body<T>(body: impl Future<Output = Result<T, TxError>>) -> Result<T, TxError> {
    body.await
}

pub(crate) use {read, read_on, tx, tx_on};
