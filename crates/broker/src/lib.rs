//! Publish and consume: NATS JetStream, and a broker inside the process with the same semantics.
//!
//! At least once, explicit acknowledgement, nak with a delay, a count of deliveries, and a dead-letter subject after
//! the limit. Owns streams and consumers; must not know what a message means, nor the store. A broker is a pipe: it
//! may be emptied at any moment, and what must survive is in the store.

mod memory;
mod nats;
mod streams;

use std::{sync::Arc, time::Duration};

use domain::{BrokerError, Clock, Consumer, Publisher};

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

/// The broker that a URL names.
#[derive(Debug, Clone)]
pub enum Broker {
    /// `memory:`
    Memory(MemoryBroker),
    /// `nats://host:4222`
    Nats(NatsBroker),
}

impl Broker {
    /// Connects to the broker at `url`, and creates or updates its streams. `prefix` keeps deployments on one server
    /// apart; it may be empty.
    ///
    /// # Errors
    /// One sentence that names the redacted URL and the mend.
    pub async fn open(url: &str, prefix: &str, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        if url == "memory:" {
            return Ok(Self::Memory(MemoryBroker::new(clock)));
        }
        if ["nats://", "tls://", "ws://", "wss://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(Self::Nats(NatsBroker::connect(url, prefix).await?));
        }
        Err(BrokerError::Unavailable {
            url: domain::redact_url(url),
            detail: "broker.url must be memory: or begin with nats://".to_owned(),
        })
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
