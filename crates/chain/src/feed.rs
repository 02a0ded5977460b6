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

use domain::{BlockRef, Header, LogFilter, Wake};
use serde_json::value::RawValue;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::AbortHandle,
};

use crate::{
    NodeConfig,
    fault::Fault,
    health::FeedState,
    limits::{INTERVAL_HEADS, STALL_INTERVALS},
    questions::BY_NUMBER,
    session::{Announced, SUBSCRIBE, Session},
    upstream::{Pool, Upstream},
    wire::{self, WireHeader, WireLog},
};

type Filters = Option<Arc<[LogFilter]>>;

/// The shortest wait that is worth sleeping for.
const TICK: Duration = Duration::from_millis(10);

/// The reader's end. Dropping it ends the task.
pub(crate) struct Feed {
    filters: watch::Sender<Filters>,
    wakes: Mutex<mpsc::Receiver<Wake>>,
    lost: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Feed {
    pub(crate) fn start(pool: Arc<Pool>) -> Self {
        let (sender, wakes) = mpsc::channel(pool.shared.config.max_wakes.max(1));
        let (filters, wanted) = watch::channel(None);
        let lost = Arc::new(AtomicBool::new(false));
        let task = Feeder {
            pool,
            filters: wanted,
            out: Outbox { sender, lost: Arc::clone(&lost) },
            head: None,
            said_polling: false,
            quiet: false,
        };
        Self { filters, wakes: Mutex::new(wakes), lost, task: tokio::spawn(task.run()).abort_handle() }
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
            match wakes.recv().await {
                Some(wake) => wake,
                // The task is gone; the reader's own interval remains.
                None => std::future::pending().await,
            }
        };
        tokio::time::timeout(limit, wait).await.ok()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task's end of the queue. It never waits: a reader that is behind loses announcements, and is told.
struct Outbox {
    sender: mpsc::Sender<Wake>,
    lost: Arc<AtomicBool>,
}

impl Outbox {
    fn send(&self, wake: Wake) {
        if self.sender.try_send(wake).is_err() {
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
    filters: watch::Receiver<Filters>,
    out: Outbox,
    /// The head that was announced last.
    head: Option<BlockRef>,
    /// Whether it was said that the chain is polled.
    said_polling: bool,
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

    /// The first URL that may have subscriptions, else the first that answers, else patience.
    fn plan(&self) -> Plan {
        let now = self.pool.shared.clock.now();
        let mut ready = None;
        let mut wait = self.pool.shared.config.backoff_max;
        for (index, upstream) in self.pool.upstreams.iter().enumerate() {
            let health = upstream.health();
            if let Some(left) = health.demoted_for(now) {
                wait = wait.min(left);
            } else if upstream.endpoint.can_subscribe() && health.may_subscribe(now) {
                return Plan::Subscribe(index);
            } else {
                ready = ready.or(Some(index));
            }
        }
        ready.map_or_else(|| Plan::Wait(wait.max(TICK)), Plan::Poll)
    }

    fn wanted(&mut self) -> Arc<[LogFilter]> {
        self.filters.borrow_and_update().clone().unwrap_or_default()
    }

    async fn follow(&mut self, index: usize) {
        let filters = self.wanted();
        let pool = Arc::clone(&self.pool);
        let upstream = &pool.upstreams[index];
        let (chain, url) = (&pool.shared.config.chain, upstream.endpoint.redacted());
        let link = match upstream.link().await {
            Ok(link) => link,
            Err(fault) => return upstream.note(SUBSCRIBE, &fault),
        };
        let session = match Session::open(upstream, Arc::clone(&link), &filters).await {
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
        self.said_polling = false;
        tracing::info!(%chain, url, filters = filters.len(), "subscribed to heads and logs");
        // Whatever happened before this moment was announced to nobody.
        self.out.send(Wake::Reconnected);
        let end = self.listen(upstream, session).await;
        upstream.set_feed(FeedState::Idle);
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
                    Announced::Head(raw) => if let Some(header) = self.announce_head(&raw) {
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
                () = &mut alarm => return End::Stalled(stall),
            }
        }
    }

    fn announce_head(&mut self, raw: &RawValue) -> Option<Header> {
        let header = wire::read::<WireHeader>(raw).and_then(WireHeader::into_header);
        match header {
            Ok(header) => {
                self.quiet = false;
                self.head = Some(header.block);
                self.out.send(Wake::Head(Box::new(header)));
                Some(header)
            }
            Err(why) => {
                drop_announcement("head", &why);
                None
            }
        }
    }

    fn announce_log(&self, raw: &RawValue) {
        match wire::read::<WireLog>(raw) {
            // It is in no block yet, and will be announced again when it is.
            Ok(log) if log.is_pending() => {}
            Ok(log) => match log.into_log() {
                Ok(log) => self.out.send(Wake::Log(Box::new(log))),
                Err(why) => drop_announcement("log", &why),
            },
            Err(why) => drop_announcement("log", &why),
        }
    }

    /// Asks for the head once, and waits for the next time. The whole header rather than its number, because a head that
    /// is replaced at its height is the commonest reorg.
    async fn poll(&mut self, index: usize) {
        let pool = Arc::clone(&self.pool);
        let config = &pool.shared.config;
        let upstream = &pool.upstreams[index];
        if !std::mem::replace(&mut self.said_polling, true) {
            let (chain, url) = (&config.chain, upstream.endpoint.redacted());
            let every_ms = u64::try_from(config.poll_interval.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(%chain, url, every_ms, "no subscriptions: asking for the head instead");
        }
        for (other, upstream) in pool.upstreams.iter().enumerate() {
            upstream.set_feed(if other == index { FeedState::Polling } else { FeedState::Idle });
        }
        match upstream.latest().await {
            Ok(header) if self.head != Some(header.block) => {
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
