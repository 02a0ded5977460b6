//! Owns the JSON-RPC envelope as nodes really write it: ids that are strings, `result` beside an empty `error`, errors that
//! are a bare string or have no envelope, codes that are strings, one answer where a batch was asked. What a strict reader
//! would take for the end of the connection becomes an answer here, or nothing. Only what can mean one thing is read so.
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
    #[serde(default, deserialize_with = "id")]
    id: Option<Id>,
    // A null result is a result: a block that the node does not have.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Json>,
    // Of an error without an envelope, as gateways before a node write it.
    #[serde(default, borrow)]
    code: Option<&'a RawValue>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
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

// Our ids are numbers, and some nodes give them back as strings, in decimal or hexadecimal, or as floats.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
    Ok(match Json::deserialize(deserializer)? {
        Json::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(number), _) => Some(Id::Number(number)),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole, and in the range"
            )]
            (None, Some(float)) if float.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&float) => {
                Some(Id::Number(float as u64))
            }
            _ => None,
        },
        Json::String(text) => Some(match number_in(text.trim()) {
            Some(number) => Id::Number(number),
            None => Id::String(text),
        }),
        _ => None,
    })
}

/// Above this, floats skip whole numbers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

fn number_in(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
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
        // The mark of the byte order, which some gateways put in front.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
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
        let refusal = self.refusal();
        let id = self.id.unwrap_or(Id::None);
        let payload = match (refusal, self.result) {
            (Some(refusal), _) => ResponsePayload::Failure(payload(&refusal)),
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
        match &self.error {
            // An empty error beside a result is none.
            Some(error) if self.result.is_some() && is_empty(error) => None,
            Some(error) => Some(read_error(error)),
            None if self.result.is_some() || self.params.is_some() => None,
            None => {
                let code: Json = serde_json::from_str(self.code?.get()).ok()?;
                let message = serde_json::from_str(self.message?.get()).ok()?;
                Some(Refusal { code: read_code(&code), message, data: None })
            }
        }
    }
}

fn is_empty(error: &Json) -> bool {
    match error {
        Json::Null | Json::Bool(false) => true,
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.is_empty(),
        Json::Number(number) => number.as_u64() == Some(0),
        Json::Bool(true) => false,
    }
}

fn read_code(code: &Json) -> i64 {
    match code {
        Json::String(code) => code.parse().unwrap_or_default(),
        code => code.as_i64().unwrap_or_default(),
    }
}

fn read_error(error: &Json) -> Refusal {
    let code = read_code(&error["code"]);
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
    fn an_id_is_a_number_however_it_is_written() {
        for id in ["16", "\"16\"", "\" 16 \"", "\"0x10\"", "16.0", "1.6e1"] {
            assert_eq!(response(&format!(r#"{{"id":{id},"result":1}}"#)).id, Id::Number(16), "{id}");
        }
        for id in ["null", "true", "-16", "16.5", "[16]", "{}", "1e300"] {
            assert_eq!(response(&format!(r#"{{"id":{id},"result":1}}"#)).id, Id::None, "{id}");
        }
        assert_eq!(response(r#"{"id":"a16","result":1}"#).id, Id::String("a16".to_owned()));
    }

    #[test]
    fn an_empty_error_beside_a_result_is_no_error_and_alone_it_is_one() {
        for error in ["null", "{}", "[]", "\"\"", "false", "0"] {
            let answer = response(&format!(r#"{{"id":1,"result":"0x1","error":{error}}}"#));
            assert!(answer.payload.is_success(), "{error}");
            let answer = response(&format!(r#"{{"id":1,"error":{error}}}"#));
            assert!(answer.payload.is_error(), "{error}");
        }
        let answer = response(r#"{"id":1,"result":"0x1","error":{"code":1,"message":"no"}}"#);
        assert!(answer.payload.is_error());
    }

    #[test]
    fn a_byte_order_mark_in_front_is_passed_over() {
        assert!(Packet::parse("\u{feff} {\"id\":1,\"result\":1}".as_bytes()).is_ok());
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        for (text, code, message) in [
            (r#"{"id":1,"error":{"code":-32000,"message":"no"}}"#, -32000, "no"),
            (r#"{"id":1,"error":{"code":"-32000","message":"no"}}"#, -32000, "no"),
            (r#"{"id":1,"error":"rate limited"}"#, 0, "rate limited"),
            (r#"{"id":1,"error":{"reason":7}}"#, 0, r#"{"reason":7}"#),
            (r#"{"code":429,"message":"slow down"}"#, 429, "slow down"),
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
