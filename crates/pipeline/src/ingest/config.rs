//! What an operator can set about the ingest of a chain, and what the rooms around it give it.

use std::{sync::Arc, time::Duration};

use abi::Decoder;
use domain::{Catalog, ChainClient, ChainId, ChainName, Clock};
use store::Store;

use crate::Bell;

/// How a chain becomes final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalityRule {
    /// By the node's `safe` and `finalized` tags.
    Tags,
    /// By this many blocks on top.
    Depth(u64),
}

/// One chain's settings and limits.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// Chain.
    pub chain: ChainId,
    /// Its name.
    pub name: ChainName,
    /// How it becomes final.
    pub finality: FinalityRule,
    /// The deepest reorg that is followed without a person.
    pub max_reorg_depth: u32,
    /// How many blocks are read by hash and committed at once.
    pub blocks_max: u32,
    /// How many blocks a range spans at most.
    pub range_max: u64,
    /// How many logs a range should bring; ranges grow and shrink towards it.
    pub range_logs: u64,
    /// How many blocks' logs are asked for at once.
    pub parallel: usize,
    /// How long to wait for a wake before looking anyway.
    pub poll: Duration,
    /// Whether events of the past are published and notify.
    pub notify_backfill: bool,
    /// Whether a bloom that excludes our logs is believed, which spares a call for most blocks.
    pub trust_bloom: bool,
    /// How long other URLs may contradict a reorg before the node that tells of it is taken for a liar.
    pub contest: Duration,
    /// Under which lease the chain is read; without one, the reader takes itself for the only one.
    pub lease: Option<Lease>,
    /// Read no further than this block.
    pub until: Option<u64>,
}

impl IngestConfig {
    /// The defaults for a chain.
    pub const fn new(chain: ChainId, name: ChainName) -> Self {
        Self {
            chain,
            name,
            finality: FinalityRule::Tags,
            max_reorg_depth: 256,
            blocks_max: 64,
            range_max: 10_000,
            range_logs: 8_000,
            parallel: 8,
            poll: Duration::from_secs(4),
            notify_backfill: false,
            trust_bloom: false,
            contest: Duration::from_secs(10),
            lease: None,
            until: None,
        }
    }
}

/// One active reader per chain: who reads, and for how long it may be silent before another takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The process.
    pub owner: String,
    /// How long the lease lasts without being renewed.
    pub term: Duration,
}

/// What the rooms around ingest give it.
#[derive(Debug, Clone)]
pub struct IngestDeps {
    /// The node.
    pub client: Arc<dyn ChainClient>,
    /// The store.
    pub store: Store,
    /// The contracts.
    pub catalog: Arc<Catalog>,
    /// Decodes their logs.
    pub decoder: Arc<Decoder>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Rung when the outbox has something.
    pub relay: Bell,
    /// Rung when new blocks are committed: what is in no hurry goes behind them, not beside them.
    pub committed: Bell,
}
