//! The two kinds of deployment, each test's own: a database, a stream prefix and a key prefix of its own.

use std::env;

use anyhow::Context as _;
use tempfile::TempDir;
use uuid::Uuid;

/// Where the store, the broker and the timer index of one test are.
#[derive(Debug)]
pub struct Deployment {
    /// `store.url`
    pub store: String,
    /// `broker.url`
    pub broker: String,
    /// `debounce.url`
    pub debounce: String,
    /// `broker.prefix` and `debounce.prefix`
    pub prefix: String,
    /// A folder of the test's own.
    pub folder: TempDir,
}

/// The URL of a real server, from the environment.
///
/// # Errors
/// When it is not set: the tests run through `scripts/test`.
pub fn server(variable: &str) -> anyhow::Result<String> {
    env::var(variable).with_context(|| {
        format!("{variable} is not set: run `scripts/services start` and eval `scripts/services env`")
    })
}

impl Deployment {
    /// Embedded: a SQLite file, the broker in the process, the timer index in the store.
    ///
    /// # Errors
    /// The file system's.
    pub fn embedded() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            store: format!("sqlite://{}", folder.path().join("chainbell.db").display()),
            broker: "memory:".to_owned(),
            debounce: "store:".to_owned(),
            prefix: String::new(),
            folder,
        })
    }

    /// On servers: PostgreSQL, NATS JetStream and Redis.
    ///
    /// # Errors
    /// When a server is missing.
    pub async fn servers() -> anyhow::Result<Self> {
        let name = format!("t{}", Uuid::new_v4().simple());
        Ok(Self {
            store: store::create_database(&server("CHAINBELL_TEST_POSTGRES")?, &name).await?,
            broker: server("CHAINBELL_TEST_NATS")?,
            debounce: server("CHAINBELL_TEST_REDIS")?,
            prefix: name,
            folder: tempfile::tempdir()?,
        })
    }

    /// The sections of the configuration that name all this.
    pub fn sections(&self) -> String {
        format!(
            "[store]\nurl = \"{}\"\n[broker]\nurl = \"{}\"\nprefix = \"{p}\"\n[debounce]\nurl = \"{}\"\nprefix = \"{p}\"\n",
            self.store,
            self.broker,
            self.debounce,
            p = self.prefix
        )
    }

    /// Deletes this test's keys from Redis, as a flush would.
    ///
    /// # Errors
    /// The server's.
    pub async fn flush_redis(&self) -> anyhow::Result<()> {
        Ok(debounce::delete_all(&self.debounce, &self.prefix).await?)
    }

    /// Deletes this test's streams from NATS.
    ///
    /// # Errors
    /// The server's.
    pub async fn delete_streams(&self) -> anyhow::Result<()> {
        Ok(broker::delete_streams(&self.broker, &self.prefix).await?)
    }
}
