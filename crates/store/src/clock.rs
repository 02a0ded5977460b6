//! The store's time as a clock. Owns the one time that all workers on one store share: due times are never a
//! worker's own opinion.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::Clock;
use jiff::{SignedDuration, Timestamp};

use crate::{Store, StoreError, tx::read};

/// The store's time, measured once and carried on by a monotonic timer, which no correction of the wall clock moves.
#[derive(Debug, Clone)]
pub struct StoreClock {
    origin: Arc<(Timestamp, Instant)>,
}

impl StoreClock {
    /// Asks the store what time it is. The error is at most the round trip of that question.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub async fn measure(store: &Store) -> Result<Self, StoreError> {
        let millis: i64 = read!(store, "time", |db| {
            let statement = if db.dialect().is_postgres() {
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
            } else {
                "SELECT CAST(unixepoch('subsec') * 1000 AS integer)"
            };
            Ok(db.query(statement).scalar().await?)
        })?;
        let now = Timestamp::from_millisecond(millis).map_err(|error| StoreError::corrupt("time", error))?;
        Ok(Self { origin: Arc::new((now, Instant::now())) })
    }
}

#[async_trait]
impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let (at, measured) = *self.origin;
        let passed = SignedDuration::try_from(measured.elapsed()).unwrap_or(SignedDuration::ZERO);
        at.checked_add(passed).unwrap_or(at)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
