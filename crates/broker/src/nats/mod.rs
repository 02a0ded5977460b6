//! NATS JetStream. Owns streams, consumers and acknowledgements; trusts the server with nothing that must survive.

mod answers;
mod concerns;
mod connect;
mod consumer;
mod layout;
mod login;
mod trial;

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self,
        context::{Context, PublishError, PublishErrorKind},
    },
};
use async_trait::async_trait;
use domain::{BrokerError, Consumer, Message, Publisher, message::HEADER_REPLAY};
use futures::future::join_all;
use tokio::time::timeout;

use self::{
    answers::said,
    connect::{CONNECT_TIMEOUT, Complaint},
    consumer::NatsConsumer,
};
use crate::{
    BrokerConfig, Concern, ConsumerConfig,
    streams::{STREAMS, refusal},
};

const ACK_TIMEOUT: Duration = Duration::from_secs(10);
/// How many publications wait for their acknowledgement at once. The client blocks for ever at 5,000 of one caller.
const IN_FLIGHT_MAX: usize = 1_000;

/// A NATS server with JetStream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NatsBroker {
    server: Arc<Server>,
    // As it was when the connection was made.
    concerns: Arc<[Concern]>,
}

#[derive(Debug)]
struct Server {
    context: Context,
    client: Client,
    complaint: Complaint,
    prefix: String,
    url: String,
}

impl NatsBroker {
    /// Connects, and makes the streams that are missing.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] or [`BrokerError::Misconfigured`] with a sentence for the operator.
    pub async fn connect(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let mut broker = Self::linked(config).await?;
        let concerns = broker.ensure_streams().await?;
        broker.concerns = concerns.into();
        Ok(broker)
    }

    /// Connects, and touches no stream.
    async fn linked(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let (client, complaint) = connect::connect(config).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ACK_TIMEOUT);
        let server =
            Server { context, client, complaint, prefix: config.prefix.clone(), url: config.shown() };
        Ok(Self { server: Arc::new(server), concerns: Arc::default() })
    }

    /// What is odd about the streams, and about those of `consumers` that are there.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    pub async fn concerns(
        &self,
        consumers: &[(&str, &str, ConsumerConfig)],
    ) -> Result<Vec<Concern>, BrokerError> {
        let of_consumers = self.consumer_concerns(consumers).await?;
        Ok(self.concerns.iter().cloned().chain(of_consumers).collect())
    }

    /// The redacted URL.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    fn down(&self, detail: impl ToString) -> BrokerError {
        let mut detail = detail.to_string();
        if let Some(said) = self.server.complaint.take() {
            detail = format!("{detail}; the server says: {said}");
        }
        BrokerError::Unavailable { url: self.server.url.clone(), detail }
    }

    fn stream_name(&self, stream: &str) -> String {
        format!("{}{stream}", self.server.prefix)
    }

    fn subject(&self, subject: &str) -> String {
        if self.server.prefix.is_empty() {
            subject.to_owned()
        } else {
            format!("{}.{subject}", self.server.prefix)
        }
    }

    /// A durable pull consumer.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    pub async fn consumer(
        &self,
        stream: &str,
        durable: &str,
        config: ConsumerConfig,
    ) -> Result<Arc<dyn Consumer>, BrokerError> {
        let consumer = NatsConsumer::new(self.clone(), stream, durable, config);
        consumer.opened().await?;
        Ok(Arc::new(consumer))
    }
}

/// Deletes the streams of a deployment, with everything in them. What must survive is in the store.
///
/// # Errors
/// See [`NatsBroker::connect`].
pub async fn delete_streams(url: &str, prefix: &str) -> Result<(), BrokerError> {
    let broker = NatsBroker::connect(&BrokerConfig::new(url, prefix)).await?;
    for (name, _, _) in STREAMS {
        let deleted = broker.server.context.delete_stream(broker.stream_name(name)).await;
        deleted.map_err(|error| broker.down(error))?;
    }
    Ok(())
}

fn headers_of(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message.id.as_str());
    headers.insert("Content-Type", "application/cloudevents+json");
    if let Some(replay) = &message.replay {
        headers.insert(HEADER_REPLAY, replay.as_str());
    }
    headers
}

impl NatsBroker {
    // Sends all, then waits for each acknowledgement. Says whether a stream was missing.
    async fn publish_window(&self, messages: Vec<Message>) -> (Vec<Result<(), BrokerError>>, bool) {
        let mut sent = Vec::with_capacity(messages.len());
        for message in messages {
            if let Some(detail) = refusal(&message) {
                sent.push((message.id, Err(Problem::Refused(detail))));
                continue;
            }
            let subject = self.subject(&message.subject);
            let headers = headers_of(&message);
            let ack =
                self.server.context.publish_with_headers(subject, headers, message.payload.into()).await;
            sent.push((message.id, ack.map_err(Problem::Failed)));
        }
        let settled = sent.into_iter().map(|(id, sent)| async move {
            match sent {
                Ok(ack) => (id, ack.await.map(|_| ()).map_err(Problem::Failed)),
                Err(problem) => (id, Err(problem)),
            }
        });
        let mut stream_gone = false;
        let results = join_all(settled).await.into_iter().map(|(id, result)| {
            result.map_err(|problem| match problem {
                Problem::Refused(detail) => BrokerError::Refused { id, detail },
                Problem::Failed(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    BrokerError::Refused { id, detail: error.to_string() }
                }
                Problem::Failed(error) => {
                    stream_gone |= error.kind() == PublishErrorKind::StreamNotFound;
                    self.down(said(&error))
                }
            })
        });
        (results.collect(), stream_gone)
    }
}

enum Problem {
    Refused(String),
    Failed(PublishError),
}

#[async_trait]
impl Publisher for NatsBroker {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter();
        let mut down: Option<BrokerError> = None;
        while messages.len() > 0 {
            let window: Vec<_> = messages.by_ref().take(IN_FLIGHT_MAX).collect();
            if let Some(error) = &down {
                // What comes after a window that failed must not overtake it.
                results.extend(window.iter().map(|_| Err(error.clone())));
                continue;
            }
            let (settled, stream_gone) = self.publish_window(window).await;
            let failed = settled.iter().filter_map(|result| result.as_ref().err());
            down = failed.into_iter().find(|error| matches!(error, BrokerError::Unavailable { .. })).cloned();
            results.extend(settled);
            if stream_gone {
                // Somebody deleted it; the messages stay in the outbox and are published again.
                tracing::warn!(broker.url = %self.server.url, "a stream is gone; creating the streams again");
                if let Err(error) = self.ensure_streams().await {
                    tracing::warn!("{error}");
                }
            }
        }
        results
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        match timeout(CONNECT_TIMEOUT, self.server.context.query_account()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.down(error)),
            Err(_) => Err(self.down("no answer in time")),
        }
    }
}
