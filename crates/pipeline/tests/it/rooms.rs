//! Every room around one store, driven step by step; time moves only when a test says so.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use broker::{Broker, ConsumerConfig, MemoryBroker};
use debounce::StoreDebouncer;
use domain::{
    ChainId, Channel, ChannelError, Clock, Debouncer, DeliverAt, HitState, Outgoing, Receipt, Recipient,
    Strategy, Target, TargetUrl, Telling, Watch,
    message::{STREAM_CHAIN, STREAM_NOTIFY},
    retry::RetrySchedule,
    window::WindowRule,
};
use pipeline::{
    Bell, Progress, Room, RoomError,
    confirm::{Confirm, ConfirmConfig, ConfirmDeps},
    deliver::{Deliver, DeliverConfig, DeliverDeps},
    digest::{Digest, DigestConfig, DigestDeps},
    ingest::Ingest,
    matching::{Matching, MatchingConfig, MatchingDeps},
    notify::Notifier,
    relay::{Relay, RelayConfig},
    texts::Texts,
    tokens::Tokens,
    watches::{REFRESH, Watches},
};
use store::{NotificationQuery, NotificationRow, Store};
use tokio::sync::Notify;

use crate::world::{CHAIN, World, name_of, settle};

/// As many chains, one after the other, as the rooms know names of.
const CHAINS: u64 = 1_000;

/// When every test begins, in seconds since the Unix epoch.
const BEGIN: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

/// What a channel does with the next notification.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    Hang,
    Panic,
    Retry,
    Refuse,
}

/// A channel that does as it is told, and well where it is not.
#[derive(Debug, Default)]
pub(crate) struct TestChannel {
    script: Mutex<VecDeque<Does>>,
    sent: Mutex<Vec<Outgoing>>,
    started: Notify,
    go_on: Notify,
}

impl TestChannel {
    pub(crate) fn next(&self, does: Does) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).push_back(does);
    }

    /// Every send that was begun, in order.
    pub(crate) fn sent(&self) -> Vec<Outgoing> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns when a hanging send has begun.
    pub(crate) async fn hangs(&self) {
        self.started.notified().await;
    }

    /// Lets a hanging send go on, to a good end.
    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }
}

#[async_trait]
impl Channel for TestChannel {
    fn name(&self) -> &'static str {
        "test"
    }

    fn check(&self, _target: &Target) -> Result<(), String> {
        Ok(())
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, ChannelError> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing.clone());
        let does = self.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match does {
            None => {}
            Some(Does::Hang) => {
                self.started.notify_one();
                self.go_on.notified().await;
            }
            Some(Does::Panic) => panic!("a bug in the channel"),
            Some(Does::Retry) => {
                return Err(ChannelError::Retry { detail: "HTTP 500".into(), retry_after: None });
            }
            Some(Does::Refuse) => return Err(ChannelError::Permanent { detail: "HTTP 410".into() }),
        }
        Ok(Receipt { detail: "HTTP 204".into() })
    }
}

/// The parts that the rooms share.
pub(crate) struct Rooms {
    pub(crate) world: World,
    pub(crate) broker: MemoryBroker,
    pub(crate) debouncer: Arc<dyn Debouncer>,
    pub(crate) channel: Arc<TestChannel>,
    // Its templates are compiled and tried once, not for each room.
    pub(crate) notifier: OnceLock<Arc<Notifier>>,
}

impl Rooms {
    /// Rooms around a world whose recipient `ops` has one target.
    pub(crate) async fn around(world: World) -> anyhow::Result<Self> {
        let broker = MemoryBroker::new(Arc::clone(&world.clock) as Arc<dyn Clock>);
        let debouncer = Arc::new(StoreDebouncer::new(world.store.clone()));
        let rooms = Self { world, broker, debouncer, channel: Arc::default(), notifier: OnceLock::new() };
        rooms.recipient("ops", "UTC", None, None).await?;
        Ok(rooms)
    }

    /// Another chain on another day, at the hour at which the first began, with nothing under way.
    pub(crate) fn begin_anew(&mut self, chain: ChainId) {
        let since = self.world.now().as_second() - BEGIN;
        self.pass((DAY - since % DAY).unsigned_abs() % DAY.unsigned_abs());
        self.world.chain = chain;
        self.broker = MemoryBroker::new(Arc::clone(&self.world.clock) as Arc<dyn Clock>);
        self.channel = Arc::default();
    }

    /// A recipient with one target, and with times in which it is to be left alone.
    pub(crate) async fn recipient(
        &self,
        id: &str,
        timezone: &str,
        quiet_hours: Option<&str>,
        at_most: Option<&str>,
    ) -> anyhow::Result<()> {
        let recipient = Recipient {
            id: id.parse()?,
            locale: "en".into(),
            timezone: timezone.into(),
            quiet_hours: quiet_hours.map(str::parse).transpose()?,
            at_most: at_most.map(str::parse).transpose()?,
            from_file: false,
        };
        self.world.store.put_recipients(&[recipient]).await?;
        let target = Target {
            recipient: id.parse()?,
            name: "t".parse()?,
            url: TargetUrl::new("test:"),
            secrets: Vec::new(),
            from_file: false,
        };
        Ok(self.world.store.put_targets(&[target]).await?)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.world.clock) as Arc<dyn Clock>
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn notifier(&self) -> Arc<Notifier> {
        let make = || {
            let (store, clock) = (self.world.store.clone(), self.clock());
            let tokens = Tokens::new(store.clone(), HashMap::new(), Arc::clone(&clock));
            let chains = (CHAIN.0..CHAIN.0 + CHAINS).map(ChainId);
            let chains = chains.map(|chain| (chain, name_of(chain))).collect();
            Arc::new(Notifier::new(store, Texts::new(None).unwrap(), tokens, clock, chains))
        };
        Arc::clone(self.notifier.get_or_init(make))
    }

    pub(crate) async fn watch(
        &self,
        id: &str,
        strategy: Strategy,
        deliver_at: DeliverAt,
    ) -> anyhow::Result<()> {
        self.watch_of("ops", id, strategy, Telling::default(), deliver_at).await
    }

    pub(crate) async fn watch_of(
        &self,
        recipient: &str,
        id: &str,
        strategy: Strategy,
        telling: Telling,
        deliver_at: DeliverAt,
    ) -> anyhow::Result<()> {
        let watch = Watch {
            id: id.parse()?,
            recipient: recipient.parse()?,
            contract: self.world.contract_name(),
            event: "Ring".into(),
            filter: None,
            strategy,
            telling,
            deliver_at,
            paused: false,
            from_file: false,
        };
        Ok(self.world.store.put_watches(&[watch]).await?)
    }

    pub(crate) fn relay(&self, owner: &str) -> Relay {
        let lanes = vec![Store::lane_of_chain(&name_of(self.world.chain)), Store::notify_lane().to_owned()];
        let publisher = Broker::Memory(self.broker.clone()).publisher();
        let who = (owner.to_owned(), Bell::new());
        Relay::new(self.world.store.clone(), publisher, self.clock(), lanes, who, RelayConfig::default())
    }

    pub(crate) fn matching(&self, change: impl FnOnce(&mut MatchingConfig)) -> Matching {
        let store = self.world.store.clone();
        let deps = MatchingDeps {
            store: store.clone(),
            consumer: self.broker.consumer(STREAM_CHAIN, "matching", ConsumerConfig::default()),
            debouncer: Arc::clone(&self.debouncer),
            notifier: self.notifier(),
            clock: self.clock(),
            relay: Bell::new(),
        };
        let watches = Watches::new(store, self.clock(), &self.world.catalog(), REFRESH);
        let mut config = MatchingConfig { wait: Duration::ZERO, ..MatchingConfig::default() };
        change(&mut config);
        Matching::new(deps, watches, config)
    }

    pub(crate) fn digest(&self) -> Digest {
        let deps = DigestDeps {
            store: self.world.store.clone(),
            debouncer: Arc::clone(&self.debouncer),
            notifier: self.notifier(),
            clock: self.clock(),
            relay: Bell::new(),
        };
        Digest::new(deps, DigestConfig::default())
    }

    pub(crate) fn confirm(&self) -> Confirm {
        let deps = ConfirmDeps {
            store: self.world.store.clone(),
            debouncer: Arc::clone(&self.debouncer),
            notifier: self.notifier(),
            clock: self.clock(),
            relay: Bell::new(),
        };
        Confirm::new(deps, vec![self.world.chain], ConfirmConfig::default())
    }

    pub(crate) fn deliver(&self, owner: &str) -> Deliver {
        let channel = Arc::clone(&self.channel) as Arc<dyn Channel>;
        let deps = DeliverDeps {
            store: self.world.store.clone(),
            consumer: self.broker.consumer(STREAM_NOTIFY, "deliver", ConsumerConfig::default()),
            channels: Arc::new(HashMap::from([("test", channel)])),
            clock: self.clock(),
            owner: owner.to_owned(),
        };
        let retry = RetrySchedule { delays: vec![Duration::from_secs(5); 2], jitter: 0.0 };
        // Each that runs beside others is another connection to PostgreSQL, which has everything to learn.
        let parallel = 4;
        Deliver::new(
            deps,
            DeliverConfig { parallel, wait: Duration::ZERO, retry, ..DeliverConfig::default() },
        )
    }

    /// Rings, reads, publishes and matches.
    pub(crate) async fn bring(
        &self,
        ingest: &mut Ingest,
        matching: &mut Matching,
        transactions: std::ops::RangeInclusive<u64>,
    ) -> anyhow::Result<()> {
        self.world.ring(transactions);
        settle(ingest).await?;
        drain(&mut self.relay("relay")).await?;
        drain(matching).await?;
        Ok(())
    }

    pub(crate) async fn told(&self) -> anyhow::Result<Vec<NotificationRow>> {
        Ok(self.world.store.notifications(&NotificationQuery { limit: 100, ..Default::default() }).await?)
    }

    /// How many hits of a watch are in a state.
    pub(crate) async fn hits(&self, watch: &str, state: HitState) -> anyhow::Result<u64> {
        let states = self.world.store.hits_by_state(Some(&watch.parse()?)).await?;
        Ok(states.get(state.as_str()).copied().unwrap_or_default())
    }
}

/// A window of `seconds` from its first event.
pub(crate) fn window(seconds: u64) -> Strategy {
    let window = Duration::from_secs(seconds);
    Strategy::Digest(WindowRule { window, max_wait: window, max_count: u32::MAX, slide: false })
}

/// Steps until there is nothing left to do.
pub(crate) async fn drain(room: &mut dyn Room) -> Result<(), RoomError> {
    for _ in 0..200 {
        if room.step().await? == Progress::Idle {
            return Ok(());
        }
    }
    panic!("the room never comes to rest");
}
