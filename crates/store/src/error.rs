//! Why the store did not do it, by what the caller should do.

use crate::fault::{Fault, sentence};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again later: the server is away, busy, or had to abort the transaction in favour of another.
    #[error("the store does not answer {query}: {detail}")]
    Unavailable {
        /// Name of the query.
        query: &'static str,
        /// What it said.
        detail: String,
    },
    /// Stop: somebody else moved what this writer believed to own. Read the state again before anything else.
    #[error("the store was changed by another writer: {0}")]
    Fenced(String),
    /// Stop the program: the database was made by a newer chainbell.
    #[error(
        "the database at {url} has schema version {found}, and this chainbell knows {known}: install a newer chainbell"
    )]
    NewerSchema {
        /// Redacted URL.
        url: String,
        /// The version in the database.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// Stop the program: the store cannot be opened as configured.
    #[error("store.url {url}: {detail}")]
    Config {
        /// Redacted URL.
        url: String,
        /// What is wrong, and the mend.
        detail: String,
    },
    /// Stop the program: the store has another chain under that name.
    #[error(
        "chain '{name}': the store holds the data of chain id {held} under this name, and the configuration gives it \
         chain_id {given}: set chain_id = {held} again, or give the new chain another name, or name another database \
         as store.url"
    )]
    OtherChain {
        /// The name.
        name: domain::ChainName,
        /// The chain id in the store.
        held: domain::ChainId,
        /// The chain id in the configuration.
        given: domain::ChainId,
    },
    /// A row holds what no version of chainbell writes.
    #[error("a stored {what} cannot be read: {detail}")]
    Corrupt {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A bug of ours, or a rule of the schema that the data breaks.
    #[error("the store refuses {query}: {detail}")]
    Refused {
        /// Name of the query.
        query: &'static str,
        /// What it said, with the constraint's name.
        detail: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether it is what was to be read or written that the store cannot have, so that something else may succeed.
    pub const fn is_about_data(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Refused { .. })
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt { what, detail: detail.to_string() }
    }

    pub(crate) fn from_sqlx(query: &'static str, place: &str, error: &sqlx::Error) -> Self {
        let detail = sentence(error, place);
        if Fault::of(error).is_transient() {
            Self::Unavailable { query, detail }
        } else {
            Self::Refused { query, detail }
        }
    }
}

/// How often a call is run again for a connection that was of no use: the next one is a new one.
const CONNECTION_TRIES_MAX: u32 = 2;

/// What a transaction ends with when it does not end well.
#[derive(Debug)]
pub(crate) enum TxError {
    /// A statement failed: nothing is changed.
    Sqlx(sqlx::Error),
    /// There is no connection.
    Acquire(sqlx::Error),
    /// The commit failed: it may have been made.
    Commit(sqlx::Error),
    /// Others came in between: it is to be run again.
    Again(&'static str),
    Store(StoreError),
}

impl From<sqlx::Error> for TxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

impl From<StoreError> for TxError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl TxError {
    pub(crate) fn named(self, query: &'static str, place: &str) -> StoreError {
        match self {
            Self::Sqlx(error) | Self::Acquire(error) | Self::Commit(error) => {
                StoreError::from_sqlx(query, place, &error)
            }
            Self::Again(detail) => StoreError::Unavailable { query, detail: detail.to_owned() },
            Self::Store(error) => error,
        }
    }

    /// What the failure means; `None` where the database did not fail.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Sqlx(error) | Self::Acquire(error) | Self::Commit(error) => Some(Fault::of(error)),
            Self::Again(_) | Self::Store(_) => None,
        }
    }

    /// Whether the call, which was run `tried` times, is run again at once.
    pub(crate) fn may_run_again(&self, tried: u32) -> bool {
        match (self, self.fault()) {
            (Self::Again(_), _) | (Self::Sqlx(_) | Self::Commit(_), Some(Fault::Aborted)) => true,
            (Self::Sqlx(_) | Self::Commit(_), Some(Fault::Leftover))
            | (Self::Sqlx(_), Some(Fault::Connection)) => tried < CONNECTION_TRIES_MAX,
            _ => false,
        }
    }
}
