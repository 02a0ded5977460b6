//! What `digest` needs of a timer index. It holds identifiers and times only, and may be emptied at any moment:
//! the sweep over pending hits puts back what it lost.

use std::{fmt, fmt::Debug, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{HitId, RecipientId, WatchId, window::WindowRule};

/// What a window gathers for: a recipient and a watch, and the values that its events share where they are grouped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowKey(String);

impl WindowKey {
    /// The key of a watch's window.
    pub fn new(recipient: &RecipientId, watch: &WatchId) -> Self {
        // A space is in neither id, so the two halves cannot run into each other.
        Self(format!("{recipient} {watch}"))
    }

    /// The key of the window of one group of a watch, by the group's key; the watch's own where that is empty.
    pub fn grouped(recipient: &RecipientId, watch: &WatchId, group: &str) -> Self {
        match group {
            "" => Self::new(recipient, watch),
            // No space is in a group's key either.
            group => Self(format!("{recipient} {watch} {group}")),
        }
    }

    /// Takes back what [`WindowKey::as_str`] gave.
    pub fn from_stored(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The recipient's part.
    pub fn recipient(&self) -> Option<RecipientId> {
        self.0.split(' ').next()?.parse().ok()
    }

    /// The watch's part.
    pub fn watch(&self) -> Option<WatchId> {
        self.0.split(' ').nth(1)?.parse().ok()
    }

    /// The key of the group; empty where the watch is not grouped.
    pub fn group(&self) -> &str {
        self.0.splitn(3, ' ').nth(2).unwrap_or_default()
    }
}

impl fmt::Display for WindowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hits that join a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowAdd {
    /// Which window.
    pub key: WindowKey,
    /// How it closes. A sweep adds with a window of zero: due now.
    pub rule: WindowRule,
    /// Who joins; one that is already there changes nothing.
    pub hits: Vec<HitId>,
    /// Now, by the clock.
    pub now: Timestamp,
}

/// A due window, closed, and ours until the lease ends. Its members do not change any more: a later hit opens the
/// key's next generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which window.
    pub key: WindowKey,
    /// Which of the key's windows.
    pub generation: u64,
    /// How often this generation has been claimed, this time included.
    pub claims: u32,
    /// Who holds the lease; an ack under another token changes nothing.
    pub token: String,
}

/// The timer index failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the timer index at {url} failed to {action}: {detail}")]
pub struct DebounceError {
    /// Redacted URL.
    pub url: String,
    /// What was asked of it.
    pub action: &'static str,
    /// What it said.
    pub detail: String,
}

/// A timer index of open windows.
#[async_trait]
pub trait Debouncer: Debug + Send + Sync {
    /// Adds hits to windows, each add one atomic step: creates the window and its timer together, or extends it.
    ///
    /// # Errors
    /// [`DebounceError`]; adding again is harmless.
    async fn add(&self, adds: Vec<WindowAdd>) -> Result<(), DebounceError>;

    /// Claims up to `limit` windows that are due at `now`, or whose lease ended, for `lease`.
    ///
    /// # Errors
    /// [`DebounceError`].
    async fn claim(&self, now: Timestamp, limit: usize, lease: Duration)
    -> Result<Vec<Claim>, DebounceError>;

    /// A page of the claimed window's members in the order of their ids, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`DebounceError`].
    async fn members(
        &self,
        claim: &Claim,
        after: Option<HitId>,
        limit: usize,
    ) -> Result<Vec<HitId>, DebounceError>;

    /// The claimed window is done: forgets it. Only after the commit of its effects. Does nothing when the lease
    /// went to somebody else.
    ///
    /// # Errors
    /// [`DebounceError`]; the window will be claimed again, which the store's fence makes harmless.
    async fn ack(&self, claim: &Claim) -> Result<(), DebounceError>;

    /// Gives a claim back, to be claimed again after `delay`.
    ///
    /// # Errors
    /// [`DebounceError`]; the lease will end by itself.
    async fn release(&self, claim: &Claim, now: Timestamp, delay: Duration) -> Result<(), DebounceError>;

    /// How many windows are open or claimed, and the earliest due time.
    ///
    /// # Errors
    /// [`DebounceError`].
    async fn outlook(&self) -> Result<(u64, Option<Timestamp>), DebounceError>;
}
