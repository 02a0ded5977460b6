//! What an audit of hits can find. Owns the words for it; must not know how it is found.

use std::fmt;

use domain::{DeliveryId, EventId, HitId, NotificationId, TargetName, WatchId};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A canonical event that satisfies a watch has no hit, and does not wait for matching.
    Missing,
    /// A hit of a canonical event stands for another one.
    WrongEvent,
    /// A hit is orphaned, and its event is canonical.
    NotRevived,
    /// A hit waits to be told of an event that left the chain.
    EventGone,
    /// A hit was told, its event has gone or come back since, and nobody has noticed.
    ChangeNotNoted,
    /// A recipient was told something that the chain has taken back, or given back, and no correction has come.
    Uncorrected,
    /// A hit is notified, and there is no such notification.
    WithoutNotification,
    /// A hit waits for a confidence that the chain has had for long.
    Unreleased,
    /// A hit's window should have closed long ago.
    Overdue,
    /// A notification has no delivery to a target that was there before it.
    WithoutDelivery,
    /// A delivery was due long ago, and nobody tries it.
    Unsent,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Missing,
        Self::WrongEvent,
        Self::NotRevived,
        Self::EventGone,
        Self::ChangeNotNoted,
        Self::Uncorrected,
        Self::WithoutNotification,
        Self::Unreleased,
        Self::Overdue,
        Self::WithoutDelivery,
        Self::Unsent,
    ];

    /// The word in metrics and in machine formats.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::WrongEvent => "wrong_event",
            Self::NotRevived => "not_revived",
            Self::EventGone => "event_gone",
            Self::ChangeNotNoted => "change_not_noted",
            Self::Uncorrected => "uncorrected",
            Self::WithoutNotification => "without_notification",
            Self::Unreleased => "unreleased",
            Self::Overdue => "overdue",
            Self::WithoutDelivery => "without_delivery",
            Self::Unsent => "unsent",
        }
    }

    /// What it means, in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "the event satisfies the watch and has no hit",
            Self::WrongEvent => "the hit stands for another event than the canonical one",
            Self::NotRevived => "the hit is orphaned, and its event is in the chain",
            Self::EventGone => "the hit waits to be told of an event that left the chain",
            Self::ChangeNotNoted => "the hit's event left the chain or came back, and nobody has noticed",
            Self::Uncorrected => {
                "the recipient believes otherwise than the chain says, and no correction has come"
            }
            Self::WithoutNotification => "the hit is notified, and there is no such notification",
            Self::Unreleased => "the hit waits for a confidence that the chain has had for long",
            Self::Overdue => "the hit's window should have closed long ago",
            Self::WithoutDelivery => "the notification has no delivery to the target",
            Self::Unsent => "the delivery was due long ago, and nobody tries it",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Difference {
    /// What is wrong.
    pub kind: Kind,
    /// The event.
    pub event: Option<EventId>,
    /// The watch.
    pub watch: Option<WatchId>,
    /// The hit.
    pub hit: Option<HitId>,
    /// The notification.
    pub notification: Option<NotificationId>,
    /// The delivery.
    pub delivery: Option<DeliveryId>,
    /// The target.
    pub target: Option<TargetName>,
}

impl Difference {
    /// A difference about nothing yet.
    pub(super) const fn of(kind: Kind) -> Self {
        Self { kind, event: None, watch: None, hit: None, notification: None, delivery: None, target: None }
    }
}
