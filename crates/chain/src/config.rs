//! Owns what an operator can set about the nodes of a chain, and the defaults.

use std::{fmt, time::Duration};

use domain::{ChainId, ChainName, redact_url};

/// How to reach one chain. [`NodeConfig::new`] has the defaults.
#[derive(Clone)]
pub struct NodeConfig {
    /// The operator's name of the chain; a label of the metrics and a word of the errors.
    pub chain: ChainName,
    /// The chain id that every URL must serve.
    pub expected: ChainId,
    /// `ws://`, `wss://`, `http://`, `https://`, or the path of an IPC socket (also `ipc://`). Tried in order of health.
    pub urls: Vec<String>,
    /// How many requests may be under way at once, over all URLs. A batch is one request.
    pub max_concurrent_calls: usize,
    /// How long one request, or one attempt to connect, may take.
    pub request_timeout: Duration,
    /// How often to ask for the head where there is no subscription.
    pub poll_interval: Duration,
    /// How many calls go into one batch. 1 sends no batches, for providers that refuse them.
    pub max_batch: usize,
    /// How many addresses go into one log filter; longer lists are split over several calls.
    pub max_addresses: usize,
    /// The largest answer that is read, in bytes. A larger one counts as a range that is too large. IPC has no limit.
    pub max_response_bytes: usize,
    /// Without a head for this long, or five block intervals if that is longer, a subscription is made anew.
    pub stall_timeout: Duration,
    /// After this long, a node that refused subscriptions is asked again.
    pub subscription_retry: Duration,
    /// How soon a question near the head has to be answered.
    pub prompt: PromptConfig,
    /// The first wait after a failure of a URL.
    pub backoff_min: Duration,
    /// The longest wait after failures of a URL.
    pub backoff_max: Duration,
    /// When the finality tags are asked for again while somebody waits for a block to become final.
    pub tags: TagsConfig,
    /// When they are asked for again while nobody does.
    pub tags_unawaited: TagsConfig,
    /// How many blocks a URL may be behind the best one before another is preferred.
    pub lag_max: u64,
    /// How often the head of a URL that is not in use is asked for.
    pub look_around_interval: Duration,
    /// How often it is asked for while no URL tells of a newer head.
    pub look_when_quiet: Duration,
    /// So much earlier another URL told of a newer head than the one in use has: then that one is asked in its place.
    pub lag_grace: Duration,
    /// How long a URL is kept out of use after its first lie; twice as long after each further one.
    pub quarantine: Duration,
    /// The longest that a URL is kept out of use after a lie.
    pub quarantine_max: Duration,
    /// How many announcements are kept for a reader that is slow to fetch them.
    pub max_wakes: usize,
}

/// How soon a question near the head has to be answered. The times are learned from each URL's own answers, between these
/// bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptConfig {
    /// How often a question is put before its failure is the caller's.
    pub attempts: usize,
    /// The shortest time after which another URL is asked beside one that is late.
    pub late_min: Duration,
    /// The longest such time.
    pub late_max: Duration,
    /// The shortest time after which an answer is not waited for any more.
    pub deadline_min: Duration,
    /// The longest such time.
    pub deadline_max: Duration,
}

/// When the finality tags are asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagsConfig {
    /// After the head has moved this far.
    pub blocks: u64,
    /// After this long, if the head has moved at all.
    pub interval: Duration,
}

impl NodeConfig {
    /// The defaults for a chain.
    pub fn new(chain: ChainName, expected: ChainId, urls: Vec<String>) -> Self {
        Self {
            chain,
            expected,
            urls,
            max_concurrent_calls: 16,
            request_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_secs(4),
            max_batch: 50,
            max_addresses: 1_000,
            max_response_bytes: 32 << 20,
            stall_timeout: Duration::from_secs(60),
            subscription_retry: Duration::from_secs(600),
            prompt: PromptConfig {
                attempts: 5,
                late_min: Duration::from_millis(300),
                late_max: Duration::from_millis(750),
                deadline_min: Duration::from_secs(1),
                deadline_max: Duration::from_secs(3),
            },
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            tags: TagsConfig { blocks: 16, interval: Duration::from_secs(30) },
            tags_unawaited: TagsConfig { blocks: 256, interval: Duration::from_secs(600) },
            lag_max: 5,
            look_around_interval: Duration::from_secs(30),
            look_when_quiet: Duration::from_millis(3_500),
            lag_grace: Duration::from_secs(1),
            quarantine: Duration::from_secs(600),
            quarantine_max: Duration::from_secs(24 * 3_600),
            max_wakes: 512,
        }
    }
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("chain", &self.chain)
            .field("expected", &self.expected)
            .field("urls", &self.urls.iter().map(|url| redact_url(url)).collect::<Vec<_>>())
            .field("max_concurrent_calls", &self.max_concurrent_calls)
            .field("request_timeout", &self.request_timeout)
            .field("poll_interval", &self.poll_interval)
            .finish_non_exhaustive()
    }
}
