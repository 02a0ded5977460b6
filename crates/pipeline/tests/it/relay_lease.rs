//! One relay per lane, by lease: whoever stands by says for whom and since when, whether the lane has something or not.

use std::time::Duration;

use domain::{DeliverAt, Strategy};
use pipeline::Room as _;
use store::Store;

use crate::{
    rooms::{Rooms, drain},
    world::{World, on_both_stores, settle},
};

on_both_stores!(
    a_relay_that_stands_by_says_for_whom_and_since_when,
    a_lease_of_a_relay_from_a_clock_that_was_ahead_is_waited_for_no_longer_than_its_term,
);

/// The lease of a relay, as `RelayConfig` has it.
const TERM: Duration = Duration::from_secs(10);

fn lease() -> anyhow::Result<String> {
    Ok(format!("relay:{}", Store::lane_of_chain(&"local".parse()?)))
}

async fn filled(world: World) -> anyhow::Result<Rooms> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let mut ingest = rooms.world.ingest();
    settle(&mut ingest).await?;
    rooms.world.ring(11..=11);
    settle(&mut ingest).await?;
    Ok(rooms)
}

async fn a_relay_that_stands_by_says_for_whom_and_since_when(world: World) -> anyhow::Result<()> {
    let rooms = filled(world).await?;
    let (store, lease) = (rooms.world.store.clone(), lease()?);
    let (mut one, mut two) = (rooms.relay("one"), rooms.relay("two"));
    let begun = rooms.world.now();
    assert!(store.take_lease(&lease, "one", begun, TERM).await?);
    two.step().await?;
    let why = two.standing_by().unwrap_or_default().to_owned();
    let parts = [format!("since {begun:.0} for the lease {lease}"), "process one holds".to_owned()];
    assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    assert!(store.outbox_has(&Store::lane_of_chain(&"local".parse()?)).await?, "it published nothing");

    // The other publishes: the lane is empty, and still its.
    drain(&mut one).await?;
    assert_eq!(one.standing_by(), None);
    rooms.pass(3);
    two.step().await?;
    let why = two.standing_by().unwrap_or_default().to_owned();
    assert!(parts.iter().all(|part| why.contains(part)), "{why}");

    // It ended in order, and nobody has the lane.
    one.finish().await;
    rooms.pass(3);
    two.step().await?;
    assert_eq!(two.standing_by(), None);
    Ok(())
}

async fn a_lease_of_a_relay_from_a_clock_that_was_ahead_is_waited_for_no_longer_than_its_term(
    world: World,
) -> anyhow::Result<()> {
    let rooms = filled(world).await?;
    let (store, lease) = (rooms.world.store.clone(), lease()?);
    let tomorrow = rooms.world.now() + jiff::SignedDuration::from_hours(24);
    assert!(store.take_lease(&lease, "dead", tomorrow, TERM).await?);
    let mut next = rooms.relay("next");
    next.step().await?;
    assert!(next.standing_by().is_some_and(|why| why.contains("process dead")));
    rooms.world.clock.advance(TERM);
    drain(&mut next).await?;
    assert_eq!(next.standing_by(), None);
    assert!(!store.outbox_has(&Store::lane_of_chain(&"local".parse()?)).await?);
    Ok(())
}
