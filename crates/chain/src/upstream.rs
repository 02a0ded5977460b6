//! Owns one URL at work: its link, opened when it is needed and dropped when it has ended, the limits on requests, their
//! times, and the URL's health. And [`Pool`]: a chain's URLs, in order of health.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use domain::{ChainError, ChainId, Clock};
use serde_json::{Value as Json, json, value::RawValue};
use tokio::sync::Semaphore;

use crate::{
    NodeConfig,
    endpoint::Endpoint,
    error::ConnectError,
    fault::Fault,
    health::{FeedState, Health, UrlStatus},
    limits::TIMEOUTS_MAX,
    link::{Link, too_slow},
    wire::{self, Quantity},
};

/// What all URLs of a chain share.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) clock: Arc<dyn Clock>,
    permits: Semaphore,
}

/// A chain's URLs.
pub(crate) struct Pool {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstreams: Vec<Upstream>,
}

/// One URL.
pub(crate) struct Upstream {
    pub(crate) endpoint: Endpoint,
    pub(crate) shared: Arc<Shared>,
    // Held while connecting, so that all who wait for a connection get the same one.
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    health: Mutex<Health>,
}

impl Pool {
    pub(crate) fn new(config: NodeConfig, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let endpoints: Vec<_> =
            config.urls.iter().map(|url| Endpoint::parse(url)).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(ConnectError::NoUrl { chain: config.chain });
        }
        let permits = Semaphore::new(config.max_concurrent_calls.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared { config, clock, permits });
        let upstreams = endpoints.into_iter().map(|endpoint| Upstream::new(endpoint, &shared)).collect();
        Ok(Self { shared, upstreams })
    }

    /// The URLs that nothing speaks against, in the configured order; where there is none, the one whose demotion ends
    /// first. Never empty.
    pub(crate) fn candidates(&self) -> Vec<usize> {
        let now = self.shared.clock.now();
        let demoted: Vec<_> =
            self.upstreams.iter().map(|upstream| upstream.health().demoted_for(now)).collect();
        let sound: Vec<usize> = (0..demoted.len()).filter(|index| demoted[*index].is_none()).collect();
        if !sound.is_empty() {
            return sound;
        }
        (0..demoted.len()).min_by_key(|index| demoted[*index]).into_iter().collect()
    }
}

impl Upstream {
    fn new(endpoint: Endpoint, shared: &Arc<Shared>) -> Self {
        Self {
            endpoint,
            shared: Arc::clone(shared),
            link: tokio::sync::Mutex::default(),
            health: Mutex::default(),
        }
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open connection; opens it, and checks what it serves, where there is none.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, Fault> {
        let mut place = self.link.lock().await;
        if let Some(link) = place.as_ref().filter(|link| !link.is_over()) {
            return Ok(Arc::clone(link));
        }
        let link = Link::open(&self.endpoint, &self.shared.config, &self.shared.clock).await?;
        let link = Arc::new(link);
        let served = self.timed("eth_chainId", &link, link.request("eth_chainId", json!([]))).await?;
        let served = chain_id(&served)?;
        if served != self.shared.config.expected {
            return Err(Fault::WrongChain(served));
        }
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Drops the connection, if it still is this one: the next request opens another.
    pub(crate) async fn forget(&self, link: &Arc<Link>) {
        let mut place = self.link.lock().await;
        if place.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            *place = None;
        }
    }

    /// One request.
    pub(crate) async fn request(&self, method: &'static str, params: Json) -> Result<Box<RawValue>, Fault> {
        let link = self.link().await?;
        let result = self.timed(method, &link, link.request(method, params)).await;
        self.drop_if_spoilt(&link).await;
        result
    }

    /// Several requests of one method, in batches; the answers in the order of the questions.
    pub(crate) async fn requests(
        &self,
        method: &'static str,
        params: &[Json],
    ) -> Result<Vec<Result<Box<RawValue>, Fault>>, Fault> {
        let link = self.link().await?;
        let mut answers = Vec::with_capacity(params.len());
        for chunk in params.chunks(self.shared.config.max_batch.max(1)) {
            let result = match chunk {
                [params] => match self.timed(method, &link, link.request(method, params.clone())).await {
                    // What ends a batch ends a single question too.
                    Err(fault @ (Fault::Unavailable(_) | Fault::NotJsonRpc(_) | Fault::Denied(_))) => {
                        Err(fault)
                    }
                    answer => Ok(vec![answer]),
                },
                chunk => self.timed(method, &link, link.batch(method, chunk)).await,
            };
            self.drop_if_spoilt(&link).await;
            answers.extend(result?);
        }
        Ok(answers)
    }

    /// Runs one exchange within the limits, and takes its time.
    pub(crate) async fn timed<T>(
        &self,
        method: &'static str,
        link: &Link,
        exchange: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let config = &self.shared.config;
        let permit = self.shared.permits.acquire().await;
        let _permit =
            permit.map_err(|_closed| Fault::Unavailable("chainbell is shutting down".to_owned()))?;
        let started = started();
        let result = tokio::time::timeout(config.request_timeout, exchange).await;
        let took = started.elapsed();
        metrics::histogram!("chainbell_rpc_seconds", "chain" => config.chain.to_string(), "method" => method)
            .record(took);
        let Ok(result) = result else {
            self.health().timeouts += 1;
            return Err(too_slow(config.request_timeout));
        };
        // Whoever refuses has answered; only a connection that ended has not.
        if result.is_ok() || !link.is_over() {
            self.health().timeouts = 0;
        }
        if result.is_ok() && self.health().succeeded(took) {
            tracing::info!(chain = %config.chain, url = self.endpoint.redacted(), "the node answers again");
        }
        result
    }

    /// A socket that ended, or that leaves requests unanswered, is not used again.
    async fn drop_if_spoilt(&self, link: &Arc<Link>) {
        let silent = self.endpoint.can_subscribe() && self.health().timeouts >= TIMEOUTS_MAX;
        if silent || link.is_over() {
            self.health().timeouts = 0;
            self.forget(link).await;
        }
    }

    /// Takes note of a fault: it is counted, and may send the URL to the end of the line.
    pub(crate) fn note(&self, method: &'static str, fault: &Fault) {
        let config = &self.shared.config;
        metrics::counter!(
            "chainbell_rpc_errors_total",
            "chain" => config.chain.to_string(), "method" => method, "kind" => fault.kind()
        )
        .increment(1);
        if !fault.demotes() {
            return;
        }
        let why = self.endpoint.clean(&fault.detail());
        let retry_after = match fault {
            Fault::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let now = self.shared.clock.now();
        if self.health().failed(now, why.clone(), retry_after, config) {
            tracing::warn!(chain = %config.chain, url = self.endpoint.redacted(), method, why, "the node fails");
        }
    }

    /// Takes note of a fault and makes it the caller's error.
    pub(crate) fn error(&self, fault: Fault, method: &'static str, asked: &str) -> ChainError {
        self.note(method, &fault);
        fault.into_error(&self.endpoint, method, asked)
    }

    pub(crate) fn status(&self, pinned: bool) -> UrlStatus {
        let health = self.health();
        UrlStatus {
            url: self.endpoint.redacted().to_owned(),
            healthy: health.is_healthy(),
            pinned,
            last_error: health.last_error.clone(),
            latency: health.latency,
            feed: health.feed,
        }
    }

    pub(crate) fn set_feed(&self, feed: FeedState) {
        self.health().feed = feed;
    }
}

/// Reads the answer to `eth_chainId`.
pub(crate) fn chain_id(answer: &RawValue) -> Result<ChainId, Fault> {
    wire::read::<Quantity>(answer).map(|id| ChainId(id.0)).map_err(Fault::Incoherent)
}

#[expect(clippy::disallowed_methods, reason = "measures how long an exchange took, decides nothing")]
fn started() -> Instant {
    Instant::now()
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}
