//! Why the store did not do it, by what the caller should do.

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

    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt { what, detail: detail.to_string() }
    }

    pub(crate) fn from_sqlx(query: &'static str, error: &sqlx::Error) -> Self {
        let detail = error.to_string();
        let transient = match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(database) => database.code().is_some_and(|code| is_transient_code(&code)),
            _ => false,
        };
        if transient { Self::Unavailable { query, detail } } else { Self::Refused { query, detail } }
    }
}

// PostgreSQL: classes 08 (connection), 40 (rollback: deadlock, serialisation), 53 (resources), 57P (shutdown), 55P03
// (lock not available). SQLite: 5 (busy) and 6 (locked), with their extended codes.
fn is_transient_code(code: &str) -> bool {
    ["08", "40", "53", "57P"].iter().any(|class| code.len() == 5 && code.starts_with(class))
        || code == "55P03"
        || matches!(code, "5" | "6" | "261" | "262" | "517" | "518" | "773")
}

/// What a transaction's body ends with when it does not end well.
#[derive(Debug)]
pub(crate) enum TxError {
    Sqlx(sqlx::Error),
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
    pub(crate) fn named(self, query: &'static str) -> StoreError {
        match self {
            Self::Sqlx(error) => StoreError::from_sqlx(query, &error),
            Self::Store(error) => error,
        }
    }
}
