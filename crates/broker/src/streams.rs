//! The streams and which subjects belong to them. Owns the layout that both brokers share.

use std::time::Duration;

use domain::message::{Message, STREAM_CHAIN, STREAM_NOTIFY};

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

/// Why no broker of ours ever takes this message; `None` for one that it takes. Said before it is sent: a server
/// does not answer a subject that it finds malformed, and that would look like a server that is away.
pub(crate) fn refusal(message: &Message) -> Option<String> {
    let plain = |token: &str| {
        !token.is_empty() && !token.contains(['*', '>']) && token.chars().all(|c| c.is_ascii_graphic())
    };
    if stream_of(&message.subject).is_none() || message.subject.split('.').count() < 2 {
        return Some(format!("no stream takes the subject '{}'", message.subject.escape_debug()));
    }
    if !message.subject.split('.').all(plain) {
        return Some(format!("'{}' is no subject", message.subject.escape_debug()));
    }
    let header = |value: &str| !value.is_empty() && !value.contains(char::is_control);
    if !header(&message.id) || message.replay.as_deref().is_some_and(|replay| !header(replay)) {
        return Some("its id cannot be a header".to_owned());
    }
    None
}
