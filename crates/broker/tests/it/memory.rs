//! What only the broker inside the process has to prove, on a clock that stands still.

use std::{sync::Arc, time::Duration};

use broker::MemoryBroker;
use domain::{BrokerError, Message, Publisher as _, message::STREAM_NOTIFY};
use testkit::{clock::ManualClock, wait::eventually};

use crate::world::{SOON, config, message, numbered};

fn ids(messages: impl IntoIterator<Item = Message>) -> Vec<String> {
    messages.into_iter().map(|message| message.id).collect()
}

#[tokio::test]
async fn what_comes_again_comes_in_its_old_order_and_before_what_is_new() -> anyhow::Result<()> {
    let clock = ManualClock::default();
    let broker = MemoryBroker::new(Arc::new(clock.clone()));
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", config(Duration::from_secs(60)));
    broker.publish(numbered(50)).await;
    assert_eq!(consumer.fetch(40, Duration::ZERO).await?.len(), 40);
    clock.advance(Duration::from_secs(60));
    let again = consumer.fetch(100, Duration::ZERO).await?;
    assert_eq!(ids(again.into_iter().map(|incoming| incoming.message)), ids(numbered(50)));
    Ok(())
}

#[tokio::test]
async fn a_waiting_fetch_gets_what_is_held_no_longer() -> anyhow::Result<()> {
    let clock = ManualClock::default();
    let broker = MemoryBroker::new(Arc::new(clock.clone()));
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", config(Duration::from_secs(60)));
    broker.publish(vec![message("one")]).await;
    consumer.fetch(1, Duration::ZERO).await?;
    let waiting = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.fetch(1, Duration::from_secs(600)).await }
    });
    eventually("it waits", SOON, || async { Ok((clock.sleepers() > 0).then_some(()).ok_or("not yet")) })
        .await?;
    clock.advance(Duration::from_secs(61));
    assert_eq!(waiting.await??.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_id_is_forgotten_after_two_minutes() -> anyhow::Result<()> {
    let clock = ManualClock::default();
    let broker = MemoryBroker::new(Arc::new(clock.clone()));
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", config(Duration::from_secs(600)));
    for (later, expected) in [(0, 1), (119, 0), (2, 1)] {
        clock.advance(Duration::from_secs(later));
        broker.publish(vec![message("one")]).await;
        assert_eq!(consumer.fetch(10, Duration::ZERO).await?.len(), expected, "{later} s later");
    }
    Ok(())
}

#[tokio::test]
async fn a_consumer_far_behind_makes_publishers_wait_and_nothing_overtakes() -> anyhow::Result<()> {
    let broker = MemoryBroker::new(Arc::new(ManualClock::default()));
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", config(Duration::from_secs(60)));
    let mut chain = message("chain");
    chain.subject = "chain.anvil.token.Sent".to_owned();
    let mut messages = numbered(20_001);
    messages.push(chain);
    let results = broker.publish(messages).await;
    assert!(results[..20_000].iter().all(Result::is_ok));
    for result in &results[20_000..] {
        assert!(matches!(result, Err(BrokerError::Unavailable { .. })), "{result:?}");
    }
    // What was not taken is not remembered either.
    let first = consumer.fetch(1, Duration::ZERO).await?.remove(0);
    consumer.ack(&[first.token]).await?;
    assert!(broker.publish(vec![message(20_000)]).await[0].is_ok());
    let rest = consumer.fetch(usize::MAX, Duration::ZERO).await?;
    assert_eq!(ids(rest.into_iter().map(|incoming| incoming.message)), ids(numbered(20_001).split_off(1)));
    Ok(())
}

#[tokio::test]
async fn dead_letters_can_be_looked_at() -> anyhow::Result<()> {
    let broker = MemoryBroker::new(Arc::new(ManualClock::default()));
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", config(Duration::from_secs(60)));
    broker.publish(vec![message("one")]).await;
    let incoming = consumer.fetch(1, Duration::ZERO).await?.remove(0);
    consumer.dead_letter(&incoming, "it is no CloudEvent").await?;
    assert_eq!(ids(broker.dead_letters()), ["one:dead"]);
    Ok(())
}
