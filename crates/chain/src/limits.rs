//! The limits that are nobody's to configure, each with its reason.

use std::time::Duration;

/// WebSocket pings: one after this long; a node that answers nothing until the next is gone.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(10);

/// The longest that connecting may take, whatever a request may: a start must not hang on a URL that is one of several.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Frames in a row that are no JSON-RPC before the other side is taken for something else.
pub(crate) const GARBAGE_MAX: u32 = 16;

/// Requests in a row that a socket may leave unanswered before it is replaced.
pub(crate) const TIMEOUTS_MAX: u32 = 2;

/// Announcements of one subscription that wait to be read; when more come, the oldest are lost, which is noticed.
pub(crate) const ANNOUNCEMENTS_MAX: usize = 1_024;

/// Log subscriptions on one connection. With more filters than fit, only heads are subscribed to: the logs are a
/// witness, not the source.
pub(crate) const LOG_SUBSCRIPTIONS_MAX: usize = 32;

/// Heads that the estimate of the block interval looks back on.
pub(crate) const INTERVAL_HEADS: usize = 16;

/// Block intervals without a head that count as a stall.
pub(crate) const STALL_INTERVALS: u32 = 5;

/// The longest part of a node's own words that is repeated in an error, in characters.
pub(crate) const DETAIL_MAX: usize = 300;

/// The part of an HTTP error's body that is read for its JSON-RPC error, in bytes.
pub(crate) const ERROR_BODY_MAX: usize = 16 << 10;

/// The longest wait that a provider can ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// The longest range that a provider's suggestion is believed, in blocks.
pub(crate) const SUGGESTION_MAX: u64 = 10_000_000;

/// The longest that a question waits for a provider that asked for patience; a longer wait is the caller's.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
