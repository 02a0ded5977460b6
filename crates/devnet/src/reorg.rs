//! Owns the description of a reorg: how deep, and what the new branch holds. What the node does with it is
//! in [`Devnet::reorg`](crate::Devnet::reorg).

use alloy_primitives::{B256, Bytes, keccak256};
use serde_json::{Value, json};

use crate::wire::Call;

/// A reorg to be staged: the newest `depth` blocks are replaced by as many others, which hold nothing but
/// what is said here.
///
/// Two rules of the node: a transaction whose sender's earlier transactions are not on the new branch
/// cannot be mined there (give each one that is to be mined again a sender of its own); and a new block in
/// which nothing differs may have the old one's hash (put a transaction in).
#[derive(Debug, Clone, Default)]
pub struct Reorg {
    depth: u64,
    transactions: Vec<(Value, u64)>,
    pub(crate) remined: Vec<B256>,
}

impl Reorg {
    /// Replaces the newest `depth` blocks by empty ones.
    pub fn new(depth: u64) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Mines a transaction again, under the same hash, in the new branch's block `offset` (0 is the first
    /// above the common ancestor). `raw` comes from
    /// [`Devnet::raw_transaction`](crate::Devnet::raw_transaction), asked before the reorg.
    #[must_use]
    pub fn remine(mut self, raw: impl Into<Bytes>, offset: u64) -> Self {
        let raw = raw.into();
        // A signed transaction's hash is the hash of its bytes.
        self.remined.push(keccak256(&raw));
        self.transactions.push((json!(raw), offset));
        self
    }

    /// Puts a new transaction into the new branch's block `offset`.
    #[must_use]
    pub fn send(mut self, call: &Call, offset: u64) -> Self {
        self.transactions.push((call.to_json(None), offset));
        self
    }

    /// The parameters of `anvil_reorg`.
    pub(crate) fn to_params(&self) -> Value {
        json!([self.depth, self.transactions])
    }
}
