//! The audit of hits finds what is wrong, each kind of it, and nothing where all is well or under way.

use std::{sync::Arc, time::Duration};

use domain::{DeliverAt, HitState, Strategy};
use pipeline::{
    hit_audit::{HitAudit, HitAuditConfig, HitReport, Kind},
    ingest::Ingest,
    matching::Matching,
};

use crate::{
    rooms::{Rooms, drain, window},
    world::{CHAIN, World, on_both_stores, settle},
};

on_both_stores!(
    what_is_told_well_or_under_way_is_no_difference,
    an_event_that_was_never_matched_is_missed_from_when_on_its_watch_holds,
    a_watch_holds_anew_from_its_last_edit_on,
    a_reorg_that_nobody_followed_is_found,
    what_is_open_for_too_long_is_found,
    a_correction_that_does_not_come_is_found,
);

const SETTLE: u64 = 2;

struct Scene {
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
}

impl Scene {
    async fn set(world: World, strategy: Strategy, deliver_at: DeliverAt) -> anyhow::Result<Self> {
        let rooms = Rooms::around(world).await?;
        rooms.world.node.chain(|chain| chain.finalized_depth = Some(60));
        rooms.watch("w", strategy, deliver_at).await?;
        let (mut ingest, matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
        settle(&mut ingest).await?;
        Ok(Self { rooms, ingest, matching })
    }

    fn audit(&self) -> HitAudit {
        let world = &self.rooms.world;
        let config = HitAuditConfig {
            page: 3,
            patience: Duration::ZERO,
            ..HitAuditConfig::new(vec![(CHAIN, SETTLE, false)])
        };
        let clock = Arc::clone(&world.clock) as Arc<dyn domain::Clock>;
        HitAudit::new(world.store.clone(), clock, &world.catalog(), config)
    }

    /// An audit that knows from when on the watches hold: from the next block on.
    async fn holding(&self) -> anyhow::Result<HitAudit> {
        let mut audit = self.audit();
        audit.follow().await?;
        self.rooms.world.clock.advance(Duration::from_secs(5));
        audit.follow().await?;
        assert_eq!(audit.uncertain(), 0);
        Ok(audit)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        settle(&mut self.ingest).await?;
        Ok(drain(&mut self.rooms.relay("relay")).await?)
    }

    /// Everything that waits for matching is forgotten, as if it had been matched.
    async fn forget(&self) -> anyhow::Result<()> {
        let store = &self.rooms.world.store;
        let later = self.rooms.world.now() + jiff::SignedDuration::from_hours(1);
        let keys = store.unmatched(later, 1_000).await?;
        assert!(!keys.is_empty());
        Ok(store.mark_matched(&store.events_by_keys(&keys).await?).await?)
    }
}

async fn found(audit: &mut HitAudit) -> anyhow::Result<(HitReport, Vec<(Kind, u64)>)> {
    let report = audit.run(&[CHAIN], 0).await?;
    let counts = report.counts.iter().map(|(kind, count)| (*kind, *count)).collect();
    Ok((report, counts))
}

async fn what_is_told_well_or_under_way_is_no_difference(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate, DeliverAt::Seen).await?;
    let mut audit = scene.holding().await?;
    scene.rooms.world.ring(11..=17);
    scene.read().await?;
    let (report, counts) = found(&mut audit).await?;
    assert_eq!((report.owed, counts), (7, vec![]), "nothing is matched yet");
    drain(&mut scene.matching).await?;
    let (report, counts) = found(&mut audit).await?;
    assert_eq!((report.owed, report.notifications, counts), (7, 7, vec![]));
    // Two fall out, and one of them comes back elsewhere.
    scene.rooms.world.reorg(2, 17..=17);
    scene.rooms.world.ring(30..=31);
    scene.read().await?;
    assert_eq!(found(&mut audit).await?.1, vec![]);
    drain(&mut scene.matching).await?;
    let (report, counts) = found(&mut audit).await?;
    assert_eq!((report.owed, counts), (8, vec![]));
    assert!(report.events > 8, "orphaned ones are looked at too");
    Ok(())
}

async fn an_event_that_was_never_matched_is_missed_from_when_on_its_watch_holds(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate, DeliverAt::Seen).await?;
    scene.rooms.world.ring(11..=12);
    scene.read().await?;
    scene.forget().await?;
    // Nobody can say whether the watch was there already.
    let mut audit = scene.holding().await?;
    assert_eq!(found(&mut audit).await?.1, vec![]);
    scene.rooms.world.ring(13..=17);
    scene.read().await?;
    scene.forget().await?;
    let (report, counts) = found(&mut audit).await?;
    assert_eq!((report.owed, counts), (5, vec![(Kind::Missing, 5)]));
    let first = &report.differences[0];
    assert!(first.event.is_some() && first.hit.is_none() && first.watch == Some("w".parse()?), "{first:?}");
    // What was noted once is known to every audit after.
    let mut other = scene.audit();
    assert_eq!(found(&mut other).await?.1, vec![(Kind::Missing, 5)]);
    Ok(())
}

async fn a_watch_holds_anew_from_its_last_edit_on(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate, DeliverAt::Seen).await?;
    let mut audit = scene.holding().await?;
    scene.rooms.world.ring(11..=12);
    scene.read().await?;
    scene.forget().await?;
    assert_eq!(found(&mut audit).await?.1, vec![(Kind::Missing, 2)]);
    // Another watch by the same name: what it would have been owed before is nobody's business.
    scene.rooms.watch("w", Strategy::Immediate, DeliverAt::Depth(2)).await?;
    let (report, counts) = found(&mut audit).await?;
    assert_eq!((report.owed, counts, audit.uncertain()), (0, vec![], 1));
    scene.rooms.world.clock.advance(Duration::from_secs(5));
    scene.rooms.world.ring(13..=13);
    scene.read().await?;
    scene.forget().await?;
    assert_eq!(found(&mut audit).await?.1, vec![], "it holds from the next block on");
    scene.rooms.world.ring(14..=14);
    scene.read().await?;
    scene.forget().await?;
    assert_eq!(found(&mut audit).await?.1, vec![(Kind::Missing, 1)]);
    scene.rooms.world.store.remove_watch(&"w".parse()?).await?;
    assert_eq!(found(&mut audit).await?.1, vec![], "a removed one is owed nothing");
    Ok(())
}

async fn a_reorg_that_nobody_followed_is_found(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60), DeliverAt::Seen).await?;
    let mut audit = scene.holding().await?;
    scene.rooms.world.ring(11..=14);
    scene.read().await?;
    drain(&mut scene.matching).await?;
    assert_eq!(found(&mut audit).await?.1, vec![]);
    let branch = scene.rooms.world.branch();
    // One moves and one is gone.
    scene.rooms.world.reorg(2, 13..=13);
    scene.rooms.world.node.mine(Vec::new());
    scene.rooms.world.node.chain(|chain| chain.rollback(2));
    scene.rooms.world.node.mine(Vec::new());
    scene.rooms.world.ring(13..=13);
    scene.rooms.world.node.mine(Vec::new());
    scene.read().await?;
    scene.forget().await?;
    // Each of the two waits under an event that left; the one that moved is owed under another.
    assert_eq!(found(&mut audit).await?.1, vec![(Kind::WrongEvent, 1), (Kind::EventGone, 2)]);
    // Followed, and then the old branch comes back, which nobody follows.
    scene.rooms.world.node.mine(Vec::new());
    scene.read().await?;
    let store = &scene.rooms.world.store;
    let orphaned: Vec<_> = store.audited_events(CHAIN, (0, 99), None, 99).await?;
    let orphaned: Vec<_> = orphaned.into_iter().filter(|stored| !stored.is_canonical()).collect();
    store.orphan_hits(&orphaned).await?;
    assert_eq!(found(&mut audit).await?.1, vec![]);
    scene.rooms.world.switch_to(&branch);
    for _ in 0..4 {
        scene.rooms.world.node.mine(Vec::new());
    }
    scene.read().await?;
    scene.forget().await?;
    // The one that was gone is there again, and its hit is orphaned; the other stands for an event that left.
    assert_eq!(
        found(&mut audit).await?.1,
        vec![(Kind::WrongEvent, 1), (Kind::NotRevived, 1), (Kind::EventGone, 1)]
    );
    Ok(())
}

async fn what_is_open_for_too_long_is_found(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60), DeliverAt::Seen).await?;
    let mut audit = scene.holding().await?;
    scene.rooms.watch("deep", Strategy::Immediate, DeliverAt::Depth(3)).await?;
    scene.rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    scene.rooms.world.clock.advance(Duration::from_secs(5));
    scene.rooms.world.ring(11..=11);
    scene.read().await?;
    drain(&mut scene.matching).await?;
    assert_eq!(found(&mut audit).await?.1, vec![]);
    scene.rooms.world.clock.advance(Duration::from_secs(130));
    for _ in 0..13 {
        scene.rooms.world.node.mine(Vec::new());
    }
    scene.read().await?;
    let (report, counts) = found(&mut audit).await?;
    assert_eq!(counts, vec![(Kind::Unreleased, 1), (Kind::Overdue, 1), (Kind::Unsent, 1)]);
    let watches: Vec<_> =
        report.differences.iter().filter_map(|difference| difference.watch.clone()).collect();
    assert_eq!(watches, ["deep".parse()?, "w".parse()?]);
    let states = scene.rooms.world.store.hits_by_state(None).await?;
    assert_eq!(states.get(HitState::Notified.as_str()), Some(&1));
    Ok(())
}

async fn a_correction_that_does_not_come_is_found(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate, DeliverAt::Seen).await?;
    let mut audit = scene.holding().await?;
    scene.rooms.world.ring(11..=12);
    scene.read().await?;
    drain(&mut scene.matching).await?;
    scene.rooms.world.reorg(1, 20..=20);
    scene.rooms.world.node.mine(Vec::new());
    scene.read().await?;
    scene.forget().await?;
    let counts = found(&mut audit).await?.1;
    assert_eq!(counts, vec![(Kind::Missing, 1), (Kind::ChangeNotNoted, 1)], "nobody looked at the reorg");
    let store = &scene.rooms.world.store;
    let orphaned: Vec<_> = store.audited_events(CHAIN, (0, 99), None, 99).await?;
    let orphaned: Vec<_> = orphaned.into_iter().filter(|stored| !stored.is_canonical()).collect();
    store.orphan_hits(&orphaned).await?;
    assert_eq!(found(&mut audit).await?.1, vec![(Kind::Missing, 1)], "it may come back");
    for _ in 0..14 {
        scene.rooms.world.node.mine(Vec::new());
    }
    scene.read().await?;
    let counts = found(&mut audit).await?.1;
    assert_eq!(counts, vec![(Kind::Missing, 1), (Kind::Uncorrected, 1)]);
    Ok(())
}
