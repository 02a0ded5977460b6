//! Integer literals, exactly: decimal with `_`, a fraction and an exponent as long as the value is whole.

use alloy_primitives::U256;

/// No 256-bit integer has more decimal digits.
const MAX_DIGITS: usize = 78;

/// Why a literal is no 256-bit integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadNumber {
    /// Letters, or `_` where no digit is on both sides.
    Malformed,
    /// Something remains behind the decimal point.
    NotWhole,
    /// More than 256 bits.
    TooLarge,
}

/// Reads `1_000`, `1e18`, `1.5e18`, `100e-2`.
pub(super) fn parse_decimal(text: &str) -> Result<U256, BadNumber> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = plain_digits(whole)?;
    if mantissa.contains('.') {
        digits.push_str(&plain_digits(fraction)?);
    }
    let behind_point = i64::try_from(fraction.bytes().filter(u8::is_ascii_digit).count()).unwrap_or(i64::MAX);
    let mut shift = exponent.saturating_sub(behind_point);
    let mut digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    while shift < 0 {
        digits = digits.strip_suffix('0').ok_or(BadNumber::NotWhole)?;
        shift += 1;
    }
    let shift = usize::try_from(shift).unwrap_or(usize::MAX);
    if digits.len().saturating_add(shift) > MAX_DIGITS {
        return Err(BadNumber::TooLarge);
    }
    let digits = format!("{digits}{}", "0".repeat(shift));
    U256::from_str_radix(&digits, 10).map_err(|_| BadNumber::TooLarge)
}

/// Reads hex digits, without `0x`, as an unsigned integer.
pub(super) fn parse_hex(digits: &str) -> Result<U256, BadNumber> {
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Ok(U256::ZERO),
        1..=64 => U256::from_str_radix(digits, 16).map_err(|_| BadNumber::Malformed),
        _ => Err(BadNumber::TooLarge),
    }
}

// An exponent that does not fit is as good as the largest one: what it makes is too large or not whole.
fn parse_exponent(text: &str) -> Result<i64, BadNumber> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let size = plain_digits(digits)?.parse::<i64>().unwrap_or(i64::MAX);
    Ok(if negative { -size } else { size })
}

fn plain_digits(text: &str) -> Result<String, BadNumber> {
    let well_formed = !text.is_empty() && text.split('_').all(|part| !part.is_empty());
    if well_formed && text.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        Ok(text.replace('_', ""))
    } else {
        Err(BadNumber::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_exactly_in_every_notation() {
        for (text, value) in [
            ("0", "0"),
            ("007", "7"),
            ("1_000_000", "1000000"),
            ("1e18", "1000000000000000000"),
            ("1.5e18", "1500000000000000000"),
            ("100e-2", "1"),
            ("0.0e-900", "0"),
            ("12.50e1", "125"),
        ] {
            assert_eq!(parse_decimal(text).unwrap().to_string(), value, "{text}");
        }
        assert_eq!(parse_decimal(&U256::MAX.to_string()), Ok(U256::MAX));
    }

    #[test]
    fn what_is_not_whole_or_not_256_bits_is_refused() {
        assert_eq!(parse_decimal("1.5"), Err(BadNumber::NotWhole));
        assert_eq!(parse_decimal("1e-1"), Err(BadNumber::NotWhole));
        assert_eq!(parse_decimal("5e-99999999999999999999"), Err(BadNumber::NotWhole));
        assert_eq!(parse_decimal("1e78"), Err(BadNumber::TooLarge));
        assert_eq!(parse_decimal("1e99999999999999999999"), Err(BadNumber::TooLarge));
        let above = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        assert_eq!(parse_decimal(above), Err(BadNumber::TooLarge));
    }

    #[test]
    fn misplaced_separators_are_refused() {
        for text in ["1__0", "1_", "_1", "1e", "1.", "1e5_", "1e+-5", "1.2.3"] {
            assert_eq!(parse_decimal(text), Err(BadNumber::Malformed), "{text}");
        }
    }
}
