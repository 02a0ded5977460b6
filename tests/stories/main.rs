//! End-to-end stories: the real binary, a real Anvil, real servers.

mod abis;
mod audit;
mod audit_hits;
mod bad_input;
mod before_run;
mod broken_store;
mod chains;
mod chaos;
mod commands;
mod crash;
mod crash_points;
mod dry_run;
mod edited_contracts;
mod edits;
mod explain;
mod factory;
mod finality;
mod history;
mod house;
mod ledger;
mod operations;
mod ordeal;
mod parity;
mod past_killed;
mod providers;
mod reach;
mod recover;
mod reorg_down;
mod replay;
mod scripted;
mod servers;
mod set_aside;
mod standby;
mod tokens;
mod trap_list;
mod until;
mod world;
mod wrapped;

/// Runs a story on both kinds of deployment.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::$name(testkit::deployment::Deployment::embedded()?).await
            })*
        }
        mod servers {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::$name(testkit::deployment::Deployment::servers().await?).await
            })*
        }
    };
}
pub(crate) use on_both;
