//! The store as a whole: opened, asked for its URL, closed, and how each call on it is run. Must not know any table.

use std::{fmt, sync::Arc};

use domain::redact_url;
use sqlx::{postgres::PgPool, sqlite::SqlitePool};

use crate::{
    StoreError,
    catalog::Names,
    connection::Suspicion,
    postgres::{self, Connections, Share},
    sqlite,
    tx::read,
};

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Db,
    pub(crate) names: Arc<Names>,
    pub(crate) url: Arc<str>,
    pub(crate) suspicion: Arc<Suspicion>,
    commits: Option<PgPool>,
    connections: Option<Arc<Connections>>,
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
    /// [`StoreError::Config`] for a URL that is none of ours or a database that is not fit for the store,
    /// [`StoreError::Unavailable`] when nobody answers there, [`StoreError::NewerSchema`] when a newer chainbell made the
    /// database.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_beside(url, None).await
    }

    /// As [`Store::open`], for a command beside running processes: with at most `connections` connections to PostgreSQL, and
    /// no more than they left.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_beside(url: &str, connections: Option<u32>) -> Result<Self, StoreError> {
        let store = Self::connect_with(url, Share::Command(connections)).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// As [`Store::open`], for a running process: with at most `connections` connections to PostgreSQL. Without a number it
    /// has as many as it wants and may have, whatever others use at the moment.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(url: &str, connections: Option<u32>) -> Result<Self, StoreError> {
        let store = Self::connect_with(url, Share::Process(connections)).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Opens the store as it is.
    ///
    /// # Errors
    /// As [`Store::open`], the schema's version aside.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, Share::Command(None)).await
    }

    async fn connect_with(url: &str, share: Share) -> Result<Self, StoreError> {
        let shown = redact_url(url);
        let suspicion = Arc::new(Suspicion::new());
        let (db, commits, connections) = if url.starts_with("postgres://") || url.starts_with("postgresql://")
        {
            let pools = postgres::connect(url, share, &suspicion).await?;
            (Db::Postgres(pools.main), pools.commits, Some(Arc::new(pools.connections)))
        } else if url.starts_with("sqlite:") {
            let connected = sqlite::connect(url).await;
            let (writer, readers) = connected.map_err(|error| sqlite::refusal(url, &shown, &error))?;
            (Db::Sqlite { writer, readers }, None, None)
        } else {
            let detail = "it must begin with postgres:// or sqlite://".to_owned();
            return Err(StoreError::Config { url: shown, detail });
        };
        Ok(Self { db, names: Arc::default(), url: shown.into(), suspicion, commits, connections })
    }

    /// How many connections to PostgreSQL this process may have, and what limits them.
    pub fn connections(&self) -> Option<&Connections> {
        self.connections.as_deref()
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
        read!(self, "ping", |db| {
            db.query("SELECT 1").execute().await?;
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
}
