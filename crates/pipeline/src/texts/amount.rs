//! Amounts that stay exact: sums wider than 256 bits, and the one decimal form of each. Must not know locales.

use abi::metadata::MAX_DECIMALS;
use alloy_primitives::{U256, U512};
use domain::transfer::in_units;
use serde::Serialize;

/// A sum of 256-bit values. 2^256 of them fit, which no window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sum(U512);

/// How much an amount is in whole tokens, to the last digit, for comparing amounts of different tokens. Those whose
/// token does not say its decimals come before all others, because nobody knows what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size {
    known: bool,
    whole: U512,
    /// What is less than a whole token, in units of 10^-77.
    rest: U512,
}

/// An amount of a token, for machines: exact, in decimal digits, with `.` and without grouping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Amount {
    /// In the token's smallest unit.
    raw: String,
    /// In the token's own unit; `null` where the token does not say its decimals.
    amount: Option<String>,
}

impl Sum {
    pub(super) fn add(&mut self, value: U256) {
        self.0 = self.0.saturating_add(U512::from(value));
    }

    pub(super) fn amount(self, decimals: Option<u8>) -> Amount {
        Amount::new(self.0.to_string(), decimals)
    }

    /// `self` less `other`, below zero too.
    pub(super) fn less(self, other: Self, decimals: Option<u8>) -> Amount {
        Amount::new(self.less_digits(other), decimals)
    }

    /// Decimal digits.
    pub(super) fn digits(self) -> String {
        self.0.to_string()
    }

    /// The decimal digits of `self` less `other`, below zero too.
    pub(super) fn less_digits(self, other: Self) -> String {
        if self.0 >= other.0 { (self.0 - other.0).to_string() } else { format!("-{}", other.0 - self.0) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// `decimals` are at most [`MAX_DECIMALS`].
    pub(super) fn size(self, decimals: Option<u8>) -> Size {
        let Some(decimals) = decimals else { return Size { known: false, whole: self.0, rest: U512::ZERO } };
        let power = |exponent: u8| U512::from(10).pow(U512::from(exponent));
        let unit = power(decimals);
        let rest = (self.0 % unit) * power(MAX_DECIMALS.saturating_sub(decimals));
        Size { known: true, whole: self.0 / unit, rest }
    }
}

impl From<U256> for Sum {
    fn from(value: U256) -> Self {
        Self(U512::from(value))
    }
}

impl Amount {
    fn new(raw: String, decimals: Option<u8>) -> Self {
        let amount = decimals.map(|decimals| in_units(&raw, decimals));
        Self { raw, amount }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[U256]) -> Sum {
        let mut sum = Sum::default();
        for value in values {
            sum.add(*value);
        }
        sum
    }

    #[test]
    fn the_point_moves_by_the_decimals_and_zeros_at_the_end_go() {
        for (raw, decimals, expected) in [
            ("0", 0, "0"),
            ("0", 18, "0"),
            ("100", 0, "100"),
            ("1240500000", 6, "1240.5"),
            ("1", 18, "0.000000000000000001"),
            ("-1500", 3, "-1.5"),
            ("-5", 3, "-0.005"),
            ("1000", 3, "1"),
        ] {
            assert_eq!(in_units(raw, decimals), expected, "{raw} with {decimals} decimals");
        }
        let smallest = in_units("1", 77);
        assert_eq!(smallest, format!("0.{}1", "0".repeat(76)));
    }

    #[test]
    fn a_sum_of_the_largest_values_is_exact() {
        let max = sum(&[U256::MAX, U256::MAX, U256::MAX]);
        assert_eq!(
            max.amount(None).raw,
            "347376267711948586270712955026063723559809953996921692118372752023739388919805"
        );
        assert_eq!(sum(&[U256::from(1)]).less(max, Some(0)).raw.len(), 79);
    }

    #[test]
    fn amounts_of_different_tokens_compare_by_whole_tokens() {
        let size = |value: u64, decimals| Sum::from(U256::from(value)).size(decimals);
        assert!(size(2_000_000, Some(6)) > size(1_999_999_999_999_999_999, Some(18)));
        assert_eq!(size(2_000_000, Some(6)), size(2_000_000_000_000_000_000, Some(18)));
        assert!(size(1, Some(77)) > size(0, Some(0)));
        assert!(size(u64::MAX, None) < size(0, Some(18)));
        assert!(sum(&[U256::MAX, U256::MAX]).size(Some(77)) > Sum::from(U256::MAX).size(Some(77)));
    }

    #[test]
    fn an_amount_without_decimals_is_raw_only() {
        let amount = sum(&[U256::from(5)]).amount(None);
        assert_eq!(amount, Amount { raw: "5".into(), amount: None });
    }
}
