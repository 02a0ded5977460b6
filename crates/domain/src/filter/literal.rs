//! Literals into values of the type that they are compared with. A literal that no value of the type can equal is
//! an error, so that a filter never fails to match in silence.

use alloy_primitives::{Address, Bytes, I256, U256, hex, keccak256};

use crate::{address::parse_address, schema::ParamType, value::Value};

use super::{lexer::shorten, names::Resolved, number::parse_hex, parser::Literal};

/// The literal as a value of the place's type, or the sentence why it is none.
///
/// An address with a wrong checksum is refused, unless the expression is `held`.
pub(super) fn typed(place: &Resolved<'_>, literal: &Literal<'_>, held: bool) -> Result<Value, String> {
    match (place.ty, literal) {
        (ParamType::Uint(bits), Literal::Integer { negative, size }) => {
            unsigned(place, *bits, *negative, *size)
        }
        (ParamType::Int(bits), Literal::Integer { negative, size }) => signed(place, *bits, *negative, *size),
        (ParamType::Uint(bits), Literal::Hex(digits)) => unsigned(place, *bits, false, hex_integer(digits)?),
        (ParamType::Int(bits), Literal::Hex(digits)) => signed(place, *bits, false, hex_integer(digits)?),
        (ParamType::Address, Literal::Hex(digits)) => {
            let address = Address::from_slice(&fixed(place, digits, 20)?);
            if !held {
                parse_address(&format!("0x{digits}")).map_err(|bad| bad.to_string())?;
            }
            Ok(Value::Address(address))
        }
        (ParamType::Bool, Literal::Bool(flag)) => Ok(Value::Bool(*flag)),
        (ParamType::FixedBytes(length), Literal::Hex(digits)) => {
            fixed(place, digits, usize::from(*length)).map(|bytes| Value::Bytes(bytes.into()))
        }
        (ParamType::Function, Literal::Hex(digits)) => {
            fixed(place, digits, 24).map(|bytes| Value::Bytes(bytes.into()))
        }
        (ParamType::Bytes, Literal::Hex(digits)) => {
            let bytes = hex::decode(digits).map_err(|_| {
                format!(
                    "bytes are pairs of hex digits, and this has {} digits; write a leading 0",
                    digits.len()
                )
            })?;
            Ok(if place.hashed { Value::Hash(keccak256(&bytes)) } else { Value::Bytes(Bytes::from(bytes)) })
        }
        (ParamType::String, Literal::Text(text)) => {
            Ok(if place.hashed { Value::Hash(keccak256(text)) } else { Value::String(text.clone()) })
        }
        (ty, literal) => Err(mismatch(place, ty, literal)),
    }
}

/// Whether a type has parts and cannot be compared as a whole.
pub(super) fn is_composite(ty: &ParamType) -> bool {
    matches!(ty, ParamType::Array(_) | ParamType::FixedArray(..) | ParamType::Tuple(_))
}

/// The type as a person says it: `a uint256`, `an address`.
pub(super) fn article(ty: &ParamType) -> String {
    match ty {
        ParamType::Address | ParamType::Int(_) => format!("an {ty}"),
        ParamType::Bytes => "bytes".to_owned(),
        ParamType::Tuple(_) => "a struct".to_owned(),
        ParamType::Array(inner) if matches!(**inner, ParamType::Tuple(_)) => "an array of structs".to_owned(),
        _ => format!("a {ty}"),
    }
}

fn hex_integer(digits: &str) -> Result<U256, String> {
    if digits.is_empty() {
        return Err("hex digits must follow 0x".to_owned());
    }
    parse_hex(digits).map_err(|_| "this does not fit into 256 bits".to_owned())
}

fn unsigned(place: &Resolved<'_>, bits: u16, negative: bool, size: U256) -> Result<Value, String> {
    if !negative && size.bit_len() <= usize::from(bits) {
        return Ok(Value::Uint(size));
    }
    let largest = power_text(bits);
    Err(format!("'{}' is a uint{bits}, from 0 to {largest}, and this is outside of it", place.name))
}

fn signed(place: &Resolved<'_>, bits: u16, negative: bool, size: U256) -> Result<Value, String> {
    // The magnitudes run to 2^(bits-1) below zero and to one less above.
    let edge = U256::ONE << usize::from(bits.clamp(1, 256) - 1);
    if size < edge || (negative && size == edge) {
        let value = I256::from_raw(size);
        return Ok(Value::Int(if negative { value.wrapping_neg() } else { value }));
    }
    let power = bits.saturating_sub(1);
    Err(format!(
        "'{}' is an int{bits}, from -2^{power} to 2^{power} - 1, and this is outside of it",
        place.name
    ))
}

fn power_text(bits: u16) -> String {
    if bits <= 64 {
        ((U256::ONE << usize::from(bits)) - U256::ONE).to_string()
    } else {
        format!("2^{bits} - 1")
    }
}

fn fixed(place: &Resolved<'_>, digits: &str, length: usize) -> Result<Vec<u8>, String> {
    if digits.len() != 2 * length {
        let (name, ty, wanted, given) = (place.name, article(place.ty), 2 * length, digits.len());
        return Err(format!(
            "'{name}' is {ty}, which has {wanted} hex digits after 0x, and this has {given}"
        ));
    }
    hex::decode(digits).map_err(|_| "these are no hex digits".to_owned())
}

fn mismatch(place: &Resolved<'_>, ty: &ParamType, literal: &Literal<'_>) -> String {
    let name = place.name;
    if place.hashed && is_composite(ty) {
        return format!(
            "'{name}' is an indexed {ty}, so only its hash is on chain; compare '{name}.hash' with 0x and 64 hex digits"
        );
    }
    let mend = match (ty, literal) {
        (ParamType::Array(_) | ParamType::FixedArray(..), _) => {
            format!("compare an element such as '{name}[0]', or 'len({name})'")
        }
        (ParamType::Tuple(fields), _) => {
            let member = fields.first().map(|field| field.name.as_str()).filter(|member| !member.is_empty());
            format!("compare a member such as '{name}.{}'", member.unwrap_or("$0"))
        }
        (ParamType::Uint(_) | ParamType::Int(_), Literal::Text(_)) => {
            "write a number without quotes".to_owned()
        }
        (ParamType::Address, Literal::Text(_)) => "write the address without quotes".to_owned(),
        (ParamType::Uint(_) | ParamType::Int(_), _) => "write a number".to_owned(),
        (ParamType::Address, _) => "write 0x and 40 hex digits".to_owned(),
        (ParamType::Bool, _) => "write true or false".to_owned(),
        (ParamType::String, _) => "write the text in quotes".to_owned(),
        (ParamType::FixedBytes(length), _) => format!("write 0x and {} hex digits", 2 * usize::from(*length)),
        (ParamType::Function, _) => "write 0x and 48 hex digits".to_owned(),
        (ParamType::Bytes, _) => "write 0x and hex digits".to_owned(),
        (ParamType::Opaque(_), _) => "its type is not decoded".to_owned(),
    };
    format!("'{name}' is {} and cannot be compared with {}; {mend}", article(ty), described(literal))
}

fn described(literal: &Literal<'_>) -> String {
    match literal {
        Literal::Integer { negative, size } => {
            let sign = if *negative { "-" } else { "" };
            format!("the number {}", shorten(&format!("{sign}{size}")))
        }
        Literal::Hex(digits) => format!("0x{}", shorten(digits)),
        Literal::Text(_) => "a text".to_owned(),
        Literal::Bool(flag) => flag.to_string(),
    }
}
