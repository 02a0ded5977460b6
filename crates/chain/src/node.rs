//! Owns the chain's URLs behind one face: which of them a question goes to, and the domain's [`ChainClient`].
//!
//! A decision of the reader begins with [`heads`](ChainClient::heads), and all its questions must go to one URL: the
//! heights of one node and the logs of another make a wrong picture. So `heads` alone goes where it likes, by health, and
//! pins the URL that answered; every other question goes to the pinned one. Where that fails, the caller gets the error,
//! and with it the next URL.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use domain::{ChainClient, ChainError, ChainId, Clock, Header, Heads, LogFilter, LogQuery, RawLog, Wake};
use futures::future::join_all;

use crate::{
    NodeConfig, UrlStatus,
    error::ConnectError,
    fault::Fault,
    feed::Feed,
    questions::{BY_HASH, BY_NUMBER, CALL, CHAIN_ID, LOGS, RECEIPT},
    upstream::{Pool, Upstream},
};

/// The nodes of one chain.
pub struct Node {
    pool: Arc<Pool>,
    pinned: AtomicUsize,
    // Made at the first wait for a wake: most uses of a node need none.
    feed: OnceLock<Feed>,
}

impl Node {
    /// Connects, and makes sure that the chain is the one that was configured. One URL that answers is enough; the others
    /// are tried when they are needed.
    ///
    /// # Errors
    /// See [`ConnectError`]. A URL that serves another chain is an error even where others serve the right one.
    pub async fn connect(config: NodeConfig, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let pool = Pool::new(config, clock)?;
        let config = &pool.shared.config;
        let links = join_all(pool.upstreams.iter().map(Upstream::link)).await;
        let mut failed = None;
        let mut pinned = None;
        for (index, (upstream, link)) in pool.upstreams.iter().zip(links).enumerate() {
            let Err(fault) = link else {
                pinned = pinned.or(Some(index));
                continue;
            };
            upstream.note(CHAIN_ID, &fault);
            let wrong_chain = matches!(fault, Fault::WrongChain(_));
            let error = fault.into_connect_error(&upstream.endpoint, &config.chain, config.expected);
            if wrong_chain {
                return Err(error);
            }
            failed = failed.or(Some(error));
        }
        match (pinned, failed) {
            (Some(pinned), _) => Ok(Self::pinned_to(pinned, Arc::new(pool))),
            (None, Some(error)) => Err(error),
            (None, None) => Err(ConnectError::NoUrl { chain: config.chain.clone() }),
        }
    }

    /// The same connections and health, with a pinned URL and wakes of its own: for a second reader whose decisions must
    /// not be disturbed by the first one's errors.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::pinned_to(self.pinned.load(Ordering::Relaxed), Arc::clone(&self.pool))
    }

    fn pinned_to(pinned: usize, pool: Arc<Pool>) -> Self {
        Self { pool, pinned: AtomicUsize::new(pinned), feed: OnceLock::new() }
    }

    /// The state of each URL, in the configured order.
    pub fn status(&self) -> Vec<UrlStatus> {
        let pinned = self.pinned.load(Ordering::Relaxed);
        let upstreams = self.pool.upstreams.iter().enumerate();
        upstreams.map(|(index, upstream)| upstream.status(index == pinned)).collect()
    }

    fn upstream(&self) -> &Upstream {
        // The index always comes from the pool itself.
        &self.pool.upstreams[self.pinned.load(Ordering::Relaxed)]
    }

    /// Makes the fault of a question to `upstream` the caller's error, and moves on to another URL if it may do better.
    fn conclude<T>(
        &self,
        upstream: &Upstream,
        answer: Result<T, Fault>,
        method: &'static str,
        asked: impl FnOnce() -> String,
    ) -> Result<T, ChainError> {
        answer.map_err(|fault| {
            let demotes = fault.demotes();
            let error = upstream.error(fault, method, &asked());
            if demotes {
                self.pin(self.pool.candidates()[0]);
            }
            error
        })
    }

    fn pin(&self, index: usize) {
        let before = self.pinned.swap(index, Ordering::Relaxed);
        if before != index {
            let url = |index: usize| self.pool.upstreams[index].endpoint.redacted();
            tracing::info!(
                chain = %self.pool.shared.config.chain, from = url(before), to = url(index), "another node is asked"
            );
        }
    }
}

#[async_trait]
impl ChainClient for Node {
    async fn chain_id(&self) -> Result<ChainId, ChainError> {
        let upstream = self.upstream();
        self.conclude(upstream, upstream.chain_id().await, CHAIN_ID, String::new)
    }

    async fn heads(&self) -> Result<Heads, ChainError> {
        let mut failed = None;
        for index in self.pool.candidates() {
            let upstream = &self.pool.upstreams[index];
            match upstream.heads().await {
                Ok(heads) => {
                    self.pin(index);
                    return Ok(heads);
                }
                Err(fault) => {
                    failed = Some(upstream.error(fault, BY_NUMBER, "latest"));
                }
            }
        }
        self.pin(self.pool.candidates()[0]);
        Err(failed.unwrap_or_else(|| ChainError::Unavailable {
            url: self.upstream().endpoint.redacted().to_owned(),
            method: BY_NUMBER,
            detail: "no node is left to ask".to_owned(),
        }))
    }

    async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError> {
        let upstream = self.upstream();
        let answer = upstream.headers_by_number(numbers).await;
        self.conclude(upstream, answer, BY_NUMBER, || format!("{numbers:?}"))
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, ChainError> {
        let upstream = self.upstream();
        let answer = upstream.header_by_hash(hash).await;
        self.conclude(upstream, answer, BY_HASH, || hash.to_string())
    }

    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, ChainError> {
        let upstream = self.upstream();
        let answer = upstream.logs(query, filter).await;
        self.conclude(upstream, answer, LOGS, || match query {
            LogQuery::Block(block) => format!("{} ({})", block.number, block.hash),
            LogQuery::Range { from, to } => format!("{from} to {to}"),
        })
    }

    async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError> {
        let upstream = self.upstream();
        let answer = upstream.transaction_logs(tx_hash).await;
        self.conclude(upstream, answer, RECEIPT, || format!("of transaction {tx_hash}"))
    }

    async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, ChainError> {
        let upstream = self.upstream();
        let answer = upstream.eth_call(to, &input).await;
        self.conclude(upstream, answer, CALL, || "latest".to_owned())
    }

    async fn next_wake(&self, filters: &[LogFilter], limit: Duration) -> Option<Wake> {
        self.feed.get_or_init(|| Feed::start(Arc::clone(&self.pool))).next(filters, limit).await
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("chain", &self.pool.shared.config.chain)
            .field("urls", &self.pool.upstreams)
            .finish_non_exhaustive()
    }
}
