//! Distinct values: how many there are, exactly, and the few that occur most. Must not know what they mean.

use std::{collections::HashMap, hash::Hash};

use alloy_primitives::Address;
use serde::Serialize;

/// How many addresses the facts show.
pub(super) const ADDRESSES_SHOWN_MAX: usize = 3;

/// How often each value occurred.
#[derive(Debug)]
pub(super) struct Tally<T>(HashMap<T, u64>);

/// The least few of any number of items, in bounded memory.
#[derive(Debug)]
pub(super) struct Top<T> {
    limit: usize,
    items: Vec<T>,
}

/// Addresses in the facts.
#[derive(Debug, Serialize)]
pub(super) struct Addresses {
    /// How many different ones.
    count: usize,
    /// Those that occurred most, most first.
    top: Vec<Counted>,
    /// How many are not among `top`.
    others: usize,
}

#[derive(Debug, Serialize)]
struct Counted {
    address: String,
    count: u64,
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Copy + Eq + Hash + Ord> Tally<T> {
    pub(super) fn add(&mut self, value: T) {
        *self.0.entry(value).or_default() += 1;
    }

    pub(super) fn distinct(&self) -> usize {
        self.0.len()
    }

    /// The values that occurred most, equals by their order, at most `limit`.
    pub(super) fn top(&self, limit: usize) -> Vec<(T, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(value, count)| (*value, *count)).collect();
        all.sort_unstable_by(|(one, more), (two, less)| less.cmp(more).then(one.cmp(two)));
        all.truncate(limit);
        all
    }
}

impl<T: Ord> Top<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, items: Vec::with_capacity(limit + 1) }
    }

    pub(super) fn offer(&mut self, item: T) {
        let place = self.items.partition_point(|kept| *kept <= item);
        if place < self.limit {
            self.items.insert(place, item);
            self.items.truncate(self.limit);
        }
    }

    /// The least first.
    pub(super) fn into_sorted(self) -> Vec<T> {
        self.items
    }
}

impl Tally<Address> {
    pub(super) fn facts(&self) -> Addresses {
        let top: Vec<_> = self
            .top(ADDRESSES_SHOWN_MAX)
            .into_iter()
            .map(|(address, count)| Counted { address: checksummed(&address), count })
            .collect();
        Addresses { count: self.distinct(), others: self.distinct() - top.len(), top }
    }
}

/// EIP-55.
pub(super) fn checksummed(address: &Address) -> String {
    address.to_checksum(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_few_are_kept_in_order() {
        let mut top = Top::new(3);
        for item in [5, 1, 4, 1, 9, 0, 7] {
            top.offer(item);
        }
        assert_eq!(top.into_sorted(), [0, 1, 1]);
    }
}
