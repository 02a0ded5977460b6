//! Notifications and their deliveries. Owns their states; how a text is made is the factories', how it is sent
//! the channels'.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{ChainId, DeliveryId, EventId, NotificationId, RecipientId, TargetName, WatchId};

/// The state of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationState {
    /// As it was told.
    Active,
    /// A later one says what changed.
    Corrected,
    /// A later one takes it back.
    Retracted,
}

impl NotificationState {
    /// The word in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Corrected => "corrected",
            Self::Retracted => "retracted",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Corrected, Self::Retracted].into_iter().find(|state| state.as_str() == word)
    }
}

/// What a digest gathered over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Timestamp of the earliest block, seconds since the Unix epoch.
    pub from: u64,
    /// Timestamp of the latest block, seconds since the Unix epoch.
    pub to: u64,
}

/// One message to one recipient about one or many hits of one watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Identity.
    pub id: NotificationId,
    /// Who is told.
    pub recipient: RecipientId,
    /// By which watch.
    pub watch: WatchId,
    /// Chain.
    pub chain: ChainId,
    /// Which factory made it, such as `erc20_transfer` or `contract_event`.
    pub kind: String,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// How many hits.
    pub count: u64,
    /// What a digest gathered over; absent for an immediate one.
    pub window: Option<Span>,
    /// The figures behind the text, for machines.
    pub facts: Json,
    /// The newest hits' events, at most [`MAX_EVENTS`].
    pub events: Vec<EventId>,
    /// The least finality over its events when it was made.
    pub finality: String,
    /// State.
    pub state: NotificationState,
    /// 1, and one more with each correction.
    pub revision: u32,
    /// The notification that this one corrects or retracts.
    pub corrects: Option<NotificationId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How many event ids a notification carries at most; its `count` is always exact.
pub const MAX_EVENTS: usize = 100;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not yet tried.
    Queued,
    /// Tried, and to be tried again.
    Scheduled,
    /// The channel accepted it.
    Delivered,
    /// Given up: a dead letter.
    Dead,
    /// Deliberately not sent.
    Suppressed,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Scheduled, Self::Delivered, Self::Dead, Self::Suppressed];

    /// The word in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scheduled => "scheduled",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Suppressed => "suppressed",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One notification revision on its way to one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id that the receiver sees.
    pub id: DeliveryId,
    /// What is delivered.
    pub notification: NotificationId,
    /// To whom.
    pub recipient: RecipientId,
    /// Where.
    pub target: TargetName,
    /// Channel, the last token of the broker subject.
    pub channel: String,
    /// State.
    pub state: DeliveryState,
    /// How many times it was tried in all.
    pub attempts: u32,
    /// How many times since it was queued: where it is in the retry schedule.
    pub tries: u32,
    /// When to try next.
    pub next_attempt_at: Timestamp,
    /// Why it is dead, suppressed or waiting.
    pub reason: Option<String>,
}
