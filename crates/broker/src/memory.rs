//! The broker inside the process. Owns nothing that must survive: after a crash the outbox and the store's ledgers
//! bring everything back.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{AckToken, BrokerError, Clock, Consumer, Incoming, Message, Publisher};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::{
    ConsumerConfig,
    streams::{DUPLICATE_WINDOW, STREAM_DEAD, dead_subject, refusal, stream_of},
};

/// How many messages a consumer's queue holds before publishers are refused and try again.
const QUEUE_MAX: usize = 20_000;
/// How many message ids are remembered for deduplication.
const IDS_MAX: usize = 200_000;
/// How large a message may be, in bytes: as large as a NATS server allows where nobody configured it.
const PAYLOAD_MAX: usize = 1024 * 1024;
/// How many dead letters are kept to look at.
const DEAD_MAX: usize = 1_000;

/// A broker for one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    consumers: HashMap<(String, String), Arc<Queue>>,
    seen: HashSet<String>,
    seen_order: VecDeque<(Timestamp, String)>,
    dead: VecDeque<Message>,
}

#[derive(Debug)]
struct Queue {
    config: ConsumerConfig,
    inner: Mutex<QueueState>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    ready: VecDeque<Item>,
    // Unacknowledged, or waiting after a nak: until when.
    held: HashMap<u64, (Timestamp, Item)>,
    next_token: u64,
}

#[derive(Debug, Clone)]
struct Item {
    message: Message,
    deliveries: u32,
}

#[derive(Debug)]
struct MemoryConsumer {
    shared: Arc<Shared>,
    stream: String,
    queue: Arc<Queue>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryBroker {
    /// An empty broker. Messages of a stream without a consumer are dropped: there is nobody else to keep them for.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { clock, state: Mutex::default() }) }
    }

    /// The consumer of that stream and name; the same one every time.
    pub fn consumer(&self, stream: &str, durable: &str, config: ConsumerConfig) -> Arc<dyn Consumer> {
        let mut state = lock(&self.shared.state);
        let queue = state
            .consumers
            .entry((stream.to_owned(), durable.to_owned()))
            .or_insert_with(|| Arc::new(Queue { config, inner: Mutex::default(), arrived: Notify::new() }));
        Arc::new(MemoryConsumer {
            shared: Arc::clone(&self.shared),
            stream: stream.to_owned(),
            queue: Arc::clone(queue),
        })
    }

    /// The latest dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<Message> {
        lock(&self.shared.state).dead.iter().cloned().collect()
    }

    /// Forgets every message and every id, as a broker that lost its disk would.
    pub fn purge(&self) {
        let mut state = lock(&self.shared.state);
        state.seen.clear();
        state.seen_order.clear();
        state.dead.clear();
        for queue in state.consumers.values() {
            let mut inner = lock(&queue.inner);
            inner.ready.clear();
            inner.held.clear();
        }
    }
}

impl Shared {
    fn publish(&self, message: Message) -> Result<(), BrokerError> {
        let large = || {
            let size = message.payload.len();
            (size > PAYLOAD_MAX).then(|| format!("{size} bytes are more than the {PAYLOAD_MAX} allowed"))
        };
        if let Some(detail) = refusal(&message).or_else(large) {
            return Err(BrokerError::Refused { id: message.id, detail });
        }
        let stream = stream_of(&message.subject).unwrap_or_default();
        let now = self.clock.now();
        let mut state = lock(&self.state);
        state.forget_old_ids(now);
        if state.seen.contains(&message.id) {
            return Ok(());
        }
        let queues: Vec<_> = state
            .consumers
            .iter()
            .filter(|((of, _), _)| of == stream)
            .map(|(_, queue)| Arc::clone(queue))
            .collect();
        if queues.iter().any(|queue| lock(&queue.inner).ready.len() >= QUEUE_MAX) {
            let detail = format!("stream {stream} has a consumer {QUEUE_MAX} messages behind");
            return Err(BrokerError::Unavailable { url: "memory:".to_owned(), detail });
        }
        state.seen.insert(message.id.clone());
        state.seen_order.push_back((now, message.id.clone()));
        if stream == STREAM_DEAD {
            state.dead.push_back(message.clone());
            if state.dead.len() > DEAD_MAX {
                state.dead.pop_front();
            }
        }
        drop(state);
        for queue in queues {
            lock(&queue.inner).ready.push_back(Item { message: message.clone(), deliveries: 0 });
            queue.arrived.notify_one();
        }
        Ok(())
    }
}

impl State {
    fn forget_old_ids(&mut self, now: Timestamp) {
        let window = SignedDuration::try_from(DUPLICATE_WINDOW).unwrap_or(SignedDuration::ZERO);
        while let Some((since, _)) = self.seen_order.front() {
            if now.duration_since(*since) <= window && self.seen_order.len() <= IDS_MAX {
                break;
            }
            if let Some((_, id)) = self.seen_order.pop_front() {
                self.seen.remove(&id);
            }
        }
    }
}

impl QueueState {
    // What is held no longer comes again before what never came, in its old order.
    fn release_ended(&mut self, now: Timestamp) {
        let ended = self.held.iter().filter(|(_, (until, _))| *until <= now).map(|(token, _)| *token);
        let mut ended: Vec<u64> = ended.collect();
        ended.sort_unstable_by(|one, two| two.cmp(one));
        for token in ended {
            if let Some((_, item)) = self.held.remove(&token) {
                self.ready.push_front(item);
            }
        }
    }
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Publisher for MemoryBroker {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), BrokerError>> {
        let mut down = None;
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            let result = down.clone().map_or_else(|| self.shared.publish(message), Err);
            if let Err(error @ BrokerError::Unavailable { .. }) = &result {
                // What comes after it must not overtake it.
                down = Some(error.clone());
            }
            results.push(result);
        }
        results
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

impl MemoryConsumer {
    // Takes what is ready; gives the dead ones back separately, to be published outside the lock.
    fn take(&self, max: usize, now: Timestamp) -> (Vec<Incoming>, Vec<Message>) {
        let mut inner = lock(&self.queue.inner);
        inner.release_ended(now);
        let until = later(now, self.queue.config.ack_wait);
        let (mut taken, mut dead) = (Vec::new(), Vec::new());
        while taken.len() < max && inner.held.len() < self.queue.config.unacked_max {
            let Some(mut item) = inner.ready.pop_front() else { break };
            if item.deliveries >= self.queue.config.deliveries_max {
                dead.push(item.message);
                continue;
            }
            item.deliveries += 1;
            let token = inner.next_token;
            inner.next_token += 1;
            inner.held.insert(token, (until, item.clone()));
            taken.push(Incoming {
                message: item.message,
                deliveries: item.deliveries,
                token: AckToken(token.to_string()),
            });
        }
        (taken, dead)
    }

    // When the next message is held no longer, or `end` where that is sooner.
    fn next_look(&self, end: Timestamp) -> Timestamp {
        let inner = lock(&self.queue.inner);
        inner.held.values().map(|(until, _)| *until).min().map_or(end, |until| until.min(end))
    }

    fn bury(&self, message: Message, reason: &str) -> Result<(), BrokerError> {
        tracing::error!(stream = self.stream, message.id, "message given up: {reason}");
        metrics::counter!("chainbell_dead_messages_total", "stream" => self.stream.clone()).increment(1);
        let id = format!("{}:dead", message.id);
        self.shared.publish(Message { subject: dead_subject(&self.stream), id, ..message })
    }

    fn hold_until(&self, token: &AckToken, until: Timestamp) {
        if let Ok(token) = token.0.parse::<u64>()
            && let Some(held) = lock(&self.queue.inner).held.get_mut(&token)
        {
            held.0 = until;
        }
    }

    fn later(&self, by: Duration) -> Timestamp {
        later(self.shared.clock.now(), by)
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Incoming>, BrokerError> {
        let end = self.later(wait);
        loop {
            let now = self.shared.clock.now();
            let (taken, dead) = self.take(max, now);
            for message in dead {
                if let Err(error) = self.bury(message, "it was delivered too often") {
                    tracing::error!("the dead letter was not kept: {error}");
                }
            }
            if !taken.is_empty() || now >= end {
                return Ok(taken);
            }
            let pause = self.next_look(end).duration_since(now);
            let pause = Duration::try_from(pause).unwrap_or(Duration::ZERO);
            tokio::select! { () = self.queue.arrived.notified() => {} () = self.shared.clock.sleep(pause) => {} }
        }
    }

    async fn ack(&self, tokens: &[AckToken]) -> Result<(), BrokerError> {
        let mut inner = lock(&self.queue.inner);
        for token in tokens {
            if let Ok(token) = token.0.parse::<u64>() {
                inner.held.remove(&token);
            }
        }
        drop(inner);
        // Whoever waits because too many were unacknowledged may go on.
        self.queue.arrived.notify_one();
        Ok(())
    }

    async fn nak(&self, token: &AckToken, delay: Duration) -> Result<(), BrokerError> {
        self.hold_until(token, self.later(delay));
        self.queue.arrived.notify_one();
        Ok(())
    }

    async fn in_progress(&self, token: &AckToken) -> Result<(), BrokerError> {
        self.hold_until(token, self.later(self.queue.config.ack_wait));
        Ok(())
    }

    async fn dead_letter(&self, incoming: &Incoming, reason: &str) -> Result<(), BrokerError> {
        self.bury(incoming.message.clone(), reason)?;
        self.ack(std::slice::from_ref(&incoming.token)).await
    }
}
