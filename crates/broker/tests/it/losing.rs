//! The broker may be emptied at any moment: whoever publishes and consumes goes on.

use std::time::Duration;

use domain::BrokerError;
use testkit::wait::eventually;

use crate::{
    on_both,
    world::{BRIEFLY, PATIENT, SOON, World, assert_empty, config, drain, message, next},
};

on_both!(
    publisher_and_consumer_go_on_after_everything_was_lost,
    a_fetch_that_waits_while_everything_is_lost_ends,
    an_acknowledgement_of_what_was_lost_changes_nothing,
);

async fn publisher_and_consumer_go_on_after_everything_was_lost(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", config(Duration::from_secs(1))).await?;
    world.publish(vec![message("one"), message("lost")]).await?;
    assert_eq!(consumer.fetch(1, SOON).await?.len(), 1);
    world.lose_everything().await?;
    // The same ids again: what the broker forgot, it does not deduplicate.
    eventually("the messages are taken", SOON * 2, || async {
        Ok(world.publish(vec![message("one"), message("two")]).await)
    })
    .await?;
    let came = eventually("they come", SOON * 2, || async { Ok(drain(&*consumer, 2).await) }).await?;
    assert_eq!(came, [message("one"), message("two")]);
    assert_empty(&*consumer, Duration::from_millis(1_500)).await
}

async fn a_fetch_that_waits_while_everything_is_lost_ends(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    let (fetched, lost) = tokio::join!(consumer.fetch(1, Duration::from_secs(2)), async {
        assert_empty(&*world.consumer("other", PATIENT).await?, BRIEFLY).await?;
        world.lose_everything().await
    });
    lost?;
    // Either it noticed or it did not; what it must not do is hand something out or wait for ever.
    assert!(fetched.is_ok_and(|incoming| incoming.is_empty()) || world.broker.url().starts_with("nats"));
    eventually("it works again", SOON * 2, || async { Ok(world.publish(vec![message("one")]).await) })
        .await?;
    let came = eventually("it comes", SOON * 2, || async { Ok(next(&*consumer).await) }).await?;
    assert_eq!(came.message, message("one"));
    Ok(())
}

async fn an_acknowledgement_of_what_was_lost_changes_nothing(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    world.publish(vec![message("one")]).await?;
    let incoming = next(&*consumer).await?;
    world.lose_everything().await?;
    // NATS says that it does not know it, and the other broker nothing: neither fails in another way.
    let acknowledged = consumer.ack(&[incoming.token]).await;
    assert!(matches!(acknowledged, Ok(()) | Err(BrokerError::Unavailable { .. })));
    eventually("it is taken", SOON * 2, || async { Ok(world.publish(vec![message("one")]).await) }).await?;
    let came = eventually("it comes", SOON * 2, || async { Ok(next(&*consumer).await) }).await?;
    assert_eq!((came.message, came.deliveries), (message("one"), 1));
    Ok(())
}

#[tokio::test]
async fn after_its_streams_were_deleted_nats_says_so_once_and_has_them_again() -> anyhow::Result<()> {
    let world = World::nats().await?;
    world.publish(vec![message("one")]).await?;
    world.lose_everything().await?;
    let results = world.publisher.publish(vec![message("two"), message("three")]).await;
    for result in results {
        assert!(matches!(result, Err(BrokerError::Unavailable { .. })), "{result:?}");
    }
    world.publish(vec![message("two"), message("three")]).await?;
    let consumer = world.consumer("deliver", PATIENT).await?;
    assert_eq!(drain(&*consumer, 2).await?, [message("two"), message("three")]);
    world.lose_everything().await
}

#[tokio::test]
async fn a_url_that_is_no_brokers_is_named_without_its_secrets() {
    let clock = std::sync::Arc::new(testkit::clock::RealClock);
    for url in ["amqp://user:hunter2@host", "nats://user:hunter2@127.0.0.1:1"] {
        let error =
            broker::Broker::open(url, "", clock.clone()).await.expect_err("nobody is there").to_string();
        assert!(error.contains("broker.url") && !error.contains("hunter2"), "{error}");
    }
    let memory = broker::Broker::open("memory:", "", clock).await.expect("it is always there");
    assert!(memory.publisher().ping().await.is_ok());
}

// A process starts while everything is deleted, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_and_its_consumers_are_made_while_streams_are_deleted() -> anyhow::Result<()> {
    let world = World::nats().await?;
    let lose = async {
        for _ in 0..15 {
            // Two who delete at once may refuse each other.
            let _ = world.lose_everything().await;
        }
        anyhow::Ok(())
    };
    let start = async {
        for number in 0..30 {
            world.consumer(&format!("deliver-{number}"), PATIENT).await?;
        }
        anyhow::Ok(())
    };
    let (lost, started) = tokio::join!(lose, start);
    lost?;
    started
}
