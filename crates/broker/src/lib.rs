#![doc = include_str!("../README.md")]

mod config;
mod memory;
mod nats;
mod streams;

use std::{fmt, sync::Arc, time::Duration};

use domain::{BrokerError, Clock, Consumer, Publisher};

pub use config::{BrokerConfig, NatsFiles};
pub use memory::MemoryBroker;
pub use nats::{NatsBroker, delete_streams};
pub use streams::{STREAM_DEAD, dead_subject};

/// Limits of a consumer.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerConfig {
    /// How long a message may stay unacknowledged before it comes again.
    pub ack_wait: Duration,
    /// How often a message is delivered before it becomes a dead letter.
    pub deliveries_max: u32,
    /// How many messages may be unacknowledged at once.
    pub unacked_max: usize,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self { ack_wait: Duration::from_secs(60), deliveries_max: 20, unacked_max: 5_000 }
    }
}

/// Something about a stream or a consumer that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Whether chainbell works all the same.
    pub works: bool,
    /// What it is, what follows, and the mend.
    pub text: String,
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The broker that a URL names.
#[derive(Debug, Clone)]
pub enum Broker {
    /// `memory:`
    Memory(MemoryBroker),
    /// `nats://host:4222`
    Nats(NatsBroker),
}

impl Broker {
    /// Connects to the broker at `url`, which asks for no files. See [`Broker::connect`].
    ///
    /// # Errors
    /// As [`Broker::connect`].
    pub async fn open(url: &str, prefix: &str, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        Self::connect(&BrokerConfig::new(url, prefix), clock).await
    }

    /// Connects, and makes the streams that are missing.
    ///
    /// # Errors
    /// One sentence that names the redacted URL and the mend.
    pub async fn connect(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        if config.url == "memory:" {
            return Ok(Self::Memory(MemoryBroker::new(clock)));
        }
        Ok(Self::Nats(NatsBroker::connect(config).await?))
    }

    /// What an operator should know about streams and consumers that somebody changed.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    pub async fn concerns(
        &self,
        consumers: &[(&str, &str, ConsumerConfig)],
    ) -> Result<Vec<Concern>, BrokerError> {
        match self {
            Self::Memory(_) => Ok(Vec::new()),
            Self::Nats(broker) => broker.concerns(consumers).await,
        }
    }

    /// Does once, on a stream of its own, what the rooms do: publishes, fetches and acknowledges. Removes it after.
    ///
    /// # Errors
    /// One sentence that names what cannot be done, and the mend.
    pub async fn try_out(&self) -> Result<(), BrokerError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Nats(broker) => broker.try_out().await,
        }
    }

    /// Its publishing side.
    pub fn publisher(&self) -> Arc<dyn Publisher> {
        match self {
            Self::Memory(broker) => Arc::new(broker.clone()),
            Self::Nats(broker) => Arc::new(broker.clone()),
        }
    }

    /// A durable consumer of one stream.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    pub async fn consumer(
        &self,
        stream: &str,
        durable: &str,
        config: ConsumerConfig,
    ) -> Result<Arc<dyn Consumer>, BrokerError> {
        match self {
            Self::Memory(broker) => Ok(broker.consumer(stream, durable, config)),
            Self::Nats(broker) => broker.consumer(stream, durable, config).await,
        }
    }

    /// The redacted URL.
    pub fn url(&self) -> String {
        match self {
            Self::Memory(_) => "memory:".to_owned(),
            Self::Nats(broker) => broker.url().to_owned(),
        }
    }
}
