//! Deliveries, attempts and dead letters.

use std::time::Duration;

use domain::{HitId, Recipient, Target, TargetUrl};
use jiff::SignedDuration;
use store::{Attempt, Outcome, StoreError};
use uuid::Uuid;

use crate::{on_both, world::World};

on_both!(
    a_delivery_is_leased_by_one_and_finished_by_its_holder,
    a_retry_is_due_at_its_time_and_not_before,
    a_lease_that_ended_without_a_word_counts_as_a_try,
    a_correction_is_the_same_kind_of_news_at_every_try,
    a_dead_letter_keeps_its_attempts_and_can_be_retried_and_dropped,
    an_unreadable_url_names_the_mend,
);

const TERM: Duration = Duration::from_secs(30);

pub(crate) async fn queued(world: &World) -> anyhow::Result<domain::NotificationId> {
    let recipient = Recipient {
        id: "ops".parse()?,
        locale: "en".into(),
        timezone: "UTC".into(),
        quiet_hours: None,
        at_most: None,
        from_file: false,
    };
    world.store.put_recipients(&[recipient]).await?;
    let target = Target {
        recipient: "ops".parse()?,
        name: "console".parse()?,
        url: TargetUrl::new("stdout:"),
        secrets: vec![domain::recipient::Secret::new("whsec_x")],
        from_file: false,
    };
    world.store.put_targets(&[target]).await?;
    let bundle = crate::hits::bundle(world, HitId(Uuid::from_u128(1)));
    world.store.release_hits(&[], world.now).await?;
    world.store.close_window(&[], &bundle, None, world.now).await?;
    Ok(bundle.notification.id)
}

fn attempt(world: &World, detail: &str) -> Attempt {
    Attempt { started: world.now, finished: world.now, detail: detail.into() }
}

async fn a_delivery_is_leased_by_one_and_finished_by_its_holder(world: &World) -> anyhow::Result<()> {
    let id = queued(world).await?;
    let leased = world.store.lease_deliveries_of(id, "stdout", "a", world.now, TERM).await?;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].target.as_ref().map(|target| target.url.expose()), Some("stdout:"));
    assert!(world.store.lease_deliveries_of(id, "stdout", "b", world.now, TERM).await?.is_empty());
    let delivery = leased[0].delivery.id;
    let stolen = world.store.finish_attempt(delivery, "b", &attempt(world, "x"), &Outcome::Delivered).await;
    assert!(matches!(stolen, Err(StoreError::Fenced(_))));
    world.store.finish_attempt(delivery, "a", &attempt(world, "written"), &Outcome::Delivered).await?;
    assert!(world.store.lease_deliveries_of(id, "stdout", "b", world.now, TERM).await?.is_empty());
    assert_eq!(world.store.attempts(delivery).await?[0].1, "delivered");
    assert_eq!(world.store.counts().await?.deliveries_queued, 0);
    Ok(())
}

async fn a_retry_is_due_at_its_time_and_not_before(world: &World) -> anyhow::Result<()> {
    let id = queued(world).await?;
    let grace = Duration::from_secs(5);
    assert!(world.store.lease_due_deliveries("a", world.now, grace, TERM, 10).await?.is_empty());
    let leased = world.store.lease_deliveries_of(id, "stdout", "a", world.now, TERM).await?.remove(0);
    let again = world.now + SignedDuration::from_secs(20);
    world
        .store
        .finish_attempt(leased.delivery.id, "a", &attempt(world, "HTTP 503"), &Outcome::Retry(again))
        .await?;
    assert!(world.store.lease_due_deliveries("a", world.now, grace, TERM, 10).await?.is_empty());
    let due = world.store.lease_due_deliveries("a", again, grace, TERM, 10).await?;
    assert_eq!((due.len(), due[0].delivery.tries), (1, 1));
    Ok(())
}

async fn a_dead_letter_keeps_its_attempts_and_can_be_retried_and_dropped(
    world: &World,
) -> anyhow::Result<()> {
    let id = queued(world).await?;
    for _ in 0..2 {
        let leased = world.store.lease_deliveries_of(id, "stdout", "a", world.now, TERM).await?.remove(0);
        assert_eq!(leased.delivery.tries, 0);
        let dead = Outcome::Dead("HTTP 410".into());
        world.store.finish_attempt(leased.delivery.id, "a", &attempt(world, "HTTP 410"), &dead).await?;
        assert_eq!(world.store.dead_letters(10).await?.len(), 1);
        assert_eq!(world.store.retry_dead_letters(Some(leased.delivery.id), world.now).await?, 1);
    }
    let leased = world.store.lease_deliveries_of(id, "stdout", "a", world.now, TERM).await?.remove(0);
    let dead = Outcome::Dead("HTTP 410".into());
    world.store.finish_attempt(leased.delivery.id, "a", &attempt(world, "HTTP 410"), &dead).await?;
    let letter = world.store.dead_letter(leased.delivery.id).await?.expect("dead");
    assert_eq!(letter.attempts.len(), 3);
    assert_eq!(world.store.drop_dead_letters(None).await?, 1);
    assert!(world.store.dead_letters(10).await?.is_empty());
    Ok(())
}

async fn an_unreadable_url_names_the_mend(_: &World) -> anyhow::Result<()> {
    let error = store::Store::open("mysql://user:secret@host/db").await.expect_err("no such dialect");
    assert_eq!(error.to_string(), "store.url mysql://…@host/db: it must begin with postgres:// or sqlite://");
    Ok(())
}

async fn a_lease_that_ended_without_a_word_counts_as_a_try(world: &World) -> anyhow::Result<()> {
    let id = queued(world).await?;
    let leased = world.store.lease_deliveries_of(id, "stdout", "a", world.now, TERM).await?;
    assert_eq!(leased[0].delivery.attempts, 0);
    // Its worker died: before it sent anything, or after.
    let later = world.now + SignedDuration::try_from(TERM)?;
    let again = world.store.lease_due_deliveries("b", later, Duration::ZERO, TERM, 10).await?.remove(0);
    assert_eq!((again.delivery.attempts, again.delivery.tries), (1, 0));
    let answered = attempt(world, "HTTP 204");
    world.store.finish_attempt(again.delivery.id, "b", &answered, &Outcome::Delivered).await?;
    assert_eq!(world.store.deliveries_of(id).await?[0].attempts, 2);
    Ok(())
}

// The first telling was under way when its worker died. Then, and when that has been found out, the correction is none that
// is the first there: it was sent under one id both times.
async fn a_correction_is_the_same_kind_of_news_at_every_try(world: &World) -> anyhow::Result<()> {
    let first = queued(world).await?;
    assert_eq!(world.store.lease_deliveries_of(first, "stdout", "a", world.now, TERM).await?.len(), 1);
    let mut second = crate::hits::bundle(world, HitId(Uuid::from_u128(1)));
    let id = first.correction(2);
    let told = &mut second.notification;
    (told.id, told.revision, told.corrects) = (id, 2, Some(first));
    for delivery in &mut second.deliveries {
        delivery.id = domain::DeliveryId::derive(id, 2, &delivery.recipient, &delivery.target);
        delivery.notification = id;
    }
    world.store.close_window(&[], &second, None, world.now).await?;
    let one = world.store.lease_deliveries_of(id, "stdout", "b", world.now, TERM).await?.remove(0);
    assert!(!one.first, "something may have got through");
    // Both workers are dead, and somebody takes up what they left.
    let later = world.now + SignedDuration::try_from(TERM)? * 2;
    let due = world.store.lease_due_deliveries("c", later, Duration::ZERO, TERM, 10).await?;
    assert_eq!(due.len(), 1, "the first telling is outdated: {due:?}");
    assert!(due[0].delivery.id == one.delivery.id && !due[0].first);
    Ok(())
}
