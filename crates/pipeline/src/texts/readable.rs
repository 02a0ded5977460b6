//! A value of any type as one short line for a person. Bounded in depth, width and length, because a contract decides
//! what is in it. Must not know locales: digits are digits.

use alloy_primitives::hex;
use domain::{Fields, Value};

use super::clean;

/// How deep tuples and arrays are opened.
const DEPTH_MAX: usize = 4;

/// How many elements or members are shown.
const ITEMS_MAX: usize = 8;

/// How many bytes are shown whole.
const BYTES_MAX: usize = 32;

/// How many characters of a text are shown.
const TEXT_CHARS_MAX: usize = 120;

/// How many characters a whole value has at most.
const CHARS_MAX: usize = 600;

/// The value on one line.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        // Alone it needs no quotes: there is nothing beside it that it could be taken for.
        Value::String(text) => out = clean::line(text, TEXT_CHARS_MAX).unwrap_or_else(|| "\"\"".to_owned()),
        value => write(&mut out, value, 0),
    }
    clean::shortened(&out, CHARS_MAX)
}

fn write(out: &mut String, value: &Value, depth: usize) {
    // What lies beyond is cut anyway.
    if out.len() > 4 * CHARS_MAX {
        return;
    }
    match value {
        Value::Uint(number) => out.push_str(&number.to_string()),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Address(address) => out.push_str(&address.to_checksum(None)),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Bytes(bytes) | Value::RawString(bytes) => out.push_str(&bytes_text(bytes)),
        Value::Hash(hash) => out.push_str(&format!("hash {hash}")),
        Value::String(text) => {
            let text = clean::line(text, TEXT_CHARS_MAX).unwrap_or_default();
            out.push_str(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
        }
        Value::Array(items) if depth == DEPTH_MAX => {
            out.push_str(if items.is_empty() { "[]" } else { "[…]" });
        }
        Value::Array(items) => array(out, items, depth),
        Value::Tuple(_) if depth == DEPTH_MAX => out.push_str("{…}"),
        Value::Tuple(fields) => tuple(out, fields, depth),
    }
}

fn array(out: &mut String, items: &[Value], depth: usize) {
    out.push('[');
    for (position, item) in items.iter().take(ITEMS_MAX).enumerate() {
        out.push_str(if position == 0 { "" } else { ", " });
        write(out, item, depth + 1);
    }
    left_out(out, items.len());
    out.push(']');
}

fn tuple(out: &mut String, fields: &Fields, depth: usize) {
    out.push('{');
    for (position, (name, value)) in fields.0.iter().take(ITEMS_MAX).enumerate() {
        let name = clean::line(name, TEXT_CHARS_MAX).unwrap_or_default();
        out.push_str(if position == 0 { "" } else { ", " });
        out.push_str(&format!("{name}: "));
        write(out, value, depth + 1);
    }
    left_out(out, fields.0.len());
    out.push('}');
}

fn left_out(out: &mut String, count: usize) {
    if count > ITEMS_MAX {
        out.push_str(&format!(", … +{}", count - ITEMS_MAX));
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    if bytes.len() <= BYTES_MAX {
        return hex::encode_prefixed(bytes);
    }
    format!("{}…{}", hex::encode_prefixed(&bytes[..8]), hex::encode(&bytes[bytes.len() - 8..]))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};

    use super::*;

    fn number(n: u64) -> Value {
        Value::Uint(U256::from(n))
    }

    #[test]
    fn a_struct_reads_with_its_names() {
        let legs = Value::Array(vec![number(1), number(2)]);
        let order = Value::Tuple(Fields::named([
            ("maker", Value::Address(Address::repeat_byte(0x11))),
            ("legs", legs),
            ("note", Value::String("a \"b\"\n\u{202e}c".into())),
        ]));
        assert_eq!(
            text(&order),
            "{maker: 0x1111111111111111111111111111111111111111, legs: [1, 2], note: \"a \\\"b\\\" c\"}"
        );
    }

    #[test]
    fn what_is_long_wide_or_deep_is_shortened() {
        assert_eq!(text(&Value::Bytes(Bytes::from(vec![0xab; 100]))), "0xabababababababab…abababababababab");
        assert_eq!(text(&Value::Array((0..10).map(number).collect())), "[0, 1, 2, 3, 4, 5, 6, 7, … +2]");
        let deep = (0..9).fold(number(1), |inner, _| Value::Array(vec![inner]));
        assert_eq!(text(&deep), "[[[[[…]]]]]");
        let wide = (0..4).fold(Value::String("я".repeat(500)), |inner, _| Value::Array(vec![inner; 8]));
        assert_eq!(text(&wide).chars().count(), CHARS_MAX);
        assert_eq!(text(&Value::String("я".repeat(500))).chars().count(), TEXT_CHARS_MAX);
        assert_eq!(text(&Value::String(String::new())), "\"\"");
    }
}
