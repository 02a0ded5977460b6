//! Names of Solidity types into [`ParamType`], and the limits of what an event may declare.

use domain::{EventParam, EventSchema, ParamType};

/// How deep arrays and structs may nest.
pub(crate) const MAX_NESTING: usize = 32;

/// The longest array of fixed length.
pub(crate) const MAX_FIXED_LENGTH: usize = 1 << 20;

/// What a person can write instead of a type that is none.
const MEND: &str = "write a struct as its members in parentheses, an enum as uint8 and a contract as address";

/// A type without parts: `uint256`, `bytes32`, `address`.
pub(crate) fn elementary(name: &str) -> Result<ParamType, String> {
    let plain = match name {
        "address" => ParamType::Address,
        "bool" => ParamType::Bool,
        "string" => ParamType::String,
        "bytes" => ParamType::Bytes,
        "byte" => ParamType::FixedBytes(1),
        "function" => ParamType::Function,
        "uint" => ParamType::Uint(256),
        "int" => ParamType::Int(256),
        _ => return sized(name),
    };
    Ok(plain)
}

fn sized(name: &str) -> Result<ParamType, String> {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let size = digits.parse::<u16>().ok().filter(|_| !digits.starts_with('0'));
    let word = &name[..name.len() - digits.len()];
    match (word, size) {
        ("uint", Some(bits)) if whole_bytes(bits) => Ok(ParamType::Uint(bits)),
        ("int", Some(bits)) if whole_bytes(bits) => Ok(ParamType::Int(bits)),
        ("bytes", Some(length @ 1..=32)) => Ok(ParamType::FixedBytes(u8::try_from(length).unwrap_or(32))),
        ("uint" | "int", _) => Err(format!("'{name}' is no type; integers have 8 to 256 bits in steps of 8")),
        ("bytes", _) => Err(format!("'{name}' is no type; fixed bytes are bytes1 to bytes32")),
        ("fixed" | "ufixed", _) => Err(format!("'{name}' is a type that Solidity does not encode in events")),
        _ => Err(format!("'{name}' is no type; {MEND}")),
    }
}

/// The longest name of a type that is kept though it is not decoded.
const MAX_OPAQUE: usize = 100;

/// As [`elementary`]; a type that an ABI names and that is none of ours is kept by its name, which is what topic 0 is
/// made of.
pub(crate) fn elementary_or_opaque(name: &str) -> Result<ParamType, String> {
    elementary(name).or_else(|error| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$' | ' ');
        let usable = name.len() <= MAX_OPAQUE && name.starts_with(|c: char| c.is_ascii_alphabetic());
        if usable && name.chars().all(plain) { Ok(ParamType::Opaque(name.to_owned())) } else { Err(error) }
    })
}

fn whole_bytes(bits: u16) -> bool {
    bits.is_multiple_of(8) && (8..=256).contains(&bits)
}

/// Wraps `ty` in the arrays that `suffix` writes behind it: `[]`, `[3][]`.
pub(crate) fn arrays(mut ty: ParamType, suffix: &str) -> Result<ParamType, String> {
    let mut rest = suffix;
    while !rest.is_empty() {
        let (length, behind) = rest
            .strip_prefix('[')
            .and_then(|open| open.split_once(']'))
            .ok_or_else(|| format!("'{rest}' does not follow a type; an array is written '[]' or '[3]'"))?;
        ty = if length.trim().is_empty() {
            ParamType::Array(Box::new(ty))
        } else {
            ParamType::FixedArray(Box::new(ty), array_length(length.trim())?)
        };
        rest = behind.trim_start();
    }
    check_nesting(&ty)?;
    Ok(ty)
}

/// The length of `T[n]`.
fn array_length(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|length| (1..=MAX_FIXED_LENGTH).contains(length))
        .ok_or_else(|| format!("'[{text}]' is no array; its length is a number from 1 to {MAX_FIXED_LENGTH}"))
}

fn check_nesting(ty: &ParamType) -> Result<(), String> {
    if depth(ty) > MAX_NESTING {
        return Err(format!("arrays and structs nest deeper than {MAX_NESTING} levels"));
    }
    Ok(())
}

fn depth(ty: &ParamType) -> usize {
    match ty {
        ParamType::Array(inner) | ParamType::FixedArray(inner, _) => 1 + depth(inner),
        ParamType::Tuple(fields) => 1 + fields.iter().map(|field| depth(&field.ty)).max().unwrap_or(0),
        _ => 0,
    }
}

/// What holds for a whole event: topics are few, and every struct has a member.
pub(crate) fn check_event(schema: &EventSchema) -> Result<(), String> {
    let allowed = if schema.anonymous { 4 } else { 3 };
    let indexed = schema.params.iter().filter(|param| param.indexed).count();
    if indexed > allowed {
        let kind = if schema.anonymous { "an anonymous event" } else { "an event" };
        return Err(format!("{indexed} parameters are indexed, and {kind} has {allowed} at most"));
    }
    for EventParam { ty, .. } in &schema.params {
        check_nesting(ty)?;
        if has_empty_struct(ty) {
            return Err("a struct without members encodes nothing; remove it".to_owned());
        }
    }
    Ok(())
}

fn has_empty_struct(ty: &ParamType) -> bool {
    match ty {
        ParamType::Array(inner) | ParamType::FixedArray(inner, _) => has_empty_struct(inner),
        ParamType::Tuple(fields) => {
            fields.is_empty() || fields.iter().any(|field| has_empty_struct(&field.ty))
        }
        _ => false,
    }
}
