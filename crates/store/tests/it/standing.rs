//! How a delivery stands with the chain when it is about to be sent, in every combination, and while a correction commits.

use std::time::Duration;

use domain::{DeliveryId, DeliveryState, HitId, NotificationId, NotificationState};
use jiff::{SignedDuration, Timestamp};
use store::{Bundle, Correct, LeasedDelivery, StoredEvent};

use crate::{
    hits::{bundle, hit, orphan, seen},
    on_both,
    world::World,
};

on_both!(
    what_stands_is_sent_what_is_in_doubt_waits_and_what_was_corrected_is_not_sent,
    what_the_chain_gives_back_is_sent_after_all,
    a_correction_that_commits_while_a_delivery_is_looked_at_lets_nothing_out,
);

const TERM: Duration = Duration::from_secs(30);

fn at(world: &World, seconds: i64) -> Timestamp {
    world.now + SignedDuration::from_secs(seconds)
}

/// An alert whose event is in block 2 of `branch`.
async fn told(world: &World, branch: u8) -> anyhow::Result<(StoredEvent, NotificationId)> {
    let stored = seen(world, 2, branch, branch).await?;
    let hit = hit(world, &stored, true);
    let id = NotificationId::derive(hit.id);
    assert_eq!(world.store.commit_hits(&[], &[hit], world.now).await?.notified, 1);
    Ok((stored, id))
}

/// Block 2 is another one, with another event.
async fn gone(world: &World, stored: &StoredEvent, branch: u8) -> anyhow::Result<()> {
    seen(world, 2, branch, branch).await?;
    orphan(world, stored).await?;
    Ok(())
}

/// Revision `revision` of what was told first.
fn revised(world: &World, first: NotificationId, revision: u32, state: NotificationState) -> Bundle {
    let mut bundle = bundle(world, HitId(uuid::Uuid::nil()));
    let id = first.correction(revision);
    let told = &mut bundle.notification;
    (told.id, told.revision, told.corrects, told.state) = (id, revision, Some(first), state);
    for delivery in &mut bundle.deliveries {
        delivery.id = DeliveryId::derive(id, revision, &delivery.recipient, &delivery.target);
        delivery.notification = id;
    }
    bundle.messages.clear();
    bundle
}

async fn retract(world: &World, first: NotificationId, now: Timestamp) -> anyhow::Result<NotificationId> {
    let bundle = revised(world, first, 2, NotificationState::Retracted);
    let correct = Correct { first, bundle: &bundle, inside: &[], changed: 1, now };
    world.store.commit_correction(&correct).await?;
    Ok(bundle.notification.id)
}

async fn lease(
    world: &World,
    id: NotificationId,
    owner: &str,
    now: Timestamp,
) -> anyhow::Result<Vec<LeasedDelivery>> {
    Ok(world.store.lease_deliveries_of(id, "stdout", owner, now, TERM).await?)
}

async fn state(world: &World, id: NotificationId) -> anyhow::Result<(DeliveryState, String)> {
    let delivery = world.store.deliveries_of(id).await?.remove(0);
    Ok((delivery.state, delivery.reason.unwrap_or_default()))
}

async fn what_stands_is_sent_what_is_in_doubt_waits_and_what_was_corrected_is_not_sent(
    world: &World,
) -> anyhow::Result<()> {
    seen(world, 1, 1, 200).await?;
    // Neither gone nor corrected.
    let (stored, first) = told(world, 1).await?;
    assert_eq!(lease(world, first, "a", world.now).await?.len(), 1);
    // Gone, and its worker is silent: whoever looks next waits.
    gone(world, &stored, 2).await?;
    assert!(lease(world, first, "b", at(world, 31)).await?.is_empty());
    let (doubtful, why) = state(world, first).await?;
    assert_eq!(doubtful, DeliveryState::Scheduled, "{why}");
    assert!(why.contains("left the chain"), "{why}");
    // Gone and corrected while another worker, which leased it before, is still at it.
    let (stored, first) = told(world, 3).await?;
    assert_eq!(lease(world, first, "a", world.now).await?.len(), 1);
    gone(world, &stored, 4).await?;
    let second = retract(world, first, at(world, 1)).await?;
    assert_eq!(state(world, first).await?.0, DeliveryState::Queued, "it is its worker's");
    assert!(lease(world, first, "b", at(world, 31)).await?.is_empty());
    assert_eq!(state(world, first).await?.0, DeliveryState::Suppressed);
    // The correction itself stands: nothing that it says is gone.
    assert_eq!(lease(world, second, "b", at(world, 31)).await?.len(), 1);
    Ok(())
}

async fn what_the_chain_gives_back_is_sent_after_all(world: &World) -> anyhow::Result<()> {
    seen(world, 1, 1, 200).await?;
    let (stored, first) = told(world, 1).await?;
    gone(world, &stored, 2).await?;
    assert!(lease(world, first, "a", world.now).await?.is_empty());
    // The same transaction in another block.
    let again = seen(world, 3, 2, 1).await?;
    assert_eq!(again.event.logical, stored.event.logical);
    world.store.commit_hits(&[], &[hit(world, &again, true)], world.now).await?;
    let leased = lease(world, first, "a", at(world, 2)).await?;
    assert_eq!(leased.len(), 1);
    assert!(leased[0].first, "nothing of it was heard before");
    Ok(())
}

// Two looks, first for a later revision and then for an event that is gone, let the message out: a correction between them
// makes both answers no. The looks and the correction interleave here as the servers please, in many rounds.
async fn a_correction_that_commits_while_a_delivery_is_looked_at_lets_nothing_out(
    world: &World,
) -> anyhow::Result<()> {
    seen(world, 1, 1, 200).await?;
    for round in 0..40_u8 {
        let (stored, first) = told(world, 2 + 2 * round).await?;
        gone(world, &stored, 3 + 2 * round).await?;
        let look = async {
            for second in 0..6 {
                // Each look a little later, because doubt puts the delivery off.
                let leased = lease(world, first, "worker", at(world, 2 * second)).await?;
                anyhow::ensure!(leased.is_empty(), "round {round}: look {second} lets out what is gone");
            }
            anyhow::Ok(())
        };
        let correct = async {
            for _ in 0..round % 20 {
                world.store.ping().await?;
            }
            retract(world, first, world.now).await
        };
        let (looked, corrected) = tokio::join!(look, correct);
        looked?;
        corrected?;
        assert!(lease(world, first, "worker", at(world, 60)).await?.is_empty());
        assert_eq!(state(world, first).await?.0, DeliveryState::Suppressed, "round {round}");
    }
    Ok(())
}
