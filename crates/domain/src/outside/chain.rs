//! What the rooms need of a node. A node can lag, lie, or fall silent: the errors say what to do then.

use std::{fmt::Debug, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;

use crate::{BlockRef, ChainId, Header, Heads, Learned, RawLog};

/// Why the node did not answer as asked, by what the caller should do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    /// Try again, later or at another node: the connection failed, or the answer made no sense.
    #[error("the node at {url} does not answer {method}: {detail}")]
    Unavailable {
        /// Redacted URL.
        url: String,
        /// JSON-RPC method.
        method: &'static str,
        /// What happened.
        detail: String,
    },
    /// Slow down: the provider limits the rate.
    #[error("the node at {url} limits the rate: {detail}")]
    RateLimited {
        /// Redacted URL.
        url: String,
        /// What it said.
        detail: String,
        /// How long to wait, where it said.
        retry_after: Option<Duration>,
    },
    /// Ask for less: the range or its result is too large.
    #[error("the node at {url} refuses the range: {detail}")]
    RangeTooLarge {
        /// Redacted URL.
        url: String,
        /// What it said.
        detail: String,
        /// How many blocks it suggests, where it said.
        suggested_blocks: Option<u64>,
    },
    /// Look at the chain again: the node does not know this block (any more, or yet).
    #[error("the node at {url} does not know block {block}")]
    UnknownBlock {
        /// Redacted URL.
        url: String,
        /// The block asked for, as asked.
        block: String,
    },
    /// Do not trust this answer: it contradicts itself or what was asked.
    #[error("the node at {url} contradicts itself: {detail}")]
    Incoherent {
        /// Redacted URL.
        url: String,
        /// How.
        detail: String,
    },
    /// Do not try again: the node cannot do this.
    #[error("the node at {url} cannot do {method}: {detail}")]
    Unsupported {
        /// Redacted URL.
        url: String,
        /// JSON-RPC method.
        method: &'static str,
        /// What it said.
        detail: String,
    },
    /// Do not try again here: the block is so old that the node has let go of it, and no other URL has it.
    #[error(
        "the node at {url} keeps no history of {block} ({detail}), and no other URL has it: add a node that keeps all \
         history to 'rpc', or raise 'start_block'"
    )]
    Pruned {
        /// Redacted URL.
        url: String,
        /// The block or range asked for, as asked.
        block: String,
        /// What it said.
        detail: String,
    },
    /// Do not look for a proof here: the receipts of this block are not the whole block, whoever is asked how often.
    #[error("the receipts of block {block} at {url} do not make up the block: {detail}")]
    Unproved {
        /// Redacted URL.
        url: String,
        /// The block asked for, as asked.
        block: String,
        /// What they lack.
        detail: String,
    },
    /// The call itself failed on chain: the contract reverted or is not there.
    #[error("the call reverted: {detail}")]
    Reverted {
        /// What the node said.
        detail: String,
    },
}

impl ChainError {
    /// Whether the same question may be answered later.
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Unsupported { .. } | Self::Reverted { .. })
    }
}

/// Which logs: any of the addresses (none: any at all) and any of the topics 0 (none: any at all).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LogFilter {
    /// Emitting contracts.
    pub addresses: Vec<Address>,
    /// Values of topic 0.
    pub topics0: Vec<B256>,
}

impl LogFilter {
    /// Whether a log satisfies it.
    pub fn matches(&self, log: &RawLog) -> bool {
        let topic0 = log.topics.first();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && (self.topics0.is_empty() || topic0.is_some_and(|topic0| self.topics0.contains(topic0)))
    }

    /// Two filters that together bring what this one brings, for an answer that is too large; nothing where it names one
    /// address and one topic at most.
    pub fn halves(&self) -> Option<[Self; 2]> {
        if self.addresses.len() > 1 {
            let halves: [_; 2] = self.addresses.split_at(self.addresses.len() / 2).into();
            return Some(halves.map(|part| Self { addresses: part.to_vec(), ..self.clone() }));
        }
        if self.topics0.len() > 1 {
            let halves: [_; 2] = self.topics0.split_at(self.topics0.len() / 2).into();
            return Some(halves.map(|part| Self { topics0: part.to_vec(), ..self.clone() }));
        }
        None
    }
}

/// Where to look for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogQuery {
    /// In exactly this block, asked by its hash.
    Block(BlockRef),
    /// In these blocks, both ends included: only for blocks that are final.
    Range {
        /// First block.
        from: u64,
        /// Last block.
        to: u64,
    },
}

/// Why ingest should look at the chain.
#[derive(Debug, Clone)]
pub enum Wake {
    /// The node announced a head.
    Head(Box<Header>),
    /// The node announced a log of a watched contract: a witness against an empty answer later.
    Log(AnnouncedLog),
    /// The subscription broke or was made anew: whatever was announced meanwhile is unknown.
    Reconnected,
}

/// Where an announced log is. What is in it is read with its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncedLog {
    /// The block.
    pub block: BlockRef,
    /// Its place in the block.
    pub log_index: u64,
    /// Whether the node says that the block left its chain.
    pub removed: bool,
}

/// How the logs of a block were made sure of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The receipts hash to the header's receipts root, and the header to the block's hash: nothing can be missing.
    Root,
    /// They could not be hashed, for the reason given: they are as good as the node's word.
    Word(String),
}

/// A block as its receipts tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockReceipts {
    /// Its header.
    pub header: Header,
    /// All logs of the block, in order, whoever emitted them.
    pub logs: Vec<RawLog>,
    /// How sure that is.
    pub proof: Proof,
}

/// What is thought of one URL of a chain, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Redacted URL.
    pub url: String,
    /// From 0, unfit, to 100: nothing speaks against it.
    pub score: u8,
    /// Whether questions go there now.
    pub pinned: bool,
    /// How many blocks its head was behind the best head known when it was last asked.
    pub lag_blocks: u64,
    /// Failures since the start.
    pub errors: u64,
    /// Answers since the start that were proved wrong.
    pub lies: u64,
    /// For how much longer it is kept out of use; nothing when it is in use.
    pub quarantined_for: Option<Duration>,
    /// Why the score is not 100.
    pub why: Option<String>,
    /// How long its last answer took.
    pub latency: Option<Duration>,
    /// How many requests it may have under way, as learned from its refusals.
    pub concurrency: usize,
}

/// How much one URL takes at once, as learned from its refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlLimits {
    /// Names the URL over restarts: how it is shown, and as much of a hash as tells two keys of one provider apart and
    /// gives none away.
    pub key: String,
    /// Redacted URL.
    pub url: String,
    /// Blocks in one range.
    pub range: Option<Learned>,
    /// Questions in one message.
    pub batch: Option<Learned>,
}

/// The URLs behind a [`ChainClient`]: which of them is asked, and what is thought of each. The defaults are those of a
/// client with one URL.
pub trait Providers {
    /// The redacted URL that questions go to now.
    fn url(&self) -> String {
        "rpc".to_owned()
    }

    /// The URL that questions go to now, as a client that stays with it: for questions beside the decision in hand. `None`
    /// where this client stays anyway.
    fn steady(&self) -> Option<Arc<dyn ChainClient>> {
        None
    }

    /// The other URLs that may be asked, the fittest first, each as a client that stays with its URL: for a second
    /// opinion. What one of them answers never becomes part of a decision about this client's answers.
    fn others(&self) -> Vec<Arc<dyn ChainClient>> {
        Vec::new()
    }

    /// Says that the URL in use is contradicted by others, or by itself, and that nothing is proved: the next decisions go
    /// elsewhere as long as there is another.
    fn doubt(&self, _why: &str) {}

    /// Says that an answer of the URL in use was proved wrong. It is kept out of use for a while, longer each time, as
    /// long as there is another; the next decision goes elsewhere.
    fn accuse(&self, _lie: &str) {}

    /// How many blocks one question for a range may span at the URL that questions go to now, as far as was learned of it.
    fn range_limit(&self) -> Option<u64> {
        None
    }

    /// What was learned of how much each URL takes at once, for the store to keep over restarts.
    fn limits(&self) -> Vec<UrlLimits> {
        Vec::new()
    }

    /// Takes up what was learned before; what is about other URLs is passed over.
    fn recall(&self, _limits: &[UrlLimits]) {}

    /// What is thought of each URL, in the configured order.
    fn providers(&self) -> Vec<ProviderStatus> {
        Vec::new()
    }
}

/// A node, or several behind one face.
///
/// Every answer that belongs to one decision comes from one URL.
#[async_trait]
pub trait ChainClient: Providers + Debug + Send + Sync {
    /// The chain's id (`eth_chainId`).
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn chain_id(&self) -> Result<ChainId, ChainError>;

    /// Latest, safe and finalized. A chain without the tags has `None` there.
    ///
    /// A head that the node announced since the last call is taken at its word, and the tags, which move once in many
    /// blocks, are asked for every few blocks only; else all three are asked for in one batch.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn heads(&self) -> Result<Heads, ChainError>;

    /// Says whether anybody waits for a block to become final, which is so until this says otherwise. While nobody does,
    /// the tags are asked for seldom.
    fn await_finality(&self, _awaited: bool) {}

    /// Headers by number, in one batch, in the order asked; `None` where the node has no such block.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError>;

    /// The header of this hash; `None` where the node does not know it.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, ChainError>;

    /// The logs that match, in block and log-index order, each checked against the question: block hash and
    /// number, no null field, strictly increasing log index.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, ChainError>;

    /// A block as its receipts tell it (`eth_getBlockReceipts`, asked by hash); `None` where the node does not know it.
    ///
    /// # Errors
    /// [`ChainError::Unsupported`] where the node has no such method, [`ChainError::Unproved`] where receipts are missing,
    /// [`ChainError::Incoherent`] when they do not hash to the header's root, else see [`ChainError`].
    async fn receipts(&self, block: BlockRef) -> Result<Option<BlockReceipts>, ChainError>;

    /// All logs of one transaction by its receipt; `None` where the node knows no such mined transaction.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError>;

    /// The result of a read-only call at the latest block (`eth_call`).
    ///
    /// # Errors
    /// [`ChainError::Reverted`] when the contract refuses, else see [`ChainError`].
    async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, ChainError>;

    /// Waits until something may have happened on the chain, at most `limit`; `None` then. A hint and a witness,
    /// never the truth. Keeps a subscription to heads and to the logs of `filters` alive by itself, and polls where
    /// the node has none.
    async fn next_wake(&self, filters: &[LogFilter], limit: Duration) -> Option<Wake>;
}
