//! One conformance suite, run on PostgreSQL and on SQLite.

mod chain;
mod delivery;
mod hits;
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
