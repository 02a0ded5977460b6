//! Amounts that stay exact: sums wider than 256 bits, and the one decimal form of each. Must not know locales.

use alloy_primitives::{U256, U512};
use domain::transfer::in_units;
use serde::Serialize;

/// A sum of 256-bit values. 2^256 of them fit, which no window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum(U512);

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
        if self.0 >= other.0 {
            return Amount::new((self.0 - other.0).to_string(), decimals);
        }
        Amount::new(format!("-{}", other.0 - self.0), decimals)
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
    fn an_amount_without_decimals_is_raw_only() {
        let amount = sum(&[U256::from(5)]).amount(None);
        assert_eq!(amount, Amount { raw: "5".into(), amount: None });
    }
}
