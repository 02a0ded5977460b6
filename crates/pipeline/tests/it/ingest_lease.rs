//! One reader per chain: who reads, who stands by, and what a deposed one can still do.

use std::time::Duration;

use pipeline::{
    RoomError,
    ingest::{Did, Ingest, Lease},
};

use crate::world::{World, on_both_stores, settle};

on_both_stores!(
    the_second_reader_stands_by_until_the_first_falls_silent,
    a_deposed_reader_cannot_write,
    a_reader_that_ends_in_order_is_followed_at_once,
    a_lease_from_a_clock_that_was_ahead_is_waited_for_no_longer_than_its_term,
);

const TERM: Duration = Duration::from_secs(5);

fn reader(world: &World, owner: &str) -> Ingest {
    world.ingest_with(|config| config.lease = Some(Lease { owner: owner.to_owned(), term: TERM }))
}

async fn the_second_reader_stands_by_until_the_first_falls_silent(world: World) -> anyhow::Result<()> {
    let (mut one, mut two) = (reader(&world, "one"), reader(&world, "two"));
    settle(&mut one).await?;
    assert_eq!(two.advance().await?, Did::StoodBy);
    // As long as the first gives signs of life, nothing changes.
    for _ in 0..4 {
        world.clock.advance(TERM / 2);
        one.advance().await?;
        assert_eq!(two.advance().await?, Did::StoodBy);
    }
    world.ring(11..=12);
    world.clock.advance(TERM);
    assert!(matches!(two.advance().await?, Did::Started { .. }));
    settle(&mut two).await?;
    assert_eq!(one.advance().await?, Did::StoodBy);
    world.agrees().await
}

async fn a_deposed_reader_cannot_write(world: World) -> anyhow::Result<()> {
    let (mut one, mut two) = (reader(&world, "one"), reader(&world, "two"));
    settle(&mut one).await?;
    world.clock.advance(TERM);
    // The other takes over and has not moved the tip yet, so that nothing but the lease tells them apart. The first
    // believes in its lease still: its clock stood still, so to say.
    assert!(world.store.take_lease("ingest:local", "two", world.now(), TERM).await?);
    world.clock.rewind(TERM);
    world.ring(11..=11);
    let fenced = one.advance().await.unwrap_err();
    assert!(matches!(fenced, RoomError::Store(store::StoreError::Fenced(_))), "{fenced}");
    assert_eq!(world.tip().await?, 10);
    world.clock.advance(TERM);
    settle(&mut two).await?;
    world.agrees().await
}

async fn a_reader_that_ends_in_order_is_followed_at_once(world: World) -> anyhow::Result<()> {
    use pipeline::Room as _;
    let (mut one, mut two) = (reader(&world, "one"), reader(&world, "two"));
    settle(&mut one).await?;
    one.finish().await;
    assert!(matches!(two.advance().await?, Did::Started { .. }));
    Ok(())
}

async fn a_lease_from_a_clock_that_was_ahead_is_waited_for_no_longer_than_its_term(
    world: World,
) -> anyhow::Result<()> {
    use pipeline::Room as _;
    let tomorrow = world.now() + jiff::SignedDuration::from_hours(24);
    assert!(world.store.take_lease("ingest:local", "dead", tomorrow, TERM).await?);
    let mut next = reader(&world, "next");
    assert_eq!(next.advance().await?, Did::StoodBy);
    let why = next.standing_by().unwrap_or_default().to_owned();
    assert!(why.contains("ingest:local") && why.contains("process dead") && why.contains("since"), "{why}");
    world.clock.advance(TERM);
    assert!(matches!(next.advance().await?, Did::Started { .. }));
    assert_eq!(next.standing_by(), None);
    settle(&mut next).await?;
    world.agrees().await
}
