//! What was told is taken back, corrected and restored with the chain, once each, where it was told.

use domain::{DeliverAt, HitState, NotificationState, Strategy};
use jiff::{SignedDuration, Timestamp};
use pipeline::{
    Bell, Room as _,
    amend::{Amend, AmendConfig, AmendDeps},
    deliver::Deliver,
    ingest::Ingest,
    matching::Matching,
};

use crate::{
    rooms::{Does, Rooms, drain, window},
    world::{CHAIN, World, on_both_stores, settle},
};

on_both_stores!(
    an_alert_whose_event_is_gone_is_taken_back_once_that_has_settled,
    an_event_that_is_mined_again_elsewhere_is_neither_told_again_nor_taken_back,
    a_digest_says_what_is_left_of_it_and_a_reorg_of_the_reorg_restores_it,
    what_was_not_sent_yet_is_not_sent_once_its_event_is_gone,
    a_retraction_that_nobody_was_owed_and_that_is_undone_is_no_difference,
    a_target_that_was_never_reached_hears_only_of_what_is_left,
    a_watch_that_was_removed_is_owed_its_corrections,
);

const SETTLE: u64 = 2;

struct Scene {
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
    // It listens from the beginning, as in a running process.
    deliver: Deliver,
}

impl Scene {
    async fn set(world: World, strategy: Strategy) -> anyhow::Result<Self> {
        let rooms = Rooms::around(world).await?;
        // No reorg of these stories crosses what is final.
        rooms.world.node.chain(|chain| chain.finalized_depth = Some(60));
        rooms.watch("w", strategy, DeliverAt::Seen).await?;
        let (mut ingest, matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
        let deliver = rooms.deliver("deliver");
        settle(&mut ingest).await?;
        Ok(Self { rooms, ingest, matching, deliver })
    }

    fn amend(&self) -> Amend {
        let deps = AmendDeps {
            store: self.rooms.world.store.clone(),
            notifier: self.rooms.notifier(),
            clock: self.rooms.clock(),
            relay: Bell::new(),
        };
        Amend::new(deps, vec![(CHAIN, SETTLE)], AmendConfig::default())
    }

    /// Lets every room come to rest.
    async fn flow(&mut self) -> anyhow::Result<()> {
        settle(&mut self.ingest).await?;
        for _ in 0..2 {
            drain(&mut self.rooms.relay("relay")).await?;
            drain(&mut self.matching).await?;
            drain(&mut self.rooms.digest()).await?;
            drain(&mut self.amend()).await?;
            drain(&mut self.rooms.relay("relay")).await?;
            drain(&mut self.deliver).await?;
            self.deliver.drain().await?;
        }
        Ok(())
    }

    /// Blocks, each of which is looked at.
    async fn empty_blocks(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.rooms.world.node.mine(Vec::new());
            self.flow().await?;
        }
        Ok(())
    }

    /// What the channel was given: kind, count, revision.
    fn sent(&self) -> Vec<(&'static str, u64, u32)> {
        let sent = self.rooms.channel.sent();
        sent.iter().map(|one| (one.kind(), one.notification.count, one.notification.revision)).collect()
    }
}

async fn an_alert_whose_event_is_gone_is_taken_back_once_that_has_settled(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate).await?;
    scene.rooms.world.ring(11..=11);
    scene.flow().await?;
    assert_eq!(scene.sent(), [("notification.created", 1, 1)]);
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.empty_blocks(1).await?;
    assert_eq!(scene.sent().len(), 1, "it may come back");
    scene.empty_blocks(SETTLE).await?;
    assert_eq!(scene.sent()[1..], [("notification.retracted", 0, 2)]);
    let sent = scene.rooms.channel.sent();
    assert_eq!(sent[1].notification.corrects, Some(sent[0].notification.id));
    assert!(sent[1].notification.title.starts_with("Taken back: "), "{}", sent[1].notification.title);
    assert_eq!(sent[1].body()["data"]["corrects"], sent[0].body()["data"]["id"]);
    scene.empty_blocks(5).await?;
    assert_eq!(scene.sent().len(), 2, "once");
    let told = scene.rooms.told().await?;
    assert!(told.iter().all(|row| row.notification.state == NotificationState::Retracted), "{told:#?}");
    Ok(())
}

async fn an_event_that_is_mined_again_elsewhere_is_neither_told_again_nor_taken_back(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate).await?;
    scene.rooms.world.ring(11..=11);
    scene.flow().await?;
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.empty_blocks(1).await?;
    // One block later than before, in another block.
    scene.rooms.world.ring(11..=11);
    scene.flow().await?;
    scene.empty_blocks(5).await?;
    assert_eq!(scene.sent(), [("notification.created", 1, 1)]);
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 1);
    Ok(())
}

async fn a_digest_says_what_is_left_of_it_and_a_reorg_of_the_reorg_restores_it(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60)).await?;
    scene.rooms.world.ring(11..=14);
    scene.flow().await?;
    scene.rooms.pass(61);
    scene.flow().await?;
    assert_eq!(scene.sent(), [("notification.created", 4, 1)]);
    let whole = scene.rooms.world.branch();
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.empty_blocks(1 + SETTLE).await?;
    assert_eq!(scene.sent()[1..], [("notification.corrected", 3, 2)]);
    let corrected = scene.rooms.channel.sent().remove(1).notification;
    assert!(corrected.title.starts_with("Correction: "), "{}", corrected.title);
    assert!(corrected.body.contains("not 4"), "{}", corrected.body);
    // The first branch wins after all.
    scene.rooms.world.switch_to(&whole);
    scene.empty_blocks(6).await?;
    assert_eq!(scene.sent()[2..], [("notification.corrected", 4, 3)]);
    // And every event of it goes in the end.
    scene.rooms.world.node.chain(|chain| chain.rollback(10));
    scene.empty_blocks(16).await?;
    assert_eq!(scene.sent()[3..], [("notification.retracted", 0, 4)]);
    let first = scene.rooms.channel.sent()[0].notification.id;
    assert!(scene.rooms.channel.sent()[1..].iter().all(|sent| sent.notification.corrects == Some(first)));
    Ok(())
}

async fn what_was_not_sent_yet_is_not_sent_once_its_event_is_gone(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate).await?;
    scene.rooms.world.ring(11..=11);
    settle(&mut scene.ingest).await?;
    drain(&mut scene.rooms.relay("relay")).await?;
    drain(&mut scene.matching).await?;
    assert_eq!(scene.rooms.told().await?.len(), 1, "it is told in the store, and not sent");
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    for seconds in 0..20 {
        scene.rooms.pass(seconds);
        scene.empty_blocks(1).await?;
    }
    assert_eq!(scene.sent(), [], "nobody heard of it, so that nobody hears that it is gone");
    let told = scene.rooms.told().await?;
    assert!(told.iter().all(|row| row.open == 0), "{told:#?}");
    Ok(())
}

async fn a_retraction_that_nobody_was_owed_and_that_is_undone_is_no_difference(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate).await?;
    scene.rooms.world.ring(11..=11);
    settle(&mut scene.ingest).await?;
    drain(&mut scene.rooms.relay("relay")).await?;
    drain(&mut scene.matching).await?;
    scene.rooms.pass(1);
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.empty_blocks(SETTLE + 2).await?;
    // The transaction is mined after all, and told for the first time.
    scene.rooms.world.ring(11..=11);
    scene.empty_blocks(SETTLE + 2).await?;
    assert_eq!(scene.sent(), [("notification.created", 1, 3)]);
    let store = &scene.rooms.world.store;
    // Targets are added at the server's time, which is years after that of the test.
    let margin = SignedDuration::from_hours(-1_000_000);
    let page = store.audited_notifications(None, Timestamp::MAX, margin, 10).await?;
    assert_eq!(page.len(), 3);
    assert!(page.iter().all(|row| row.missing.is_none()), "{page:?}");
    Ok(())
}

async fn a_target_that_was_never_reached_hears_only_of_what_is_left(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60)).await?;
    scene.rooms.world.ring(11..=13);
    settle(&mut scene.ingest).await?;
    drain(&mut scene.rooms.relay("relay")).await?;
    drain(&mut scene.matching).await?;
    scene.rooms.pass(61);
    drain(&mut scene.rooms.digest()).await?;
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    for seconds in 0..10 {
        scene.rooms.pass(seconds);
        scene.empty_blocks(1).await?;
    }
    assert_eq!(scene.sent(), [("notification.created", 2, 2)]);
    Ok(())
}

async fn a_watch_that_was_removed_is_owed_its_corrections(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate).await?;
    scene.rooms.world.ring(11..=11);
    // The endpoint fails after it may have got it.
    scene.rooms.channel.next(Does::Retry);
    scene.flow().await?;
    scene.rooms.world.store.remove_watch(&"w".parse()?).await?;
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.empty_blocks(1 + SETTLE).await?;
    assert_eq!(scene.sent(), [("notification.created", 1, 1), ("notification.retracted", 0, 2)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_correct_at_once_tell_once() -> anyhow::Result<()> {
    let mut scene = Scene::set(World::sqlite().await?, Strategy::Immediate).await?;
    scene.rooms.world.ring(11..=11);
    scene.flow().await?;
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.empty_blocks(SETTLE).await?;
    scene.rooms.world.node.mine(Vec::new());
    settle(&mut scene.ingest).await?;
    let (mut one, mut two) = (scene.amend(), scene.amend());
    let (first, second) = tokio::join!(one.step(), two.step());
    first?;
    second?;
    scene.flow().await?;
    assert_eq!(scene.sent().len(), 2);
    Ok(())
}
