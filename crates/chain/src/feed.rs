//! Owns the announcements of a chain: the task that keeps subscriptions alive, or polls where there are none, and the
//! bounded queue from it to the reader. Announcements are hints and witnesses; a reader that misses some is told that it
//! did, and nothing else depends on them.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{BlockRef, Clock, Header, LogFilter, Wake};
use futures::FutureExt as _;
use serde_json::value::RawValue;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::AbortHandle,
};

use crate::{
    NodeConfig,
    choice::Choice,
    fault::Fault,
    health::FeedState,
    limits::{INTERVAL_HEADS, STALL_INTERVALS},
    link::SUBSCRIBE,
    pool::Pool,
    questions::BY_NUMBER,
    session::{Announced, Session},
    upstream::Upstream,
    wire::{self, WireAnnouncedLog, WireHeader},
};

type Filters = Option<Arc<[LogFilter]>>;

/// The shortest wait that is worth sleeping for.
const TICK: Duration = Duration::from_millis(10);

/// The number of what was not announced, and does not grow old.
const NEVER_OLD: u64 = u64::MAX;

/// The reader's end. Dropping it ends the task.
pub(crate) struct Feed {
    filters: watch::Sender<Filters>,
    wakes: Mutex<mpsc::Receiver<(u64, Wake)>>,
    choice: Arc<Choice>,
    clock: Arc<dyn Clock>,
    lost: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Feed {
    pub(crate) fn start(pool: Arc<Pool>, choice: Arc<Choice>) -> Self {
        let (sender, wakes) = mpsc::channel(pool.shared.config.max_wakes.max(1));
        let (filters, wanted) = watch::channel(None);
        let lost = Arc::new(AtomicBool::new(false));
        let clock = Arc::clone(&pool.shared.clock);
        let task = Feeder {
            pool,
            pinned: choice.watch(),
            choice: Arc::clone(&choice),
            filters: wanted,
            out: Outbox { sender, lost: Arc::clone(&lost) },
            head: None,
            polling_logged: false,
            quiet: false,
        };
        let task = tokio::spawn(task.run()).abort_handle();
        Self { filters, wakes: Mutex::new(wakes), choice, clock, lost, task }
    }

    /// The next announcement, within `limit`.
    pub(crate) async fn next(&self, filters: &[LogFilter], limit: Duration) -> Option<Wake> {
        self.filters.send_if_modified(|current| {
            let changed = current.as_deref() != Some(filters);
            if changed {
                *current = Some(filters.into());
            }
            changed
        });
        let wait = async {
            let mut wakes = self.wakes.lock().await;
            if self.lost.swap(false, Ordering::AcqRel) {
                // Some are missing, so that the rest proves nothing either.
                while wakes.try_recv().is_ok() {}
                return Wake::Reconnected;
            }
            loop {
                match wakes.recv().await {
                    // The reader knows this head, or a newer one: of a burst only the last one wakes it.
                    Some((number, Wake::Head(_))) if self.choice.is_old(number) => {}
                    Some((_, wake)) => return wake,
                    // The task is gone; the reader's own interval remains.
                    None => std::future::pending().await,
                }
            }
        };
        if limit.is_zero() {
            // The shortest timer takes a millisecond or two, which is long beside what is done about a block.
            return wait.now_or_never();
        }
        tokio::select! { biased; wake = wait => Some(wake), () = self.clock.sleep(limit) => None }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task's end of the queue. It never waits: a reader that is behind loses announcements, and is told.
struct Outbox {
    // Heads with their number among the announced ones.
    sender: mpsc::Sender<(u64, Wake)>,
    lost: Arc<AtomicBool>,
}

impl Outbox {
    fn send(&self, wake: Wake) {
        self.send_numbered(NEVER_OLD, wake);
    }

    fn send_numbered(&self, number: u64, wake: Wake) {
        if self.sender.try_send((number, wake)).is_err() {
            self.lost();
        }
    }

    fn lost(&self) {
        self.lost.store(true, Ordering::Release);
    }
}

/// The task.
struct Feeder {
    pool: Arc<Pool>,
    choice: Arc<Choice>,
    pinned: watch::Receiver<usize>,
    filters: watch::Receiver<Filters>,
    out: Outbox,
    /// The head that was announced last.
    head: Option<BlockRef>,
    /// Whether it was said that the chain is polled.
    polling_logged: bool,
    /// Whether the last thing that happened was a stall.
    quiet: bool,
}

/// What to do next.
enum Plan {
    Subscribe(usize),
    Poll(usize),
    Wait(Duration),
}

/// How listening ended.
enum End {
    Broken(Fault),
    Stalled(Duration),
    /// Another URL is better to listen to.
    Moved,
    Unwanted,
}

impl Feeder {
    async fn run(mut self) {
        if self.filters.wait_for(Option::is_some).await.is_err() {
            return;
        }
        loop {
            match self.plan() {
                Plan::Subscribe(index) => self.follow(index).await,
                Plan::Poll(index) => self.poll(index).await,
                Plan::Wait(wait) => self.pool.shared.clock.sleep(wait).await,
            }
        }
    }

    /// The fittest URL that may have subscriptions, unless it is much worse than one without; else the fittest that
    /// answers, else patience.
    fn plan(&self) -> Plan {
        let now = self.pool.shared.clock.now();
        let near = self.worth_listening();
        if let Some(wait) = self.pool.upstreams[near[0]].health().demoted_for(now) {
            return Plan::Wait(wait.max(TICK).min(self.pool.shared.config.backoff_max));
        }
        let subscribes = near.iter().find(|index| self.pool.upstreams[**index].can_announce(now));
        subscribes.map_or(Plan::Poll(near[0]), |index| Plan::Subscribe(*index))
    }

    /// Never empty.
    fn worth_listening(&self) -> Vec<usize> {
        let pinned = self.choice.pinned();
        if self.choice.fixed { vec![pinned] } else { self.pool.worth_listening(pinned) }
    }

    /// Whether to listen to another URL than this one: because this one lied or fell silent, or because a
    /// better one announces too.
    fn is_outdone(&self, index: usize) -> bool {
        let now = self.pool.shared.clock.now();
        let best = self.worth_listening()[0];
        let better = best != index && self.pool.upstreams[best].can_announce(now);
        let listened_to = &self.pool.upstreams[index];
        better || (best != index && (listened_to.is_quarantined(now) || listened_to.is_silent()))
    }

    fn wanted(&mut self) -> Arc<[LogFilter]> {
        self.filters.borrow_and_update().clone().unwrap_or_default()
    }

    async fn follow(&mut self, index: usize) {
        let filters = self.wanted();
        let pool = Arc::clone(&self.pool);
        let upstream = &pool.upstreams[index];
        let (chain, url) = (&pool.shared.config.chain, upstream.endpoint.redacted());
        // While it is waited for, no other URL is asked for its head.
        let limit = pool.shared.config.prompt.deadline_max.saturating_mul(2);
        let limit = if pool.upstreams.len() > 1 { limit } else { pool.shared.config.request_timeout };
        let link = match upstream.within(limit, upstream.link()).await {
            Ok(link) => link,
            Err(fault) => {
                upstream.note(SUBSCRIBE, &fault);
                return;
            }
        };
        let session = match upstream.within(limit, Session::open(upstream, Arc::clone(&link), &filters)).await
        {
            Ok(session) => session,
            Err(fault @ (Fault::Unsupported(_) | Fault::Refused(_))) => {
                let (now, retry) = (pool.shared.clock.now(), pool.shared.config.subscription_retry);
                upstream.health().refused_subscriptions(now, retry);
                let why = upstream.endpoint.clean(&fault.detail());
                tracing::info!(%chain, url, why, retry_s = retry.as_secs(), "the node refuses subscriptions");
                return;
            }
            Err(fault) => {
                upstream.note(SUBSCRIBE, &fault);
                return upstream.forget(&link).await;
            }
        };
        upstream.set_feed(FeedState::Subscribed);
        self.polling_logged = false;
        tracing::info!(%chain, url, filters = filters.len(), "subscribed to heads and logs");
        // Whatever happened before this moment was announced to nobody.
        self.out.send(Wake::Reconnected);
        let end = self.listen(upstream, session).await;
        upstream.set_feed(FeedState::Idle);
        // What is announced from here on is not heard: the last head may be an old one.
        self.choice.forget(index);
        match end {
            End::Broken(fault) => {
                let why = upstream.endpoint.clean(&fault.detail());
                tracing::warn!(%chain, url, why, "the subscriptions broke: connecting anew");
                upstream.note(SUBSCRIBE, &fault);
                metrics::counter!("chainbell_rpc_reconnects_total", "chain" => chain.to_string())
                    .increment(1);
            }
            End::Stalled(after) => {
                // A chain without blocks looks the same, so that it is said only once.
                if !std::mem::replace(&mut self.quiet, true) {
                    tracing::warn!(%chain, url, after_s = after.as_secs(), "no head for long: connecting anew");
                }
                metrics::counter!("chainbell_rpc_reconnects_total", "chain" => chain.to_string())
                    .increment(1);
            }
            End::Moved => tracing::info!(%chain, url, "another node is listened to"),
            End::Unwanted => return,
        }
        upstream.forget(&link).await;
    }

    async fn listen(&mut self, upstream: &Upstream, mut session: Session) -> End {
        let shared = Arc::clone(&upstream.shared);
        let mut pace = Pace::default();
        let mut stall = pace.stall(&shared.config);
        let mut alarm = shared.clock.sleep(stall);
        loop {
            tokio::select! {
                announced = session.next() => match announced {
                    Announced::Head(raw) => if let Some(header) = self.announce_head(upstream.index, &raw) {
                        if self.is_outdone(upstream.index) {
                            return End::Moved;
                        }
                        pace.push(&header);
                        stall = pace.stall(&shared.config);
                        alarm = shared.clock.sleep(stall);
                    },
                    Announced::Log(raw) => self.announce_log(&raw),
                    Announced::Lost => self.out.lost(),
                    Announced::Ended => return End::Broken(Fault::Unavailable(session.link.ending())),
                },
                changed = self.filters.changed() => {
                    if changed.is_err() {
                        return End::Unwanted;
                    }
                    let filters = self.wanted();
                    if let Err(fault) = session.filter(upstream, &filters).await {
                        return End::Broken(fault);
                    }
                }
                // The sender lives as long as `self`.
                _ = self.pinned.changed() => if self.is_outdone(upstream.index) {
                    return End::Moved;
                },
                () = &mut alarm => return End::Stalled(stall),
            }
        }
    }

    fn announce_head(&mut self, index: usize, raw: &RawValue) -> Option<Header> {
        let header = wire::read::<WireHeader>(raw).and_then(WireHeader::into_header);
        match header {
            Ok(header) => {
                self.quiet = false;
                self.head = Some(header.block);
                self.pool.learned(index, header.block.number);
                // First the head, then the wake: whoever is woken finds it.
                let number = self.choice.announce(index, &header);
                self.out.send_numbered(number, Wake::Head(Box::new(header)));
                Some(header)
            }
            Err(why) => {
                drop_announcement("head", &why);
                None
            }
        }
    }

    fn announce_log(&self, raw: &RawValue) {
        match wire::read::<WireAnnouncedLog>(raw).and_then(WireAnnouncedLog::into_log) {
            Ok(Some(log)) => self.out.send(Wake::Log(log)),
            // It will be announced again when it is in a block.
            Ok(None) => {}
            Err(why) => drop_announcement("log", &why),
        }
    }

    /// Asks for the head once, and waits for the next time. The whole header rather than its number, because a head that
    /// is replaced at its height is the commonest reorg.
    async fn poll(&mut self, index: usize) {
        let pool = Arc::clone(&self.pool);
        let config = &pool.shared.config;
        let upstream = &pool.upstreams[index];
        if !std::mem::replace(&mut self.polling_logged, true) {
            let (chain, url) = (&config.chain, upstream.endpoint.redacted());
            let every_ms = u64::try_from(config.poll_interval.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(%chain, url, every_ms, "no subscriptions: asking for the head instead");
        }
        for (other, upstream) in pool.upstreams.iter().enumerate() {
            upstream.set_feed(if other == index { FeedState::Polling } else { FeedState::Idle });
        }
        match upstream.within(upstream.deadline(pool.upstreams.len() == 1), upstream.latest()).await {
            Ok(header) if self.head != Some(header.block) => {
                pool.learned(index, header.block.number);
                self.head = Some(header.block);
                self.out.send(Wake::Head(Box::new(header)));
            }
            Ok(_) => {}
            Err(fault) => {
                upstream.note(BY_NUMBER, &fault);
                upstream.set_feed(FeedState::Idle);
            }
        }
        pool.shared.clock.sleep(config.poll_interval).await;
    }
}

fn drop_announcement(kind: &'static str, why: &str) {
    metrics::counter!("chainbell_rpc_dropped_announcements_total", "kind" => kind).increment(1);
    tracing::debug!(kind, why, "an announcement is incomplete: dropped");
}

/// How fast the chain goes, by the timestamps of its last heads.
#[derive(Default)]
struct Pace(VecDeque<(u64, u64)>);

impl Pace {
    fn push(&mut self, header: &Header) {
        if self.0.len() == INTERVAL_HEADS {
            self.0.pop_front();
        }
        self.0.push_back((header.block.number, header.timestamp));
    }

    fn interval(&self) -> Option<Duration> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let blocks = last.0.checked_sub(first.0).filter(|blocks| *blocks > 0)?;
        Some(Duration::from_secs(last.1.checked_sub(first.1)? / blocks))
    }

    /// How long without a head is too long.
    fn stall(&self, config: &NodeConfig) -> Duration {
        let intervals = self.interval().unwrap_or_default().saturating_mul(STALL_INTERVALS);
        config.stall_timeout.max(intervals)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use domain::ChainId;

    use super::*;

    #[test]
    fn a_slow_chain_has_longer_before_it_counts_as_stalled() {
        let config = NodeConfig::new("test".parse().unwrap(), ChainId(1), Vec::new());
        let mut pace = Pace::default();
        assert_eq!(pace.stall(&config), Duration::from_secs(60));
        for number in 0..100 {
            let block = BlockRef::new(number, B256::ZERO);
            pace.push(&Header { block, parent: B256::ZERO, timestamp: number * 30, bloom: None });
        }
        assert_eq!(pace.0.len(), INTERVAL_HEADS);
        assert_eq!(pace.stall(&config), Duration::from_secs(150));
    }
}
