//! Owns the JSON-RPC envelope as nodes really write it: `result` beside a null `error`, errors that are a bare string,
//! codes that are strings, one answer where a batch was asked. What a strict reader would take for the end of the
//! connection becomes an answer here, or nothing.
//!
//! A block brings hundreds of frames, and its logs come behind them: what is inside one stays where it is until
//! somebody is found who wants it.

use std::fmt;

use alloy_json_rpc::{ErrorPayload, Id, Response, ResponsePayload};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use serde_json::{Value as Json, value::RawValue};

use crate::classify::Refusal;

/// One object of the other side.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(default)]
    id: Option<Id>,
    // A null result is a result: a block that the node does not have.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Json>,
    #[serde(default, borrow, deserialize_with = "announcement")]
    params: Option<News<'a>>,
}

/// An announcement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct News<'a> {
    /// The id of its subscription.
    pub(crate) subscription: &'a RawValue,
    /// What is announced.
    pub(crate) result: &'a RawValue,
}

// What the parameters are, if they are an announcement: anything else in them is not for us, whatever its shape.
fn announcement<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<News<'de>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(field_identifier, rename_all = "lowercase")]
    enum Key {
        Subscription,
        Result,
        #[serde(other)]
        Other,
    }

    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<News<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut subscription, mut result) = (None, None);
            while let Some(key) = map.next_key()? {
                match key {
                    Key::Subscription => subscription = Some(map.next_value()?),
                    Key::Result => result = Some(map.next_value()?),
                    Key::Other => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(subscription.zip(result).map(|(subscription, result)| News { subscription, result }))
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            de::Visitor::visit_seq(IgnoredAny, seq).map(|_| None)
        }

        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Visitor)
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What came in one message: one object or several.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    Single(Frame<'a>),
    Batch(Vec<Frame<'a>>),
}

impl<'a> Packet<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            serde_json::from_slice(text).map(Self::Batch)
        } else {
            serde_json::from_slice(text).map(Self::Single)
        }
    }

    pub(crate) fn into_frames(self) -> Vec<Frame<'a>> {
        match self {
            Self::Single(frame) => vec![frame],
            Self::Batch(frames) => frames,
        }
    }
}

impl<'a> Frame<'a> {
    /// The answer as alloy knows it. An object with neither result nor error is an error.
    pub(crate) fn into_response(self) -> Response {
        let id = self.id.unwrap_or(Id::None);
        let payload = match (self.error, self.result) {
            (Some(error), _) => ResponsePayload::Failure(payload(&read_error(&error))),
            (None, Some(result)) => ResponsePayload::Success(result.to_owned()),
            (None, None) => ResponsePayload::Failure(payload(&Refusal {
                code: 0,
                message: "the answer holds neither a result nor an error".to_owned(),
                data: None,
            })),
        };
        Response { id, payload }
    }

    /// The announcement that it is; `None` where it is an answer, or nothing that is for anybody.
    pub(crate) const fn news(&self) -> Option<News<'a>> {
        if !matches!(self.id, None | Some(Id::None)) {
            return None;
        }
        self.params
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
    fn what_addresses_nobody_is_no_news() {
        for text in [
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
            r#"{"jsonrpc":"2.0","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":[1,{"subscription":"0x1","result":1}]}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":{"subscription":"0x1"}}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":null}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":"pong"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":true}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":-1}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":1.5}"#,
            "{}",
        ] {
            let Packet::Single(frame) = Packet::parse(text.as_bytes()).unwrap() else { panic!("a batch") };
            assert!(frame.news().is_none(), "{text}");
        }
    }
}
