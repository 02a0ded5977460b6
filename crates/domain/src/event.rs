//! Logs and events: what a node said, and what we made of it. Owns the event's two identities and its JSON form;
//! must not know how a log is decoded.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, Keccak256, hex};
use serde_json::{Value as Json, json};

use crate::{BlockRef, ChainId, ContractName, EventId, LogicalId, schema::EventSchema, value::Fields};

/// A log as a node gave it, complete: a log with a null field never becomes one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLog {
    /// The contract that emitted it.
    pub address: Address,
    /// Up to four topics.
    pub topics: Vec<B256>,
    /// The data.
    pub data: Bytes,
    /// The block that holds it.
    pub block: BlockRef,
    /// Seconds since the Unix epoch, where the node told.
    pub block_timestamp: Option<u64>,
    /// Hash of the transaction.
    pub tx_hash: B256,
    /// Position of the transaction in the block.
    pub tx_index: u64,
    /// Position of the log in the block.
    pub log_index: u64,
    /// The node's hint that the block left its canonical chain. Unreliable: a reason to verify, no more.
    pub removed: bool,
}

/// Two logs of one answer that cannot both be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// One height, two blocks.
    #[error("block {0} has two hashes in one answer")]
    Block(u64),
    /// One place, two logs.
    #[error("log {log_index} of block {number} is there twice, and the two differ")]
    Log {
        /// The block.
        number: u64,
        /// The place in it.
        log_index: u64,
    },
}

/// Sorts logs into chain order and keeps one of each that is there several times over: some nodes repeat a log, and two
/// filters may both bring it.
///
/// # Errors
/// [`Contradiction`] when two different logs share a place, or two blocks a height; the logs are sorted then.
pub fn put_in_order(logs: &mut Vec<RawLog>) -> Result<(), Contradiction> {
    logs.sort_by_key(|log| (log.block.number, log.log_index));
    logs.dedup_by(|log, before| log.is_copy_of(before));
    for pair in logs.windows(2) {
        let (before, log) = (&pair[0], &pair[1]);
        let (number, log_index) = (log.block.number, log.log_index);
        if before.block.number != number {
            continue;
        }
        if before.block.hash != log.block.hash {
            return Err(Contradiction::Block(number));
        }
        if before.log_index == log_index {
            return Err(Contradiction::Log { number, log_index });
        }
    }
    Ok(())
}

impl RawLog {
    /// Whether the other is this log once more. The time may be missing from one of them: it is the block's.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let timeless = |log: &Self| (log.block, log.log_index, log.tx_hash, log.tx_index, log.removed);
        timeless(self) == timeless(other)
            && (self.address, &self.topics, &self.data) == (other.address, &other.topics, &other.data)
    }

    /// Keccak-256 of address, topics and data: equal for equal content.
    pub fn content_hash(&self) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(self.address);
        hasher.update([u8::try_from(self.topics.len()).unwrap_or(u8::MAX)]);
        for topic in &self.topics {
            hasher.update(topic);
        }
        hasher.update(&self.data);
        hasher.finalize()
    }
}

/// Derives the logical ids of one block's logs, in the order given. The logs must be in log-index order and
/// complete for each (address, topic 0) that they contain.
pub fn logical_ids(chain: ChainId, logs: &[RawLog]) -> Vec<LogicalId> {
    let mut seen: HashMap<(B256, B256), u64> = HashMap::with_capacity(logs.len());
    logs.iter()
        .map(|log| {
            let content = log.content_hash();
            let repeat = seen.entry((log.tx_hash, content)).or_default();
            let id = LogicalId::derive(chain, log.tx_hash, content, *repeat);
            *repeat += 1;
            id
        })
        .collect()
}

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An ABI's event fitted.
    Decoded {
        /// The event's shape.
        schema: Arc<EventSchema>,
        /// Its parameters in ABI order.
        params: Fields,
    },
    /// No event fitted: kept raw, counted and shown.
    Undecoded {
        /// The log's topics.
        topics: Vec<B256>,
        /// The log's data.
        data: Bytes,
        /// Why no event fitted, for a person.
        reason: String,
    },
}

/// How an event was first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Following the chain, catching up after a stop included.
    Live,
    /// Reading the past of a contract that was added later than its first block.
    Backfill,
}

/// A log of a watched contract, stored once per block that held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Physical identity.
    pub id: EventId,
    /// Identity that survives re-inclusion.
    pub logical: LogicalId,
    /// Chain.
    pub chain: ChainId,
    /// Block.
    pub block: BlockRef,
    /// Seconds since the Unix epoch.
    pub block_timestamp: u64,
    /// Transaction.
    pub tx_hash: B256,
    /// Position of the transaction in the block.
    pub tx_index: u64,
    /// Position of the log in the block.
    pub log_index: u64,
    /// The emitting contract's address.
    pub address: Address,
    /// The operator's name of the contract.
    pub contract: ContractName,
    /// What it says.
    pub content: Content,
    /// How it was first read.
    pub origin: Origin,
}

/// How sure an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finality {
    /// Its block left the canonical chain.
    Orphaned,
    /// In a canonical block.
    Seen,
    /// At or below the `safe` block.
    Safe,
    /// At or below the `finalized` block.
    Finalized,
}

impl Finality {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orphaned => "orphaned",
            Self::Seen => "seen",
            Self::Safe => "safe",
            Self::Finalized => "finalized",
        }
    }
}

impl fmt::Display for Finality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Finality {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Orphaned, Self::Seen, Self::Safe, Self::Finalized]
            .into_iter()
            .find(|finality| finality.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no state")]
pub struct UnknownWord(pub String);

impl Event {
    /// The event's name, where it was decoded.
    pub fn name(&self) -> Option<&str> {
        match &self.content {
            Content::Decoded { schema, .. } => Some(&schema.name),
            Content::Undecoded { .. } => None,
        }
    }

    /// The event as JSON (one line of `events --format jsonl`, and the `data` of a broker message).
    pub fn to_json(&self, finality: Finality) -> Json {
        let mut json = json!({
            "chain_id": self.chain.0,
            "block_number": self.block.number,
            "block_hash": hex::encode_prefixed(self.block.hash),
            "block_timestamp": self.block_timestamp,
            "tx_hash": hex::encode_prefixed(self.tx_hash),
            "tx_index": self.tx_index,
            "log_index": self.log_index,
            "address": self.address.to_checksum(None),
            "contract": self.contract.as_str(),
            "event": self.name(),
        });
        match &self.content {
            Content::Decoded { schema, params } => {
                json["signature"] = Json::String(schema.signature());
                json["params"] = params.to_json();
            }
            Content::Undecoded { topics, data, reason } => {
                json["signature"] = Json::Null;
                json["params"] = Json::Null;
                json["reason"] = Json::String(reason.clone());
                json["topics"] = topics.iter().map(hex::encode_prefixed).collect();
                json["data"] = Json::String(hex::encode_prefixed(data));
            }
        }
        json["event_id"] = Json::String(self.id.to_string());
        json["finality"] = Json::String(finality.as_str().to_owned());
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(tx: u8, data: u8, log_index: u64) -> RawLog {
        RawLog {
            address: Address::ZERO,
            topics: vec![B256::ZERO],
            data: Bytes::from(vec![data]),
            block: BlockRef::new(1, B256::ZERO),
            block_timestamp: None,
            tx_hash: B256::repeat_byte(tx),
            tx_index: 0,
            log_index,
            removed: false,
        }
    }

    #[test]
    fn equal_logs_of_one_transaction_have_different_logical_ids() {
        let ids = logical_ids(ChainId(1), &[log(1, 5, 0), log(1, 5, 1)]);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_log_keeps_its_logical_id_when_its_transaction_moves() {
        let before = logical_ids(ChainId(1), &[log(1, 5, 0), log(2, 5, 1)]);
        let mut moved = log(2, 5, 0);
        moved.block = BlockRef::new(9, B256::repeat_byte(9));
        assert_eq!(before[1], logical_ids(ChainId(1), &[moved])[0]);
    }
}
