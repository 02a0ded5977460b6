//! A hit: one event that satisfied one watch. Owns its states and which of them may follow which.

use std::fmt;

use jiff::Timestamp;

use crate::{ChainId, EventId, HitId, LogicalId, NotificationId, WatchId};

/// The state of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HitState {
    /// For the confidence that its watch asks for.
    Waiting,
    /// For its window to close.
    Pending,
    /// Part of a notification.
    Notified,
    /// Its event left the canonical chain.
    Orphaned,
    /// Deliberately not told.
    Suppressed,
    /// Could not be told.
    Dead,
}

impl HitState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Pending, Self::Notified, Self::Orphaned, Self::Suppressed, Self::Dead];

    /// The word in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Notified => "notified",
            Self::Orphaned => "orphaned",
            Self::Suppressed => "suppressed",
            Self::Dead => "dead",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a hit may go from `self` to `next`; staying is no step. An orphaned hit comes back when its transaction is
    /// mined again, and what was told stays told: whether it is still true is a correction's matter, not a state.
    ///
    /// This is the rule; the store's trigger `hit_state_follows_the_ledger` holds everybody to it.
    pub const fn may_become(self, next: Self) -> bool {
        use HitState::{Dead, Notified, Orphaned, Pending, Suppressed, Waiting};
        match self {
            Waiting => matches!(next, Pending | Notified | Orphaned | Suppressed),
            Pending => matches!(next, Notified | Orphaned | Suppressed | Dead),
            Orphaned => matches!(next, Waiting | Pending),
            Notified | Suppressed | Dead => false,
        }
    }

    /// Whether nothing more is due to a hit in this state, unless its transaction is mined again.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Notified | Self::Orphaned | Self::Suppressed | Self::Dead)
    }
}

impl fmt::Display for HitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event that satisfied one watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Identity.
    pub id: HitId,
    /// The watch.
    pub watch: WatchId,
    /// The event's identity that survives re-inclusion.
    pub logical: LogicalId,
    /// The canonical event that it stands for now.
    pub event: EventId,
    /// Chain.
    pub chain: ChainId,
    /// Height of that event's block.
    pub block_number: u64,
    /// State.
    pub state: HitState,
    /// Why it is suppressed or dead.
    pub reason: Option<String>,
    /// The notification that told it.
    pub notification: Option<NotificationId>,
    /// The latest moment at which its window should have closed; the sweep looks at it.
    pub due_hint: Timestamp,
}
