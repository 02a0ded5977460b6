//! What brokers of others lost, shared or wedged, staged on a real NATS server.

use std::time::Duration;

use broker::{Broker, ConsumerConfig};
use domain::{Message, message::STREAM_NOTIFY};
use testkit::{clock::RealClock, wait::eventually, wire::Wire};

use crate::world::{BRIEFLY, PATIENT, SOON, World, assert_empty, config, drain, message, next, numbered};

#[tokio::test]
async fn deployments_with_equal_names_share_neither_messages_nor_acknowledgements() -> anyhow::Result<()> {
    let (one, other) = (World::nats().await?, World::nats().await?);
    let (of_one, of_other) =
        (one.consumer("deliver", PATIENT).await?, other.consumer("deliver", PATIENT).await?);
    one.publish(numbered(5)).await?;
    // The same ids, so that a shared window of duplicates would swallow them.
    other.publish(numbered(3)).await?;
    assert_eq!(drain(&*of_one, 5).await?, numbered(5));
    one.lose_everything().await?;
    assert_eq!(drain(&*of_other, 3).await?, numbered(3));
    assert_empty(&*of_other, BRIEFLY).await?;
    other.lose_everything().await
}

// Whoever made it first had other limits; the one who comes later neither fails nor gets a consumer of his own.
#[tokio::test]
async fn one_name_with_other_limits_is_the_same_consumer() -> anyhow::Result<()> {
    let world = World::nats().await?;
    let one = world.consumer("deliver", PATIENT).await?;
    let limits = ConsumerConfig { unacked_max: 7, ..config(Duration::from_secs(45)) };
    let other = world.consumer("deliver", limits).await?;
    world.publish(numbered(4)).await?;
    let (first, second) = (one.fetch(2, SOON).await?, other.fetch(10, SOON).await?);
    assert_eq!((first.len(), second.len()), (2, 2));
    world.lose_everything().await
}

// The worker is late: its message was given to another, who dies with it. The server takes the late word for the other's.
// That is why nothing rests on an acknowledgement: what it settles must be in the store before.
#[tokio::test]
async fn a_late_acknowledgement_settles_nothing_twice_and_nothing_comes_for_ever() -> anyhow::Result<()> {
    let world = World::nats().await?;
    let short = config(Duration::from_secs(1));
    let (slow, quick) = (world.consumer("deliver", short).await?, world.consumer("deliver", short).await?);
    world.publish(vec![message("one"), message("two")]).await?;
    let late = next(&*slow).await?;
    let two = next(&*slow).await?;
    slow.ack(&[two.token]).await?;
    let again = next(&*quick).await?;
    assert_eq!((again.message.id.as_str(), again.deliveries), ("one", 2));
    slow.ack(&[late.token]).await?;
    // Whether the server counts that for the other or not, the other's word is taken, too, and then it is quiet.
    quick.ack(&[again.token]).await?;
    assert_empty(&*quick, Duration::from_millis(2_500)).await?;
    world.lose_everything().await
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_refused_wherever_it_is_in_the_batch() -> anyhow::Result<()> {
    let world = World::nats().await?;
    let consumer = world.consumer("deliver", PATIENT).await?;
    let large = |id: &str| Message { payload: "x".repeat(9 << 20), ..message(id) };
    for (round, place) in [0, 5, 10].into_iter().enumerate() {
        let small: Vec<_> = (0..10).map(|number| message(format!("{round}-{number}"))).collect();
        let mut batch = small.clone();
        batch.insert(place, large(&format!("{round}-large")));
        let results = world.publisher.publish(batch).await;
        let refused: Vec<_> = results.iter().enumerate().filter(|(_, result)| result.is_err()).collect();
        assert!(
            matches!(refused[..], [(at, Err(domain::BrokerError::Refused { .. }))] if at == place),
            "{refused:?}"
        );
        assert_eq!(drain(&*consumer, 10).await?, small, "the connection is as it was");
    }
    world.lose_everything().await
}

// Something else publishes on our subjects: no id, and bytes that are no text.
#[tokio::test]
async fn what_is_no_message_of_ours_can_be_buried_and_the_next_one_comes() -> anyhow::Result<()> {
    let world = World::nats().await?;
    let consumer = world.consumer("deliver", PATIENT).await?;
    let odd = Message { payload: "\u{fffd}\0 not json".to_owned(), id: "odd".to_owned(), ..message("odd") };
    world.publish(vec![odd, message("one")]).await?;
    let poison = next(&*consumer).await?;
    consumer.dead_letter(&poison, "it is no CloudEvent").await?;
    assert_eq!(drain(&*consumer, 1).await?, [message("one")]);
    assert_empty(&*consumer, BRIEFLY).await?;
    world.lose_everything().await
}

// A broker that keeps a connection which failed answers with that failure for ever.
#[tokio::test]
async fn a_connection_that_was_cut_is_made_again_and_nothing_comes_twice() -> anyhow::Result<()> {
    let url = testkit::deployment::server("CHAINBELL_TEST_NATS")?;
    let (mut wire, near) = Wire::to(&url).await?;
    let prefix = format!("broker_{}", uuid::Uuid::new_v4().simple());
    let broker = Broker::open(&near, &prefix, std::sync::Arc::new(RealClock)).await?;
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", PATIENT).await?;
    let publisher = broker.publisher();
    let publish = async |id: &str| publisher.publish(vec![message(id)]).await.remove(0);
    publish("one").await?;
    wire.cut().await;
    let refused = publish("two").await;
    assert!(matches!(refused, Err(domain::BrokerError::Unavailable { .. })), "{refused:?}");
    assert!(consumer.fetch(10, BRIEFLY).await.is_err(), "it says that it is away, and does not look empty");
    wire.mend().await?;
    eventually("it is taken", SOON * 4, || async { Ok(publish("two").await) }).await?;
    let mut came = Vec::new();
    while came.len() < 2 {
        let fetched =
            eventually("they come", SOON * 4, || async { Ok(consumer.fetch(10, SOON).await) }).await?;
        let tokens: Vec<_> = fetched.iter().map(|incoming| incoming.token.clone()).collect();
        consumer.ack(&tokens).await?;
        came.extend(fetched.into_iter().map(|incoming| incoming.message));
    }
    assert_eq!(came, [message("one"), message("two")]);
    assert_empty(&*consumer, BRIEFLY).await?;
    Ok(broker::delete_streams(&url, &prefix).await?)
}
