//! What comes again, and when.

use std::time::Duration;

use broker::ConsumerConfig;
use domain::Clock as _;
use testkit::clock::RealClock;

use crate::{
    on_both,
    world::{
        BRIEFLY, PATIENT, SOON, World, assert_empty, config, drain, message, next, now, numbered, since,
    },
};

on_both!(
    what_is_not_acknowledged_comes_again_after_the_ack_wait,
    what_is_put_back_comes_again_after_its_delay_and_not_before,
    a_fetch_that_waits_gets_what_was_put_back,
    work_in_progress_is_not_given_to_others,
    no_more_than_the_limit_are_unacknowledged_at_once,
    an_acknowledgement_of_some_leaves_the_others,
);

async fn what_is_not_acknowledged_comes_again_after_the_ack_wait(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", config(Duration::from_secs(1))).await?;
    world.publish(vec![message("one")]).await?;
    let started = now();
    assert_eq!(next(&*consumer).await?.deliveries, 1);
    assert_empty(&*consumer, BRIEFLY).await?;
    let again = next(&*consumer).await?;
    assert_eq!((again.message, again.deliveries), (message("one"), 2));
    assert!(since(started) >= Duration::from_millis(900));
    consumer.ack(&[again.token]).await?;
    assert_empty(&*consumer, Duration::from_millis(1_500)).await
}

async fn what_is_put_back_comes_again_after_its_delay_and_not_before(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    world.publish(vec![message("one")]).await?;
    let first = next(&*consumer).await?;
    consumer.nak(&first.token, Duration::from_secs(1)).await?;
    let put_back = now();
    assert_empty(&*consumer, Duration::from_millis(500)).await?;
    let again = next(&*consumer).await?;
    assert_eq!((again.message, again.deliveries), (message("one"), 2));
    assert!(since(put_back) >= Duration::from_millis(900), "{:?}", since(put_back));
    Ok(())
}

async fn a_fetch_that_waits_gets_what_was_put_back(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    world.publish(vec![message("one")]).await?;
    let first = next(&*consumer).await?;
    let started = now();
    let (again, put_back) = tokio::join!(consumer.fetch(1, Duration::from_secs(20)), async {
        RealClock.sleep(BRIEFLY).await;
        consumer.nak(&first.token, BRIEFLY).await
    });
    put_back?;
    assert_eq!(again?.len(), 1);
    assert!(since(started) < Duration::from_secs(10));
    Ok(())
}

async fn work_in_progress_is_not_given_to_others(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", config(Duration::from_secs(2))).await?;
    let other = world.consumer("deliver", config(Duration::from_secs(2))).await?;
    world.publish(vec![message("one")]).await?;
    let incoming = next(&*consumer).await?;
    for _ in 0..5 {
        assert_empty(&*other, Duration::from_millis(700)).await?;
        consumer.in_progress(&incoming.token).await?;
    }
    // The heartbeat stops: somebody else gets it.
    assert_eq!(next(&*other).await?.message, message("one"));
    Ok(())
}

async fn no_more_than_the_limit_are_unacknowledged_at_once(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", ConsumerConfig { unacked_max: 3, ..PATIENT }).await?;
    world.publish(numbered(5)).await?;
    let mut first = consumer.fetch(10, SOON).await?;
    assert_eq!(first.len(), 3);
    assert_empty(&*consumer, BRIEFLY).await?;
    let (more, acknowledged) = tokio::join!(consumer.fetch(10, SOON), async {
        RealClock.sleep(BRIEFLY).await;
        consumer.ack(&[first.remove(0).token]).await
    });
    acknowledged?;
    assert_eq!(more?.into_iter().map(|incoming| incoming.message).collect::<Vec<_>>(), [message(3)]);
    Ok(())
}

async fn an_acknowledgement_of_some_leaves_the_others(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", config(Duration::from_secs(1))).await?;
    world.publish(numbered(6)).await?;
    let incoming = consumer.fetch(6, SOON).await?;
    let even: Vec<_> = incoming.iter().step_by(2).map(|incoming| incoming.token.clone()).collect();
    consumer.ack(&even).await?;
    assert_eq!(drain(&*consumer, 3).await?, [message(1), message(3), message(5)]);
    assert_empty(&*consumer, Duration::from_millis(1_500)).await
}
