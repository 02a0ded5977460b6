//! NATS JetStream. Owns streams, consumers and acknowledgements; trusts the server with nothing that must survive.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, PullConsumer, pull},
        context::{Context, PublishErrorKind},
        stream,
    },
};
use async_trait::async_trait;
use domain::{
    AckToken, BrokerError, Consumer, Incoming, Message, Publisher, message::HEADER_REPLAY, redact_url,
};
use futures::{FutureExt as _, StreamExt as _, future::join_all};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    ConsumerConfig,
    streams::{DUPLICATE_WINDOW, STREAMS, dead_subject},
};

const ACK_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many messages a stream keeps at the most. A limit in bytes would reserve that much of the server's disk.
const STREAM_MESSAGES_MAX: i64 = 5_000_000;

/// A NATS server with JetStream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NatsBroker {
    context: Context,
    client: Client,
    prefix: Arc<str>,
    url: Arc<str>,
}

impl NatsBroker {
    /// Connects, and creates or updates the streams.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] with a sentence for the operator.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, BrokerError> {
        let shown = redact_url(url);
        let down = |detail: String| BrokerError::Unavailable { url: shown.clone(), detail };
        let options = async_nats::ConnectOptions::new()
            .name("chainbell")
            .connection_timeout(CONNECT_TIMEOUT)
            .max_reconnects(None);
        let client =
            options.connect(url).await.map_err(|error| down(format!("{error}; check broker.url")))?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ACK_TIMEOUT);
        let broker = Self { context, client, prefix: prefix.into(), url: shown.clone().into() };
        broker.ensure_streams().await?;
        Ok(broker)
    }

    /// The redacted URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn down(&self, detail: impl ToString) -> BrokerError {
        BrokerError::Unavailable { url: self.url.to_string(), detail: detail.to_string() }
    }

    fn stream_name(&self, stream: &str) -> String {
        format!("{}{stream}", self.prefix)
    }

    fn subject(&self, subject: &str) -> String {
        if self.prefix.is_empty() { subject.to_owned() } else { format!("{}.{subject}", self.prefix) }
    }

    async fn ensure_streams(&self) -> Result<(), BrokerError> {
        for (name, token, age) in STREAMS {
            let config = stream::Config {
                name: self.stream_name(name),
                subjects: vec![self.subject(&format!("{token}.>"))],
                max_age: age,
                max_messages: STREAM_MESSAGES_MAX,
                duplicate_window: DUPLICATE_WINDOW,
                storage: stream::StorageType::File,
                discard: stream::DiscardPolicy::Old,
                ..stream::Config::default()
            };
            self.context.create_or_update_stream(config).await.map_err(|error| {
                self.down(format!("stream {} cannot be created: {error}; start nats-server with -js", name))
            })?;
        }
        Ok(())
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
        let consumer = NatsConsumer {
            broker: self.clone(),
            stream: stream.to_owned(),
            durable: durable.to_owned(),
            config,
            messages: Mutex::new(None),
        };
        *consumer.messages.lock().await = Some(consumer.open().await?);
        Ok(Arc::new(consumer))
    }
}

/// Deletes the streams of a deployment, with everything in them. What must survive is in the store.
///
/// # Errors
/// [`BrokerError::Unavailable`].
pub async fn delete_streams(url: &str, prefix: &str) -> Result<(), BrokerError> {
    let broker = NatsBroker::connect(url, prefix).await?;
    for (name, _, _) in STREAMS {
        let deleted = broker.context.delete_stream(broker.stream_name(name)).await;
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

#[async_trait]
impl Publisher for NatsBroker {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), BrokerError>> {
        let mut acks = Vec::with_capacity(messages.len());
        for message in messages {
            let subject = self.subject(&message.subject);
            let headers = headers_of(&message);
            let sent = self.context.publish_with_headers(subject, headers, message.payload.into()).await;
            acks.push((message.id, sent));
        }
        let settled = acks.into_iter().map(|(id, sent)| async move {
            let result = match sent {
                Ok(ack) => ack.await.map(|_| ()),
                Err(error) => Err(error),
            };
            (id, result)
        });
        let mut results = Vec::new();
        let mut streams_gone = false;
        for (id, result) in join_all(settled).await {
            results.push(result.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => {
                    BrokerError::Refused { id, detail: error.to_string() }
                }
                kind => {
                    streams_gone |= kind == PublishErrorKind::StreamNotFound;
                    self.down(error)
                }
            }));
        }
        if streams_gone {
            // Somebody deleted them; the messages stay in the outbox and are published again.
            tracing::warn!(broker.url = %self.url, "the streams are gone; creating them again");
            if let Err(error) = self.ensure_streams().await {
                tracing::warn!("{error}");
            }
        }
        results
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        match timeout(CONNECT_TIMEOUT, self.context.query_account()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.down(error)),
            Err(_) => Err(self.down("no answer in time")),
        }
    }
}

#[derive(Debug)]
struct NatsConsumer {
    broker: NatsBroker,
    stream: String,
    durable: String,
    config: ConsumerConfig,
    messages: Mutex<Option<Messages>>,
}

struct Messages(pull::Stream);

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Messages")
    }
}

impl NatsConsumer {
    async fn open(&self) -> Result<Messages, BrokerError> {
        let down =
            |error: &dyn std::fmt::Display| self.broker.down(format!("consumer {}: {error}", self.durable));
        let name = self.broker.stream_name(&self.stream);
        let stream = match self.broker.context.get_stream(&name).await {
            Ok(stream) => stream,
            Err(_) => {
                self.broker.ensure_streams().await?;
                self.broker.context.get_stream(&name).await.map_err(|error| down(&error))?
            }
        };
        let config = pull::Config {
            durable_name: Some(self.durable.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.config.ack_wait,
            max_ack_pending: i64::try_from(self.config.unacked_max).unwrap_or(i64::MAX),
            // The limit is ours to apply: at the server's there is only an advisory, and that can be lost.
            max_deliver: -1,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream.create_consumer(config).await.map_err(|error| down(&error))?;
        let batch = self.config.unacked_max.clamp(1, 1_000);
        let messages = consumer
            .stream()
            .max_messages_per_batch(batch)
            .heartbeat(Duration::from_secs(5))
            .messages()
            .await;
        Ok(Messages(messages.map_err(|error| down(&error))?))
    }

    // The first message within `wait`, and whatever else has arrived by then.
    async fn pull(
        &self,
        stream: &mut pull::Stream,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<jetstream::Message>, BrokerError> {
        let mut pulled = Vec::new();
        let Ok(first) = timeout(wait, stream.next()).await else { return Ok(pulled) };
        let mut next = first;
        loop {
            match next {
                Some(Ok(message)) => pulled.push(message),
                // What was pulled before the fault is delivered again after the ack wait.
                Some(Err(error)) => return Err(self.broker.down(error)),
                None => return Err(self.broker.down("the consumer is gone")),
            }
            if pulled.len() >= max {
                return Ok(pulled);
            }
            match stream.next().now_or_never() {
                Some(more) => next = more,
                None => return Ok(pulled),
            }
        }
    }

    async fn answer(&self, token: &AckToken, kind: AckKind) -> Result<(), BrokerError> {
        let payload = bytes_of(kind);
        let sent = self.broker.client.publish(token.0.clone(), payload).await;
        sent.map_err(|error| self.broker.down(error))
    }
}

fn bytes_of(kind: AckKind) -> bytes::Bytes {
    kind.into()
}

#[async_trait]
impl Consumer for NatsConsumer {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Incoming>, BrokerError> {
        let mut messages = self.messages.lock().await;
        if messages.is_none() {
            *messages = Some(self.open().await?);
        }
        let Some(Messages(stream)) = messages.as_mut() else { return Ok(Vec::new()) };
        let pulled = match self.pull(stream, max, wait).await {
            Ok(pulled) => pulled,
            Err(error) => {
                // Deleted, or the server is away: made anew at the next fetch.
                *messages = None;
                return Err(error);
            }
        };
        drop(messages);
        let mut incoming = Vec::with_capacity(pulled.len());
        for message in pulled {
            let Some(item) = incoming_of(&message, &self.broker.prefix) else { continue };
            if item.deliveries > self.config.deliveries_max {
                self.dead_letter(&item, "it was delivered too often").await?;
            } else {
                incoming.push(item);
            }
        }
        Ok(incoming)
    }

    async fn ack(&self, tokens: &[AckToken]) -> Result<(), BrokerError> {
        // A double ack: the server confirms, so that a lost ack is noticed here and not as a redelivery.
        let acks = tokens.iter().map(|token| {
            let request = self.broker.client.request(token.0.clone(), bytes_of(AckKind::Ack));
            timeout(ACK_TIMEOUT, request)
        });
        for acked in join_all(acks).await {
            match acked {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.broker.down(error)),
                Err(_) => return Err(self.broker.down("an acknowledgement was not confirmed in time")),
            }
        }
        Ok(())
    }

    async fn nak(&self, token: &AckToken, delay: Duration) -> Result<(), BrokerError> {
        self.answer(token, AckKind::Nak(Some(delay))).await
    }

    async fn in_progress(&self, token: &AckToken) -> Result<(), BrokerError> {
        self.answer(token, AckKind::Progress).await
    }

    async fn dead_letter(&self, incoming: &Incoming, reason: &str) -> Result<(), BrokerError> {
        let message = &incoming.message;
        tracing::error!(stream = self.stream, message.id, "message given up: {reason}");
        metrics::counter!("chainbell_dead_messages_total", "stream" => self.stream.clone()).increment(1);
        let buried = Message {
            id: format!("{}:dead", message.id),
            subject: dead_subject(&self.stream),
            replay: message.replay.clone(),
            payload: message.payload.clone(),
        };
        self.broker.publish(vec![buried]).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.answer(&incoming.token, AckKind::Term).await
    }
}

fn incoming_of(message: &jetstream::Message, prefix: &str) -> Option<Incoming> {
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
    let deliveries = message.info().ok().map_or(1, |info| u32::try_from(info.delivered).unwrap_or(u32::MAX));
    let token = AckToken(message.reply.as_ref()?.to_string());
    let subject = message.subject.as_str();
    let subject =
        subject.strip_prefix(prefix).map_or(subject, |rest| rest.trim_start_matches('.')).to_owned();
    let message = Message {
        id: header("Nats-Msg-Id").unwrap_or_default(),
        subject,
        replay: header(HEADER_REPLAY),
        payload: String::from_utf8_lossy(&message.payload).into_owned(),
    };
    Some(Incoming { message, deliveries, token })
}
