//! A broker of its own for each test.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use broker::{Broker, ConsumerConfig};
use domain::{BrokerError, Clock as _, Consumer, Incoming, Message, Publisher, message::STREAM_NOTIFY};
use jiff::Timestamp;
use testkit::clock::RealClock;

/// Longer than any server needs to answer, shorter than any wait that a test refutes.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// How long a test looks at an empty stream before it believes it.
pub(crate) const BRIEFLY: Duration = Duration::from_millis(300);

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) publisher: Arc<dyn Publisher>,
    nats: Option<(String, String)>,
}

impl World {
    pub(crate) async fn memory() -> anyhow::Result<Self> {
        let broker = Broker::open("memory:", "", Arc::new(RealClock)).await?;
        Ok(Self { publisher: broker.publisher(), broker, nats: None })
    }

    pub(crate) async fn nats() -> anyhow::Result<Self> {
        let url = std::env::var("CHAINBELL_TEST_NATS").context(
            "CHAINBELL_TEST_NATS is not set: run `scripts/services start` and eval `scripts/services env`",
        )?;
        let prefix = format!("broker_{}", uuid::Uuid::new_v4().simple());
        let broker = Broker::open(&url, &prefix, Arc::new(RealClock)).await?;
        Ok(Self { publisher: broker.publisher(), broker, nats: Some((url, prefix)) })
    }

    /// What a broker does that lost its disk.
    pub(crate) async fn lose_everything(&self) -> anyhow::Result<()> {
        match (&self.broker, &self.nats) {
            (Broker::Memory(broker), _) => broker.purge(),
            (Broker::Nats(_), Some((url, prefix))) => broker::delete_streams(url, prefix).await?,
            (Broker::Nats(_), None) => anyhow::bail!("a NATS broker has a prefix here"),
        }
        Ok(())
    }

    pub(crate) async fn consumer(
        &self,
        durable: &str,
        config: ConsumerConfig,
    ) -> anyhow::Result<Arc<dyn Consumer>> {
        Ok(self.broker.consumer(STREAM_NOTIFY, durable, config).await?)
    }

    /// Publishes all, and expects that all are taken.
    pub(crate) async fn publish(&self, messages: Vec<Message>) -> anyhow::Result<()> {
        self.publisher.publish(messages).await.into_iter().collect::<Result<Vec<()>, BrokerError>>()?;
        Ok(())
    }
}

pub(crate) fn message(id: impl ToString) -> Message {
    let id = id.to_string();
    let payload = format!("{{\"id\":\"{id}\",\"text\":\"ä \\u0000 🔔\"}}");
    Message { id, subject: "notification.send.webhook".to_owned(), replay: None, payload }
}

pub(crate) fn numbered(count: usize) -> Vec<Message> {
    (0..count).map(message).collect()
}

pub(crate) const fn config(ack_wait: Duration) -> ConsumerConfig {
    ConsumerConfig { ack_wait, deliveries_max: 20, unacked_max: 20_000 }
}

/// Messages that nobody acknowledges stay away for the whole test.
pub(crate) const PATIENT: ConsumerConfig = config(Duration::from_secs(60));

/// The next message, which must come soon.
pub(crate) async fn next(consumer: &dyn Consumer) -> anyhow::Result<Incoming> {
    consumer.fetch(1, SOON).await?.pop().context("a message should have come")
}

/// Fetches and acknowledges until `count` messages have come.
pub(crate) async fn drain(consumer: &dyn Consumer, count: usize) -> anyhow::Result<Vec<Message>> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let incoming = consumer.fetch(250, SOON).await?;
        anyhow::ensure!(!incoming.is_empty(), "{} of {count} messages came", messages.len());
        let tokens: Vec<_> = incoming.iter().map(|incoming| incoming.token.clone()).collect();
        consumer.ack(&tokens).await?;
        messages.extend(incoming.into_iter().map(|incoming| incoming.message));
    }
    Ok(messages)
}

pub(crate) async fn assert_empty(consumer: &dyn Consumer, wait: Duration) -> anyhow::Result<()> {
    assert_eq!(consumer.fetch(10, wait).await?, []);
    Ok(())
}

/// How long it is since `then`.
pub(crate) fn since(then: Timestamp) -> Duration {
    Duration::try_from(now().duration_since(then)).unwrap_or(Duration::ZERO)
}

pub(crate) fn now() -> Timestamp {
    RealClock.now()
}
