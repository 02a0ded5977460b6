//! A timer index of its own for each test.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use debounce::{RedisDebouncer, StoreDebouncer};
use domain::{Claim, Clock as _, Debouncer, HitId, WindowAdd, WindowKey, window::WindowRule};
use jiff::Timestamp;
use store::Store;
use testkit::clock::ManualClock;
use uuid::Uuid;

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// A minute, ten at the most, and a hundred hits.
pub(crate) const MINUTE: WindowRule = WindowRule {
    window: Duration::from_secs(60),
    max_wait: Duration::from_secs(600),
    max_count: 100,
    slide: false,
};

pub(crate) struct World {
    pub(crate) debouncer: Arc<dyn Debouncer>,
    pub(crate) clock: ManualClock,
    index: Index,
    _dir: Option<tempfile::TempDir>,
}

enum Index {
    Store(Store),
    Redis { url: String, prefix: String },
}

fn server(variable: &str) -> anyhow::Result<String> {
    std::env::var(variable).with_context(|| {
        format!("{variable} is not set: run `scripts/services start` and eval `scripts/services env`")
    })
}

impl World {
    pub(crate) async fn sqlite() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        Ok(Self::on_store(Store::open(&url).await?, Some(dir)))
    }

    pub(crate) async fn postgres() -> anyhow::Result<Self> {
        let database = format!("debounce_{}", Uuid::new_v4().simple());
        let url = store::create_database(&server("CHAINBELL_TEST_POSTGRES")?, &database).await?;
        Ok(Self::on_store(Store::open(&url).await?, None))
    }

    fn on_store(store: Store, dir: Option<tempfile::TempDir>) -> Self {
        Self {
            debouncer: Arc::new(StoreDebouncer::new(store.clone())),
            clock: ManualClock::default(),
            index: Index::Store(store),
            _dir: dir,
        }
    }

    pub(crate) async fn redis() -> anyhow::Result<Self> {
        let url = server("CHAINBELL_TEST_REDIS")?;
        let prefix = format!("debounce_{}:", Uuid::new_v4().simple());
        Ok(Self {
            debouncer: Arc::new(RedisDebouncer::connect(&url, &prefix).await?),
            clock: ManualClock::default(),
            index: Index::Redis { url, prefix },
            _dir: None,
        })
    }

    /// The server's URL and this test's prefix.
    pub(crate) fn redis_address(&self) -> anyhow::Result<(&str, &str)> {
        match &self.index {
            Index::Redis { url, prefix } => Ok((url, prefix)),
            Index::Store(_) => anyhow::bail!("this index is not in Redis"),
        }
    }

    /// What a server does that lost its memory.
    pub(crate) async fn flush(&self) -> anyhow::Result<()> {
        match &self.index {
            Index::Store(store) => store.window_clear().await?,
            Index::Redis { url, prefix } => debounce::delete_all(url, prefix).await?,
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn add(
        &self,
        key: &WindowKey,
        rule: WindowRule,
        hits: impl IntoIterator<Item = HitId>,
    ) -> anyhow::Result<()> {
        let add = WindowAdd { key: key.clone(), rule, hits: hits.into_iter().collect(), now: self.now() };
        Ok(self.debouncer.add(vec![add]).await?)
    }

    pub(crate) async fn claim(&self, limit: usize) -> anyhow::Result<Vec<Claim>> {
        Ok(self.debouncer.claim(self.now(), limit, LEASE).await?)
    }

    /// The one window that is due now.
    pub(crate) async fn claim_one(&self) -> anyhow::Result<Claim> {
        let mut claims = self.claim(10).await?;
        anyhow::ensure!(claims.len() == 1, "exactly one window should be due: {claims:?}");
        Ok(claims.remove(0))
    }

    pub(crate) async fn members(&self, claim: &Claim) -> anyhow::Result<Vec<HitId>> {
        Ok(self.debouncer.members(claim, None, 100_000).await?)
    }

    /// When the earliest window is due.
    pub(crate) async fn due(&self) -> anyhow::Result<Option<Timestamp>> {
        Ok(self.debouncer.outlook().await?.1)
    }
}

/// The key of the window of watch number `watch`.
pub(crate) fn key(watch: u64) -> WindowKey {
    WindowKey::from_stored(format!("treasury:eu@example.org watch-{watch}"))
}

/// Hit number `n`; its id does not sort by its number.
pub(crate) fn hit(n: u64) -> HitId {
    HitId(Uuid::new_v5(&Uuid::NAMESPACE_OID, &n.to_be_bytes()))
}

pub(crate) fn hits(numbers: impl IntoIterator<Item = u64>) -> Vec<HitId> {
    let mut hits: Vec<_> = numbers.into_iter().map(hit).collect();
    hits.sort_unstable();
    hits
}
