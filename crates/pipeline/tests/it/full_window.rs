//! One recipient, one window, very many hits: one notification, by statements that do not grow with the square.

use std::time::Instant;

use domain::{DeliverAt, HitState};

use crate::{
    rooms::{Rooms, drain, window},
    world::{BELL, World, on_both_stores, ring, settle},
};

on_both_stores!(thousands_of_hits_of_one_window_become_one_notification);

/// The ignored ones print what it takes: `cargo nextest run --run-ignored only -E 'test(fifty_thousand)' --no-capture`.
mod measured {
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "a measurement, of minutes"]
    async fn fifty_thousand_hits_on_sqlite() -> anyhow::Result<()> {
        super::close(crate::world::World::sqlite().await?, 50_000).await
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "a measurement, of minutes"]
    async fn fifty_thousand_hits_on_postgres() -> anyhow::Result<()> {
        super::close(crate::world::World::postgres().await?, 50_000).await
    }
}

const IN_A_BLOCK: u64 = 500;

async fn thousands_of_hits_of_one_window_become_one_notification(world: World) -> anyhow::Result<()> {
    close(world, 5_000).await
}

#[expect(clippy::disallowed_methods, reason = "what it takes is measured in real time")]
async fn close(world: World, hits: u64) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("w", window(600), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    let begun = Instant::now();
    for block in 0..hits / IN_A_BLOCK {
        let from = 1 + block * IN_A_BLOCK;
        rooms.world.node.mine((from..from + IN_A_BLOCK).map(|tx| ring(BELL, tx)).collect());
        settle(&mut ingest).await?;
        drain(&mut rooms.relay("relay")).await?;
        drain(&mut matching).await?;
    }
    assert_eq!(rooms.hits("w", HitState::Pending).await?, hits);
    let (gathered, resting) = (begun.elapsed(), status("VmRSS:"));
    let begun = Instant::now();
    rooms.pass(601);
    drain(&mut rooms.digest()).await?;
    let told = rooms.told().await?;
    let counts: Vec<_> = told.iter().map(|row| row.notification.count).collect();
    assert_eq!(counts, [hits]);
    assert_eq!(rooms.hits("w", HitState::Notified).await?, hits);
    eprintln!(
        "{hits} hits: found in {gathered:?}, closed in {:?}; {resting} kB resident before, {} kB at the most",
        begun.elapsed(),
        status("VmHWM:")
    );
    Ok(())
}

// Of this process, which nextest gives to one test alone; 0 where the system does not say.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
