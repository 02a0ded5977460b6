//! What the facts say of a token. Its name and symbol are whatever its author liked. Must not know amounts.

use std::collections::HashMap;

use alloy_primitives::Address;
use serde::Serialize;
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
