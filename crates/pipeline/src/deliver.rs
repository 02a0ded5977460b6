//! Sends notifications. Owns the lease on a delivery, the attempt's record and the retry schedule; must not know how
//! a channel speaks.
//!
//! Deliveries run side by side, a bounded number at once and a smaller one per target, so that one slow endpoint
//! holds up nobody else: what is too much for a target waits in its line for a moment, and then in its row.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Channel, ChannelError, Clock, CloudEvent, Consumer, Incoming, NotificationId, Outgoing, Receipt,
    RecipientId, TargetName, retry::RetrySchedule,
};
use jiff::{SignedDuration, Timestamp};
use store::{Attempt, LeasedDelivery, Outcome, Store, StoreError};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{Progress, Room, RoomError, aside::guarded};

/// Limits of delivery.
#[derive(Debug, Clone)]
pub struct DeliverConfig {
    /// How many deliveries are under way at once, with those that wait in the line of their target.
    pub parallel: usize,
    /// How many of them are sent to one target at once. No more than that, or a quarter of all where that is more, are
    /// under way to one target.
    pub per_target: usize,
    /// How long a delivery is leased: longer than any channel's deadline.
    pub lease: Duration,
    /// How long a fetch waits for the first message.
    pub wait: Duration,
    /// How long a queued delivery may wait for its message before the sweep takes it.
    pub grace: Duration,
    /// How often the sweep looks for due retries.
    pub sweep: Duration,
    /// When to try again.
    pub retry: RetrySchedule,
}

impl Default for DeliverConfig {
    fn default() -> Self {
        Self {
            parallel: 256,
            per_target: 16,
            lease: Duration::from_secs(60),
            wait: Duration::from_millis(250),
            grace: Duration::from_secs(10),
            sweep: Duration::from_millis(500),
            retry: RetrySchedule::default(),
        }
    }
}

/// What the room works with.
#[derive(Debug, Clone)]
pub struct DeliverDeps {
    /// The store.
    pub store: Store,
    /// Messages of the stream of notifications.
    pub consumer: Arc<dyn Consumer>,
    /// The channels, by name.
    pub channels: Arc<HashMap<&'static str, Arc<dyn Channel>>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The name of this worker. No other has it.
    pub owner: String,
}

/// The room.
#[derive(Debug)]
pub struct Deliver {
    deps: DeliverDeps,
    config: DeliverConfig,
    running: JoinSet<Result<(), StoreError>>,
    // Of each target to which something is under way. Every such delivery holds one of the `Arc`s.
    lines: HashMap<(RecipientId, TargetName), Arc<Semaphore>>,
    swept: Option<Timestamp>,
}

impl Deliver {
    /// A delivery room.
    pub fn new(deps: DeliverDeps, config: DeliverConfig) -> Self {
        Self { deps, config, running: JoinSet::new(), lines: HashMap::new(), swept: None }
    }

    async fn start(&mut self, leased: Vec<LeasedDelivery>) -> Result<(), StoreError> {
        self.lines.retain(|_, line| Arc::strong_count(line) > 1);
        let most = (self.config.parallel / 4).max(self.config.per_target);
        // Whoever waits for longer would begin with a lease that is about to end.
        let patience = self.config.lease / 4;
        for leased in leased {
            let key = (leased.delivery.recipient.clone(), leased.delivery.target.clone());
            let new = || Arc::new(Semaphore::new(self.config.per_target));
            let line = self.lines.entry(key).or_insert_with(new);
            if Arc::strong_count(line) > most {
                put_off(&self.deps, &leased).await?;
                continue;
            }
            let (deps, retry, line) = (self.deps.clone(), self.config.retry.clone(), Arc::clone(line));
            self.running.spawn(async move {
                tokio::select! {
                    biased;
                    // A line is never closed.
                    turn = line.acquire() => {
                        let ended = attempt(&deps, &retry, leased).await;
                        drop(turn);
                        ended
                    }
                    () = deps.clock.sleep(patience) => put_off(&deps, &leased).await,
                }
            });
        }
        Ok(())
    }

    /// Waits for every delivery that is under way.
    ///
    /// # Errors
    /// See [`RoomError`]; a delivery whose end could not be recorded is tried again after its lease.
    pub async fn drain(&mut self) -> Result<(), RoomError> {
        while let Some(ended) = self.running.join_next().await {
            settle(ended)?;
        }
        Ok(())
    }

    async fn make_room(&mut self) -> Result<(), RoomError> {
        while let Some(ended) = self.running.try_join_next() {
            settle(ended)?;
        }
        while self.running.len() >= self.config.parallel {
            if let Some(ended) = self.running.join_next().await {
                settle(ended)?;
            }
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<usize, RoomError> {
        let now = self.deps.clock.now();
        let every = SignedDuration::try_from(self.config.sweep).unwrap_or(SignedDuration::ZERO);
        if self.swept.is_some_and(|swept| now.duration_since(swept) < every) {
            return Ok(0);
        }
        self.swept = Some(now);
        let free = u32::try_from(self.config.parallel.saturating_sub(self.running.len())).unwrap_or(u32::MAX);
        let store = &self.deps.store;
        let due = store
            .lease_due_deliveries(&self.deps.owner, now, self.config.grace, self.config.lease, free)
            .await?;
        let count = due.len();
        domain::crash_point!("deliver.swept", count > 0);
        self.start(due).await?;
        Ok(count)
    }
}

#[async_trait]
impl Room for Deliver {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        self.make_room().await?;
        let free = self.config.parallel - self.running.len();
        let incoming = self.deps.consumer.fetch(free, self.config.wait).await?;
        let mut worked = !incoming.is_empty();
        for message in &incoming {
            let Some((notification, channel)) = ask_of(message) else {
                self.deps.consumer.dead_letter(message, "it names no notification and channel").await?;
                continue;
            };
            let now = self.deps.clock.now();
            let store = &self.deps.store;
            let leased = store
                .lease_deliveries_of(notification, &channel, &self.deps.owner, now, self.config.lease)
                .await?;
            domain::crash_point!("deliver.leased");
            self.start(leased).await?;
            // From here on the lease holds the delivery, and the sweep finds it when we die.
            self.deps.consumer.ack(std::slice::from_ref(&message.token)).await?;
            domain::crash_point!("deliver.acked");
        }
        worked |= self.sweep().await? > 0;
        Ok(if worked { Progress::Worked } else { Progress::Idle })
    }

    // The fetch has waited already.
    async fn rest(&mut self) {}

    async fn finish(&mut self) {
        if let Err(error) = self.drain().await {
            tracing::warn!("a delivery's end was not recorded, it will be tried again: {error}");
        }
    }
}

fn settle(ended: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), RoomError> {
    match ended {
        Ok(Ok(())) => Ok(()),
        // The lease ended and somebody else has the delivery: theirs is the record.
        Ok(Err(StoreError::Fenced(why))) => {
            tracing::warn!("{why} before its end was recorded");
            Ok(())
        }
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => {
            tracing::error!("a delivery's task ended badly, it will be tried again: {panic}");
            Ok(())
        }
    }
}

/// How long a delivery is put off whose target has enough to do.
const PUT_OFF: SignedDuration = SignedDuration::from_secs(1);

async fn put_off(deps: &DeliverDeps, leased: &LeasedDelivery) -> Result<(), StoreError> {
    let now = deps.clock.now();
    let later = now.saturating_add(PUT_OFF).unwrap_or(Timestamp::MAX);
    let why = "too many deliveries to its target are under way";
    deps.store.put_off_delivery(&leased.delivery, &deps.owner, why, (now, later)).await
}

async fn attempt(
    deps: &DeliverDeps,
    retry: &RetrySchedule,
    leased: LeasedDelivery,
) -> Result<(), StoreError> {
    let LeasedDelivery { delivery, notification, target, first } = leased;
    let started = deps.clock.now();
    domain::crash_point!("deliver.before_send");
    let sent = match (deps.channels.get(delivery.channel.as_str()), target) {
        (_, None) => Err(ChannelError::Permanent { detail: "the target was removed".to_owned() }),
        (None, _) => {
            Err(ChannelError::Permanent { detail: format!("there is no channel '{}'", delivery.channel) })
        }
        (Some(channel), Some(target)) => {
            let number = delivery.attempts + 1;
            let id = delivery.id;
            let outgoing = Outgoing { delivery: id, notification, target, attempt: number, first };
            // A channel that panics over one notification is tried again as after any failure.
            guarded(async { Ok(channel.send(&outgoing).await) }).await.unwrap_or_else(|error| {
                Err(ChannelError::Retry { detail: error.to_string(), retry_after: None })
            })
        }
    };
    domain::crash_point!("deliver.sent");
    let finished = deps.clock.now();
    let (detail, outcome) = judge(sent, retry, delivery.tries, finished);
    let word = match &outcome {
        Outcome::Delivered => "delivered",
        Outcome::Retry(_) => "retry",
        Outcome::Dead(_) => "dead",
    };
    let channel = delivery.channel.clone();
    metrics::counter!("chainbell_deliveries_total", "channel" => channel, "outcome" => word).increment(1);
    tracing::debug!(delivery = %delivery.id, channel = delivery.channel, outcome = word, "{detail}");
    deps.store
        .finish_attempt(delivery.id, &deps.owner, &Attempt { started, finished, detail }, &outcome)
        .await?;
    domain::crash_point!("deliver.recorded");
    Ok(())
}

fn judge(
    sent: Result<Receipt, ChannelError>,
    retry: &RetrySchedule,
    tries: u32,
    now: Timestamp,
) -> (String, Outcome) {
    match sent {
        Ok(receipt) => (receipt.detail, Outcome::Delivered),
        Err(ChannelError::Permanent { detail }) => (detail.clone(), Outcome::Dead(detail)),
        Err(ChannelError::Retry { detail, retry_after }) => {
            let outcome = match retry.next(tries + 1, retry_after, rand::random()) {
                Some(pause) => {
                    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
                    Outcome::Retry(now.saturating_add(pause).unwrap_or(Timestamp::MAX))
                }
                None => Outcome::Dead(format!("given up after {} tries: {detail}", tries + 1)),
            };
            (detail, outcome)
        }
    }
}

fn ask_of(incoming: &Incoming) -> Option<(NotificationId, String)> {
    let envelope: CloudEvent = serde_json::from_str(&incoming.message.payload).ok()?;
    let text = |key: &str| envelope.data.get(key).and_then(serde_json::Value::as_str);
    Some((text("notification_id")?.parse().ok()?, text("channel")?.to_owned()))
}
