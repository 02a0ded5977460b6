//! The streams and which subjects belong to them. Owns the layout that both brokers share.

use std::time::Duration;

use domain::message::{STREAM_CHAIN, STREAM_NOTIFY};

/// The stream of messages that could not be handled.
pub const STREAM_DEAD: &str = "DEAD";

/// A stream's name, the first token of its subjects, and how long it keeps messages.
pub(crate) const STREAMS: [(&str, &str, Duration); 3] = [
    (STREAM_CHAIN, "chain", Duration::from_secs(7 * 24 * 3600)),
    (STREAM_NOTIFY, "notification", Duration::from_secs(2 * 24 * 3600)),
    (STREAM_DEAD, "dead", Duration::from_secs(30 * 24 * 3600)),
];

/// Within this time a second message of the same id is acknowledged and not stored.
pub(crate) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The subject that a stream's dead letters go to.
pub fn dead_subject(stream: &str) -> String {
    format!("dead.{}", stream.to_lowercase())
}

/// The stream that a subject belongs to.
pub(crate) fn stream_of(subject: &str) -> Option<&'static str> {
    let first = subject.split('.').next()?;
    STREAMS.iter().find(|(_, token, _)| *token == first).map(|(name, _, _)| *name)
}
