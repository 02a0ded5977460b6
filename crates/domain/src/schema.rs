//! The shape of an event: names and types, without any encoding. Must not know how a log's bytes are laid out;
//! crate `abi` does.

use std::fmt;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::value::{BadValue, Fields, Value, field_keys};

/// A Solidity type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// `uint8` to `uint256`, by width in bits.
    Uint(u16),
    /// `int8` to `int256`, by width in bits.
    Int(u16),
    /// `address`.
    Address,
    /// `bool`.
    Bool,
    /// `bytes1` to `bytes32`, by length in bytes.
    FixedBytes(u8),
    /// `bytes`.
    Bytes,
    /// `string`.
    String,
    /// `function`: address and selector, 24 bytes.
    Function,
    /// `T[]`.
    Array(Box<ParamType>),
    /// `T[n]`.
    FixedArray(Box<ParamType>, usize),
    /// A struct.
    Tuple(Vec<Field>),
    /// A type that an ABI names and nothing here decodes, as the ABI writes it: Vyper's `fixed168x10`, a library's
    /// `Lib.Status`. Logs of such an event are known by their topic 0 and stored raw.
    Opaque(String),
}

/// A named member of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Name in the ABI; empty where it has none.
    pub name: String,
    /// Type.
    pub ty: ParamType,
}

/// A parameter of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventParam {
    /// Name in the ABI; empty where it has none.
    pub name: String,
    /// Type.
    pub ty: ParamType,
    /// Whether it is a topic.
    pub indexed: bool,
}

/// An event as its ABI declares it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventSchema {
    /// Name.
    pub name: String,
    /// Parameters in order.
    pub params: Vec<EventParam>,
    /// Whether topic 0 is a parameter, not the signature's hash.
    pub anonymous: bool,
}

impl ParamType {
    /// Whether an indexed parameter of this type is stored as its hash only (Solidity ABI specification,
    /// "Encoding of Indexed Event Parameters").
    pub fn is_dynamic_or_composite(&self) -> bool {
        matches!(self, Self::Bytes | Self::String | Self::Array(_) | Self::FixedArray(..) | Self::Tuple(_))
    }

    /// The type in it that is not decoded.
    pub fn opaque(&self) -> Option<&str> {
        match self {
            Self::Opaque(name) => Some(name),
            Self::Array(inner) | Self::FixedArray(inner, _) => inner.opaque(),
            Self::Tuple(fields) => fields.iter().find_map(|field| field.ty.opaque()),
            _ => None,
        }
    }
}

impl fmt::Display for ParamType {
    /// The canonical type of the ABI specification: tuples as their members in parentheses, without names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(bits) => write!(f, "uint{bits}"),
            Self::Int(bits) => write!(f, "int{bits}"),
            Self::Address => f.write_str("address"),
            Self::Bool => f.write_str("bool"),
            Self::FixedBytes(length) => write!(f, "bytes{length}"),
            Self::Bytes => f.write_str("bytes"),
            Self::String => f.write_str("string"),
            Self::Function => f.write_str("function"),
            Self::Array(inner) => write!(f, "{inner}[]"),
            Self::FixedArray(inner, length) => write!(f, "{inner}[{length}]"),
            Self::Tuple(fields) => {
                let types: Vec<_> = fields.iter().map(|field| field.ty.to_string()).collect();
                write!(f, "({})", types.join(","))
            }
            Self::Opaque(name) => f.write_str(name),
        }
    }
}

impl EventSchema {
    /// The canonical signature, `Transfer(address,address,uint256)`.
    pub fn signature(&self) -> String {
        let types: Vec<_> = self.params.iter().map(|param| param.ty.to_string()).collect();
        format!("{}({})", self.name, types.join(","))
    }

    /// The full declaration with names, `indexed` and `anonymous`: two schemas are equal when these are.
    pub fn declaration(&self) -> String {
        let params: Vec<_> = self
            .params
            .iter()
            .map(|param| {
                let indexed = if param.indexed { " indexed" } else { "" };
                let gap = if param.name.is_empty() { "" } else { " " };
                format!("{}{indexed}{gap}{}", declared(&param.ty), param.name)
            })
            .collect();
        let anonymous = if self.anonymous { " anonymous" } else { "" };
        format!("event {}({}){anonymous}", self.name, params.join(", "))
    }

    /// Whether `text` names this event: by its name, its signature, or its declaration (which alone tells apart two
    /// events that differ in what is indexed). Spaces do not matter.
    pub fn is_named(&self, text: &str) -> bool {
        let wanted = spaceless(text);
        self.name == wanted
            || self.signature() == wanted
            || [self.declaration().as_str(), self.declaration().trim_start_matches("event ")]
                .into_iter()
                .any(|declared| spaceless(declared) == wanted)
    }

    /// Keccak-256 of the signature: topic 0 of every log of this event, unless it is anonymous.
    pub fn topic0(&self) -> B256 {
        keccak256(self.signature())
    }

    /// How many topics a log of this event has.
    pub fn topic_count(&self) -> usize {
        self.params.iter().filter(|param| param.indexed).count() + usize::from(!self.anonymous)
    }

    /// Whether logs of the two have the same bytes: same signature, same parameters indexed.
    pub fn same_layout(&self, other: &Self) -> bool {
        self.anonymous == other.anonymous
            && self.name == other.name
            && self.params.len() == other.params.len()
            && self.params.iter().zip(&other.params).all(|(one, two)| {
                one.indexed == two.indexed && (one.ty == two.ty || one.ty.to_string() == two.ty.to_string())
            })
    }

    /// Whether a log of the two says the same, whichever of them reads it: the layout is one, and no name stands for
    /// different parameters.
    pub fn reads_alike(&self, other: &Self) -> bool {
        let (mine, others) = (self.keys(), other.keys());
        let moved = |(at, key): (usize, &String)| {
            others.iter().position(|other| other == key).is_some_and(|it| it != at)
        };
        self.same_layout(other) && !mine.iter().enumerate().any(moved)
    }

    /// The type for which logs of this event are not decoded, if it has one.
    pub fn opaque(&self) -> Option<&str> {
        self.params.iter().find_map(|param| param.ty.opaque())
    }

    /// The JSON keys of the parameters, in order.
    pub fn keys(&self) -> Vec<String> {
        field_keys(&self.params.iter().map(|param| param.name.as_str()).collect::<Vec<_>>())
    }

    /// Reads back parameters that [`Fields::to_json`] wrote, in whatever order the keys are now.
    ///
    /// # Errors
    /// [`BadValue`] when a parameter is missing or of another type.
    pub fn params_from_json(&self, json: &Json) -> Result<Fields, BadValue> {
        let hashed = |param: &EventParam| param.indexed && param.ty.is_dynamic_or_composite();
        let mut fields = Vec::with_capacity(self.params.len());
        for (key, param) in self.keys().into_iter().zip(&self.params) {
            let given = json.get(&key).unwrap_or(&Json::Null);
            let value = if hashed(param) {
                let hash = given.get("hash").and_then(Json::as_str).and_then(|text| text.parse().ok());
                hash.map(Value::Hash).ok_or_else(|| BadValue::new(&key, "hash"))?
            } else {
                Value::from_json(&param.ty, given)?
            };
            fields.push((key, value));
        }
        Ok(Fields(fields))
    }
}

fn spaceless(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn declared(ty: &ParamType) -> String {
    match ty {
        ParamType::Tuple(fields) => {
            let members: Vec<_> = fields
                .iter()
                .map(|field| {
                    let gap = if field.name.is_empty() { "" } else { " " };
                    format!("{}{gap}{}", declared(&field.ty), field.name)
                })
                .collect();
            format!("({})", members.join(", "))
        }
        ParamType::Array(inner) => format!("{}[]", declared(inner)),
        ParamType::FixedArray(inner, length) => format!("{}[{length}]", declared(inner)),
        plain => plain.to_string(),
    }
}
