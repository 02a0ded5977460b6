//! Owns the shapes that go over the wire: calls to the node; blocks and receipts from it.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The gas that a call may use when nothing else is said.
const GAS: u64 = 1_000_000;

/// What a call offers for a unit of gas, in wei: far above any base fee that a development chain reaches,
/// so that a transaction can be mined again on another branch.
const MAX_FEE_PER_GAS: u64 = 1_000_000_000_000;

/// The tip per unit of gas, in wei; the same for all, so that the order of sending is kept.
const MAX_PRIORITY_FEE_PER_GAS: u64 = 1_000_000_000;

/// A transaction that one of the node's unlocked accounts is asked to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The sender, one of [`Devnet::accounts`](crate::Devnet::accounts).
    pub from: Address,
    /// The contract or account; `None` deploys.
    pub to: Option<Address>,
    /// The encoded function and its arguments, or the code to deploy.
    pub data: Bytes,
    /// What is sent along, in wei.
    pub value: U256,
    /// The most gas that it may use.
    pub gas: u64,
}

impl Call {
    /// A call of `to` with encoded `data`.
    pub fn new(from: Address, to: Address, data: impl Into<Bytes>) -> Self {
        Self { from, to: Some(to), data: data.into(), value: U256::ZERO, gas: GAS }
    }

    /// The deployment of `code`, its constructor's arguments included.
    pub fn deploy(from: Address, code: impl Into<Bytes>) -> Self {
        Self { from, to: None, data: code.into(), value: U256::ZERO, gas: 30 * GAS }
    }

    /// The same with another limit of gas.
    #[must_use]
    pub fn with_gas(mut self, gas: u64) -> Self {
        self.gas = gas;
        self
    }

    pub(crate) fn to_json(&self, nonce: Option<u64>) -> Value {
        let mut object = json!({
            "from": self.from,
            "data": self.data,
            "value": self.value,
            "gas": U64::from(self.gas),
            "maxFeePerGas": U64::from(MAX_FEE_PER_GAS),
            "maxPriorityFeePerGas": U64::from(MAX_PRIORITY_FEE_PER_GAS),
        });
        if let Some(to) = self.to {
            object["to"] = json!(to);
        }
        if let Some(nonce) = nonce {
            object["nonce"] = json!(U64::from(nonce));
        }
        object
    }
}

/// A block's header, and the hashes of its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Its height.
    #[serde(deserialize_with = "quantity")]
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block below.
    pub parent_hash: B256,
    /// When it was made, in seconds since 1970 UTC.
    #[serde(deserialize_with = "quantity")]
    pub timestamp: u64,
    /// The hashes of its transactions, in order.
    pub transactions: Vec<B256>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The transaction.
    pub transaction_hash: B256,
    /// The height of the block that holds it.
    #[serde(deserialize_with = "quantity")]
    pub block_number: u64,
    /// That block's hash.
    pub block_hash: B256,
    /// Its place in the block.
    #[serde(deserialize_with = "quantity")]
    pub transaction_index: u64,
    /// The gas that it used.
    #[serde(deserialize_with = "quantity")]
    pub gas_used: u64,
    /// Where the contract lies, if it deployed one.
    pub contract_address: Option<Address>,
    /// Its logs, as the node gives them.
    pub logs: Vec<Value>,
    #[serde(deserialize_with = "quantity")]
    status: u64,
}

impl Receipt {
    /// Whether it ran to its end.
    pub fn succeeded(&self) -> bool {
        self.status == 1
    }
}

/// JSON-RPC writes integers as 0x-hex.
fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    U64::deserialize(deserializer).map(|value| value.to())
}
