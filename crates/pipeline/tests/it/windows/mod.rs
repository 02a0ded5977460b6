//! When people are told: the first at once, at certain times, by group, not at night, and not more often than they asked
//! for; each hit once, whatever is lost or comes twice. Here is what the stories share.

use std::sync::Arc;

use debounce::RedisDebouncer;
use domain::Telling;
use jiff::Timestamp;
use pipeline::{ingest::Ingest, matching::Matching};
use store::{EventKey, NotificationRow};

use crate::{
    rooms::{Rooms, drain},
    world::{BELL, World, ring, settle},
};

/// Runs a story on both stores, and with the timer index in Redis.
macro_rules! everywhere {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                let world = crate::world::World::sqlite().await?;
                super::$name(crate::rooms::Rooms::around(world).await?).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                let world = crate::world::World::postgres().await?;
                super::$name(crate::rooms::Rooms::around(world).await?).await
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::$name(crate::windows::with_redis().await?).await
            })*
        }
    };
}

mod budgets;
mod gathering;
mod leading;
mod quiet;

async fn with_redis() -> anyhow::Result<Rooms> {
    let mut rooms = Rooms::around(World::sqlite().await?).await?;
    let url = testkit::deployment::server("CHAINBELL_TEST_REDIS")?;
    let prefix = format!("windows-{}:", uuid::Uuid::new_v4().simple());
    rooms.debouncer = Arc::new(RedisDebouncer::connect(&url, &prefix).await?);
    Ok(rooms)
}

/// The rooms with an ingest and a matching that have begun.
struct Scene {
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
}

impl Scene {
    async fn set(rooms: Rooms) -> anyhow::Result<Self> {
        let (mut ingest, matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
        settle(&mut ingest).await?;
        Ok(Self { rooms, ingest, matching })
    }

    async fn ring(&mut self, transactions: std::ops::RangeInclusive<u64>) -> anyhow::Result<()> {
        self.rooms.bring(&mut self.ingest, &mut self.matching, transactions).await
    }

    /// One block with a ring for each of these transactions.
    async fn ring_at_once(&mut self, transactions: &[u64]) -> anyhow::Result<()> {
        self.rooms.world.node.mine(transactions.iter().map(|tx| ring(BELL, *tx)).collect());
        settle(&mut self.ingest).await?;
        drain(&mut self.rooms.relay("relay")).await?;
        drain(&mut self.matching).await?;
        Ok(())
    }

    /// Time passes, and whatever is due is told.
    async fn pass(&mut self, seconds: u64) -> anyhow::Result<()> {
        self.rooms.pass(seconds);
        drain(&mut self.matching).await?;
        Ok(drain(&mut self.rooms.digest()).await?)
    }

    /// Time passes up to a moment, in steps in which the sweep looks.
    async fn pass_to(&mut self, moment: &str) -> anyhow::Result<()> {
        let moment: Timestamp = moment.parse()?;
        let left = moment.duration_since(self.rooms.world.now());
        self.pass(u64::try_from(left.as_secs())?).await?;
        anyhow::ensure!(self.rooms.world.now() == moment, "the clock shows {}", self.rooms.world.now());
        Ok(())
    }

    /// What was told of a watch, oldest first.
    async fn told(&self, watch: &str) -> anyhow::Result<Vec<NotificationRow>> {
        let mut told = self.rooms.told().await?;
        told.retain(|row| row.notification.watch.as_str() == watch);
        told.sort_by_key(|row| row.notification.created_at);
        Ok(told)
    }

    async fn counts(&self, watch: &str) -> anyhow::Result<Vec<u64>> {
        Ok(self.told(watch).await?.iter().map(|row| row.notification.count).collect())
    }

    async fn keys(&self) -> anyhow::Result<Vec<EventKey>> {
        Ok(self.rooms.world.stored().await?.iter().map(|stored| EventKey::of(&stored.event)).collect())
    }
}

fn leading() -> Telling {
    Telling { leading: true, ..Telling::default() }
}

fn by_transaction() -> Telling {
    Telling { group_by: vec!["tx_hash".to_owned()], ..Telling::default() }
}

/// An empty timer index of the same kind.
async fn lossy(rooms: &Rooms) -> anyhow::Result<Arc<dyn domain::Debouncer>> {
    rooms.world.store.window_clear().await?;
    if !format!("{:?}", rooms.debouncer).contains("Redis") {
        return Ok(Arc::clone(&rooms.debouncer));
    }
    let url = testkit::deployment::server("CHAINBELL_TEST_REDIS")?;
    let prefix = format!("windows-{}:", uuid::Uuid::new_v4().simple());
    Ok(Arc::new(RedisDebouncer::connect(&url, &prefix).await?))
}
