//! A leading digest: the first is told at once, and what follows is gathered.

use domain::{DeliverAt, HitState, Strategy, WindowRule};

use super::{Scene, leading};
use crate::{
    rooms::{Rooms, drain, window},
    world::settle,
};

everywhere!(
    a_leading_digest_tells_its_first_hit_at_once_and_gathers_what_follows,
    a_leader_that_comes_again_leads_nothing_and_a_follower_that_comes_back_is_told_once,
    a_full_window_behind_a_leader_closes_before_its_time,
    a_leading_hit_that_waited_for_depth_leads_when_it_is_released,
);

async fn a_leading_digest_tells_its_first_hit_at_once_and_gathers_what_follows(
    rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=11).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    assert_eq!(scene.told("w").await?[0].notification.window, None);
    scene.pass(10).await?;
    scene.ring(12..=12).await?;
    scene.pass(10).await?;
    scene.ring(13..=13).await?;
    scene.pass(39).await?;
    assert_eq!(scene.counts("w").await?, [1], "it gathers for a minute from its leader on");
    scene.pass(2).await?;
    assert_eq!(scene.counts("w").await?, [1, 2]);
    // This is no quiet: something was told a moment ago.
    scene.ring(14..=14).await?;
    assert_eq!(scene.counts("w").await?, [1, 2]);
    scene.pass(60).await?;
    assert_eq!(scene.counts("w").await?, [1, 2, 1]);
    scene.pass(120).await?;
    scene.ring(15..=15).await?;
    assert_eq!(scene.counts("w").await?, [1, 2, 1, 1], "after a quiet the first is told at once again");
    scene.pass(120).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 5);
    Ok(())
}

async fn a_leader_that_comes_again_leads_nothing_and_a_follower_that_comes_back_is_told_once(
    rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // Both in one batch: the first leads.
    scene.ring_at_once(&[11, 12]).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    let keys = scene.keys().await?;
    scene.matching.handle(&keys).await?;
    scene.rooms.matching(|_| {}).handle(&keys).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    // Their block goes, and a later one has the follower again.
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.ring_at_once(&[11]).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Orphaned).await?, 1);
    scene.ring_at_once(&[12]).await?;
    scene.pass(121).await?;
    scene.matching.handle(&keys).await?;
    scene.pass(300).await?;
    assert_eq!(scene.counts("w").await?, [1, 1]);
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 2);
    Ok(())
}

async fn a_full_window_behind_a_leader_closes_before_its_time(rooms: Rooms) -> anyhow::Result<()> {
    let Strategy::Digest(rule) = window(60) else { unreachable!() };
    let three = Strategy::Digest(WindowRule { max_count: 3, ..rule });
    rooms.watch_of("ops", "w", three, leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=13).await?;
    scene.pass(1).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    scene.ring(14..=14).await?;
    scene.pass(1).await?;
    assert_eq!(scene.counts("w").await?, [1, 3]);
    scene.ring(15..=15).await?;
    scene.pass(120).await?;
    assert_eq!(scene.counts("w").await?, [1, 3, 1]);
    Ok(())
}

async fn a_leading_hit_that_waited_for_depth_leads_when_it_is_released(rooms: Rooms) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), leading(), DeliverAt::Depth(2)).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring_at_once(&[11, 12, 13]).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Waiting).await?, 3);
    for _ in 0..2 {
        scene.rooms.world.node.mine(Vec::new());
        settle(&mut scene.ingest).await?;
    }
    drain(&mut scene.rooms.confirm()).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    assert_eq!(scene.rooms.hits("w", HitState::Pending).await?, 2);
    scene.pass(61).await?;
    assert_eq!(scene.counts("w").await?, [1, 2]);
    Ok(())
}
