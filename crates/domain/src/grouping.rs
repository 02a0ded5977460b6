//! What a window gathers for beyond its watch: the values that its events share. Owns their form as a key, which is
//! bounded whatever a contract puts into them; must not know how they are shown.

use alloy_primitives::{Keccak256, hex};

use crate::{Event, Value, event::Content, schema::EventSchema, suggest::mend};

/// How many names a `group_by` has at most.
pub const GROUPS_MAX: usize = 8;

/// The longest value that is part of a key as it is, in bytes; a longer one, or one with other characters than letters,
/// digits and `-`, is hashed.
const PLAIN_MAX: usize = 80;

/// The longest key of a group, in bytes.
const KEY_MAX: usize = 250;

/// The names that every event has.
const OF_EVERY_EVENT: [&str; 2] = ["address", "tx_hash"];

/// A name of `group_by` that an event does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group_by: {signature} has no '{name}'; {}", mend(name, known, "it has"))]
pub struct BadGroup {
    /// As the watch names it.
    pub name: String,
    /// The event.
    pub signature: String,
    /// What it has.
    pub known: Vec<String>,
}

/// Checks that an event has everything that it is to be grouped by.
///
/// # Errors
/// The first name that it has not.
pub fn check(names: &[String], schema: &EventSchema) -> Result<(), BadGroup> {
    let keys = schema.keys();
    // A parameter that is called like what every event has takes the name, as it does in a filter.
    let known: Vec<String> = keys.into_iter().chain(OF_EVERY_EVENT.map(str::to_owned)).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(BadGroup { name: name.clone(), signature: schema.signature(), known }),
        None => Ok(()),
    }
}

/// The values of an event under the names of `group_by`, in their order; one that it has not is left out.
pub fn values(names: &[String], event: &Event) -> Vec<(String, Value)> {
    names.iter().filter_map(|name| Some((name.clone(), value(name, event)?))).collect()
}

fn value(name: &str, event: &Event) -> Option<Value> {
    if let Content::Decoded { params, .. } = &event.content
        && let Some(value) = params.get(name)
    {
        return Some(value.clone());
    }
    match name {
        "address" => Some(Value::Address(event.address)),
        "tx_hash" => Some(Value::Hash(event.tx_hash)),
        _ => None,
    }
}

/// The key of an event's group: the same for the same values, and empty where it is not grouped. It has no spaces and at
/// most 250 characters.
pub fn key(names: &[String], event: &Event) -> String {
    let parts = names.iter().map(|name| value(name, event).as_ref().map_or_else(String::new, part));
    let key = parts.collect::<Vec<_>>().join(",");
    if key.len() > KEY_MAX { hashed(&key) } else { key }
}

fn part(value: &Value) -> String {
    let text = match value {
        Value::Hash(hash) => hex::encode_prefixed(hash),
        value => match value.to_json() {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        },
    };
    let plain = text.len() <= PLAIN_MAX
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain {
        return text;
    }
    hashed(&text)
}

fn hashed(text: &str) -> String {
    let mut hasher = Keccak256::new();
    hasher.update(text);
    // Half of it tells any two apart.
    format!("#{}", hex::encode(&hasher.finalize()[..16]))
}
