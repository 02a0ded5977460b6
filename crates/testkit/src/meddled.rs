//! A node whose logs pass through a test's hands before anybody gets them; everything else is answered as it is. Owns the
//! delegation; must not know what the hands do.

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use domain::{
    BlockReceipts, BlockRef, ChainClient, ChainError, ChainId, Header, Heads, LogFilter, LogQuery, Providers,
    RawLog, Wake,
};
use futures::{FutureExt as _, future::BoxFuture};

type Hands = Box<dyn Fn(Vec<RawLog>) -> BoxFuture<'static, Vec<RawLog>> + Send + Sync>;

/// A node, and what happens to the logs that it answers with. It announces nothing.
pub struct MeddledNode {
    node: Arc<dyn ChainClient>,
    hands: Hands,
}

impl MeddledNode {
    /// A node of whose answers to questions for logs `hands` makes others.
    pub fn new<F: Future<Output = Vec<RawLog>> + Send + 'static>(
        node: Arc<dyn ChainClient>,
        hands: impl Fn(Vec<RawLog>) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { node, hands: Box::new(move |logs| hands(logs).boxed()) }
    }
}

impl fmt::Debug for MeddledNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeddledNode").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Providers for MeddledNode {}

#[async_trait]
impl ChainClient for MeddledNode {
    async fn chain_id(&self) -> Result<ChainId, ChainError> {
        self.node.chain_id().await
    }

    async fn heads(&self) -> Result<Heads, ChainError> {
        self.node.heads().await
    }

    fn await_finality(&self, awaited: bool) {
        self.node.await_finality(awaited);
    }

    async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError> {
        self.node.headers_by_number(numbers).await
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, ChainError> {
        self.node.header_by_hash(hash).await
    }

    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, ChainError> {
        Ok((self.hands)(self.node.logs(query, filter).await?).await)
    }

    async fn receipts(&self, block: BlockRef) -> Result<Option<BlockReceipts>, ChainError> {
        self.node.receipts(block).await
    }

    async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError> {
        self.node.transaction_logs(tx_hash).await
    }

    async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, ChainError> {
        self.node.call(to, input).await
    }

    async fn next_wake(&self, _filters: &[LogFilter], _limit: Duration) -> Option<Wake> {
        None
    }
}
