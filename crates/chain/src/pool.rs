//! Owns a chain's URLs together: the order in which they may be asked, the best head among them, and what a lie of one
//! costs it.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{Clock, ProviderStatus};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};

use crate::{
    NodeConfig,
    endpoint::Endpoint,
    error::ConnectError,
    questions::BY_NUMBER,
    score::{Choosable, MUCH, rank, score, why},
    standing::Sentence,
    upstream::Upstream,
};

/// The shortest time from look to look.
const LOOK_MIN: Duration = Duration::from_millis(100);

/// What all URLs of a chain share.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) permits: Semaphore,
    /// Held while a long answer is read.
    pub(crate) reading: tokio::sync::Mutex<()>,
}

/// A chain's URLs.
pub(crate) struct Pool {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstreams: Vec<Upstream>,
    /// Rung when there is a head that no URL told of before.
    pub(crate) moved: Notify,
    // The best head of all, and since when it is known.
    best: Mutex<Option<(u64, Timestamp)>>,
    // Held while a lie is judged, so that two of them do not take the last two URLs out of use.
    judging: Mutex<()>,
}

impl Pool {
    pub(crate) fn new(config: NodeConfig, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let endpoints: Vec<_> =
            config.urls.iter().map(|url| Endpoint::parse(url)).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(ConnectError::NoUrl { chain: config.chain });
        }
        let permits = Semaphore::new(config.max_concurrent_calls.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared { config, clock, permits, reading: tokio::sync::Mutex::default() });
        let upstreams = endpoints.into_iter().enumerate();
        let upstreams = upstreams.map(|(index, endpoint)| Upstream::new(index, endpoint, &shared)).collect();
        let (moved, best) = (Notify::new(), Mutex::default());
        Ok(Self { shared, upstreams, moved, best, judging: Mutex::default() })
    }

    /// The URLs that nothing keeps from being asked, by score; where there is none, the one that rests shortest. Never
    /// empty. `listens`: among equals, one that can announce is preferred.
    pub(crate) fn candidates(&self, in_use: usize, listens: bool) -> Vec<Choosable> {
        let now = self.shared.clock.now();
        let usable: Vec<_> = self.upstreams.iter().filter(|url| !url.is_quarantined(now)).collect();
        let sound = usable.iter().filter(|url| url.health().demoted_for(now).is_none() && !url.is_silent());
        let sound: Vec<_> = sound.map(|url| self.choosable(url, now, listens)).collect();
        if !sound.is_empty() {
            return rank(sound, in_use);
        }
        let soonest = usable.into_iter().min_by_key(|url| url.health().demoted_for(now));
        // A lie never takes the last one away.
        let soonest = soonest.unwrap_or(&self.upstreams[in_use]);
        vec![self.choosable(soonest, now, listens)]
    }

    /// The candidates that are not much worse than the best.
    pub(crate) fn worth_listening(&self, in_use: usize) -> Vec<usize> {
        let candidates = self.candidates(in_use, true);
        let best = candidates.first().map_or(0, |url| url.score);
        let near = candidates.into_iter().filter(|url| url.score.saturating_add(MUCH) > best);
        near.map(|url| url.index).collect()
    }

    /// All URLs but this one that answer and are not in quarantine, the fittest first.
    pub(crate) fn others(&self, than: usize) -> Vec<usize> {
        let now = self.shared.clock.now();
        let others = self
            .upstreams
            .iter()
            .filter(|url| url.index != than && !url.is_quarantined(now) && !url.is_silent());
        let mut others: Vec<_> = others.map(|url| self.choosable(url, now, false)).collect();
        others.sort_by_key(|url| (Reverse(url.score), url.index));
        others.into_iter().map(|url| url.index).collect()
    }

    fn choosable(&self, url: &Upstream, now: Timestamp, listens: bool) -> Choosable {
        let score = score(&url.evidence(now));
        Choosable { index: url.index, score, second_choice: listens && !url.can_announce(now) }
    }

    // ------------------------------------------------------------------------------------------------ heads

    /// Takes note of a URL's head.
    pub(crate) fn learned(&self, index: usize, head: u64) {
        let now = self.shared.clock.now();
        let others = self.upstreams.iter().filter(|url| url.index != index);
        // The head of one that lied proves nothing about the others.
        let told = |url: &Upstream| {
            let health = url.health();
            health.standing.head.filter(|_| !health.standing.on_probation(now))
        };
        let best = others.filter_map(told).max();
        self.upstreams[index].health().standing.learned(now, head, best);
        let mut known = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|(known, _)| known < head) {
            *known = Some((head, now));
            drop(known);
            self.moved.notify_waiters();
        }
    }

    /// How often the heads of the URLs that are not in use are asked for: seldom while there are newer and newer ones. The
    /// one in use may be stuck where there are none.
    fn look_interval(&self, now: Timestamp) -> Duration {
        let config = &self.shared.config;
        let best = *self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet =
            best.is_some_and(|(_, at)| now.duration_since(at).unsigned_abs() >= config.look_when_quiet);
        if quiet {
            config.look_when_quiet.min(config.look_around_interval)
        } else {
            config.look_around_interval
        }
    }

    /// The URLs whose heads nobody asked for lately. They count as asked now.
    pub(crate) fn due_for_a_look(&self, in_use: usize) -> Vec<usize> {
        let now = self.shared.clock.now();
        let interval = self.look_interval(now);
        let others = self.upstreams.iter().filter(|url| url.index != in_use && !url.is_quarantined(now));
        let due = others.filter(|url| {
            let mut health = url.health();
            health.demoted_for(now).is_none() && health.standing.head_is_due(now, interval)
        });
        due.map(|url| url.index).collect()
    }

    /// After how long a look is due that was not a moment ago; nothing where there is no other URL.
    pub(crate) fn next_look(&self, in_use: usize) -> Option<Duration> {
        let (now, config) = (self.shared.clock.now(), &self.shared.config);
        let best = *self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet_in = best.map_or(Duration::MAX, |(_, at)| {
            config.look_when_quiet.saturating_sub(now.duration_since(at).unsigned_abs())
        });
        let others = self.upstreams.iter().filter(|url| url.index != in_use && !url.is_quarantined(now));
        let due = others.map(|url| {
            let health = url.health();
            let due_in = |interval| health.standing.head_is_due_in(now, interval);
            let looks = due_in(config.look_when_quiet).max(quiet_in).min(due_in(config.look_around_interval));
            looks.max(health.demoted_for(now).unwrap_or_default())
        });
        due.min().map(|due| due.max(LOOK_MIN))
    }

    /// The URL, with its head and since when that is known, that is furthest ahead of this head, and not in doubt.
    pub(crate) fn ahead_of(&self, index: usize, head: u64) -> Option<(usize, u64, Timestamp)> {
        let now = self.shared.clock.now();
        let others = self.upstreams.iter().filter(|url| url.index != index && !url.is_silent());
        let ahead = others.filter_map(|url| {
            let health = url.health();
            let doubt = health.demoted_for(now).is_some() || health.standing.on_probation(now);
            let known = health.standing.head.zip(health.standing.head_since).filter(|_| !doubt);
            known.filter(|(theirs, _)| *theirs > head).map(|(theirs, since)| (url.index, theirs, since))
        });
        ahead.max_by_key(|(index, theirs, _)| (*theirs, Reverse(*index)))
    }

    /// Lets every URL be due for a look.
    pub(crate) fn look_soon(&self) {
        self.upstreams.iter().for_each(|url| url.health().standing.head_asked_at = None);
    }

    /// Asks a URL for its head, to know how far it is behind.
    pub(crate) async fn look_at(self: Arc<Self>, index: usize) {
        let upstream = &self.upstreams[index];
        match upstream.within(upstream.deadline(false), upstream.latest()).await {
            Ok(header) => self.learned(index, header.block.number),
            Err(fault) => {
                upstream.note(BY_NUMBER, &fault);
            }
        }
    }

    // ------------------------------------------------------------------------------------------------- lies

    /// An answer of the URL was proved wrong.
    pub(crate) fn accuse(&self, index: usize, lie: &str) {
        let _judging = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.shared.clock.now();
        let has_another = self.upstreams.iter().any(|url| {
            url.index != index && !url.is_quarantined(now) && url.health().demoted_for(now).is_none()
        });
        let (chain, liar) = (&self.shared.config.chain, &self.upstreams[index]);
        let (url, lie) = (liar.endpoint.redacted(), liar.endpoint.clean(lie));
        let known = liar.health().standing.last_lie() == Some(lie.as_str());
        let sentence = liar.health().standing.lied(now, &lie, has_another, &self.shared.config);
        metrics::counter!(
            "chainbell_provider_lies_total", "chain" => chain.to_string(), "url" => url.to_owned()
        )
        .increment(1);
        match sentence {
            Sentence::Quarantine(span) => {
                tracing::warn!(%chain, url, lie, for_s = span.as_secs(), "a node lied: it is kept out of use");
            }
            Sentence::Mark if known => tracing::debug!(%chain, url, lie, "a node lies again"),
            Sentence::Mark => {
                tracing::warn!(%chain, url, lie, "a node lied, and there is no other to ask: add one to 'rpc'");
            }
        }
    }

    // --------------------------------------------------------------------------------------------- statuses

    /// What is thought of each URL, in the configured order.
    pub(crate) fn statuses(&self, pinned: usize) -> Vec<ProviderStatus> {
        let now = self.shared.clock.now();
        self.upstreams.iter().map(|url| provider_status(url, now, pinned)).collect()
    }

    /// Brings the gauges of the scores up to date.
    pub(crate) fn publish(&self) {
        let now = self.shared.clock.now();
        for url in &self.upstreams {
            let chain = self.shared.config.chain.to_string();
            let redacted = url.endpoint.redacted().to_owned();
            metrics::gauge!("chainbell_provider_score", "chain" => chain, "url" => redacted)
                .set(f64::from(score(&url.evidence(now))));
        }
    }
}

fn provider_status(url: &Upstream, now: Timestamp, pinned: usize) -> ProviderStatus {
    let evidence = url.evidence(now);
    let health = url.health();
    let standing = &health.standing;
    let reason = why(&evidence, health.last_error.as_deref());
    let reason = match (reason, standing.last_lie()) {
        (Some(reason), Some(lie)) if standing.on_probation(now) => Some(format!("{reason}: {lie}")),
        (reason, _) => reason,
    };
    ProviderStatus {
        url: url.endpoint.redacted().to_owned(),
        score: score(&evidence),
        pinned: url.index == pinned,
        lag_blocks: standing.lag_blocks,
        errors: standing.errors,
        lies: standing.lies,
        quarantined_for: standing.quarantined_for(now),
        why: reason,
        latency: health.latency,
        concurrency: url.gate.pace().limit(),
    }
}
