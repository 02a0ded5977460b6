//! Owns the chain's URLs behind one face: which of them a question goes to, and the domain's [`ChainClient`].
//!
//! A decision of the reader begins with [`heads`](ChainClient::heads), and all its questions must go to one URL: the
//! heights of one node and the logs of another make a wrong picture. So `heads` goes where it likes, by score, and pins the
//! URL that answered or announced; every other question goes to the pinned one. Where that one fails or is late, a question
//! that stands for itself is answered by the next, which the rest of the decision goes to; else the caller gets the error,
//! and with it the next URL.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use domain::{
    BlockReceipts, BlockRef, ChainClient, ChainError, ChainId, Clock, Header, Heads, LogFilter, LogQuery,
    ProviderStatus, Providers, RawLog, UrlLimits, Wake,
};
use futures::{FutureExt as _, future::join_all};
use tokio::task::{AbortHandle, JoinSet};

use crate::{
    NodeConfig, UrlStatus,
    choice::Choice,
    error::ConnectError,
    fault::Fault,
    feed::Feed,
    history::Era,
    newer_heads::Outrun,
    pool::Pool,
    questions::{BY_HASH, BY_NUMBER, CALL, CHAIN_ID, LOGS, RECEIPT},
    receipts::BLOCK_RECEIPTS,
    tags::Tags,
    turns::{Turn, Where},
    upstream::Upstream,
};

/// The nodes of one chain.
pub struct Node {
    pub(crate) pool: Arc<Pool>,
    pub(crate) choice: Arc<Choice>,
    // Whether it is asked for a second opinion only, which is not waited for long.
    pub(crate) witness: bool,
    tags: Arc<Mutex<Option<Tags>>>,
    // Whether somebody waits for a block to become final.
    finality_awaited: AtomicBool,
    // The tags that newer ones are to be asked for in place of, and the head then.
    tags_due: Mutex<Option<(Tags, Header)>>,
    // The question for newer tags, while the ones that are kept serve on.
    asking_tags: Mutex<Option<AbortHandle>>,
    // The head of another URL that was asked for in place of a lower one, and how often; and the last that woke the reader.
    pub(crate) outrun: Mutex<Outrun>,
    // Made at the first wait for a wake: most uses of a node need none.
    feed: OnceLock<Feed>,
    // Questions for the heads of URLs that are not in use, and for tags. They end with the node.
    looks: Mutex<JoinSet<()>>,
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
            (Some(pinned), _) => Ok(Self::over(Arc::new(pool), Choice::new(pinned, false))),
            (None, Some(error)) => Err(error),
            (None, None) => Err(ConnectError::NoUrl { chain: config.chain.clone() }),
        }
    }

    /// The same connections and health, with a pinned URL and wakes of its own: for a second reader whose decisions must
    /// not be disturbed by the first one's errors.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::over(Arc::clone(&self.pool), Choice::new(self.choice.pinned(), self.choice.fixed))
    }

    fn over(pool: Arc<Pool>, choice: Choice) -> Self {
        Self {
            pool,
            choice: Arc::new(choice),
            witness: false,
            tags: Arc::default(),
            finality_awaited: AtomicBool::new(true),
            tags_due: Mutex::default(),
            asking_tags: Mutex::default(),
            outrun: Mutex::default(),
            feed: OnceLock::new(),
            looks: Mutex::default(),
        }
    }

    /// The state of each URL, in the configured order.
    pub fn status(&self) -> Vec<UrlStatus> {
        let pinned = self.choice.pinned();
        self.pool.upstreams.iter().map(|upstream| upstream.status(upstream.index == pinned)).collect()
    }

    // ------------------------------------------------------------------------------------------ which URL

    fn upstream(&self) -> &Upstream {
        // The index always comes from the pool itself.
        &self.pool.upstreams[self.choice.pinned()]
    }

    /// The URLs that a decision may begin with, the first the one to begin with. Never empty.
    fn candidates(&self) -> Vec<usize> {
        let pinned = self.choice.pinned();
        if self.choice.fixed {
            return vec![pinned];
        }
        let candidates = self.pool.candidates(pinned, self.feed.get().is_some());
        candidates.into_iter().map(|url| url.index).collect()
    }

    pub(crate) fn pin(&self, index: usize) {
        let Some(before) = self.choice.pin(index) else { return };
        // What one node said of finality is not said by another; and how far the new one is, the others tell.
        *self.tags() = None;
        self.pool.look_soon();
        let url = |index: usize| self.pool.upstreams[index].endpoint.redacted();
        tracing::info!(
            chain = %self.pool.shared.config.chain, from = url(before), to = url(index), "another node is asked"
        );
    }

    /// Makes the fault of a question the caller's error, and moves on to another URL if it may do better.
    fn conclude<T>(
        &self,
        (index, answer): Turn<T>,
        method: &'static str,
        asked: impl FnOnce() -> String,
    ) -> Result<T, ChainError> {
        let upstream = &self.pool.upstreams[index];
        answer.map_err(|fault| {
            let demotes = fault.demotes();
            let lie = if let Fault::Lie(how) = &fault { Some(how.clone()) } else { None };
            let error = upstream.error(fault, method, &asked());
            if let Some(lie) = lie {
                self.blame(upstream.index, &lie);
            } else if demotes {
                self.pin(self.candidates()[0]);
            }
            error
        })
    }

    fn blame(&self, index: usize, lie: &str) {
        self.pool.accuse(index, lie);
        self.choice.forget(index);
        *self.tags() = None;
        self.pin(self.candidates()[0]);
        self.pool.publish();
    }

    // ---------------------------------------------------------------------------------------------- heads

    /// The heads with an announced one on top, and the tags where they were asked for; `None` where the node has to be asked
    /// for all of them.
    async fn announced(&self, index: usize, latest: &Header) -> Result<Option<(Heads, Option<Tags>)>, Fault> {
        let (clock, config) = (&self.pool.shared.clock, &self.pool.shared.config);
        let kept = *self.tags();
        let asked_at = clock.now();
        if let Some(tags) = kept {
            let awaited = self.finality_awaited.load(Ordering::Relaxed);
            let limits = if awaited { &config.tags } else { &config.tags_unawaited };
            let serve = tags.serve(index, latest.block, asked_at, limits);
            if serve || tags.tide_over(index, latest.block, asked_at, config) {
                if !serve {
                    *self.tags_due.lock().unwrap_or_else(PoisonError::into_inner) = Some((tags, *latest));
                }
                let heads = Heads { latest: *latest, safe: tags.safe, finalized: tags.finalized };
                return Ok(Some((heads, None)));
            }
        }
        let heads = self.pool.upstreams[index].tags(latest).await?;
        let tags = Tags::of(&heads, index, asked_at);
        // While we asked, the chain went on beyond the announced head.
        if tags.is_beyond(latest.block) {
            return Ok(None);
        }
        Ok(Some((heads, Some(tags))))
    }

    /// The heads of a URL, with the one that it announced, if it did.
    pub(crate) async fn heads_of(
        &self,
        upstream: &Upstream,
        announced: Option<&Header>,
    ) -> Result<(Heads, Option<Tags>), Fault> {
        if let Some(latest) = announced
            && let Some(heads) = self.announced(upstream.index, latest).await?
        {
            return Ok(heads);
        }
        let asked_at = self.pool.shared.clock.now();
        let heads = upstream.heads().await?;
        self.pool.learned(upstream.index, heads.latest.block.number);
        Ok((heads, Some(Tags::of(&heads, upstream.index, asked_at))))
    }

    /// Lets newer tags be asked for, where they are due, while we go on. This is for the moment between two blocks: the
    /// question for a block's logs does not stand behind it.
    fn ask_for_due_tags(&self) {
        let due = self.tags_due.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Newer ones may have come meanwhile.
        let Some((kept, latest)) = due.filter(|(kept, _)| *self.tags() == Some(*kept)) else { return };
        let mut asking = self.asking_tags.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            return;
        }
        let (pool, tags, asked_at) =
            (Arc::clone(&self.pool), Arc::clone(&self.tags), self.pool.shared.clock.now());
        let ask = async move {
            // Without an answer, those that are kept grow old, and the head has to wait for newer ones.
            let Ok(heads) = pool.upstreams[kept.url].tags(&latest).await else { return };
            let mut tags = tags.lock().unwrap_or_else(PoisonError::into_inner);
            // Another URL may be asked by now, or this one have lied.
            if *tags == Some(kept) {
                *tags = Some(Tags::of(&heads, kept.url, asked_at));
            }
        };
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        while looks.try_join_next().is_some() {}
        *asking = Some(looks.spawn(ask));
    }

    /// Lets the URLs that are not in use be asked for their heads, where that is due, while we go on.
    pub(crate) fn look_around(&self) {
        if self.choice.fixed {
            return;
        }
        let due = self.pool.due_for_a_look(self.choice.pinned());
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        while looks.try_join_next().is_some() {}
        for index in due {
            looks.spawn(Arc::clone(&self.pool).look_at(index));
        }
    }

    fn tags(&self) -> MutexGuard<'_, Option<Tags>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Providers for Node {
    fn url(&self) -> String {
        self.upstream().endpoint.redacted().to_owned()
    }

    fn steady(&self) -> Option<Arc<dyn ChainClient>> {
        let choice = Choice::new(self.choice.pinned(), true);
        Some(Arc::new(Self::over(Arc::clone(&self.pool), choice)))
    }

    fn others(&self) -> Vec<Arc<dyn ChainClient>> {
        let others = self.pool.others(self.choice.pinned()).into_iter();
        let client = |index| {
            let over = Self::over(Arc::clone(&self.pool), Choice::new(index, true));
            Self { witness: true, ..over }
        };
        others.map(|index| Arc::new(client(index)) as Arc<dyn ChainClient>).collect()
    }

    fn doubt(&self, why: &str) {
        let doubted = self.upstream();
        doubted.note(BY_NUMBER, &Fault::Incoherent(why.to_owned()));
        self.choice.forget(doubted.index);
        self.pin(self.candidates()[0]);
    }

    fn accuse(&self, lie: &str) {
        self.blame(self.choice.pinned(), lie);
    }

    fn range_limit(&self) -> Option<u64> {
        self.upstream().ranges().limit()
    }

    fn limits(&self) -> Vec<UrlLimits> {
        self.pool.upstreams.iter().map(Upstream::limits).collect()
    }

    fn recall(&self, limits: &[UrlLimits]) {
        for upstream in &self.pool.upstreams {
            let key = upstream.endpoint.key();
            limits.iter().filter(|limits| limits.key == key).for_each(|limits| upstream.recall(limits));
        }
    }

    fn providers(&self) -> Vec<ProviderStatus> {
        self.pool.statuses(self.choice.pinned())
    }
}

#[async_trait]
impl ChainClient for Node {
    async fn chain_id(&self) -> Result<ChainId, ChainError> {
        let upstream = self.upstream();
        self.conclude((upstream.index, upstream.chain_id().await), CHAIN_ID, String::new)
    }

    async fn heads(&self) -> Result<Heads, ChainError> {
        self.look_around();
        let first = self.candidates()[0];
        // The announcement of a URL that is not the fittest is worth nothing.
        let announced = self.choice.look().filter(|(index, _)| *index == first).map(|(_, latest)| latest);
        let announced = Mutex::new(announced);
        let turns = self.turns(first, Where::Anywhere);
        let ask = |upstream| {
            let mut announced = announced.lock().unwrap_or_else(PoisonError::into_inner);
            let latest = announced.take();
            drop(announced);
            async move { self.heads_of(upstream, latest.as_ref()).await }.boxed()
        };
        match self.in_turn(BY_NUMBER, Where::Anywhere, &turns, ask).await {
            (index, Ok((heads, tags))) => {
                let further = self.further_than(index, &heads).await;
                let (index, heads, tags) = further.unwrap_or((index, heads, tags));
                self.pin(index);
                if tags.is_some() {
                    *self.tags() = tags;
                }
                Ok(heads)
            }
            (index, Err(fault)) => {
                let error = self.pool.upstreams[index].error(fault, BY_NUMBER, "latest");
                self.pin(self.candidates()[0]);
                Err(error)
            }
        }
    }

    fn await_finality(&self, awaited: bool) {
        self.finality_awaited.store(awaited, Ordering::Relaxed);
    }

    async fn receipts(&self, block: BlockRef) -> Result<Option<BlockReceipts>, ChainError> {
        let (era, ask) = (Some(Era::block(block.number)), |url| Upstream::receipts(url, block).boxed());
        let turn = self.put_to_history(BLOCK_RECEIPTS, Where::Here, era, ask).await;
        self.conclude(turn, BLOCK_RECEIPTS, || format!("{} ({})", block.number, block.hash))
    }

    async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError> {
        let (era, ask) = (Era::headers(numbers), |url| Upstream::headers_by_number(url, numbers).boxed());
        let turn = self.put_to_history(BY_NUMBER, Where::Anywhere, era, ask).await;
        self.conclude(turn, BY_NUMBER, || format!("{numbers:?}"))
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, ChainError> {
        let ask = |url| Upstream::header_by_hash(url, hash).boxed();
        let turn = self.put_to_history(BY_HASH, Where::Anywhere, None, ask).await;
        self.conclude(turn, BY_HASH, || hash.to_string())
    }

    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, ChainError> {
        let place = if matches!(query, LogQuery::Block(_)) { Where::Anywhere } else { Where::Here };
        let ask = |url| Upstream::logs(url, query, filter).boxed();
        let turn = self.put_to_history(LOGS, place, Some(Era::of(query)), ask).await;
        self.conclude(turn, LOGS, || match query {
            LogQuery::Block(block) => format!("{} ({})", block.number, block.hash),
            LogQuery::Range { from, to } => format!("{from} to {to}"),
        })
    }

    async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError> {
        let ask = |url| Upstream::transaction_logs(url, tx_hash).boxed();
        let turn = self.put_to_history(RECEIPT, Where::Here, None, ask).await;
        self.conclude(turn, RECEIPT, || format!("of transaction {tx_hash}"))
    }

    async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, ChainError> {
        let turn = self.put(CALL, Where::Here, |url| url.eth_call(to, &input).boxed()).await;
        self.conclude(turn, CALL, || "latest".to_owned())
    }

    async fn next_wake(&self, filters: &[LogFilter], limit: Duration) -> Option<Wake> {
        self.look_around();
        self.ask_for_due_tags();
        self.pool.publish();
        let start = || Feed::start(Arc::clone(&self.pool), Arc::clone(&self.choice));
        let wake = self.feed.get_or_init(start).next(filters, limit);
        if limit.is_zero() || self.choice.fixed {
            return wake.await;
        }
        // Where the one in use announces nothing, another may know more.
        tokio::select! { biased; wake = wake => wake, () = self.until_outrun() => Some(Wake::Reconnected) }
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
