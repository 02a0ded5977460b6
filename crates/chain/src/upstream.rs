//! Owns one URL at work: its link, opened when it is needed and dropped when it has ended, the limits on requests, their
//! times, what was learned of it, and the URL's health.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU8},
    time::{Duration, Instant},
};

use domain::{ChainError, ChainId, UrlLimits};
use jiff::Timestamp;
use serde_json::{Value as Json, json, value::RawValue};

use crate::{
    endpoint::Endpoint,
    fault::Fault,
    health::{FeedState, Health, UrlStatus},
    history::Pruned,
    learner::Learner,
    limits::{PATIENCE, TIMEOUTS_MAX},
    link::{Link, too_slow},
    pace::Gate,
    pool::Shared,
    score::Evidence,
    standing::Gravity,
    turns::Pause,
    wire::{self, Quantity},
};

/// One URL.
pub(crate) struct Upstream {
    /// Its place in the configuration.
    pub(crate) index: usize,
    pub(crate) endpoint: Endpoint,
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Gate,
    /// Before it is asked the same again.
    pub(crate) pause: Pause,
    // How many questions it takes in one message, and blocks in one range.
    batches: Mutex<Learner>,
    ranges: Mutex<Learner>,
    /// The form in which it takes the question for a block's receipts.
    pub(crate) receipts_form: AtomicU8,
    /// What it has let go of.
    pruned: Mutex<Pruned>,
    // Held while connecting, so that all who wait for a connection get the same one.
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    health: Mutex<Health>,
}

impl Upstream {
    pub(crate) fn new(index: usize, endpoint: Endpoint, shared: &Arc<Shared>) -> Self {
        Self {
            index,
            endpoint,
            shared: Arc::clone(shared),
            gate: Gate::new(shared.config.max_concurrent_calls),
            pause: Pause::default(),
            batches: Mutex::new(Learner::new()),
            ranges: Mutex::new(Learner::new()),
            receipts_form: AtomicU8::new(0),
            pruned: Mutex::default(),
            link: tokio::sync::Mutex::default(),
            health: Mutex::default(),
        }
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many questions it takes in one message.
    pub(crate) fn batches(&self) -> MutexGuard<'_, Learner> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many blocks it takes in one range.
    pub(crate) fn ranges(&self) -> MutexGuard<'_, Learner> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its recent errors, each counting less with time.
    pub(crate) fn recent_blame(&self) -> f64 {
        self.health().standing.blame(self.shared.clock.now())
    }

    /// What was learned of both.
    pub(crate) fn limits(&self) -> UrlLimits {
        UrlLimits {
            key: self.endpoint.key(),
            url: self.endpoint.redacted().to_owned(),
            range: self.ranges().learned(),
            batch: self.batches().learned(),
        }
    }

    /// Takes up what was learned of both before, where nothing was learned since.
    pub(crate) fn recall(&self, limits: &UrlLimits) {
        for (mut learner, learned) in [(self.ranges(), limits.range), (self.batches(), limits.batch)] {
            if let Some(learned) = learned.filter(|_| learner.limit().is_none()) {
                learner.recall(learned);
            }
        }
    }

    pub(crate) fn pruned(&self) -> MutexGuard<'_, Pruned> {
        self.pruned.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Runs one exchange within the limits, and takes its time.
    pub(crate) async fn timed<T>(
        &self,
        method: &'static str,
        link: &Link,
        exchange: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let config = &self.shared.config;
        let pass = self.gate.enter(self.shared.clock.as_ref(), PATIENCE).await;
        let _pass = pass.map_err(Fault::Held)?;
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
            let mut health = self.health();
            (health.timeouts, health.unanswered) = (0, 0);
        }
        if result.is_ok() {
            self.gate.pace().answered();
        }
        if result.is_ok() && self.health().succeeded(took) {
            tracing::info!(chain = %config.chain, url = self.endpoint.redacted(), "the node answers again");
        }
        result
    }

    /// A socket that ended, or that leaves requests unanswered, is not used again.
    pub(crate) async fn drop_if_spoilt(&self, link: &Arc<Link>) {
        let silent = self.endpoint.can_subscribe() && self.health().timeouts >= TIMEOUTS_MAX;
        if silent || link.is_over() {
            self.health().timeouts = 0;
            self.forget(link).await;
        }
    }

    /// The same, of the connection that is open now.
    pub(crate) async fn drop_silent_link(&self) {
        // Whoever holds it is connecting.
        let link = self.link.try_lock().ok().and_then(|place| place.clone());
        if let Some(link) = link {
            self.drop_if_spoilt(&link).await;
        }
    }

    /// Takes note of a fault: it is counted, and may send the URL to the end of the line. Returns how long the provider is
    /// left alone, where it asked for that.
    pub(crate) fn note(&self, method: &'static str, fault: &Fault) -> Option<Duration> {
        let config = &self.shared.config;
        if let Fault::Held(left) = fault {
            // It was counted when the provider asked for it.
            return Some(*left);
        }
        let wait = self.count(method, fault);
        if fault.demotes() {
            let now = self.shared.clock.now();
            let why = self.endpoint.clean(&fault.detail());
            if self.health().failed(now, why.clone(), wait, config) {
                tracing::warn!(chain = %config.chain, url = self.endpoint.redacted(), method, why, "the node fails");
            }
        }
        wait
    }

    /// Takes note of a fault behind which the same question is put again: it is counted, and the URL stays in line.
    pub(crate) fn note_in_passing(&self, method: &'static str, fault: &Fault) {
        if !matches!(fault, Fault::Held(_)) {
            self.count(method, fault);
        }
    }

    fn count(&self, method: &'static str, fault: &Fault) -> Option<Duration> {
        let config = &self.shared.config;
        metrics::counter!(
            "chainbell_rpc_errors_total",
            "chain" => config.chain.to_string(), "method" => method, "kind" => fault.kind()
        )
        .increment(1);
        if !fault.demotes() {
            return None;
        }
        let now = self.shared.clock.now();
        let wait = match fault {
            Fault::RateLimited { retry_after, .. } => {
                let mut pace = self.gate.pace();
                Some(pace.refused(now, *retry_after, config.backoff_max))
            }
            _ => None,
        };
        let gravity = match fault {
            Fault::Incoherent(_) | Fault::Lie(_) => Gravity::Contradiction,
            _ => Gravity::Failure,
        };
        self.health().standing.failed(now, gravity);
        wait
    }

    /// Takes note of a fault and makes it the caller's error.
    pub(crate) fn error(&self, mut fault: Fault, method: &'static str, asked: &str) -> ChainError {
        let wait = self.note(method, &fault);
        if let Fault::RateLimited { retry_after, .. } = &mut fault {
            *retry_after = wait;
        }
        fault.into_error(&self.endpoint, method, asked)
    }

    /// What speaks against the URL.
    pub(crate) fn evidence(&self, now: Timestamp) -> Evidence {
        let silent = self.is_silent();
        let health = self.health();
        let standing = &health.standing;
        Evidence {
            lag_blocks: standing.lag_blocks,
            lag_max: self.shared.config.lag_max,
            blame: standing.blame(now),
            resting: health.demoted_for(now).is_some() || silent,
            quarantined: standing.quarantined_for(now).is_some(),
            on_probation: standing.on_probation(now),
            latency: health.latency,
        }
    }

    pub(crate) fn is_quarantined(&self, now: Timestamp) -> bool {
        self.health().standing.quarantined_for(now).is_some()
    }

    /// Whether it may announce heads and logs.
    pub(crate) fn can_announce(&self, now: Timestamp) -> bool {
        self.endpoint.can_subscribe() && self.health().may_subscribe(now)
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
