//! A clock that was ahead: what was stored under it ends no later than its own length from now.

use std::time::Duration;

use domain::{Held, HitId, WindowKey};
use jiff::{SignedDuration, Timestamp};
use store::{Attempt, EventKey, Hold, Outcome, OwnLengths};

use crate::{
    delivery::queued,
    hits::{hit, seen},
    on_both,
    world::{CHAIN, World, block, header},
};

on_both!(
    a_lease_of_a_clock_that_was_ahead_ends_after_its_own_term,
    a_delivery_that_was_leased_under_a_clock_that_was_ahead_is_sent_when_its_lease_is_over,
    a_retry_that_was_planned_under_a_clock_that_was_ahead_comes_after_its_own_pause,
    a_hit_and_an_event_that_were_stored_under_a_clock_that_was_ahead_are_swept,
    an_older_hit_that_was_put_off_under_a_clock_that_was_ahead_is_due_after_its_own_wait,
    an_older_hit_that_was_swept_under_a_clock_that_was_ahead_is_due_after_its_own_wait,
    a_holder_is_named_with_the_time_since_when_it_holds,
);

const LENGTHS: OwnLengths = OwnLengths { delivery_lease: TERM };

const TERM: Duration = Duration::from_secs(30);
const DAY: i64 = 86_400;

fn at(world: &World, seconds: i64) -> Timestamp {
    world.now + SignedDuration::from_secs(seconds)
}

async fn a_lease_of_a_clock_that_was_ahead_ends_after_its_own_term(world: &World) -> anyhow::Result<()> {
    let store = &world.store;
    assert!(store.take_lease("lane", "dead", at(world, DAY), TERM).await?);
    assert!(
        !store.take_lease("lane", "next", at(world, 0), TERM).await?,
        "it may live: one term is left to it"
    );
    assert!(!store.take_lease("lane", "next", at(world, 29), TERM).await?);
    assert!(store.take_lease("lane", "next", at(world, 30), TERM).await?, "its term is over");
    assert!(!store.take_lease("lane", "dead", at(world, 31), TERM).await?);
    Ok(())
}

async fn a_holder_is_named_with_the_time_since_when_it_holds(world: &World) -> anyhow::Result<()> {
    let store = &world.store;
    assert_eq!(store.lease("lane").await?, None);
    for second in [0, 10, 20] {
        assert!(store.take_lease("lane", "one", at(world, second), TERM).await?);
    }
    let one = store.lease("lane").await?.expect("a holder");
    assert_eq!((one.owner.as_str(), one.since, one.until), ("one", Some(at(world, 0)), at(world, 50)));
    assert!(store.take_lease("lane", "two", at(world, 60), TERM).await?);
    let two = store.lease("lane").await?.expect("a holder");
    assert_eq!((two.owner.as_str(), two.since, two.until), ("two", Some(at(world, 60)), at(world, 90)));
    Ok(())
}

async fn a_delivery_that_was_leased_under_a_clock_that_was_ahead_is_sent_when_its_lease_is_over(
    world: &World,
) -> anyhow::Result<()> {
    let (id, store) = (queued(world).await?, &world.store);
    assert_eq!(store.lease_deliveries_of(id, "stdout", "dead", at(world, DAY), TERM).await?.len(), 1);
    let due =
        async |second| store.lease_due_deliveries("next", at(world, second), Duration::ZERO, TERM, 10).await;
    assert!(due(29).await?.is_empty());
    assert_eq!(store.cut_to_own_length(at(world, 0), LENGTHS).await?, 1);
    assert!(due(29).await?.is_empty(), "it may be under way");
    assert_eq!(due(30).await?.len(), 1);
    Ok(())
}

async fn a_retry_that_was_planned_under_a_clock_that_was_ahead_comes_after_its_own_pause(
    world: &World,
) -> anyhow::Result<()> {
    let (id, store) = (queued(world).await?, &world.store);
    let leased = store.lease_deliveries_of(id, "stdout", "dead", at(world, DAY), TERM).await?.remove(0);
    let attempt = Attempt { started: at(world, DAY), finished: at(world, DAY), detail: "HTTP 503".into() };
    let retry = Outcome::Retry(at(world, DAY + 20));
    store.finish_attempt(leased.delivery.id, "dead", &attempt, &retry).await?;
    let due =
        async |second| store.lease_due_deliveries("next", at(world, second), Duration::ZERO, TERM, 10).await;
    assert!(due(60).await?.is_empty());
    assert_eq!(store.cut_to_own_length(at(world, 0), LENGTHS).await?, 1);
    assert!(due(19).await?.is_empty());
    assert_eq!(due(20).await?.len(), 1);
    assert_eq!(store.cut_to_own_length(at(world, 20), LENGTHS).await?, 0, "what is in time stays");
    Ok(())
}

async fn a_hit_and_an_event_that_were_stored_under_a_clock_that_was_ahead_are_swept(
    world: &World,
) -> anyhow::Result<()> {
    let store = &world.store;
    let stored = seen(world, 1, 1, 1).await?;
    let mut late = hit(world, &stored, false);
    late.plan.due_hint = at(world, DAY + 60);
    store.commit_hits(std::slice::from_ref(&stored), &[late], at(world, DAY)).await?;
    let second = world.event(block(2, 1), 0, 2);
    let headers = [header(2, 1, 1)];
    let commit = world.chain_commit(Some(block(1, 1)), None, &headers, std::slice::from_ref(&second));
    store.commit_chain(&store::ChainCommit { now: at(world, DAY), ..commit }).await?;

    let sweep = async |second| {
        let hits = store
            .overdue_hits(at(world, second), (at(world, second), at(world, second + 30)), 10)
            .await?
            .len();
        anyhow::Ok((hits, store.unmatched(at(world, second), 10).await?))
    };
    assert_eq!(sweep(3600).await?, (0, vec![]));
    assert_eq!(store.cut_to_own_length(at(world, 0), LENGTHS).await?, 2);
    assert_eq!(sweep(59).await?, (0, vec![EventKey::of(&second)]));
    assert_eq!(sweep(61).await?, (1, vec![EventKey::of(&second)]));
    assert_eq!(store.chain(CHAIN).await?.expect("the chain").noted_at, at(world, DAY));
    Ok(())
}

/// A hit that was stored in time, and is due a minute later.
async fn in_time(world: &World) -> anyhow::Result<HitId> {
    let stored = seen(world, 1, 1, 1).await?;
    let mut late = hit(world, &stored, false);
    late.plan.due_hint = at(world, 60);
    let id = late.id;
    world.store.commit_hits(std::slice::from_ref(&stored), &[late], at(world, 0)).await?;
    Ok(id)
}

async fn due(world: &World, id: HitId) -> anyhow::Result<i64> {
    let rows = world.store.hits(&[id]).await?;
    Ok(rows[0].hit.due_hint.duration_since(world.now).as_secs())
}

async fn an_older_hit_that_was_put_off_under_a_clock_that_was_ahead_is_due_after_its_own_wait(
    world: &World,
) -> anyhow::Result<()> {
    let (id, store) = (in_time(world).await?, &world.store);
    // Quiet hours of eight hours more, as seen from tomorrow.
    let (window, recipient) = (WindowKey::from_stored("ops w"), "ops".parse()?);
    let now = at(world, DAY);
    let hold = Hold {
        window: &window,
        recipient: &recipient,
        hits: &[id],
        since: at(world, 0),
        due: now + SignedDuration::from_hours(8),
        why: Held::QuietHours,
        now,
    };
    store.hold_window(&hold).await?;
    assert_eq!(due(world, id).await?, DAY + 8 * 3600);
    assert_eq!(store.cut_to_own_length(at(world, 100), LENGTHS).await?, 1);
    assert_eq!(due(world, id).await?, 100 + 8 * 3600);
    assert_eq!(store.cut_to_own_length(at(world, 160), LENGTHS).await?, 0, "what is in time stays");
    assert_eq!(due(world, id).await?, 100 + 8 * 3600);
    Ok(())
}

async fn an_older_hit_that_was_swept_under_a_clock_that_was_ahead_is_due_after_its_own_wait(
    world: &World,
) -> anyhow::Result<()> {
    let (id, store) = (in_time(world).await?, &world.store);
    let now = at(world, DAY);
    assert_eq!(store.overdue_hits(now, (now, at(world, DAY + 30)), 10).await?.len(), 1);
    assert_eq!(due(world, id).await?, DAY + 30);
    assert_eq!(store.cut_to_own_length(at(world, 100), LENGTHS).await?, 1);
    assert_eq!(due(world, id).await?, 130);
    Ok(())
}
