//! One conformance suite, run on the broker inside the process and on a real NATS server.

mod acknowledging;
mod belonging;
mod dead_letters;
mod logging_in;
mod losing;
mod memory;
mod publishing;
mod traps;
mod world;

/// Runs each test on both brokers.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> { super::$name(&crate::world::World::memory().await?).await })*
        }
        mod nats {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> {
                let world = crate::world::World::nats().await?;
                super::$name(&world).await?;
                world.lose_everything().await
            })*
        }
    };
}
pub(crate) use on_both;
