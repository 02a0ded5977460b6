//! Addresses as people write them. Owns the one rule of which spelling is taken; must not know where it was written.
//!
//! An address in one case carries no checksum and is taken. One in mixed case carries the checksum of EIP-55, and is
//! taken only where that holds: a wrong one is a mistyped digit, and nothing would ever come from that address.

use alloy_primitives::Address;

/// The chains whose wallets write addresses with the chain id in the checksum (EIP-1191): Rootstock and its test chain.
const CHAINS_IN_CHECKSUMS: [u64; 2] = [30, 31];

/// A text that is not taken for an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It has another form.
    #[error("'{given}' is no address: write 0x and 40 hex digits")]
    Malformed {
        /// The text, or its beginning.
        given: String,
    },
    /// Its checksum is wrong.
    #[error(
        "the address '{given}' has a wrong checksum, so a digit may be mistyped: if the digits are right, write {right}"
    )]
    Checksum {
        /// The text.
        given: String,
        /// The same digits with the right checksum.
        right: String,
    },
}

/// Reads an address.
///
/// # Errors
/// [`BadAddress`], in one sentence with the mend.
pub fn parse_address(text: &str) -> Result<Address, BadAddress> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let malformed = || BadAddress::Malformed { given: text.chars().take(80).collect() };
    if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    let address: Address = digits.parse().map_err(|_| malformed())?;
    let one_case = !digits.contains(|c: char| c.is_ascii_lowercase())
        || !digits.contains(|c: char| c.is_ascii_uppercase());
    let spellings = std::iter::once(None).chain(CHAINS_IN_CHECKSUMS.map(Some));
    if one_case || spellings.map(|chain| address.to_checksum(chain)).any(|right| right[2..] == *digits) {
        return Ok(address);
    }
    Err(BadAddress::Checksum { given: text.to_owned(), right: address.to_checksum(None) })
}
