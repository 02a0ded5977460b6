//! What passed through one address: a fold over transfers, token by token. Owns the sums, which are exact; must not know
//! where the transfers come from, nor what a token is called. It counts what was seen: an address that held something
//! before the first transfer that it is shown has a balance that differs from `net`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, U512};

use crate::{Standard, Transfer};

/// One address and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    address: Address,
    tokens: BTreeMap<Address, Passed>,
}

/// What of one token passed through the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The standard of its transfers.
    pub standard: Standard,
    /// How much came in, in the smallest unit; for ERC-721 how many, for ERC-1155 of all ids together.
    pub incoming: U512,
    /// How much went out.
    pub outgoing: U512,
    /// How many transfers; one to itself is one, and counts on both sides.
    pub count: u64,
}

impl Account {
    /// An account that nothing passed through yet.
    pub const fn new(address: Address) -> Self {
        Self { address, tokens: BTreeMap::new() }
    }

    /// Adds a transfer; one that does not touch the address changes nothing.
    pub fn add(&mut self, standard: Standard, transfer: &Transfer) {
        let (comes, goes) = (transfer.to == self.address, transfer.from == self.address);
        if !comes && !goes {
            return;
        }
        let passed = self.tokens.entry(transfer.token).or_insert_with(|| Passed::nothing(standard));
        passed.count += 1;
        if comes {
            passed.incoming = sum(passed.incoming, transfer.amount);
        }
        if goes {
            passed.outgoing = sum(passed.outgoing, transfer.amount);
        }
    }

    /// The tokens, in the order of their addresses.
    pub fn tokens(&self) -> impl Iterator<Item = (Address, &Passed)> {
        self.tokens.iter().map(|(token, passed)| (*token, passed))
    }
}

impl Passed {
    /// Before anything passed through.
    pub const fn nothing(standard: Standard) -> Self {
        Self { standard, incoming: U512::ZERO, outgoing: U512::ZERO, count: 0 }
    }

    /// What came in less what went out, as digits with a sign where it is below zero.
    pub fn net(&self) -> String {
        if self.incoming >= self.outgoing {
            (self.incoming - self.outgoing).to_string()
        } else {
            format!("-{}", self.outgoing - self.incoming)
        }
    }
}

// 2^256 of the largest amounts fit.
fn sum(before: U512, amount: U256) -> U512 {
    before.saturating_add(U512::from(amount))
}
