//! A node of a forking chain, with manners that a test sets.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use domain::{
    BlockReceipts, BlockRef, ChainClient, ChainError, ChainId, Header, Heads, LogFilter, LogQuery, Providers,
    RawLog, Wake,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::ForkTree;

/// How the node behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// How many blocks its view is behind the chain.
    pub lag: u64,
    /// How often a question fails, from 0 to 1.
    pub failing: f64,
    /// How often the newest block's logs are not indexed yet, from 0 to 1: the answer is empty then.
    pub unindexed: f64,
}

#[derive(Debug)]
struct Inner {
    tree: ForkTree,
    manners: Manners,
    rng: StdRng,
}

/// The node.
#[derive(Debug, Clone)]
pub struct ForkNode {
    id: ChainId,
    inner: Arc<Mutex<Inner>>,
}

impl ForkNode {
    /// A node of `tree`, well-mannered.
    pub fn new(id: ChainId, tree: ForkTree, seed: u64) -> Self {
        let inner = Inner { tree, manners: Manners::default(), rng: StdRng::seed_from_u64(seed) };
        Self { id, inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the tree.
    pub fn tree<T>(&self, work: impl FnOnce(&mut ForkTree) -> T) -> T {
        work(&mut self.lock().tree)
    }

    /// Makes the node behave so from now on.
    pub fn behave(&self, manners: Manners) {
        self.lock().manners = manners;
    }

    fn ask<T>(
        &self,
        method: &'static str,
        answer: impl FnOnce(&mut Inner) -> Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        let mut inner = self.lock();
        let failing = inner.manners.failing;
        if inner.rng.random_bool(failing) {
            return Err(ChainError::Unavailable {
                url: self.url(),
                method,
                detail: "it is told to fail".to_owned(),
            });
        }
        answer(&mut inner)
    }
}

impl Inner {
    fn head(&self) -> u64 {
        self.tree.height().saturating_sub(self.manners.lag)
    }

    fn header_at(&self, number: u64) -> Option<Header> {
        let block = self.tree.at(number).filter(|_| number <= self.head())?;
        Some(self.tree.header(block))
    }
}

impl Providers for ForkNode {}

#[async_trait]
impl ChainClient for ForkNode {
    async fn chain_id(&self) -> Result<ChainId, ChainError> {
        Ok(self.id)
    }

    async fn heads(&self) -> Result<Heads, ChainError> {
        self.ask("eth_getBlockByNumber", |inner| {
            let latest = inner.header_at(inner.head()).ok_or_else(|| ChainError::UnknownBlock {
                url: "fork".to_owned(),
                block: "latest".to_owned(),
            })?;
            Ok(Heads { latest, safe: None, finalized: None })
        })
    }

    async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError> {
        self.ask("eth_getBlockByNumber", |inner| {
            Ok(numbers.iter().map(|number| inner.header_at(*number)).collect())
        })
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, ChainError> {
        self.ask("eth_getBlockByHash", |inner| {
            Ok(inner.tree.by_hash(hash).map(|block| inner.tree.header(block)))
        })
    }

    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, ChainError> {
        self.ask("eth_getLogs", |inner| {
            let mut logs = match query {
                LogQuery::Block(block) => {
                    let unknown =
                        || ChainError::UnknownBlock { url: "fork".to_owned(), block: block.to_string() };
                    let known = inner.tree.by_hash(block.hash).ok_or_else(unknown)?.clone();
                    let unindexed = inner.manners.unindexed;
                    if known.block.number == inner.head() && inner.rng.random_bool(unindexed) {
                        // It forgets its excuse: a second question is answered.
                        inner.manners.unindexed = 0.0;
                        return Ok(Vec::new());
                    }
                    inner.tree.logs(&known)
                }
                LogQuery::Range { from, to } => {
                    let blocks = (from..=to.min(inner.head())).filter_map(|number| inner.tree.at(number));
                    blocks.flat_map(|block| inner.tree.logs(block)).collect()
                }
            };
            logs.retain(|log| filter.matches(log));
            Ok(logs)
        })
    }

    async fn receipts(&self, _block: BlockRef) -> Result<Option<BlockReceipts>, ChainError> {
        let (method, detail) = ("eth_getBlockReceipts", "it has none".to_owned());
        Err(ChainError::Unsupported { url: self.url(), method, detail })
    }

    async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError> {
        self.ask("eth_getTransactionReceipt", |inner| {
            let mut blocks = inner.tree.chain();
            Ok(blocks.find_map(|block| {
                let logs: Vec<_> =
                    inner.tree.logs(block).into_iter().filter(|log| log.tx_hash == tx_hash).collect();
                (!logs.is_empty()).then_some(logs)
            }))
        })
    }

    async fn call(&self, _to: Address, _input: Bytes) -> Result<Bytes, ChainError> {
        Err(ChainError::Reverted { detail: "there is no contract".to_owned() })
    }

    async fn next_wake(&self, _filters: &[LogFilter], _limit: Duration) -> Option<Wake> {
        None
    }
}
