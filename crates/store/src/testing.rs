//! What only tests do to a store. Must not be called by any room.

use sqlx::AssertSqlSafe;

use crate::{
    ChainCommit, Committed, Store, StoreError,
    commit::Way,
    tx::{Tx, tx},
};

/// Runs a statement of a test's own, which breaks or mends what is stored, and says how many rows it changed.
///
/// # Errors
/// See [`StoreError`].
#[doc(hidden)]
pub async fn tamper(store: &Store, statement: &str) -> Result<u64, StoreError> {
    tx!(store, "tamper", |tx| {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        Ok(match tx {
            Tx::Postgres(open) => statement.execute(open.connection()).await?.rows_affected(),
            Tx::Sqlite(open) => statement.execute(open.connection()).await?.rows_affected(),
        })
    })
}

/// As [`create_database`](crate::create_database), in an encoding that cannot hold all text.
///
/// # Errors
/// As [`create_database`](crate::create_database).
#[doc(hidden)]
pub async fn create_latin1_database(url: &str, name: &str) -> Result<String, StoreError> {
    let encoding = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'LATIN1'";
    crate::postgres::create_database_as(url, name, encoding).await
}

/// As [`Store::commit_chain`], and never by one statement.
///
/// # Errors
/// As [`Store::commit_chain`].
#[doc(hidden)]
pub async fn commit_chain_in_steps(store: &Store, commit: &ChainCommit<'_>) -> Result<Committed, StoreError> {
    store.commit_chain_by(commit, Way::Steps).await
}
