//! What the facts say of a token. Its name and symbol are whatever its author liked. Must not know amounts.

use std::collections::HashMap;

use alloy_primitives::Address;
use serde::Serialize;
use serde_json::Value as Json;
use store::TokenRow;

use super::{
    clean::{NAME_CHARS_MAX, SYMBOL_CHARS_MAX, line},
    tally::checksummed,
};

/// A token or a collection; `null` what it does not say.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TokenFacts {
    address: String,
    symbol: Option<String>,
    name: Option<String>,
    pub(super) decimals: Option<u8>,
}

impl TokenFacts {
    pub(super) fn of(address: Address, tokens: &HashMap<Address, TokenRow>) -> Self {
        let row = tokens.get(&address);
        let text = |text: Option<&String>, limit| text.and_then(|text| line(text, limit));
        Self {
            address: checksummed(&address),
            symbol: text(row.and_then(|row| row.symbol.as_ref()), SYMBOL_CHARS_MAX),
            name: text(row.and_then(|row| row.name.as_ref()), NAME_CHARS_MAX),
            decimals: decimals(&address, tokens),
        }
    }
}

/// How many decimals the token says it has.
pub(super) fn decimals(address: &Address, tokens: &HashMap<Address, TokenRow>) -> Option<u8> {
    // The store keeps 0 to 77; anything else would make amounts that nobody can read.
    tokens.get(address)?.decimals.filter(|decimals| *decimals <= abi::metadata::MAX_DECIMALS)
}

/// What a notification's facts say of the tokens that it showed. Its corrections say the same: an amount that was told in
/// one unit is not corrected in another.
pub(crate) fn told(facts: &Json) -> HashMap<Address, TokenRow> {
    let mut known = HashMap::new();
    collect(facts, &mut known);
    known
}

fn collect(facts: &Json, known: &mut HashMap<Address, TokenRow>) {
    match facts {
        Json::Array(items) => items.iter().for_each(|item| collect(item, known)),
        Json::Object(fields) => {
            known.extend(one(facts));
            fields.values().for_each(|value| collect(value, known));
        }
        _ => {}
    }
}

fn one(facts: &Json) -> Option<(Address, TokenRow)> {
    let text = |key| Some(facts.get(key)?.as_str().map(str::to_owned));
    let (address, name, symbol) = (facts.get("address")?.as_str()?, text("name")?, text("symbol")?);
    let decimals = facts.get("decimals")?.as_u64().and_then(|decimals| u8::try_from(decimals).ok());
    Some((address.parse().ok()?, TokenRow { name, symbol, decimals, hides: false }))
}
