//! Owns the small coherent chain that a scripted node answers from where it has no script. Its headers hash to the
//! blocks' hashes, and its receipts to the headers' roots, as on a real chain.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Eip658Value, Receipt, ReceiptEnvelope};
use alloy_consensus::{Header, proofs::calculate_receipt_root};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, U64, U256, keccak256};
use domain::BlockRef;
use serde_json::{Value as Json, json};

use super::script::Reply;

/// The timestamp of block 0, in seconds since 1970 UTC.
const GENESIS_TIME: u64 = 1_700_000_000;

/// Seconds between blocks.
const INTERVAL: u64 = 12;

/// What every receipt says of the gas used so far.
const GAS: u64 = 21_000;

/// A log to be put into a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// The contract that emits it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Bytes,
    /// The transaction that holds it; neighbours of one transaction share it.
    pub tx_hash: B256,
}

impl LogSpec {
    /// A log without data, of the transaction numbered `tx`.
    pub fn new(address: Address, topic0: B256, tx: u64) -> Self {
        let tx_hash = keccak256(tx.to_be_bytes());
        Self { address, topics: vec![topic0], data: Bytes::new(), tx_hash }
    }
}

/// A block of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedBlock {
    /// Number and hash.
    pub block: BlockRef,
    /// The hash of the block below.
    pub parent: B256,
    /// Its logs.
    pub logs: Vec<LogSpec>,
    header: Box<Header>,
}

impl ScriptedBlock {
    fn new(number: u64, parent: B256, logs: Vec<LogSpec>, salt: u64) -> Self {
        let mut block =
            Self { block: BlockRef::new(number, parent), parent, logs, header: Box::new(Header::default()) };
        let receipts: Vec<_> = block.transactions().into_iter().map(|(_, logs)| receipt(logs)).collect();
        let header = Header {
            parent_hash: parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            number,
            timestamp: GENESIS_TIME + INTERVAL * number,
            gas_limit: 30_000_000,
            logs_bloom: receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom()),
            receipts_root: calculate_receipt_root(&receipts),
            // What makes every block another one.
            extra_data: Bytes::copy_from_slice(&salt.to_be_bytes()),
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            ..Header::default()
        };
        block.block = BlockRef::new(number, header.hash_slow());
        block.header = Box::new(header);
        block
    }

    fn timestamp(&self) -> u64 {
        self.header.timestamp
    }

    /// The transactions with their logs: neighbours of one hash are one transaction.
    fn transactions(&self) -> Vec<(B256, &[LogSpec])> {
        let transactions = self.logs.chunk_by(|log, next| log.tx_hash == next.tx_hash);
        transactions.map(|logs| (logs[0].tx_hash, logs)).collect()
    }

    /// The header as the node gives it.
    pub fn header_json(&self) -> Json {
        let header = &self.header;
        let transactions: Vec<B256> = self.transactions().into_iter().map(|(hash, _)| hash).collect();
        json!({
            "number": U64::from(self.block.number), "hash": self.block.hash, "parentHash": self.parent,
            "timestamp": U64::from(self.timestamp()), "logsBloom": header.logs_bloom,
            "sha3Uncles": header.ommers_hash, "miner": header.beneficiary, "stateRoot": header.state_root,
            "transactionsRoot": header.transactions_root, "receiptsRoot": header.receipts_root,
            "difficulty": header.difficulty, "gasLimit": U64::from(header.gas_limit),
            "gasUsed": U64::from(header.gas_used), "extraData": header.extra_data,
            "mixHash": header.mix_hash, "nonce": header.nonce,
            "baseFeePerGas": header.base_fee_per_gas.map(U64::from),
            "withdrawalsRoot": header.withdrawals_root, "transactions": transactions, "uncles": [],
        })
    }

    /// The receipts as the node gives them.
    pub fn receipts_json(&self) -> Vec<Json> {
        let all = self.logs_json();
        let mut receipts = Vec::new();
        for (index, (hash, specs)) in self.transactions().into_iter().enumerate() {
            let of_it = |log: &&Json| log["transactionIndex"] == json!(U64::from(index));
            receipts.push(json!({
                "type": "0x2", "status": "0x1", "cumulativeGasUsed": U256::from(GAS), "gasUsed": "0x5208",
                "logsBloom": receipt(specs).logs_bloom(), "transactionHash": hash,
                "transactionIndex": U64::from(index), "blockHash": self.block.hash,
                "blockNumber": U64::from(self.block.number), "from": Address::repeat_byte(0xf0),
                "to": specs[0].address, "contractAddress": null,
                "logs": all.iter().filter(of_it).collect::<Vec<_>>(),
            }));
        }
        receipts
    }

    /// The logs as the node gives them.
    pub fn logs_json(&self) -> Vec<Json> {
        let mut tx_index = 0;
        let mut logs = Vec::with_capacity(self.logs.len());
        for (log_index, log) in self.logs.iter().enumerate() {
            if log_index > 0 && self.logs[log_index - 1].tx_hash != log.tx_hash {
                tx_index += 1;
            }
            logs.push(json!({
                "address": log.address, "topics": log.topics, "data": log.data,
                "blockNumber": U64::from(self.block.number), "blockHash": self.block.hash,
                "blockTimestamp": U64::from(self.timestamp()), "transactionHash": log.tx_hash,
                "transactionIndex": U64::from(tx_index), "logIndex": U64::from(log_index), "removed": false,
            }));
        }
        logs
    }
}

fn receipt(logs: &[LogSpec]) -> ReceiptEnvelope {
    let logs = logs.iter().map(|log| Log::new_unchecked(log.address, log.topics.clone(), log.data.clone()));
    let receipt =
        Receipt { status: Eip658Value::Eip658(true), cumulative_gas_used: GAS, logs: logs.collect() };
    ReceiptEnvelope::Eip1559(receipt.with_bloom())
}

/// The canonical chain of a scripted node.
#[derive(Debug, Clone)]
pub struct ScriptedChain {
    /// The chain's id.
    pub id: u64,
    /// How far `safe` lies below the head; without it the node does not know the tag.
    pub safe_depth: Option<u64>,
    /// How far `finalized` lies below the head; without it the node does not know the tag.
    pub finalized_depth: Option<u64>,
    /// What the node says of a height below its head that has no block, also where a range of logs begins or ends there;
    /// without it, that there is nothing.
    pub of_void: Option<Reply>,
    blocks: Vec<ScriptedBlock>,
    // Every block gets another hash, also at the same place with the same content.
    salt: u64,
    // How many heights below the next block have none.
    passed: u64,
}

impl ScriptedChain {
    /// A chain of empty blocks from 0 to `height`, `safe` 2 and `finalized` 4 below the head.
    pub fn new(id: u64, height: u64) -> Self {
        let mut chain = Self {
            id,
            safe_depth: Some(2),
            finalized_depth: Some(4),
            of_void: None,
            blocks: Vec::new(),
            salt: 0,
            passed: 0,
        };
        for _ in 0..=height {
            chain.mine(Vec::new());
        }
        chain
    }

    /// Adds a block.
    pub fn mine(&mut self, logs: Vec<LogSpec>) -> ScriptedBlock {
        self.salt += 1;
        let number = self.blocks.last().map_or(0, |block| block.block.number + 1 + self.passed);
        self.passed = 0;
        let parent = self.blocks.last().map(|block| block.block.hash).unwrap_or_default();
        let block = ScriptedBlock::new(number, parent, logs, self.salt);
        self.blocks.push(block.clone());
        block
    }

    /// Lets so many rounds pass without a block: the next one is built on the newest, and so much higher.
    pub fn pass(&mut self, rounds: u64) {
        self.passed += rounds;
    }

    /// Takes the newest `depth` blocks away, the first block excepted.
    pub fn rollback(&mut self, depth: usize) -> Vec<ScriptedBlock> {
        let keep = self.blocks.len().saturating_sub(depth).max(1);
        self.blocks.split_off(keep)
    }

    /// The newest block.
    pub fn head(&self) -> &ScriptedBlock {
        self.blocks.last().expect("a chain always has its first block")
    }

    /// The canonical block at a height.
    pub fn block(&self, number: u64) -> Option<&ScriptedBlock> {
        let place = self.blocks.binary_search_by_key(&number, |block| block.block.number).ok()?;
        self.blocks.get(place)
    }

    fn at_tag(&self, tag: &str) -> Option<&ScriptedBlock> {
        let below = |depth: u64| {
            let number = self.head().block.number.saturating_sub(depth);
            self.blocks.iter().rfind(|block| block.block.number <= number)
        };
        match tag {
            "latest" => Some(self.head()),
            "safe" => self.safe_depth.and_then(below),
            "finalized" => self.finalized_depth.and_then(below),
            "earliest" => self.block(0),
            number => self.block(u64::from_str_radix(number.strip_prefix("0x")?, 16).ok()?),
        }
    }

    // What is said where a tag is a height without a block.
    fn said_of_void(&self, tag: &Json) -> Option<Reply> {
        let number = u64::from_str_radix(tag.as_str()?.strip_prefix("0x")?, 16).ok()?;
        let void = number < self.head().block.number && self.block(number).is_none();
        self.of_void.clone().filter(|_| void)
    }

    fn by_hash(&self, hash: &Json) -> Option<&ScriptedBlock> {
        let hash: B256 = hash.as_str()?.parse().ok()?;
        self.blocks.iter().find(|block| block.block.hash == hash)
    }

    /// What a sound node of this chain says.
    pub fn answer(&self, method: &str, params: &Json) -> Reply {
        let header = |block: Option<&ScriptedBlock>| json!(block.map(ScriptedBlock::header_json));
        let result = match method {
            "eth_chainId" => json!(U64::from(self.id)),
            "eth_blockNumber" => json!(U64::from(self.head().block.number)),
            "web3_clientVersion" => json!("scripted/1"),
            "eth_call" => json!("0x"),
            "eth_getBlockByNumber" => {
                if let Some(reply) = self.said_of_void(&params[0]) {
                    return reply;
                }
                let tag = params[0].as_str().unwrap_or_default();
                let missing = matches!(tag, "safe" | "finalized") && self.at_tag(tag).is_none();
                if missing {
                    return Reply::error(-32602, &format!("invalid argument 0: unknown tag {tag}"));
                }
                header(self.at_tag(tag))
            }
            "eth_getBlockByHash" => header(self.by_hash(&params[0])),
            "eth_getLogs" => return self.logs(&params[0]),
            "eth_getTransactionReceipt" => self.receipt(&params[0]),
            "eth_getBlockReceipts" => self.receipts(&params[0]),
            _ => {
                return Reply::error(-32601, &format!("the method {method} does not exist/is not available"));
            }
        };
        Reply::Result(result)
    }

    fn logs(&self, filter: &Json) -> Reply {
        let blocks: Vec<&ScriptedBlock> = if filter["blockHash"].is_string() {
            match self.by_hash(&filter["blockHash"]) {
                Some(block) => vec![block],
                None => return Reply::error(-32000, "unknown block"),
            }
        } else if let Some(reply) =
            ["fromBlock", "toBlock"].iter().find_map(|end| self.said_of_void(&filter[end]))
        {
            return reply;
        } else {
            let number = |tag: &str| u64::from_str_radix(tag.strip_prefix("0x")?, 16).ok();
            let end = |key: &str| {
                let tag = filter[key].as_str()?;
                number(tag).or_else(|| self.at_tag(tag).map(|at| at.block.number))
            };
            let (from, to) = (end("fromBlock").unwrap_or_default(), end("toBlock").unwrap_or(u64::MAX));
            self.blocks.iter().filter(|block| (from..=to).contains(&block.block.number)).collect()
        };
        let logs = blocks.iter().flat_map(|block| block.logs_json()).filter(|log| matches(filter, log));
        Reply::Result(logs.collect())
    }

    fn receipt(&self, tx_hash: &Json) -> Json {
        let receipts = self.blocks.iter().flat_map(ScriptedBlock::receipts_json);
        receipts.into_iter().find(|receipt| receipt["transactionHash"] == *tx_hash).unwrap_or_default()
    }

    /// By `{"blockHash": …}`, by the hash alone, or by number or tag.
    fn receipts(&self, block: &Json) -> Json {
        let hash = if block.is_object() { &block["blockHash"] } else { block };
        let by_number = || block.as_str().filter(|text| text.len() < 66).and_then(|tag| self.at_tag(tag));
        json!(self.by_hash(hash).or_else(by_number).map(ScriptedBlock::receipts_json))
    }
}

fn matches(filter: &Json, log: &Json) -> bool {
    let allows = |wanted: &Json, value: &Json| match wanted {
        Json::Null => true,
        Json::Array(any) => any.contains(value),
        one => one == value,
    };
    allows(&filter["address"], &log["address"]) && allows(&filter["topics"][0], &log["topics"][0])
}
