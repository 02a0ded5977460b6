//! One connection in use, of either dialect, with the read or the transaction that runs on it. Owns how those begin, end and
//! are run again; must not know any table.

use std::{pin::Pin, time::Instant};

use sqlx::{Connection as _, Database, Postgres, Sqlite, Transaction, pool::PoolConnection};

use crate::{Store, StoreError, db::Db, dialect::Dialect, error::TxError, fault::Fault};

/// A connection in use, and the transaction on it where one is open. A transaction that is dropped is rolled back.
pub(crate) enum Tx<'c> {
    /// Of PostgreSQL.
    Postgres(Open<'c, Postgres>),
    /// Of SQLite.
    Sqlite(Open<'c, Sqlite>),
}

/// A connection of one dialect, open for one call.
pub(crate) enum Open<'c, DB: Database> {
    /// Without a transaction.
    Read(&'c mut DB::Connection),
    /// In a transaction.
    Write(Transaction<'c, DB>),
}

impl<DB: Database> Open<'_, DB> {
    pub(crate) fn connection(&mut self) -> &mut DB::Connection {
        match self {
            Self::Read(connection) => connection,
            Self::Write(transaction) => transaction,
        }
    }

    async fn end<T>(self, outcome: Result<T, TxError>) -> Result<T, TxError> {
        let Self::Write(transaction) = self else { return outcome };
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
}

impl Tx<'_> {
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Commits a transaction whose body succeeded, and rolls back another.
    pub(crate) async fn end<T>(self, outcome: Result<T, TxError>) -> Result<T, TxError> {
        match self {
            Self::Postgres(open) => open.end(outcome).await,
            Self::Sqlite(open) => open.end(outcome).await,
        }
    }
}

/// A connection that was taken out of its pool.
pub(crate) enum Taken {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Taken {
    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<Tx<'_>, TxError> {
        Ok(match self {
            Self::Postgres(connection) => Tx::Postgres(Open::Write(connection.begin_with("BEGIN").await?)),
            // A deferred transaction that reads first and writes later can fail when it begins to write.
            Self::Sqlite(connection) => {
                Tx::Sqlite(Open::Write(connection.begin_with("BEGIN IMMEDIATE").await?))
            }
        })
    }

    /// Whether no transaction is left on it. SQLite rolls back on its own when it is out of disk or memory, and the driver,
    /// which counts transactions, does not learn of it: such a connection begins no other one.
    async fn is_idle(&mut self) -> bool {
        match self {
            Self::Postgres(connection) => !connection.is_in_transaction(),
            // What is queued on it is done before the ping.
            Self::Sqlite(connection) => connection.ping().await.is_ok() && !connection.is_in_transaction(),
        }
    }

    fn close_on_drop(&mut self) {
        match self {
            Self::Postgres(connection) => connection.close_on_drop(),
            Self::Sqlite(connection) => connection.close_on_drop(),
        }
    }

    /// The connection without a transaction.
    pub(crate) fn read(&mut self) -> Tx<'_> {
        match self {
            Self::Postgres(connection) => Tx::Postgres(Open::Read(&mut **connection)),
            Self::Sqlite(connection) => Tx::Sqlite(Open::Read(&mut **connection)),
        }
    }
}

/// The tries of one call: how often it is run, how long that takes, and what becomes of its failures.
pub(crate) struct Call<'s> {
    store: &'s Store,
    name: &'static str,
    tried: u32,
    started: Instant,
}

/// How often one call is run.
const TRIES_MAX: u32 = 6;

impl<'s> Call<'s> {
    #[expect(clippy::disallowed_methods, reason = "measures how long a query took, decides nothing")]
    pub(crate) fn new(store: &'s Store, name: &'static str) -> Self {
        Self { store, name, tried: 0, started: Instant::now() }
    }

    /// A connection for a read.
    pub(crate) async fn reader(&self) -> Result<Taken, TxError> {
        let taken = match &self.store.db {
            Db::Postgres(pool) => pool.acquire().await.map(Taken::Postgres),
            Db::Sqlite { readers, .. } => readers.acquire().await.map(Taken::Sqlite),
        };
        taken.map_err(TxError::Acquire)
    }

    /// A connection for a transaction.
    pub(crate) async fn writer(&self) -> Result<Taken, TxError> {
        let taken = match &self.store.db {
            Db::Postgres(pool) => pool.acquire().await.map(Taken::Postgres),
            Db::Sqlite { writer, .. } => writer.acquire().await.map(Taken::Sqlite),
        };
        taken.map_err(TxError::Acquire)
    }

    /// Gives a connection back to its pool, or closes it where it is of no use any more.
    pub(crate) async fn give_back<T>(
        &self,
        mut taken: Taken,
        outcome: Result<T, TxError>,
    ) -> Result<T, TxError> {
        let Err(error) = &outcome else { return outcome };
        let spoiled = error.fault().is_some_and(Fault::spoils);
        if spoiled || !taken.is_idle().await {
            self.store.suspicion.raise();
            taken.close_on_drop();
        }
        outcome
    }

    /// The result of the call, after a try; `None` where it is to be run again at once: the server aborted it in favour of
    /// another, or its connection was of no use any more.
    pub(crate) fn result<T>(&mut self, outcome: Result<T, TxError>) -> Option<Result<T, StoreError>> {
        self.tried += 1;
        let error = match outcome {
            Ok(value) => {
                self.record();
                return Some(Ok(value));
            }
            Err(error) => error,
        };
        if self.tried < TRIES_MAX && error.may_run_again(self.tried) {
            tracing::debug!(store.query = self.name, "the call is run again: {error:?}");
            return None;
        }
        let error = error.named(self.name, &self.store.url);
        self.record();
        tracing::debug!(store.query = self.name, %error, "store query failed");
        metrics::counter!("chainbell_store_query_errors_total", "query" => self.name).increment(1);
        Some(Err(error))
    }

    fn record(&self) {
        metrics::histogram!("chainbell_store_query_seconds", "query" => self.name)
            .record(self.started.elapsed());
    }
}

/// Fixes the error type of a body, so that `?` works in it on both kinds of error. The body is boxed, so that the futures of
/// those who call the store stay small.
pub(crate) fn body<F, T>(body: F) -> Pin<Box<F>>
where
    F: Future<Output = Result<T, TxError>>,
{
    Box::pin(body)
}

/// One read: `read!(store, "name", |db| { …; Ok(value) })`, with `db` the connection.
///
/// This and [`tx`] are macros because a function cannot be: the future of an async closure over `&mut Tx` is not known to be
/// `Send` inside the methods of a trait, and those call the store.
macro_rules! read {
    ($store:expr, $name:literal, |$db:ident| $body:block) => {{
        let mut call = $crate::tx::Call::new(&$store, $name);
        loop {
            let outcome = match call.reader().await {
                Ok(mut taken) => {
                    let outcome = {
                        let $db = &mut taken.read();
                        $crate::tx::body(async { $body }).await
                    };
                    call.give_back(taken, outcome).await
                }
                Err(error) => Err(error),
            };
            if let Some(result) = call.result(outcome) {
                break result;
            }
        }
    }};
}

/// One transaction: `tx!(store, "name", |tx| { …; Ok(value) })`. An error rolls it back. See [`read`].
macro_rules! tx {
    ($store:expr, $name:literal, |$tx:ident| $body:block) => {{
        let mut call = $crate::tx::Call::new(&$store, $name);
        loop {
            let outcome = match call.writer().await {
                Ok(mut taken) => {
                    let outcome = match taken.begin().await {
                        Ok(mut transaction) => {
                            let outcome = {
                                let $tx = &mut transaction;
                                $crate::tx::body(async { $body }).await
                            };
                            transaction.end(outcome).await
                        }
                        Err(error) => Err(error),
                    };
                    call.give_back(taken, outcome).await
                }
                Err(error) => Err(error),
            };
            if let Some(result) = call.result(outcome) {
                break result;
            }
        }
    }};
}

pub(crate) use {read, tx};
