//! Owns the JSON-RPC envelope as nodes really write it: `result` beside a null `error`, errors that are a bare string,
//! codes that are strings, one answer where a batch was asked. What a strict reader would take for the end of the
//! connection becomes an answer here, or nothing.

use alloy_json_rpc::{ErrorPayload, EthNotification, Id, PubSubItem, Response, ResponsePayload};
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, value::RawValue};

use crate::classify::Refusal;

/// One object of the other side.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame {
    #[serde(default)]
    id: Option<Id>,
    // A null result is a result: a block that the node does not have.
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Json>,
    // Read only where it is an announcement: anything else in it is not for us.
    #[serde(default)]
    params: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Announcement {
    subscription: Json,
    result: Box<RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// What came in one message: one object or several.
#[derive(Debug)]
pub(crate) enum Packet {
    Single(Frame),
    Batch(Vec<Frame>),
}

impl Packet {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            serde_json::from_slice(text).map(Self::Batch)
        } else {
            serde_json::from_slice(text).map(Self::Single)
        }
    }

    pub(crate) fn into_frames(self) -> Vec<Frame> {
        match self {
            Self::Single(frame) => vec![frame],
            Self::Batch(frames) => frames,
        }
    }
}

impl Frame {
    /// The answer as alloy knows it. An object with neither result nor error is an error.
    pub(crate) fn into_response(self) -> Response {
        let id = self.id.unwrap_or(Id::None);
        let payload = match (self.error, self.result) {
            (Some(error), _) => ResponsePayload::Failure(payload(&read_error(&error))),
            (None, Some(result)) => ResponsePayload::Success(result),
            (None, None) => ResponsePayload::Failure(payload(&Refusal {
                code: 0,
                message: "the answer holds neither a result nor an error".to_owned(),
                data: None,
            })),
        };
        Response { id, payload }
    }

    /// The object as something that arrives on a socket; `None` where nobody can be meant by it.
    pub(crate) fn into_item(self) -> Option<PubSubItem> {
        if !matches!(self.id, None | Some(Id::None)) {
            return Some(PubSubItem::Response(self.into_response()));
        }
        let params: Announcement = serde_json::from_str(self.params?.get()).ok()?;
        let subscription = serde_json::from_value(params.subscription).ok()?;
        Some(PubSubItem::Notification(EthNotification { subscription, result: params.result }))
    }

    /// The error inside, where there is one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.error.as_ref().map(read_error)
    }
}

fn read_error(error: &Json) -> Refusal {
    let code = match &error["code"] {
        Json::String(code) => code.parse().unwrap_or_default(),
        code => code.as_i64().unwrap_or_default(),
    };
    let message = match (error, &error["message"]) {
        (Json::String(message), _) | (_, Json::String(message)) => message.clone(),
        _ => error.to_string(),
    };
    Refusal { code, message, data: error.get("data").filter(|data| !data.is_null()).cloned() }
}

fn payload(refusal: &Refusal) -> ErrorPayload {
    let data = refusal.data.as_ref().and_then(|data| serde_json::value::to_raw_value(data).ok());
    ErrorPayload { code: refusal.code, message: refusal.message.clone().into(), data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> Response {
        let Packet::Single(frame) = Packet::parse(text.as_bytes()).unwrap() else { panic!("a batch") };
        frame.into_response()
    }

    #[test]
    fn a_null_result_is_a_result() {
        let answer = response(r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
        assert_eq!(answer.payload.as_success().map(|raw| raw.get()), Some("null"));
    }

    #[test]
    fn a_null_error_beside_a_result_is_no_error() {
        let answer = response(r#"{"id":1,"result":"0x1","error":null}"#);
        assert_eq!(answer.payload.as_success().map(|raw| raw.get()), Some("\"0x1\""));
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        for (text, code, message) in [
            (r#"{"id":1,"error":{"code":-32000,"message":"no"}}"#, -32000, "no"),
            (r#"{"id":1,"error":{"code":"-32000","message":"no"}}"#, -32000, "no"),
            (r#"{"id":1,"error":"rate limited"}"#, 0, "rate limited"),
            (r#"{"id":1,"error":{"reason":7}}"#, 0, r#"{"reason":7}"#),
            (r#"{"id":1}"#, 0, "the answer holds neither a result nor an error"),
        ] {
            let error = response(text).payload.as_error().cloned().unwrap();
            assert_eq!((error.code, error.message.as_ref()), (code, message), "{text}");
        }
    }

    #[test]
    fn what_addresses_nobody_is_nothing() {
        for text in [
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
            r#"{"jsonrpc":"2.0","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":[1]}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":{"subscription":[1],"result":1}}"#,
            "{}",
        ] {
            let Packet::Single(frame) = Packet::parse(text.as_bytes()).unwrap() else { panic!("a batch") };
            assert!(frame.into_item().is_none(), "{text}");
        }
    }
}
