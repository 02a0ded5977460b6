//! One conformance suite, run on PostgreSQL and on SQLite.

mod ahead;
mod audits;
mod backlog;
mod chain;
mod contracts;
mod delivery;
mod disks;
mod failover;
mod finality;
mod hit_states;
mod hits;
mod one_statement;
mod opening;
mod past;
mod reading;
mod replays;
mod rewinds;
mod schema;
mod servers;
mod standing;
mod strings;
mod telling;

mod words;
mod world;

/// Runs each test on both dialects.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod postgres {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> { super::$name(&crate::world::World::postgres().await?).await })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> { super::$name(&crate::world::World::sqlite().await?).await })*
        }
    };
}
pub(crate) use on_both;
