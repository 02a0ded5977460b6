//! One conformance suite, run on the store (both dialects) and on a real Redis.

mod broken_servers;
mod claiming;
mod killed;
mod redis;
mod redis_traps;
mod rule;
mod world;

/// Runs each test on every timer index.
macro_rules! on_each {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() -> anyhow::Result<()> { super::$name(&crate::world::World::sqlite().await?).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() -> anyhow::Result<()> { super::$name(&crate::world::World::postgres().await?).await })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() -> anyhow::Result<()> {
                let world = crate::world::World::redis().await?;
                super::$name(&world).await?;
                world.flush().await
            })*
        }
    };
}
pub(crate) use on_each;
