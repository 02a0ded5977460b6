//! A bounded run of `chainbell chaos` on both deployments. `scripts/chaos` runs hundreds of seeds for longer.

use std::time::Duration;

use anyhow::Context as _;
use testkit::{deployment::server, process::command};
use tokio::time::timeout;

/// How long traffic and faults go on, in minutes; coming up and settling is besides.
const MINUTES: &str = "0.05";
const END_CAP: Duration = Duration::from_secs(200);

async fn clean(seed: u64, servers: bool) -> anyhow::Result<()> {
    let (seed, mut arguments) = (seed.to_string(), vec!["chaos", "--minutes", MINUTES, "--seed"]);
    arguments.push(&seed);
    let urls = if servers {
        let url = |name: &str| server(&format!("CHAINBELL_TEST_{name}"));
        vec![("--postgres", url("POSTGRES")?), ("--nats", url("NATS")?), ("--redis", url("REDIS")?)]
    } else {
        Vec::new()
    };
    arguments.extend(urls.iter().flat_map(|(name, url)| [*name, url.as_str()]));
    let done = timeout(END_CAP, command(None, &arguments)?.output()).await.context("it does not end")??;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    anyhow::ensure!(done.status.success(), "{said}");
    anyhow::ensure!(said.trim().ends_with("lost 0, doubled 0, not taken back 0, wrong 0"), "{said}");
    anyhow::ensure!(!said.contains(" 0 hits owed") && !said.contains(" 0 kills"), "nothing happened: {said}");
    println!("{said}");
    Ok(())
}

macro_rules! seeds {
    ($($name:ident: $seed:literal),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::clean($seed, false).await
            })*
        }
        mod servers {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::clean($seed + 100, true).await
            })*
        }
    };
}

seeds!(
    one_seed: 1,
    another: 2,
    a_third: 3,
    a_fourth: 4,
    a_fifth: 5,
    a_sixth: 6,
    a_seventh: 7,
    an_eighth: 8,
);

#[tokio::test]
async fn a_wrong_length_is_refused_and_servers_come_together() -> anyhow::Result<()> {
    crate::commands::say(None, &["chaos", "--seed", "1", "--minutes=-1"]).await?.refused(2, &["--minutes"]);
    let alone = crate::commands::say(None, &["chaos", "--seed", "1", "--redis", "redis://localhost"]).await?;
    alone.refused(2, &["--postgres"]);
    Ok(())
}
