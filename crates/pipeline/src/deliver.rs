//! Sends notifications. Owns the lease on a delivery, the attempt's record and the retry schedule; must not know how
//! a channel speaks.
//!
//! Deliveries run side by side, a bounded number at once and a smaller one per target, so that one slow endpoint
//! holds up nobody else.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Channel, ChannelError, Clock, CloudEvent, Consumer, Incoming, NotificationId, Outgoing, Receipt,
    retry::RetrySchedule,
};
use jiff::{SignedDuration, Timestamp};
use store::{Attempt, LeasedDelivery, Outcome, Store, StoreError};
use tokio::task::JoinSet;

use crate::{Progress, Room, RoomError};

/// Limits of delivery.
#[derive(Debug, Clone)]
pub struct DeliverConfig {
    /// How many deliveries run at once.
    pub parallel: usize,
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
            parallel: 64,
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
    /// The name of this worker, its alone.
    pub owner: String,
}

/// The room.
#[derive(Debug)]
pub struct Deliver {
    deps: DeliverDeps,
    config: DeliverConfig,
    running: JoinSet<Result<(), StoreError>>,
    swept: Option<Timestamp>,
}

impl Deliver {
    /// A delivery room.
    pub fn new(deps: DeliverDeps, config: DeliverConfig) -> Self {
        Self { deps, config, running: JoinSet::new(), swept: None }
    }

    fn start(&mut self, leased: Vec<LeasedDelivery>) {
        for delivery in leased {
            let (deps, retry) = (self.deps.clone(), self.config.retry.clone());
            self.running.spawn(async move { attempt(&deps, &retry, delivery).await });
        }
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
        self.start(due);
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
            self.start(leased);
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
            channel.send(&Outgoing { delivery: id, notification, target, attempt: number, first }).await
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
