//! Decoded values and their one JSON form. Owns exactness: integers are 256 bits wide and travel as decimal
//! strings. Must not know the ABI encoding.

use std::fmt::Write as _;

use alloy_primitives::{Address, B256, Bytes, I256, U256, hex};
use serde_json::{Map, Value as Json, json};

use crate::schema::{Field, ParamType};

/// One decoded Solidity value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// `uint8` to `uint256`.
    Uint(U256),
    /// `int8` to `int256`.
    Int(I256),
    /// `address`.
    Address(Address),
    /// `bool`.
    Bool(bool),
    /// `bytes`, `bytes1` to `bytes32` and `function`.
    Bytes(Bytes),
    /// `string`.
    String(String),
    /// A `string` whose bytes are not UTF-8. It equals no text.
    RawString(Bytes),
    /// An indexed value of dynamic type: only its keccak-256 is on chain.
    Hash(B256),
    /// `T[]` and `T[n]`.
    Array(Vec<Value>),
    /// A struct.
    Tuple(Fields),
}

/// Named values in ABI order. The names are the JSON keys: unique, and a position where the ABI has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Fields(pub Vec<(String, Value)>);

/// A JSON value that does not have the type that its schema promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{at}' is not a {expected}")]
pub struct BadValue {
    at: String,
    expected: String,
}

impl BadValue {
    pub(crate) fn new(at: &str, expected: &str) -> Self {
        Self { at: at.to_owned(), expected: expected.to_owned() }
    }
}

impl Value {
    /// The value of a `string` with these bytes.
    pub fn text(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::String(text.to_owned()),
            Err(_) => Self::RawString(Bytes::copy_from_slice(bytes)),
        }
    }

    /// The JSON form: integers as decimal strings, addresses checksummed (EIP-55), bytes as 0x-hex, tuples as
    /// objects, and an indexed dynamic value as `{"hash":"0x…"}`. A `string` is a string, whatever characters it has; one
    /// that is not UTF-8 is `{"hex":"0x…"}`, with its bytes.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Uint(value) => Json::String(value.to_string()),
            Self::Int(value) => Json::String(value.to_string()),
            Self::Address(value) => Json::String(value.to_checksum(None)),
            Self::Bool(value) => Json::Bool(*value),
            Self::Bytes(value) => Json::String(hex::encode_prefixed(value)),
            Self::String(value) => Json::String(value.clone()),
            Self::RawString(value) => json!({ "hex": hex::encode_prefixed(value) }),
            Self::Hash(value) => json!({ "hash": hex::encode_prefixed(value) }),
            Self::Array(values) => Json::Array(values.iter().map(Self::to_json).collect()),
            Self::Tuple(fields) => fields.to_json(),
        }
    }

    /// Writes the text that the store keeps: that of [`Value::to_json`], but a string that holds NUL by its bytes, since
    /// PostgreSQL's `jsonb` has no NUL. Without making a JSON value: events are many.
    pub fn write_stored(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Uint(value) => write!(out, "\"{value}\""),
            Self::Int(value) => write!(out, "\"{value}\""),
            Self::Address(value) => write!(out, "\"{value}\""),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Bytes(value) => write!(out, "\"{value}\""),
            Self::Hash(value) => write!(out, "{{\"hash\":\"{value}\"}}"),
            Self::String(value) if value.contains('\0') => {
                write!(out, "{{\"hex\":\"{}\"}}", hex::encode_prefixed(value))
            }
            Self::RawString(value) => write!(out, "{{\"hex\":\"{value}\"}}"),
            Self::String(_) => write!(out, "{}", self.to_json()),
            Self::Array(values) => {
                out.push('[');
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    value.write_stored(out);
                }
                out.push(']');
                Ok(())
            }
            Self::Tuple(fields) => {
                fields.write_stored(out);
                Ok(())
            }
        };
    }

    /// Reads back what [`Value::to_json`] or [`Value::write_stored`] wrote for a value of type `ty`.
    ///
    /// # Errors
    /// [`BadValue`] when `json` is not of that type.
    pub fn from_json(ty: &ParamType, json: &Json) -> Result<Self, BadValue> {
        let bad = || BadValue { at: json.to_string().chars().take(80).collect(), expected: ty.to_string() };
        let text = json.as_str();
        match ty {
            ParamType::Uint(_) => text.and_then(|t| U256::from_str_radix(t, 10).ok()).map(Self::Uint),
            ParamType::Int(_) => text.and_then(|t| I256::from_dec_str(t).ok()).map(Self::Int),
            ParamType::Address => text.and_then(|t| t.parse().ok()).map(Self::Address),
            ParamType::Bool => json.as_bool().map(Self::Bool),
            ParamType::FixedBytes(_) | ParamType::Bytes | ParamType::Function => {
                text.and_then(|t| t.parse().ok()).map(Self::Bytes)
            }
            ParamType::String => match json.get("hex").and_then(Json::as_str) {
                Some(coded) => hex::decode(coded).ok().map(|raw| Self::text(&raw)),
                None => text.map(|t| Self::String(t.to_owned())),
            },
            ParamType::Array(inner) | ParamType::FixedArray(inner, _) => {
                let items = json.as_array().ok_or_else(bad)?;
                let items: Result<_, _> = items.iter().map(|item| Self::from_json(inner, item)).collect();
                Some(Self::Array(items?))
            }
            ParamType::Tuple(fields) => {
                let fields =
                    Fields::from_json(fields.iter().map(|Field { name, ty }| (name.as_str(), ty)), json)?;
                Some(Self::Tuple(fields))
            }
            ParamType::Opaque(_) => None,
        }
        .ok_or_else(bad)
    }
}

impl Fields {
    /// Puts values under their names, replacing a missing or repeated name by its position.
    pub fn named<'a>(items: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let items: Vec<_> = items.into_iter().collect();
        let names: Vec<_> = items.iter().map(|(name, _)| *name).collect();
        let keys = field_keys(&names);
        Self(keys.into_iter().zip(items.into_iter().map(|(_, value)| value)).collect())
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value at a position of the ABI.
    pub fn at(&self, position: usize) -> Option<&Value> {
        self.0.get(position).map(|(_, value)| value)
    }

    /// An object in ABI order.
    pub fn to_json(&self) -> Json {
        Json::Object(self.0.iter().map(|(key, value)| (key.clone(), value.to_json())).collect::<Map<_, _>>())
    }

    /// Writes the text that the store keeps. See [`Value::write_stored`].
    pub fn write_stored(&self, out: &mut String) {
        for (position, (key, value)) in self.0.iter().enumerate() {
            out.push(if position == 0 { '{' } else { ',' });
            // Writing to a String cannot fail.
            let _ = if key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                write!(out, "\"{key}\":")
            } else {
                write!(out, "{}:", Json::String(key.clone()))
            };
            value.write_stored(out);
        }
        out.push_str(if self.0.is_empty() { "{}" } else { "}" });
    }

    /// Reads back an object, in whatever order its keys now are, into ABI order.
    ///
    /// # Errors
    /// [`BadValue`] when a field is missing or of another type.
    pub fn from_json<'a>(
        schema: impl IntoIterator<Item = (&'a str, &'a ParamType)>,
        json: &Json,
    ) -> Result<Self, BadValue> {
        let schema: Vec<_> = schema.into_iter().collect();
        let keys = field_keys(&schema.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let mut fields = Vec::with_capacity(keys.len());
        for (key, (_, ty)) in keys.into_iter().zip(schema) {
            let value =
                json.get(&key).ok_or_else(|| BadValue { at: key.clone(), expected: ty.to_string() })?;
            let value = Value::from_json(ty, value)?;
            fields.push((key, value));
        }
        Ok(Self(fields))
    }
}

/// The JSON keys for a list of ABI names: the name itself, or the position where it is missing or repeated.
pub fn field_keys(names: &[&str]) -> Vec<String> {
    names
        .iter()
        .enumerate()
        .map(|(position, name)| {
            let unusable = name.is_empty() || names.iter().filter(|other| *other == name).count() > 1;
            if unusable { position.to_string() } else { (*name).to_owned() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_text_is_that_of_the_value_and_has_no_nul() {
        let fields = |fields: Vec<(&str, Value)>| {
            Fields(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        let address = Address::repeat_byte(0xab);
        let each = fields(vec![
            ("amount", Value::Uint(U256::MAX)),
            ("delta", Value::Int(I256::MIN)),
            ("0", Value::Address(address)),
            ("yes", Value::Bool(true)),
            ("raw", Value::Bytes(Bytes::from_static(&[0, 255]))),
            ("none", Value::Bytes(Bytes::new())),
            ("sa\"id", Value::String("\u{1}\"\\ строка".to_owned())),
            ("raw text", Value::RawString(Bytes::from_static(b"a\xff\0b"))),
            ("topic", Value::Hash(B256::repeat_byte(7))),
            ("list", Value::Array(vec![Value::Bool(false), Value::Array(Vec::new())])),
            (
                "inner",
                Value::Tuple(fields(vec![
                    ("x", Value::Uint(U256::ZERO)),
                    ("", Value::Tuple(Fields::default())),
                ])),
            ),
        ]);
        let mut text = String::new();
        each.write_stored(&mut text);
        assert_eq!(text, each.to_json().to_string());

        let nul = Value::Array(vec![Value::String("a\0b".to_owned())]);
        let mut text = String::new();
        nul.write_stored(&mut text);
        assert_eq!(
            (text.as_str(), nul.to_json().to_string().as_str()),
            (r#"[{"hex":"0x610062"}]"#, r#"["a\u0000b"]"#)
        );
        let ty = ParamType::Array(Box::new(ParamType::String));
        for form in [nul.to_json(), serde_json::from_str(&text).unwrap()] {
            assert_eq!(Value::from_json(&ty, &form), Ok(nul.clone()));
        }
    }
}
