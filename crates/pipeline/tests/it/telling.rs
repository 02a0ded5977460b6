//! Matching, confirmation and digests: each event is told once, whatever comes twice, late or not at all.

use std::{sync::Arc, time::Duration};

use domain::{Clock, DeliverAt, HitState, Strategy};
use pipeline::{Progress, Room};
use store::{EventKey, Store};

use crate::{
    rooms::{Rooms, drain, window},
    world::{CHAIN, World, name, on_both_stores, settle},
};

on_both_stores!(
    redelivery_makes_no_second_hit,
    what_an_emptied_broker_forgot_is_swept,
    a_hit_that_waits_for_depth_is_released_when_the_chain_gets_there,
    a_waiting_hit_whose_event_is_orphaned_is_never_released,
    a_digest_that_dies_anywhere_tells_once,
    hits_that_the_timer_index_lost_are_swept_into_one_digest,
    a_late_hit_opens_the_next_window,
);

async fn redelivery_makes_no_second_hit(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    rooms.watch("later", window(60), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=13).await?;
    let keys: Vec<_> = rooms.world.stored().await?.iter().map(|stored| EventKey::of(&stored.event)).collect();
    matching.handle(&keys).await?;
    // Another worker, which has seen nothing yet, gets them in another order.
    let backwards: Vec<_> = keys.iter().rev().copied().collect();
    rooms.matching(|_| {}).handle(&backwards).await?;
    assert_eq!(
        (rooms.hits("now", HitState::Notified).await?, rooms.hits("later", HitState::Pending).await?),
        (3, 3)
    );
    assert_eq!(rooms.told().await?.len(), 3);
    rooms.pass(61);
    drain(&mut rooms.digest()).await?;
    let told = rooms.told().await?;
    assert_eq!(told.len(), 4);
    assert_eq!(told.iter().map(|row| row.notification.count).sum::<u64>(), 6);
    Ok(())
}

async fn what_an_emptied_broker_forgot_is_swept(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.world.ring(11..=13);
    settle(&mut ingest).await?;
    drain(&mut rooms.relay("relay")).await?;
    assert!(rooms.world.outbox().await?.is_empty(), "the broker acknowledged them");
    rooms.broker.purge();
    drain(&mut matching).await?;
    assert_eq!(rooms.hits("now", HitState::Notified).await?, 0, "their message may still come");
    rooms.pass(11);
    drain(&mut matching).await?;
    assert_eq!(rooms.hits("now", HitState::Notified).await?, 3);
    assert_eq!(rooms.told().await?.len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_makes_hits_only_where_that_is_asked_for() -> anyhow::Result<()> {
    for (asked, hits) in [(false, 0), (true, 5)] {
        let world = World::sqlite().await?;
        world.ring(11..=15);
        let rooms = Rooms::around(world).await?;
        rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
        let mut ingest = rooms.world.ingest_with(|config| config.notify_backfill = asked);
        let mut matching = rooms.matching(|config| config.notify_backfill.extend(asked.then_some(CHAIN)));
        settle(&mut ingest).await?;
        drain(&mut rooms.relay("relay")).await?;
        drain(&mut matching).await?;
        rooms.pass(60);
        drain(&mut matching).await?;
        assert_eq!(rooms.hits("now", HitState::Notified).await?, hits);
    }
    Ok(())
}

async fn a_hit_that_waits_for_depth_is_released_when_the_chain_gets_there(
    world: World,
) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Depth(2)).await?;
    rooms.watch("later", window(60), DeliverAt::Depth(2)).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    let mut confirm = rooms.confirm();
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=11).await?;
    for on_top in 0..2_u64 {
        assert_eq!(confirm.step().await?, Progress::Idle, "{on_top} blocks on top are too few");
        assert_eq!(rooms.hits("now", HitState::Waiting).await?, 1);
        rooms.world.node.mine(Vec::new());
        settle(&mut ingest).await?;
    }
    assert_eq!(confirm.step().await?, Progress::Worked);
    assert_eq!(
        (rooms.hits("now", HitState::Notified).await?, rooms.hits("later", HitState::Pending).await?),
        (1, 1)
    );
    drain(&mut confirm).await?;
    rooms.pass(61);
    drain(&mut rooms.digest()).await?;
    assert_eq!(rooms.told().await?.len(), 2);
    Ok(())
}

async fn a_waiting_hit_whose_event_is_orphaned_is_never_released(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Depth(2)).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=11).await?;
    rooms.world.node.chain(|chain| chain.rollback(1));
    for _ in 0..5 {
        rooms.world.node.mine(Vec::new());
    }
    settle(&mut ingest).await?;
    // Confirmation looks before matching has heard of it, and after.
    drain(&mut rooms.confirm()).await?;
    assert!(rooms.told().await?.is_empty());
    drain(&mut rooms.relay("relay")).await?;
    drain(&mut matching).await?;
    drain(&mut rooms.confirm()).await?;
    assert_eq!(rooms.hits("now", HitState::Orphaned).await?, 1);
    assert!(rooms.told().await?.is_empty());
    // Its transaction is mined again: the hit waits anew, and is told once.
    rooms.bring(&mut ingest, &mut matching, 11..=11).await?;
    rooms.bring(&mut ingest, &mut matching, 90..=91).await?;
    drain(&mut rooms.confirm()).await?;
    assert_eq!(rooms.told().await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_watches_take_effect_at_the_next_refresh() -> anyhow::Result<()> {
    let rooms = Rooms::around(World::sqlite().await?).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=11).await?;
    rooms.watch("new", Strategy::Immediate, DeliverAt::Seen).await?;
    rooms.pass(1);
    rooms.bring(&mut ingest, &mut matching, 12..=12).await?;
    assert_eq!(rooms.told().await?.len(), 1, "from now on, not for what was");
    let mut paused = rooms.world.store.watch(&"new".parse()?).await?.unwrap();
    paused.paused = true;
    rooms.world.store.put_watches(std::slice::from_ref(&paused)).await?;
    rooms.pass(1);
    rooms.bring(&mut ingest, &mut matching, 13..=13).await?;
    paused.paused = false;
    rooms.world.store.put_watches(&[paused]).await?;
    rooms.pass(1);
    rooms.bring(&mut ingest, &mut matching, 14..=14).await?;
    rooms.world.store.remove_watch(&"new".parse()?).await?;
    rooms.pass(1);
    rooms.bring(&mut ingest, &mut matching, 15..=15).await?;
    let blocks: Vec<_> = rooms.told().await?.iter().map(|row| row.notification.count).collect();
    assert_eq!(blocks, [1, 1], "of 12 and 14");
    Ok(())
}

async fn a_digest_that_dies_anywhere_tells_once(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("later", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=14).await?;
    let lease = Duration::from_secs(30);
    // One died between claim and close.
    rooms.pass(11);
    let now = rooms.world.clock.now();
    assert_eq!(rooms.debouncer.claim(now, 16, lease).await?.len(), 1);
    drain(&mut rooms.digest()).await?;
    assert!(rooms.told().await?.is_empty(), "the window is the dead one's until its lease ends");
    // The next died between close and ack: it told, and the claim is still open.
    rooms.pass(31);
    let claims = rooms.debouncer.claim(rooms.world.clock.now(), 16, lease).await?;
    assert_eq!(claims[0].claims, 2);
    let silent = Rooms { debouncer: Arc::new(NoAck(Arc::clone(&rooms.debouncer))), ..rooms };
    silent.digest().close(&claims[0]).await.unwrap_err();
    let rooms = silent;
    assert_eq!(rooms.told().await?.len(), 1);
    rooms.pass(31);
    let rooms =
        Rooms { debouncer: Arc::new(debounce::StoreDebouncer::new(rooms.world.store.clone())), ..rooms };
    drain(&mut rooms.digest()).await?;
    let told = rooms.told().await?;
    assert_eq!(told.iter().map(|row| row.notification.count).collect::<Vec<_>>(), [4]);
    assert_eq!(rooms.debouncer.outlook().await?.0, 0, "no window stays open");
    assert_eq!(rooms.world.store.outbox_page(Store::notify_lane(), 10).await?.len(), 1);
    Ok(())
}

async fn hits_that_the_timer_index_lost_are_swept_into_one_digest(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("later", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=14).await?;
    rooms.world.store.window_clear().await?;
    let mut digest = rooms.digest();
    rooms.pass(11);
    drain(&mut digest).await?;
    assert!(rooms.told().await?.is_empty(), "the sweep grants the window some grace");
    rooms.pass(6);
    drain(&mut digest).await?;
    let told = rooms.told().await?;
    assert_eq!(told.iter().map(|row| row.notification.count).collect::<Vec<_>>(), [4]);
    Ok(())
}

async fn a_late_hit_opens_the_next_window(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("later", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=12).await?;
    rooms.pass(11);
    let claims = rooms.debouncer.claim(rooms.world.clock.now(), 16, Duration::from_secs(30)).await?;
    rooms.bring(&mut ingest, &mut matching, 13..=15).await?;
    let mut digest = rooms.digest();
    digest.close(&claims[0]).await?;
    rooms.pass(11);
    drain(&mut digest).await?;
    let mut counts: Vec<_> = rooms.told().await?.iter().map(|row| row.notification.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
    assert_eq!(Store::lane_of_chain(&name()), "chain:local");
    Ok(())
}

/// A timer index that goes away before it hears that a window is done.
#[derive(Debug)]
struct NoAck(Arc<dyn domain::Debouncer>);

#[async_trait::async_trait]
impl domain::Debouncer for NoAck {
    async fn add(&self, adds: Vec<domain::WindowAdd>) -> Result<(), domain::DebounceError> {
        self.0.add(adds).await
    }

    async fn claim(
        &self,
        now: jiff::Timestamp,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<domain::Claim>, domain::DebounceError> {
        self.0.claim(now, limit, lease).await
    }

    async fn members(
        &self,
        claim: &domain::Claim,
        after: Option<domain::HitId>,
        limit: usize,
    ) -> Result<Vec<domain::HitId>, domain::DebounceError> {
        self.0.members(claim, after, limit).await
    }

    async fn ack(&self, _claim: &domain::Claim) -> Result<(), domain::DebounceError> {
        Err(domain::DebounceError { url: "test:".into(), action: "ack", detail: "it went away".into() })
    }

    async fn release(
        &self,
        claim: &domain::Claim,
        now: jiff::Timestamp,
        delay: Duration,
    ) -> Result<(), domain::DebounceError> {
        self.0.release(claim, now, delay).await
    }

    async fn outlook(&self) -> Result<(u64, Option<jiff::Timestamp>), domain::DebounceError> {
        self.0.outlook().await
    }
}
