//! From a publisher to every consumer.

use std::{collections::BTreeSet, time::Duration};

use domain::{BrokerError, Clock as _, message::HEADER_REPLAY};
use testkit::clock::RealClock;

use crate::{
    on_both,
    world::{
        BRIEFLY, PATIENT, SOON, World, assert_empty, config, drain, message, next, now, numbered, since,
    },
};

on_both!(
    a_published_message_comes_as_it_was_sent_and_once_it_is_acknowledged_no_more,
    messages_come_in_the_order_of_their_publication,
    a_repeated_id_is_taken_and_not_delivered_twice,
    a_replayed_message_passes_the_deduplication_and_says_that_it_is_one,
    each_durable_consumer_gets_every_message,
    two_instances_of_one_durable_share_its_messages,
    what_can_never_be_taken_is_refused_and_holds_up_nothing,
    an_empty_stream_is_waited_for_as_long_as_asked,
    a_waiting_fetch_returns_as_soon_as_a_message_comes,
    more_messages_than_fit_in_flight_are_published_in_one_call,
    the_broker_answers_when_it_is_asked_whether_it_is_there,
);

async fn a_published_message_comes_as_it_was_sent_and_once_it_is_acknowledged_no_more(
    world: &World,
) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", config(Duration::from_secs(1))).await?;
    world.publish(vec![message("one")]).await?;
    let incoming = next(&*consumer).await?;
    assert_eq!(incoming.message, message("one"));
    assert_eq!(incoming.deliveries, 1);
    consumer.ack(&[incoming.token]).await?;
    assert_empty(&*consumer, Duration::from_millis(1_500)).await
}

async fn messages_come_in_the_order_of_their_publication(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    for part in numbered(600).chunks(70) {
        world.publish(part.to_vec()).await?;
    }
    assert_eq!(drain(&*consumer, 600).await?, numbered(600));
    Ok(())
}

async fn a_repeated_id_is_taken_and_not_delivered_twice(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    world.publish(vec![message("one"), message("one")]).await?;
    world.publish(vec![message("one"), message("two")]).await?;
    assert_eq!(drain(&*consumer, 2).await?, [message("one"), message("two")]);
    assert_empty(&*consumer, BRIEFLY).await
}

async fn a_replayed_message_passes_the_deduplication_and_says_that_it_is_one(
    world: &World,
) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    let replayed = message("one").replayed("r1");
    assert_eq!(replayed.replay.as_deref(), Some("r1"), "sent as {HEADER_REPLAY}");
    world.publish(vec![message("one"), replayed.clone()]).await?;
    assert_eq!(drain(&*consumer, 2).await?, [message("one"), replayed]);
    Ok(())
}

async fn each_durable_consumer_gets_every_message(world: &World) -> anyhow::Result<()> {
    let deliver = world.consumer("deliver", PATIENT).await?;
    let audit = world.consumer("audit", PATIENT).await?;
    world.publish(numbered(20)).await?;
    assert_eq!(drain(&*deliver, 20).await?, numbered(20));
    assert_eq!(drain(&*audit, 20).await?, numbered(20));
    Ok(())
}

async fn two_instances_of_one_durable_share_its_messages(world: &World) -> anyhow::Result<()> {
    let one = world.consumer("deliver", PATIENT).await?;
    let other = world.consumer("deliver", PATIENT).await?;
    world.publish(numbered(10)).await?;
    let mut ids = BTreeSet::new();
    for consumer in [&one, &other] {
        let incoming = consumer.fetch(5, SOON).await?;
        assert_eq!(incoming.len(), 5, "one instance does not keep messages from the other");
        ids.extend(incoming.into_iter().map(|incoming| incoming.message.id));
    }
    assert_eq!(ids.len(), 10);
    Ok(())
}

async fn what_can_never_be_taken_is_refused_and_holds_up_nothing(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    let mut large = message("large");
    large.payload = "x".repeat(2 * 1024 * 1024);
    let mut strange = message("strange");
    strange.subject = "weather.berlin".to_owned();
    let mut malformed = message("malformed");
    malformed.subject = "notification.send..x y".to_owned();
    let mut injected = message("injected");
    injected.id = "a\r\nNats-Rollup: all".to_owned();
    let batch = vec![message("one"), large, strange, malformed, injected, message("two")];
    let results = world.publisher.publish(batch).await;
    assert!(results[0].is_ok() && results[5].is_ok(), "{results:?}");
    for (result, expected) in
        results[1..5].iter().zip(["large", "strange", "malformed", "a\r\nNats-Rollup: all"])
    {
        assert!(matches!(result, Err(BrokerError::Refused { id, .. }) if id == expected), "{result:?}");
    }
    assert_eq!(drain(&*consumer, 2).await?, [message("one"), message("two")]);
    Ok(())
}

async fn an_empty_stream_is_waited_for_as_long_as_asked(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    for wait in [Duration::from_millis(200), Duration::from_millis(700)] {
        let started = now();
        assert_empty(&*consumer, wait).await?;
        let waited = since(started);
        assert!(waited + Duration::from_millis(20) >= wait, "{waited:?} instead of {wait:?}");
        assert!(waited < wait + Duration::from_secs(2), "{waited:?} instead of {wait:?}");
    }
    Ok(())
}

async fn a_waiting_fetch_returns_as_soon_as_a_message_comes(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    let started = now();
    let (fetched, published) = tokio::join!(consumer.fetch(10, Duration::from_secs(20)), async {
        RealClock.sleep(BRIEFLY).await;
        world.publish(vec![message("one")]).await
    });
    published?;
    assert_eq!(fetched?.len(), 1);
    assert!(since(started) < Duration::from_secs(10), "it did not wait for its end");
    Ok(())
}

async fn more_messages_than_fit_in_flight_are_published_in_one_call(world: &World) -> anyhow::Result<()> {
    let consumer = world.consumer("deliver", PATIENT).await?;
    world.publish(numbered(6_000)).await?;
    assert_eq!(drain(&*consumer, 6_000).await?, numbered(6_000));
    assert_empty(&*consumer, BRIEFLY).await
}

async fn the_broker_answers_when_it_is_asked_whether_it_is_there(world: &World) -> anyhow::Result<()> {
    world.publisher.ping().await?;
    assert!(!world.broker.url().contains('@'), "the URL is shown without its secrets");
    Ok(())
}
