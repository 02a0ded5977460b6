//! The blocks of all branches, and which branch is the chain.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, Bloom, Bytes, U256, keccak256};
use domain::{BlockRef, Header, RawLog};
use rand::{Rng, rngs::StdRng};

/// Seconds between blocks.
const INTERVAL: u64 = 12;

/// A block: its place, and the transactions in it by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeBlock {
    /// Number and hash.
    pub block: BlockRef,
    /// The hash of the block below.
    pub parent: B256,
    /// The transactions. Each has one log, or two where its number is divisible by three.
    pub txs: Vec<u64>,
}

/// Blocks, dead ones too, and the branch that is the chain now.
#[derive(Debug, Clone)]
pub struct ForkTree {
    emitter: Address,
    topic0: B256,
    blocks: HashMap<B256, TreeBlock>,
    branch: Vec<B256>,
    // Of dead blocks, to be mined again.
    pool: Vec<u64>,
    last_tx: u64,
    salt: u64,
    highest: u64,
}

impl ForkTree {
    /// Only the first block. `emitter` emits every log, each with `topic0` and the transaction's number as its data.
    pub fn new(emitter: Address, topic0: B256) -> Self {
        let mut tree = Self {
            emitter,
            topic0,
            blocks: HashMap::new(),
            branch: Vec::new(),
            pool: Vec::new(),
            last_tx: 0,
            salt: 0,
            highest: 0,
        };
        tree.add(Vec::new());
        tree
    }

    fn add(&mut self, txs: Vec<u64>) {
        self.salt += 1;
        let number = self.branch.len() as u64;
        let parent = self.branch.last().copied().unwrap_or_default();
        let hash = keccak256([parent.as_slice(), &number.to_be_bytes(), &self.salt.to_be_bytes()].concat());
        let block = TreeBlock { block: BlockRef::new(number, hash), parent, txs };
        self.blocks.insert(hash, block);
        self.branch.push(hash);
        self.highest = self.highest.max(number);
    }

    /// Mines a block: some transactions of dead blocks, and some new ones.
    pub fn mine(&mut self, rng: &mut StdRng) {
        let mut txs = Vec::new();
        while !self.pool.is_empty() && rng.random_bool(0.7) {
            let at = rng.random_range(0..self.pool.len());
            txs.push(self.pool.swap_remove(at));
        }
        for _ in 0..rng.random_range(0..3) {
            self.last_tx += 1;
            txs.push(self.last_tx);
        }
        self.add(txs);
    }

    /// Takes the newest `depth` blocks off the chain; their transactions may be mined again.
    pub fn rollback(&mut self, depth: usize) {
        let keep = self.branch.len().saturating_sub(depth).max(1);
        for hash in self.branch.split_off(keep) {
            self.pool.extend(&self.blocks[&hash].txs);
        }
        self.settle_pool();
    }

    /// Takes that share of the transactions of dead blocks away, for good: nobody mines them again.
    pub fn forget(&mut self, share: f64, rng: &mut StdRng) {
        self.pool.retain(|_| !rng.random_bool(share));
    }

    /// The hashes of the chain, to come back to.
    pub fn branch(&self) -> Vec<B256> {
        self.branch.clone()
    }

    /// Makes a branch of before the chain again.
    pub fn switch_to(&mut self, branch: Vec<B256>) {
        let dead = std::mem::replace(&mut self.branch, branch);
        for hash in dead {
            self.pool.extend(&self.blocks[&hash].txs);
        }
        self.settle_pool();
    }

    // No transaction is in the chain twice.
    fn settle_pool(&mut self) {
        let mined: Vec<u64> = self.branch.iter().flat_map(|hash| self.blocks[hash].txs.clone()).collect();
        self.pool.sort_unstable();
        self.pool.dedup();
        self.pool.retain(|tx| !mined.contains(tx));
    }

    /// The newest block's height.
    pub fn height(&self) -> u64 {
        self.branch.len() as u64 - 1
    }

    /// The greatest height that any branch ever had.
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// The block of the chain at a height.
    pub fn at(&self, number: u64) -> Option<&TreeBlock> {
        let hash = self.branch.get(usize::try_from(number).ok()?)?;
        self.blocks.get(hash)
    }

    /// A block of any branch.
    pub fn by_hash(&self, hash: B256) -> Option<&TreeBlock> {
        self.blocks.get(&hash)
    }

    /// Every block of every branch, in no order.
    pub fn all(&self) -> impl Iterator<Item = &TreeBlock> {
        self.blocks.values()
    }

    /// Every block of the chain, lowest first.
    pub fn chain(&self) -> impl Iterator<Item = &TreeBlock> {
        self.branch.iter().filter_map(|hash| self.blocks.get(hash))
    }

    /// A block's header.
    pub fn header(&self, block: &TreeBlock) -> Header {
        let mut bloom = Bloom::ZERO;
        for log in self.logs(block) {
            bloom.accrue_raw_log(log.address, &log.topics);
        }
        let timestamp = 1_700_000_000 + INTERVAL * block.block.number;
        Header { block: block.block, parent: block.parent, timestamp, bloom: Some(bloom) }
    }

    /// A block's logs.
    pub fn logs(&self, block: &TreeBlock) -> Vec<RawLog> {
        let mut logs = Vec::new();
        for (tx_index, tx) in block.txs.iter().enumerate() {
            for part in 0..=u64::from(tx.is_multiple_of(3)) {
                logs.push(RawLog {
                    address: self.emitter,
                    topics: vec![self.topic0],
                    data: Bytes::from(U256::from(tx * 2 + part).to_be_bytes_vec()),
                    block: block.block,
                    block_timestamp: Some(1_700_000_000 + INTERVAL * block.block.number),
                    tx_hash: keccak256(tx.to_be_bytes()),
                    tx_index: tx_index as u64,
                    log_index: logs.len() as u64,
                    removed: false,
                });
            }
        }
        logs
    }
}
