//! Owns the chain as JSON text, written once: the logs of a range of blocks are one piece of it.

use std::{fmt::Write as _, ops::Range, sync::Arc};

use alloy_primitives::{Address, B256, b256, hex, keccak256};
use serde_json::{Value as Json, json};

use super::Shape;

/// Topic 0 of `Transfer(address,address,uint256)`.
pub const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// The timestamp of block 0, in seconds since 1970 UTC, and the seconds between blocks.
const GENESIS_TIME: u64 = 1_700_000_000;
const INTERVAL: u64 = 12;

/// About as long as a log is, in bytes.
const LOG_BYTES: usize = 680;

/// How many accounts send to each other.
const ACCOUNTS: u64 = 1_000;

/// The contract of the transfers.
pub fn token() -> Address {
    Address::repeat_byte(0x70)
}

#[derive(Debug)]
pub(super) struct Chain {
    shape: Shape,
    // The logs of all blocks, each with a comma behind it.
    text: Vec<u8>,
    blocks: Vec<Block>,
    accounts: Vec<String>,
}

#[derive(Debug)]
struct Block {
    hash: B256,
    // Where in the text each of its logs ends.
    logs: Vec<usize>,
    start: usize,
}

impl Block {
    fn end(&self) -> usize {
        self.logs.last().copied().unwrap_or(self.start)
    }
}

impl Chain {
    pub(super) fn new(shape: Shape) -> Self {
        let account =
            |index: u64| hex::encode_prefixed(Address::from_word(keccak256(index.to_be_bytes())).into_word());
        let mut chain = Self {
            shape,
            text: Vec::new(),
            blocks: Vec::new(),
            accounts: (0..ACCOUNTS).map(account).collect(),
        };
        let logs = usize::try_from(shape.blocks.saturating_mul(shape.logs)).unwrap_or_default();
        chain.text.reserve_exact(logs * LOG_BYTES);
        for number in 0..shape.blocks {
            chain.mine(if number == 0 { 0 } else { shape.logs });
        }
        chain
    }

    pub(super) fn head(&self) -> (u64, B256) {
        let number = self.blocks.len() as u64 - 1;
        (number, self.blocks[self.blocks.len() - 1].hash)
    }

    pub(super) fn mine(&mut self, logs: u64) -> u64 {
        let number = self.blocks.len() as u64;
        let hash = keccak256((number + 1).to_be_bytes());
        let start = self.text.len();
        let mut block = Block { hash, logs: Vec::new(), start };
        let mut line = String::with_capacity(1_024);
        let place = format!(
            "\"blockNumber\":\"0x{number:x}\",\"blockHash\":\"{hash}\",\"blockTimestamp\":\"0x{:x}\"",
            GENESIS_TIME + INTERVAL * number
        );
        let token = format!("\"address\":\"{}\"", hex::encode_prefixed(self.shape.token));
        for index in 0..logs {
            let tx = keccak256([number.to_be_bytes(), index.to_be_bytes()].concat());
            let value = number * 1_000_000 + index;
            let from = &self.accounts[usize::try_from((number * 7 + index) % ACCOUNTS).unwrap_or_default()];
            let to =
                &self.accounts[usize::try_from((number + index * 13 + 1) % ACCOUNTS).unwrap_or_default()];
            line.clear();
            // Writing to a String cannot fail.
            let _ = write!(
                line,
                "{{{token},\"topics\":[\"{TRANSFER}\",\"{from}\",\"{to}\"],\"data\":\"0x{value:064x}\",{place},\
                 \"transactionHash\":\"{tx}\",\"transactionIndex\":\"0x{index:x}\",\"logIndex\":\"0x{index:x}\",\
                 \"removed\":false}},"
            );
            self.text.extend_from_slice(line.as_bytes());
            block.logs.push(self.text.len());
        }
        self.blocks.push(block);
        number
    }

    /// The header as the node gives it.
    pub(super) fn header(&self, number: u64) -> String {
        let Some(block) = usize::try_from(number).ok().and_then(|number| self.blocks.get(number)) else {
            return "null".to_owned();
        };
        let parent = match number {
            0 => B256::ZERO,
            number => keccak256(number.to_be_bytes()),
        };
        // A bloom that excludes nothing, or everything.
        let bloom = if block.logs.is_empty() { "00" } else { "ff" }.repeat(256);
        let zero = B256::ZERO;
        json!({
            "number": format!("0x{number:x}"), "hash": block.hash, "parentHash": parent,
            "timestamp": format!("0x{:x}", GENESIS_TIME + INTERVAL * number), "logsBloom": format!("0x{bloom}"),
            "sha3Uncles": zero, "miner": Address::ZERO, "stateRoot": zero, "transactionsRoot": zero,
            "receiptsRoot": zero, "difficulty": "0x0", "gasLimit": "0x1c9c380", "gasUsed": "0x0", "extraData": "0x",
            "mixHash": zero, "nonce": "0x0000000000000000", "baseFeePerGas": "0x7", "transactions": [], "uncles": [],
        })
        .to_string()
    }

    pub(super) fn by_hash(&self, hash: &str) -> Option<u64> {
        let hash: B256 = hash.parse().ok()?;
        // Mostly one of the newest.
        self.blocks.iter().rposition(|block| block.hash == hash).map(|number| number as u64)
    }

    /// A number, a tag, or nothing that this chain has.
    pub(super) fn at(&self, tag: &Json) -> Option<u64> {
        let head = self.blocks.len() as u64 - 1;
        match tag.as_str()? {
            "latest" | "pending" => Some(head),
            "safe" => Some(head.saturating_sub(self.shape.finalized_depth / 2)),
            "finalized" => Some(head.saturating_sub(self.shape.finalized_depth)),
            "earliest" => Some(0),
            number => u64::from_str_radix(number.strip_prefix("0x")?, 16).ok(),
        }
    }

    /// Where the logs of these blocks are in the text, and how many they are.
    pub(super) fn logs(&self, from: u64, to: u64) -> (Range<usize>, u64) {
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(self.blocks.len());
        let blocks = &self.blocks[index(from)..index(to.saturating_add(1)).max(index(from))];
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return (0..0, 0) };
        (first.start..last.end(), blocks.iter().map(|block| block.logs.len() as u64).sum())
    }

    pub(super) fn text(&self, range: Range<usize>) -> &[u8] {
        &self.text[range]
    }

    pub(super) fn logs_of(&self, number: u64) -> Vec<String> {
        let Some(block) = usize::try_from(number).ok().and_then(|number| self.blocks.get(number)) else {
            return Vec::new();
        };
        let mut start = block.start;
        let mut logs = Vec::with_capacity(block.logs.len());
        for end in &block.logs {
            logs.push(String::from_utf8_lossy(&self.text[start..end - 1]).into_owned());
            start = *end;
        }
        logs
    }

    /// What a sound node says; the logs of `eth_getLogs` as their place in the text.
    pub(super) fn answer(&self, method: &str, params: &Json, results_max: Option<u64>) -> Said {
        let header =
            |number: Option<u64>| number.map_or_else(|| "null".to_owned(), |number| self.header(number));
        Said::Text(match method {
            "eth_chainId" => format!("\"0x{:x}\"", super::CHAIN_ID),
            "eth_blockNumber" => format!("\"0x{:x}\"", self.head().0),
            "web3_clientVersion" => "\"fixture/1\"".to_owned(),
            "eth_call" => "\"0x\"".to_owned(),
            "eth_getBlockByNumber" => header(self.at(&params[0])),
            "eth_getBlockByHash" => header(params[0].as_str().and_then(|hash| self.by_hash(hash))),
            "eth_getLogs" => {
                let filter = &params[0];
                let (from, to) = match filter["blockHash"].as_str() {
                    Some(hash) => match self.by_hash(hash) {
                        Some(number) => (number, number),
                        None => return Said::Error(-32000, Arc::from("unknown block")),
                    },
                    None => (
                        self.at(&filter["fromBlock"]).unwrap_or_default(),
                        self.at(&filter["toBlock"]).unwrap_or(u64::MAX),
                    ),
                };
                let (range, count) = self.logs(from, to);
                return match results_max {
                    Some(max) if count > max => {
                        Said::Error(-32005, format!("query returned more than {max} results").into())
                    }
                    _ => Said::Logs(range),
                };
            }
            _ => {
                return Said::Error(
                    -32601,
                    format!("the method {method} does not exist/is not available").into(),
                );
            }
        })
    }
}

/// The answer to a call.
pub(super) enum Said {
    Text(String),
    Logs(Range<usize>),
    Error(i64, Arc<str>),
}
