//! Budgets: what overflows them, in which order it is told, and who may spend them.

use domain::{DeliverAt, HitState, Strategy, Telling};
use serde_json::json;

use super::{Scene, by_transaction, leading, lossy};
use crate::{
    rooms::{Rooms, window},
    world::settle,
};

everywhere!(
    a_budgets_overflow_joins_the_next_digest_and_is_counted_there,
    windows_that_a_budget_holds_back_are_told_in_the_order_of_their_age,
);

async fn a_budgets_overflow_joins_the_next_digest_and_is_counted_there(rooms: Rooms) -> anyhow::Result<()> {
    rooms.recipient("ops", "UTC", None, Some("2/hour")).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let critical = Telling { critical: true, ..Telling::default() };
    rooms.watch_of("ops", "alarm", Strategy::Immediate, critical, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // In one batch, and one by one; and again, which costs nothing.
    scene.ring_at_once(&[11, 12, 13]).await?;
    scene.ring(14..=14).await?;
    scene.ring(15..=15).await?;
    let keys = scene.keys().await?;
    scene.matching.handle(&keys).await?;
    assert_eq!(scene.counts("now").await?, [1, 1]);
    assert_eq!(scene.counts("alarm").await?, [1; 5]);
    assert_eq!(scene.rooms.hits("now", HitState::Pending).await?, 3);
    // It is 22:13; nothing is told before 23:00, also not by the sweep.
    scene.rooms.debouncer = lossy(&scene.rooms).await?;
    scene.matching = scene.rooms.matching(|_| {});
    scene.pass(46 * 60).await?;
    assert_eq!(scene.counts("now").await?, [1, 1]);
    scene.pass(60).await?;
    scene.pass(10).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 3]);
    let digest = scene.told("now").await?.remove(2).notification;
    assert_eq!(digest.facts["held_back"], json!({ "count": 3, "reason": "budget" }));
    assert!(digest.body.contains("3 of 3"), "{}", digest.body);
    // One of two is left of this hour.
    scene.ring_at_once(&[16, 17]).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 3, 1]);
    scene.pass(3600).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 3, 1, 1]);
    assert_eq!(scene.rooms.hits("now", HitState::Notified).await?, 7);
    Ok(())
}

async fn windows_that_a_budget_holds_back_are_told_in_the_order_of_their_age(
    rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.recipient("ops", "UTC", None, Some("1/hour")).await?;
    rooms.watch_of("ops", "w", window(60), by_transaction(), DeliverAt::Seen).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // Younger ones have names that sort before older ones' as often as not.
    for tx in 11..=15 {
        scene.ring(tx..=tx).await?;
        scene.pass(61).await?;
    }
    // The first immediate hit had the budget; all else waits, five windows and one of four.
    assert_eq!((scene.counts("now").await?, scene.counts("w").await?), (vec![1], vec![]));
    let mut order = Vec::new();
    for hour in 0..8 {
        // Somebody who is always loud does not get before those who wait.
        scene.pass(3600 - 60).await?;
        scene.ring(20 + hour..=20 + hour).await?;
        scene.pass(60).await?;
        let told = scene.told("w").await?;
        order = told.iter().map(|row| row.notification.facts["first"]["block"].as_u64()).collect();
        let all = scene.rooms.told().await?.len();
        assert!(all <= usize::try_from(hour)? + 2, "{all} in {} hours", hour + 1);
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(order, sorted, "the oldest first");
    assert!(order.len() >= 5, "all of them in the end: {order:?}");
    let held: u64 = scene.counts("now").await?.iter().sum();
    assert!(held >= 5, "and the loud one too: {:?}", scene.counts("now").await?);
    Ok(())
}

/// Two processes that match the hits of one moment: one leads, and nobody overdraws a budget.
async fn races(rooms: Rooms) -> anyhow::Result<()> {
    rooms.recipient("thrifty", "UTC", None, Some("3/day")).await?;
    rooms.watch_of("thrifty", "now", Strategy::Immediate, Telling::default(), DeliverAt::Seen).await?;
    rooms.watch_of("ops", "lead", window(60), leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.rooms.world.ring(11..=22);
    settle(&mut scene.ingest).await?;
    let keys = scene.keys().await?;
    let mut workers: Vec<_> = (0..4).map(|_| scene.rooms.matching(|_| {})).collect();
    for worker in &mut workers {
        worker.handle(&[]).await?;
    }
    let mut going = Vec::new();
    for (start, mut worker) in workers.into_iter().enumerate() {
        let mut keys = keys.clone();
        keys.rotate_left(start * 3);
        going.push(tokio::spawn(async move {
            for key in keys.chunks(2) {
                worker.handle(key).await?;
            }
            Ok::<_, pipeline::RoomError>(())
        }));
    }
    for worker in going {
        worker.await??;
    }
    assert_eq!(scene.counts("lead").await?, [1]);
    assert_eq!(scene.counts("now").await?, [1, 1, 1]);
    scene.pass(121).await?;
    assert_eq!(scene.counts("lead").await?, [1, 11]);
    scene.pass(24 * 3600).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 1, 9]);
    Ok(())
}

mod racing {
    #[tokio::test(flavor = "multi_thread")]
    async fn one_of_several_processes_leads_and_none_overdraws_a_budget_on_sqlite() -> anyhow::Result<()> {
        let rooms = crate::rooms::Rooms::around(crate::world::World::sqlite().await?).await?;
        Box::pin(super::races(rooms)).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_of_several_processes_leads_and_none_overdraws_a_budget_on_postgres() -> anyhow::Result<()> {
        let rooms = crate::rooms::Rooms::around(crate::world::World::postgres().await?).await?;
        Box::pin(super::races(rooms)).await
    }
}
