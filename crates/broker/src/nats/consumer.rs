//! A durable pull consumer of NATS JetStream: fetches, acknowledgements, and the last delivery.

use std::time::Duration;

use async_nats::{
    connection::State,
    jetstream::{self, AckKind, consumer::PullConsumer},
};
use async_trait::async_trait;
use domain::{AckToken, BrokerError, Consumer, Incoming, Message, Publisher as _, message::HEADER_REPLAY};
use futures::{StreamExt as _, future::join_all};
use tokio::{sync::Mutex, time::timeout};

use super::{ACK_TIMEOUT, NatsBroker};
use crate::{ConsumerConfig, streams::dead_subject};

/// How much longer than the wait a fetch listens for the server's answer.
const ANSWER_GRACE: Duration = Duration::from_secs(1);
/// How many messages one fetch takes.
const FETCH_MAX: usize = 1_000;

#[derive(Debug)]
pub(super) struct NatsConsumer {
    broker: NatsBroker,
    stream: String,
    durable: String,
    config: ConsumerConfig,
    opened: Mutex<Option<PullConsumer>>,
}

impl NatsConsumer {
    pub(super) fn new(broker: NatsBroker, stream: &str, durable: &str, config: ConsumerConfig) -> Self {
        let (stream, durable) = (stream.to_owned(), durable.to_owned());
        Self { broker, stream, durable, config, opened: Mutex::new(None) }
    }

    pub(super) async fn opened(&self) -> Result<PullConsumer, BrokerError> {
        let mut opened = self.opened.lock().await;
        if let Some(consumer) = opened.as_ref() {
            return Ok(consumer.clone());
        }
        let consumer = self.broker.ensure_consumer(&self.stream, &self.durable, self.config).await?;
        *opened = Some(consumer.clone());
        Ok(consumer)
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
