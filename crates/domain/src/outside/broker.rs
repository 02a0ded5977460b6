//! What the rooms need of a broker. The broker is a pipe: it may be emptied at any moment, and nothing is lost.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use crate::message::Message;

/// Why the broker did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached, or did not acknowledge in time: try again later.
    #[error("the broker at {url} does not answer: {detail}")]
    Unavailable {
        /// Redacted URL.
        url: String,
        /// What it said.
        detail: String,
    },
    /// It answers, and cannot be used as it is configured: an operator must mend that.
    #[error("the broker at {url} cannot be used: {detail}")]
    Misconfigured {
        /// Redacted URL.
        url: String,
        /// What is wrong, and the mend.
        detail: String,
    },
    /// It will never take this message: too large, or a subject without a stream.
    #[error("the broker refuses message {id}: {detail}")]
    Refused {
        /// The message's id.
        id: String,
        /// What it said.
        detail: String,
    },
}

/// Publishes messages.
#[async_trait]
pub trait Publisher: Debug + Send + Sync {
    /// Publishes all of `messages`, many in flight at once and in order, and waits for each acknowledgement.
    /// Returns one result per message, in order. A message whose id the broker already holds counts as published.
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), BrokerError>>;

    /// Whether the broker answers now, for readiness.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] when it does not.
    async fn ping(&self) -> Result<(), BrokerError>;
}

/// The broker's own name for one delivery of one message; only its consumer understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckToken(pub String);

/// A message that the broker handed to us and waits to hear about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The message.
    pub message: Message,
    /// 1 at the first delivery, more at each redelivery.
    pub deliveries: u32,
    /// What to answer with.
    pub token: AckToken,
}

/// Consumes one stream under one durable name: at least once, each message until it is acknowledged.
#[async_trait]
pub trait Consumer: Debug + Send + Sync {
    /// Up to `max` messages, waiting at most `wait` for the first. An empty answer is not an error. A message
    /// that is neither acknowledged nor refused within the ack wait comes again; one that came more often than the
    /// limit goes to the dead-letter subject and is not seen here any more.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Incoming>, BrokerError>;

    /// The messages are done, and the broker has confirmed that it knows. "Acknowledged" is no proof for anybody:
    /// the store decides.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]; what it does not know of will come again.
    async fn ack(&self, tokens: &[AckToken]) -> Result<(), BrokerError>;

    /// The message is to come again after `delay`.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]; the message will come again after the ack wait.
    async fn nak(&self, token: &AckToken, delay: Duration) -> Result<(), BrokerError>;

    /// Work on the message goes on: the ack wait starts anew.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    async fn in_progress(&self, token: &AckToken) -> Result<(), BrokerError>;

    /// The message can never be handled: it goes to the dead-letter subject with `reason`, and does not come again.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]; the message will come again.
    async fn dead_letter(&self, incoming: &Incoming, reason: &str) -> Result<(), BrokerError>;
}
