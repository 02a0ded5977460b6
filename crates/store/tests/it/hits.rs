//! Hits, windows and the fence.

use std::time::Duration;

use domain::{
    DeliverAt, Delivery, DeliveryId, DeliveryState, HitId, HitState, Notification, NotificationId,
    NotificationState, Strategy, Watch, WindowAdd, WindowKey, WindowRule, message::send_message,
};
use jiff::{SignedDuration, Timestamp};
use store::{Bundle, Closed, EventKey, HitOutcome, HitPlan, NewHit, PendingHit, StoredEvent};

use crate::{
    on_both,
    world::{CHAIN, World, block, header},
};

on_both!(
    a_hit_whose_window_closes_later_is_not_waited_for,
    an_immediate_hit_is_told_once_however_often_it_is_matched,
    a_hit_whose_event_left_before_the_commit_is_not_made,
    an_orphaned_pending_hit_vanishes_and_comes_back_with_its_transaction,
    a_moved_event_moves_its_hit_and_tells_nobody_again,
    the_fence_lets_one_of_two_closers_through,
    a_window_is_claimed_once_and_closed_to_late_hits,
    an_ended_lease_is_claimed_again_and_the_stale_ack_does_nothing,
    the_sweep_finds_pending_hits_past_their_due_time,
    watch_edits_arrive_by_revision_and_removals_too,
);

pub(crate) async fn seen(world: &World, number: u64, branch: u8, tx: u8) -> anyhow::Result<StoredEvent> {
    let tip = world.store.chain(CHAIN).await?.and_then(|chain| chain.tip);
    let event = world.event(block(number, branch), 0, tx);
    let ancestor = tip.filter(|tip| tip.number >= number).map(|_| block(number - 1, 1));
    world.commit(tip, ancestor, &[header(number, branch, 1)], std::slice::from_ref(&event)).await?;
    Ok(world.store.events_by_keys(&[EventKey::of(&event)]).await?.remove(0))
}

pub(crate) fn bundle(world: &World, hit: HitId) -> Bundle {
    let id = NotificationId::derive(hit);
    let recipient: domain::RecipientId = "ops".parse().expect("a name");
    let target: domain::TargetName = "console".parse().expect("a name");
    Bundle {
        notification: Notification {
            id,
            recipient: recipient.clone(),
            watch: "w".parse().expect("a name"),
            chain: CHAIN,
            kind: "contract_event".into(),
            title: "t".into(),
            body: "b\0".into(),
            count: 1,
            window: None,
            facts: serde_json::json!({"z": "1", "a": "2"}),
            events: vec![],
            finality: "seen".into(),
            state: NotificationState::Active,
            revision: 1,
            corrects: None,
            created_at: world.now,
        },
        deliveries: vec![Delivery {
            id: DeliveryId::derive(id, 1, &recipient, &target),
            notification: id,
            recipient,
            target,
            channel: "stdout".into(),
            state: DeliveryState::Queued,
            attempts: 0,
            tries: 0,
            next_attempt_at: world.now,
            reason: None,
        }],
        messages: vec![send_message(id, 1, "stdout", world.now, serde_json::json!({}))],
    }
}

pub(crate) fn hit(world: &World, stored: &StoredEvent, immediate: bool) -> NewHit {
    let watch: domain::WatchId = "w".parse().expect("a name");
    let id = HitId::derive(stored.event.logical, &watch);
    NewHit {
        suspicion: None,
        dropped: false,
        parties: Vec::new(),
        id,
        watch,
        recipient: "ops".parse().expect("a name"),
        logical: stored.event.logical,
        key: EventKey::of(&stored.event),
        deliver_at: DeliverAt::Seen,
        state: HitState::Pending,
        group: String::new(),
        plan: HitPlan {
            window: WindowKey::from_stored("ops w"),
            due_hint: world.now + SignedDuration::from_secs(60),
            held: None,
            bundle: immediate.then(|| bundle(world, id)),
            lead: None,
            spend: None,
        },
    }
}

async fn an_immediate_hit_is_told_once_however_often_it_is_matched(world: &World) -> anyhow::Result<()> {
    let stored = seen(world, 1, 1, 1).await?;
    let hits = [hit(world, &stored, true)];
    let seen = std::slice::from_ref(&stored);
    assert_eq!(world.store.commit_hits(seen, &hits, world.now).await?.notified, 1);
    assert_eq!(world.store.commit_hits(seen, &hits, world.now).await?, HitOutcome::default());
    assert_eq!(world.store.outbox_page(store::Store::notify_lane(), 10).await?.len(), 1);
    assert!(world.store.unmatched(Timestamp::MAX, 10).await?.is_empty());
    let notifications =
        world.store.notifications(&store::NotificationQuery { limit: 9, ..Default::default() }).await?;
    assert_eq!((notifications.len(), notifications[0].open), (1, 1));
    assert_eq!(notifications[0].notification.facts.to_string(), r#"{"z":"1","a":"2"}"#);
    Ok(())
}

async fn a_hit_whose_window_closes_later_is_not_waited_for(world: &World) -> anyhow::Result<()> {
    let stored = seen(world, 1, 1, 1).await?;
    let seen = std::slice::from_ref(&stored);
    world.store.commit_hits(seen, &[hit(world, &stored, false)], world.now).await?;
    for (seconds, hits) in [(59, 0), (60, 1)] {
        let later = world.now + SignedDuration::from_secs(seconds);
        let lane = store::Store::lane_of_chain(&world.name);
        let left = world
            .store
            .work_left(crate::world::CHAIN, &lane, 1, 0, (later, &store::Apart::default()))
            .await?;
        assert_eq!(left.hits, hits, "{seconds} s");
    }
    Ok(())
}

async fn a_hit_whose_event_left_before_the_commit_is_not_made(world: &World) -> anyhow::Result<()> {
    seen(world, 1, 1, 9).await?;
    let stale = seen(world, 2, 1, 1).await?;
    seen(world, 2, 2, 2).await?;
    let outcome =
        world.store.commit_hits(std::slice::from_ref(&stale), &[hit(world, &stale, true)], world.now).await?;
    assert_eq!(outcome, HitOutcome { stale: 1, ..HitOutcome::default() });
    // The orphaning is still to be matched: the row that tells so was not deleted by the stale view.
    let left = world.store.unmatched(Timestamp::MAX, 10).await?;
    assert!(left.contains(&EventKey::of(&stale.event)), "{left:?}");
    Ok(())
}

pub(crate) async fn orphan(world: &World, event: &StoredEvent) -> anyhow::Result<u64> {
    let now = world.store.events_by_keys(&[EventKey::of(&event.event)]).await?;
    Ok(world.store.orphan_hits(&now).await?)
}

async fn an_orphaned_pending_hit_vanishes_and_comes_back_with_its_transaction(
    world: &World,
) -> anyhow::Result<()> {
    seen(world, 1, 1, 9).await?;
    let first = seen(world, 2, 1, 1).await?;
    let pending = hit(world, &first, false);
    world.store.commit_hits(&[], std::slice::from_ref(&pending), world.now).await?;
    seen(world, 2, 2, 2).await?;
    assert_eq!(orphan(world, &first).await?, 1);
    assert_eq!(world.store.hits(&[pending.id]).await?[0].hit.state, HitState::Orphaned);
    let again = seen(world, 3, 1, 1).await?;
    let outcome = world.store.commit_hits(&[], &[hit(world, &again, false)], world.now).await?;
    assert_eq!(
        outcome.pending,
        [PendingHit { id: pending.id, due_hint: pending.plan.due_hint, held: false }]
    );
    let row = world.store.hits(&[pending.id]).await?.remove(0);
    assert_eq!((row.hit.state, row.hit.event), (HitState::Pending, again.event.id));
    Ok(())
}

async fn a_moved_event_moves_its_hit_and_tells_nobody_again(world: &World) -> anyhow::Result<()> {
    seen(world, 1, 1, 9).await?;
    let first = seen(world, 2, 1, 1).await?;
    world.store.commit_hits(&[], &[hit(world, &first, true)], world.now).await?;
    let moved = seen(world, 2, 2, 1).await?;
    assert_eq!(orphan(world, &first).await?, 0);
    let outcome = world.store.commit_hits(&[], &[hit(world, &moved, true)], world.now).await?;
    assert_eq!(outcome.notified, 0);
    let row = world.store.hits(&[hit(world, &first, true).id]).await?.remove(0);
    assert_eq!((row.hit.state, row.hit.event), (HitState::Notified, moved.event.id));
    Ok(())
}

async fn the_fence_lets_one_of_two_closers_through(world: &World) -> anyhow::Result<()> {
    let stored = seen(world, 1, 1, 1).await?;
    let pending = hit(world, &stored, false);
    world.store.commit_hits(&[], std::slice::from_ref(&pending), world.now).await?;
    let bundle = bundle(world, pending.id);
    let ids = [pending.id];
    let (one, two) = tokio::join!(
        world.store.close_window(&ids, &bundle, None, world.now),
        world.store.close_window(&ids, &bundle, None, world.now),
    );
    let results = [one?, two?];
    assert!(results.contains(&Closed::Notified) && results.contains(&Closed::Changed), "{results:?}");
    assert_eq!(world.store.outbox_page(store::Store::notify_lane(), 10).await?.len(), 1);
    Ok(())
}

fn add(world: &World, hits: &[HitId], now: Timestamp) -> WindowAdd {
    let rule = WindowRule {
        window: Duration::from_secs(60),
        max_wait: Duration::from_secs(600),
        max_count: 100,
        slide: false,
    };
    let key = WindowKey::new(&"ops".parse().expect("a name"), &"w".parse().expect("a name"));
    let _ = world;
    WindowAdd { key, rule, hits: hits.to_vec(), now }
}

fn ids(count: u128) -> Vec<HitId> {
    (1..=count).map(|n| HitId(uuid::Uuid::from_u128(n))).collect()
}

async fn a_window_is_claimed_once_and_closed_to_late_hits(world: &World) -> anyhow::Result<()> {
    let hits = ids(3);
    let lease = Duration::from_secs(30);
    world.store.window_add(&[add(world, &hits[..2], world.now)]).await?;
    world.store.window_add(&[add(world, &hits[..2], world.now)]).await?;
    assert!(world.store.window_claim(world.now, 10, lease, "a").await?.is_empty());
    let due = world.now + SignedDuration::from_secs(60);
    let claims = world.store.window_claim(due, 10, lease, "a").await?;
    assert_eq!(claims.len(), 1);
    world.store.window_add(&[add(world, &hits[2..], due)]).await?;
    assert_eq!(world.store.window_members(&claims[0], None, 10).await?, hits[..2]);
    assert_eq!(world.store.window_members(&claims[0], Some(hits[0]), 10).await?, hits[1..2]);
    assert!(world.store.window_claim(due, 10, lease, "b").await?.is_empty());
    world.store.window_ack(&claims[0]).await?;
    let (open, next) = world.store.window_outlook().await?;
    assert_eq!((open, next), (1, Some(due + SignedDuration::from_secs(60))));
    Ok(())
}

async fn an_ended_lease_is_claimed_again_and_the_stale_ack_does_nothing(world: &World) -> anyhow::Result<()> {
    world.store.window_add(&[add(world, &ids(1), world.now)]).await?;
    let due = world.now + SignedDuration::from_secs(60);
    let first = world.store.window_claim(due, 10, Duration::from_secs(30), "a").await?.remove(0);
    let later = due + SignedDuration::from_secs(31);
    let second = world.store.window_claim(later, 10, Duration::from_secs(30), "b").await?.remove(0);
    assert_eq!((second.generation, second.claims), (first.generation, 2));
    world.store.window_ack(&first).await?;
    assert_eq!(world.store.window_outlook().await?.0, 1);
    world.store.window_ack(&second).await?;
    assert_eq!(world.store.window_outlook().await?.0, 0);
    Ok(())
}

async fn the_sweep_finds_pending_hits_past_their_due_time(world: &World) -> anyhow::Result<()> {
    let stored = seen(world, 1, 1, 1).await?;
    world.store.commit_hits(&[], &[hit(world, &stored, false)], world.now).await?;
    let late = world.now + SignedDuration::from_secs(61);
    let next = world.now + SignedDuration::from_secs(90);
    assert!(world.store.overdue_hits(world.now, (world.now, next), 10).await?.is_empty());
    assert_eq!(world.store.overdue_hits(late, (late, next), 10).await?.len(), 1);
    assert!(world.store.overdue_hits(late, (late, next), 10).await?.is_empty());
    Ok(())
}

async fn watch_edits_arrive_by_revision_and_removals_too(world: &World) -> anyhow::Result<()> {
    let watch = Watch {
        id: "w".parse()?,
        recipient: "ops".parse()?,
        contract: world.contract.clone(),
        event: "Sent".into(),
        filter: None,
        strategy: Strategy::Immediate,
        telling: domain::Telling::default(),
        deliver_at: DeliverAt::Seen,
        paused: false,
        from_file: false,
    };
    world.store.put_watches(std::slice::from_ref(&watch)).await?;
    let first = world.store.watches_since(0).await?;
    assert_eq!(first[0].watch.as_ref(), Some(&watch));
    world.store.put_watches(std::slice::from_ref(&watch)).await?;
    assert!(world.store.watches_since(first[0].revision).await?.is_empty());
    assert!(world.store.remove_watch(&watch.id).await?);
    let change = world.store.watches_since(first[0].revision).await?.remove(0);
    assert_eq!((change.id, change.watch), (watch.id.clone(), None));
    assert!(world.store.watch(&watch.id).await?.is_none());
    Ok(())
}
