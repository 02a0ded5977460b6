//! A watch: a person's standing interest in an event. Owns its states and limits; what a filter means is
//! [`crate::filter`]'s, and which watch an event concerns [`crate::matching`]'s.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ContractName, RecipientId, WatchId, schedule::Schedule, spam::Spam, window::WindowRule};

/// One `[[watch]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Identity.
    pub id: WatchId,
    /// Who is told.
    pub recipient: RecipientId,
    /// Which contract's events.
    pub contract: ContractName,
    /// Name of the event, or its signature where the name is overloaded.
    pub event: String,
    /// The `where` expression; absent: every such event.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// One notification per hit, or one per window.
    pub strategy: Strategy,
    /// When a digest is told, what it is of, and what passes quiet hours.
    #[serde(flatten)]
    pub telling: Telling,
    /// How sure the event must be.
    pub deliver_at: DeliverAt,
    /// A paused watch makes no hits.
    pub paused: bool,
    /// Whether it came from the configuration file, which then owns it.
    pub from_file: bool,
}

/// How hits become notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Each hit at once.
    Immediate,
    /// Hits of a window together.
    Digest(WindowRule),
}

/// What a watch asks for beyond its strategy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Telling {
    /// Whether a digest tells its first hit at once, after a time in which it had nothing to tell.
    #[serde(skip_serializing_if = "is_false")]
    pub leading: bool,
    /// When a digest is told, in its recipient's zone; its window does not matter then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Whose values a digest gathers for, each of them by itself: `address`, `tx_hash`, or parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// Whether its recipient is told in quiet hours too, and whatever the budget.
    #[serde(skip_serializing_if = "is_false")]
    pub critical: bool,
    /// What becomes of transfers that look like spam, whether critical or not.
    #[serde(skip_serializing_if = "is_default")]
    pub spam: Spam,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_default(spam: &Spam) -> bool {
    *spam == Spam::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// How sure an event must be before its recipient is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeliverAt {
    /// As soon as it is in a canonical block.
    Seen,
    /// When this many blocks follow its block.
    Depth(u64),
    /// When its block is at or below `safe`.
    Safe,
    /// When its block is at or below `finalized`.
    Finalized,
}

/// A text that is no `deliver_at`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no deliver_at: use \"seen\", a number of blocks, \"safe\" or \"finalized\"")]
pub struct BadDeliverAt(String);

impl fmt::Display for DeliverAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen => f.write_str("seen"),
            Self::Depth(blocks) => write!(f, "{blocks}"),
            Self::Safe => f.write_str("safe"),
            Self::Finalized => f.write_str("finalized"),
        }
    }
}

impl FromStr for DeliverAt {
    type Err = BadDeliverAt;

    fn from_str(text: &str) -> Result<Self, BadDeliverAt> {
        match text {
            "seen" => Ok(Self::Seen),
            "safe" => Ok(Self::Safe),
            "finalized" => Ok(Self::Finalized),
            number => number.parse().map(Self::Depth).map_err(|_| BadDeliverAt(number.to_owned())),
        }
    }
}

impl TryFrom<String> for DeliverAt {
    type Error = BadDeliverAt;

    fn try_from(text: String) -> Result<Self, BadDeliverAt> {
        text.parse()
    }
}

impl From<DeliverAt> for String {
    fn from(deliver_at: DeliverAt) -> Self {
        deliver_at.to_string()
    }
}
