//! One recipient, one window, 50,000 hits: how long it takes to find them and to close the window into one notification,
//! and how much memory that needs at the most. On each dialect, by the rooms that tests drive.
//!
//! `scripts/bench full_window [--hits N]`; wants `CHAINBELL_TEST_POSTGRES`, which the script sets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the worlds of the tests are shared, and more than is used here"
)]

use std::{path::Path, time::Instant};

#[path = "../tests/it/one_window.rs"]
mod one_window;
#[path = "../tests/it/rooms.rs"]
mod rooms;
#[path = "../tests/it/world.rs"]
mod world;

use one_window::{IN_A_BLOCK, OneWindow};
use world::World;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given = words.iter().position(|word| word == "--hits").and_then(|at| words.get(at + 1));
    let hits: u64 = given.map_or(Ok(50_000), |hits| hits.parse())?;
    let hits = hits.div_ceil(IN_A_BLOCK) * IN_A_BLOCK;
    println!("{hits} hits of one recipient in one window, in blocks of {IN_A_BLOCK}");
    println!(
        "{:<12} {:>10} {:>10} {:>14} {:>14}",
        "", "found, s", "closed, s", "resting, MiB", "at most, MiB"
    );
    Box::pin(measure("SQLite", World::sqlite().await?, hits)).await?;
    Box::pin(measure("PostgreSQL", World::postgres().await?, hits)).await
}

#[expect(clippy::disallowed_methods, reason = "what it takes is measured in real time")]
async fn measure(label: &str, world: World, hits: u64) -> anyhow::Result<()> {
    let mut window = OneWindow::around(world).await?;
    let begun = Instant::now();
    window.gather(hits).await?;
    let found = begun.elapsed();
    // From here on the most is counted anew.
    std::fs::write(Path::new("/proc/self/clear_refs"), "5").unwrap_or_default();
    let resting = memory("VmRSS:");
    let begun = Instant::now();
    let told = window.close().await?;
    anyhow::ensure!(told == [hits], "{told:?} were told of {hits}");
    println!(
        "{label:<12} {:>10.1} {:>10.2} {resting:>14} {:>14}",
        found.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        memory("VmHWM:")
    );
    Ok(())
}

/// Of this process, in MiB; 0 where the system does not say.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kibibytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or_default() / 1_024
}
