//! Messages on the broker: CloudEvents 1.0 in JSON, structured mode. Owns ids, types and subjects; must not know
//! which broker carries them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{ChainName, Event, EventId, Finality, NotificationId};

/// The stream that carries chain events.
pub const STREAM_CHAIN: &str = "CHAIN";
/// The stream that carries notifications to be sent.
pub const STREAM_NOTIFY: &str = "NOTIFY";
/// The header that marks a replayed publication.
pub const HEADER_REPLAY: &str = "Chainbell-Replay";

/// What goes to the broker: an envelope and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `Nats-Msg-Id`, equal to the CloudEvents `id`.
    pub id: String,
    /// Subject, without any prefix of a deployment.
    pub subject: String,
    /// The replay's id, sent as the header `Chainbell-Replay`, for a deliberate re-publication.
    pub replay: Option<String>,
    /// The envelope as JSON.
    pub payload: String,
}

/// The envelope (CloudEvents 1.0, JSON event format).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: String,
    /// Identity: the entity's id plus its place in its lifecycle.
    pub id: String,
    /// Where it comes from, `/chains/<chain id>/contracts/<name>`.
    pub source: String,
    /// Type and version, such as `chainbell.event.seen.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The transaction hash, for chain events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// RFC 3339.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The payload.
    pub data: Json,
}

impl CloudEvent {
    // Written as it is: a copy of the data as a JSON value would take as long again.
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("an envelope has texts as keys, and is written to memory")
    }
}

/// The lifecycle of a chain event as its messages tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// It is in a canonical block.
    Seen,
    /// Its block left the canonical chain.
    Orphaned,
    /// Its block is final.
    Finalized,
}

impl Lifecycle {
    /// The word in ids and types.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Orphaned => "orphaned",
            Self::Finalized => "finalized",
        }
    }

    /// The CloudEvents type.
    pub fn kind(self) -> String {
        format!("chainbell.event.{}.v1", self.as_str())
    }

    const fn finality(self) -> Finality {
        match self {
            Self::Seen => Finality::Seen,
            Self::Orphaned => Finality::Orphaned,
            Self::Finalized => Finality::Finalized,
        }
    }
}

/// The type of the message that asks for a notification to be sent.
pub const KIND_SEND: &str = "chainbell.notification.send.v1";

/// The id of an event's message. `turn` counts how often the event entered that stage: a block that comes back
/// after a reorg of a reorg is seen a second time, which is another message.
pub fn event_message_id(event: EventId, lifecycle: Lifecycle, turn: u32) -> String {
    match turn {
        0 | 1 => format!("{event}:{}", lifecycle.as_str()),
        turn => format!("{event}:{}:{turn}", lifecycle.as_str()),
    }
}

/// The message that tells one stage of an event's life.
pub fn event_message(chain: &ChainName, event: &Event, lifecycle: Lifecycle, turn: u32) -> Message {
    let id = event_message_id(event.id, lifecycle, turn);
    let tx_hash = alloy_primitives::hex::encode_prefixed(event.tx_hash);
    let time =
        i64::try_from(event.block_timestamp).ok().and_then(|second| Timestamp::from_second(second).ok());
    let envelope = CloudEvent {
        specversion: "1.0".to_owned(),
        id: id.clone(),
        source: format!("/chains/{}/contracts/{}", event.chain, event.contract),
        kind: lifecycle.kind(),
        subject: Some(tx_hash),
        time: time.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
        datacontenttype: "application/json".to_owned(),
        data: event.to_json(lifecycle.finality()),
    };
    Message {
        id,
        subject: format!(
            "chain.{chain}.{}.{}",
            event.contract,
            subject_token(event.name().unwrap_or("undecoded"))
        ),
        replay: None,
        payload: envelope.to_text(),
    }
}

/// The message that asks `deliver` to send one notification on one channel.
pub fn send_message(
    notification: NotificationId,
    revision: u32,
    channel: &str,
    time: Timestamp,
    data: Json,
) -> Message {
    let id = format!("{notification}:{revision}:send:{channel}");
    let envelope = CloudEvent {
        specversion: "1.0".to_owned(),
        id: id.clone(),
        source: "/notifications".to_owned(),
        kind: KIND_SEND.to_owned(),
        subject: None,
        time: time.to_string(),
        datacontenttype: "application/json".to_owned(),
        data,
    };
    Message {
        id,
        subject: format!("notification.send.{}", subject_token(channel)),
        replay: None,
        payload: envelope.to_text(),
    }
}

impl Message {
    /// The same content under the id of a replay, so that the broker's deduplication lets it through.
    #[must_use]
    pub fn replayed(mut self, replay: &str) -> Self {
        let id = format!("{}:replay:{replay}", self.id);
        if let Ok(mut envelope) = serde_json::from_str::<CloudEvent>(&self.payload) {
            envelope.id.clone_from(&id);
            self.payload = envelope.to_text();
        }
        Self { id, replay: Some(replay.to_owned()), ..self }
    }
}

// An event's name comes from an ABI, and Solidity allows `$` in it; a subject token must be plain.
fn subject_token(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .take(128)
        .collect();
    if plain.is_empty() { "_".to_owned() } else { plain }
}
