//! An explanation as data: what happened to the events of a transaction, from the log to the last attempt. Owns the shape
//! that `explain --json` prints; must not know where it is read from.

use serde::Serialize;
use serde_json::Value as Json;

/// Everything that is known of a transaction.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The transaction, 0x-hex.
    pub tx_hash: String,
    /// Its events, in the order of their logs; none where nothing of it is stored.
    pub events: Vec<ExplainedEvent>,
    /// Its events that are stored and cannot be read.
    pub unreadable: Vec<UnreadableEvent>,
    /// Watches that are left out, since they cannot be followed.
    pub left_out: Vec<ExplainedAside>,
}

/// An event that is stored and cannot be read.
#[derive(Debug, Clone, Serialize)]
pub struct UnreadableEvent {
    /// Chain id.
    pub chain_id: u64,
    /// Height.
    pub block_number: u64,
    /// Hash, 0x-hex.
    pub block_hash: String,
    /// Position of the log in the block.
    pub log_index: u64,
    /// Why it cannot be read.
    pub reason: String,
    /// What rooms set aside of it.
    pub set_aside: Vec<ExplainedAside>,
}

/// What a room could not handle, and tries again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedAside {
    /// Which room.
    pub room: String,
    /// Which item, as the room names it.
    pub item: String,
    /// Why it could not be handled the last time.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// Since when (RFC 3339).
    pub since: String,
    /// When it is tried again (RFC 3339).
    pub next_try: String,
}

/// One event, in all the blocks that it was in.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedEvent {
    /// Chain id.
    pub chain_id: u64,
    /// Contract, by its name in the configuration.
    pub contract: String,
    /// Who emitted it.
    pub address: String,
    /// The event's name; `null` where it could not be decoded.
    pub event: Option<String>,
    /// Why it could not be decoded.
    pub reason: Option<String>,
    /// Its parameters, by name.
    pub params: Json,
    /// The blocks that it was in, oldest first; all but one are orphaned.
    pub places: Vec<Place>,
    /// Whether matching has yet to look at its last change.
    pub unmatched: bool,
    /// Whether it was read as part of the past and told to nobody.
    pub past: bool,
    /// What rooms set aside of it, of its hits, and of what told them.
    pub set_aside: Vec<ExplainedAside>,
    /// What each watch that looks at such events made of it.
    pub watches: Vec<ExplainedWatch>,
    /// How many more watches look at such events, and filter this one out.
    pub others: u64,
}

/// A block that an event was in.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// Height.
    pub block_number: u64,
    /// Hash, 0x-hex.
    pub block_hash: String,
    /// Position of the log in the block.
    pub log_index: u64,
    /// `seen`, `safe`, `finalized`, or `orphaned`.
    pub finality: String,
    /// How often the block entered the canonical chain.
    pub turn: u32,
}

/// What became of an event under one watch.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedWatch {
    /// The watch.
    pub watch: String,
    /// Whom it tells.
    pub recipient: String,
    /// What it decided.
    pub verdict: Verdict,
    /// The conditions of its filter, each with the values that it looked at.
    pub clauses: Vec<Clause>,
    /// The hit, where it made one.
    pub hit: Option<ExplainedHit>,
}

/// What a watch decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is a hit.
    Hit,
    /// A condition does not hold.
    FilteredOut,
    /// The watch is paused.
    Paused,
    /// Matching has yet to look.
    NotYet,
    /// The event was read as part of the past, which notifies nobody.
    Past,
    /// The event was matched before the watch was made, or edited.
    Earlier,
    /// Nothing is known of a hit, although the watch holds: `audit --hits` looks into such.
    Missing,
}

/// One condition of a filter.
#[derive(Debug, Clone, Serialize)]
pub struct Clause {
    /// As it is written.
    pub clause: String,
    /// Whether the event satisfies it.
    pub holds: bool,
    /// The event's values that it looks at, by how they are written there.
    pub values: Vec<(String, String)>,
}

/// A hit.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedHit {
    /// Its id.
    pub id: String,
    /// `waiting`, `pending`, `notified`, `orphaned`, `suppressed` or `dead`.
    pub state: String,
    /// Why it is suppressed or dead.
    pub reason: Option<String>,
    /// The confidence that the watch asked for.
    pub deliver_at: String,
    /// When it was found (RFC 3339).
    pub found_at: String,
    /// When its window should close at the latest (RFC 3339); of interest while it is pending.
    pub due_at: String,
    /// The window that it belongs into.
    pub window: String,
    /// Why it waits, or waited, longer: `quiet_hours` or `budget`.
    pub held_back: Option<String>,
    /// Why it looks like spam: `zero_value`, `look_alike` or `hostile_token`.
    pub suspicion: Option<String>,
    /// Of a told hit whose event is in no block: the tip's height when that was seen.
    pub gone_since: Option<u64>,
    /// Of a told hit: whether the recipient was last told that it is so.
    pub believed: bool,
    /// The notification that told it, and its corrections.
    pub notifications: Vec<ExplainedNotification>,
}

/// A notification that told the event, or a correction of it.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedNotification {
    /// Its id.
    pub id: String,
    /// 1 for the first; more for corrections.
    pub revision: u32,
    /// `active`, `corrected` or `retracted`.
    pub state: String,
    /// Its title.
    pub title: String,
    /// How many events it tells of.
    pub count: u64,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// Its deliveries.
    pub deliveries: Vec<ExplainedDelivery>,
}

/// A delivery.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedDelivery {
    /// Its id.
    pub id: String,
    /// The target's name.
    pub target: String,
    /// Its channel.
    pub channel: String,
    /// `queued`, `scheduled`, `delivered`, `dead` or `suppressed`.
    pub state: String,
    /// Why it is dead or suppressed, or waits.
    pub reason: Option<String>,
    /// When it is tried next (RFC 3339), while it is open.
    pub next_attempt_at: Option<String>,
    /// Every try, oldest first.
    pub attempts: Vec<ExplainedAttempt>,
}

/// A try.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedAttempt {
    /// When it began (RFC 3339).
    pub at: String,
    /// `delivered`, `retry` or `permanent`.
    pub outcome: String,
    /// What the channel said.
    pub detail: String,
}
