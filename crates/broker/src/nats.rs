//! NATS JetStream. Owns streams, consumers and acknowledgements; trusts the server with nothing that must survive.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap,
    connection::State,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, PullConsumer, pull},
        context::{Context, PublishError, PublishErrorKind},
        stream,
    },
};
use async_trait::async_trait;
use domain::{
    AckToken, BrokerError, Consumer, Incoming, Message, Publisher, message::HEADER_REPLAY, redact_url,
};
use futures::{StreamExt as _, future::join_all};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    ConsumerConfig,
    streams::{DUPLICATE_WINDOW, STREAMS, dead_subject, refusal},
};

const ACK_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many publications wait for their acknowledgement at once. The client blocks for ever at 5,000 of one caller.
const IN_FLIGHT_MAX: usize = 1_000;
/// How much longer than the wait a fetch listens for the server's answer.
const ANSWER_GRACE: Duration = Duration::from_secs(1);
/// How many messages one fetch takes.
const FETCH_MAX: usize = 1_000;
/// How many messages a stream keeps at the most. A limit in bytes would reserve that much of the server's disk.
const STREAM_MESSAGES_MAX: i64 = 5_000_000;

/// A NATS server with JetStream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NatsBroker {
    server: Arc<Server>,
}

#[derive(Debug)]
struct Server {
    context: Context,
    client: Client,
    prefix: String,
    url: String,
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
        let server = Server { context, client, prefix: prefix.to_owned(), url: shown.clone() };
        let broker = Self { server: Arc::new(server) };
        broker.ensure_streams().await?;
        Ok(broker)
    }

    /// The redacted URL.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    fn down(&self, detail: impl ToString) -> BrokerError {
        BrokerError::Unavailable { url: self.server.url.clone(), detail: detail.to_string() }
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
            let create = || self.server.context.create_or_update_stream(config.clone());
            // The server refuses while somebody else is just deleting it.
            again(create).await.map_err(|error| {
                self.down(format!("stream {name} cannot be created: {error}; start nats-server with -js"))
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
            opened: Mutex::new(None),
        };
        // A stream that was there a moment ago may be gone.
        again(|| consumer.opened()).await?;
        Ok(Arc::new(consumer))
    }
}

// What fails because streams are deleted at the same time succeeds at one of the next tries.
async fn again<T, E, F: Future<Output = Result<T, E>>>(attempt: impl Fn() -> F) -> Result<T, E> {
    for _ in 1..TRIES_MAX {
        if let Ok(done) = attempt().await {
            return Ok(done);
        }
    }
    attempt().await
}

const TRIES_MAX: u32 = 5;

/// Deletes the streams of a deployment, with everything in them. What must survive is in the store.
///
/// # Errors
/// [`BrokerError::Unavailable`].
pub async fn delete_streams(url: &str, prefix: &str) -> Result<(), BrokerError> {
    let broker = NatsBroker::connect(url, prefix).await?;
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
                    self.down(error)
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

#[derive(Debug)]
struct NatsConsumer {
    broker: NatsBroker,
    stream: String,
    durable: String,
    config: ConsumerConfig,
    opened: Mutex<Option<PullConsumer>>,
}

impl NatsConsumer {
    async fn opened(&self) -> Result<PullConsumer, BrokerError> {
        let mut opened = self.opened.lock().await;
        if let Some(consumer) = opened.as_ref() {
            return Ok(consumer.clone());
        }
        let consumer = self.open().await?;
        *opened = Some(consumer.clone());
        Ok(consumer)
    }

    async fn open(&self) -> Result<PullConsumer, BrokerError> {
        let down =
            |error: &dyn std::fmt::Display| self.broker.down(format!("consumer {}: {error}", self.durable));
        let name = self.broker.stream_name(&self.stream);
        let stream = match self.broker.server.context.get_stream(&name).await {
            Ok(stream) => stream,
            Err(_) => {
                self.broker.ensure_streams().await?;
                self.broker.server.context.get_stream(&name).await.map_err(|error| down(&error))?
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
        stream.create_consumer(config).await.map_err(|error| down(&error))
    }

    // What is there now, or else the first that comes within `wait`. Only what is asked for leaves the server: a
    // message that waited in a buffer here would lose its ack wait there, and be kept from the other instances.
    async fn pull(&self, max: usize, wait: Duration) -> Result<Vec<jetstream::Message>, BrokerError> {
        if self.broker.server.client.connection_state() != State::Connected {
            return Err(self.broker.down("the connection is down; it is being made again"));
        }
        let consumer = self.opened().await?;
        let request = consumer.fetch().max_messages(max.min(FETCH_MAX)).expires(wait);
        let mut batch = request.messages().await.map_err(|error| self.broker.down(error))?;
        let mut pulled = Vec::new();
        // The server ends the batch, except where too many messages are unacknowledged: then it says nothing at all.
        while let Ok(Some(next)) = timeout(wait.saturating_add(ANSWER_GRACE), batch.next()).await {
            match next {
                Ok(message) => pulled.push(message),
                // What was pulled before the fault is handled now, and the fault seen again at the next fetch.
                Err(error) if pulled.is_empty() => return Err(self.broker.down(error)),
                Err(_) => break,
            }
        }
        Ok(pulled)
    }

    async fn answer(&self, token: &AckToken, kind: AckKind) -> Result<(), BrokerError> {
        let sent = self.broker.server.client.publish(token.0.clone(), kind.into()).await;
        sent.map_err(|error| self.broker.down(error))
    }

    // A double ack: the server confirms, so that a lost answer is noticed here and not as a redelivery.
    async fn confirmed(&self, token: &AckToken, kind: AckKind) -> Result<(), BrokerError> {
        let request = self.broker.server.client.request(token.0.clone(), kind.into());
        match timeout(ACK_TIMEOUT, request).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.broker.down(error)),
            Err(_) => Err(self.broker.down("an acknowledgement was not confirmed in time")),
        }
    }
}

#[async_trait]
impl Consumer for NatsConsumer {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Incoming>, BrokerError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let pulled = match self.pull(max, wait).await {
            Ok(pulled) => pulled,
            Err(error) => {
                // Deleted, or the server is away: made anew at the next fetch.
                *self.opened.lock().await = None;
                return Err(error);
            }
        };
        let mut incoming = Vec::with_capacity(pulled.len());
        for message in pulled {
            let Some(item) = incoming_of(&message, &self.broker.server.prefix) else { continue };
            if item.deliveries <= self.config.deliveries_max {
                incoming.push(item);
            } else if let Err(error) = self.dead_letter(&item, "it was delivered too often").await {
                // It comes again after the ack wait; the others must not wait for that.
                tracing::warn!("{error}");
            }
        }
        Ok(incoming)
    }

    async fn ack(&self, tokens: &[AckToken]) -> Result<(), BrokerError> {
        let acks = tokens.iter().map(|token| self.confirmed(token, AckKind::Ack));
        join_all(acks).await.into_iter().collect()
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
        self.confirmed(&incoming.token, AckKind::Term).await
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
