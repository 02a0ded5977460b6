//! How pipelines of others lost or repeated, staged in every room that could.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use broker::{Broker, ConsumerConfig, STREAM_DEAD};
use domain::{
    Claim, DebounceError, Debouncer, DeliverAt, HitId, HitState, Message, Strategy, WindowAdd, WindowKey,
    message::STREAM_NOTIFY,
};
use jiff::Timestamp;
use pipeline::{
    Bell, Progress, Room as _,
    digest::{Digest, DigestConfig, DigestDeps},
};
use store::{EventKey, Store};
use testkit::clock::ManualClock;

use crate::{
    rooms::{Rooms, drain, window},
    world::{World, on_both_stores, settle},
};

on_both_stores!(
    messages_that_nobody_can_read_are_buried_and_the_others_go_on,
    a_timer_index_that_fails_after_the_commit_loses_and_doubles_nothing,
    a_timer_index_that_takes_no_window_for_a_while_costs_no_more_than_that_while,
    a_window_that_cannot_be_closed_is_given_up_with_its_reason_and_the_others_close,
    a_store_that_is_away_for_long_costs_no_window_its_hits,
    a_worker_whose_clock_is_hours_off_tells_early_or_late_but_once,
    rows_that_commit_out_of_the_order_of_their_ids_are_all_published,
    each_watch_has_a_window_of_its_own_for_the_same_events,
    a_hit_is_told_within_its_longest_wait_and_two_sweeps,
);

fn message(id: &str, subject: &str, payload: &str) -> Message {
    Message { id: id.to_owned(), subject: subject.to_owned(), replay: None, payload: payload.to_owned() }
}

async fn messages_that_nobody_can_read_are_buried_and_the_others_go_on(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching, mut deliver) =
        (rooms.world.ingest(), rooms.matching(|_| {}), rooms.deliver("deliver"));
    let graveyard = rooms.broker.consumer(STREAM_DEAD, "graveyard", ConsumerConfig::default());
    let publisher = Broker::Memory(rooms.broker.clone()).publisher();
    let poison = ["", "garbage", "[]", "{\"id\":1}", "{\"specversion\":\"1.0\",\"data\":null}"];
    let bury = async |subject: &str| {
        let messages =
            poison.iter().enumerate().map(|(n, text)| message(&format!("{subject}{n}"), subject, text));
        let taken = publisher.publish(messages.collect()).await;
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    };
    settle(&mut ingest).await?;
    bury("chain.local.bell.Ring").await;
    rooms.bring(&mut ingest, &mut matching, 11..=13).await?;
    assert_eq!(rooms.hits("now", HitState::Notified).await?, 3);
    bury("notification.send.test").await;
    drain(&mut rooms.relay("relay")).await?;
    drain(&mut deliver).await?;
    deliver.drain().await?;
    assert_eq!(rooms.channel.sent().len(), 3);
    let dead = graveyard.fetch(100, Duration::ZERO).await?;
    assert_eq!(dead.len(), 2 * poison.len(), "each is kept for whoever looks: {dead:?}");
    Ok(())
}

/// A timer index that works as long as it may.
#[derive(Debug)]
struct Moody {
    inner: Arc<dyn Debouncer>,
    adds: AtomicBool,
    // How many windows end at their pages.
    blind: AtomicU32,
}

impl Moody {
    fn around(rooms: Rooms) -> (Rooms, Arc<Self>) {
        let inner = Arc::clone(&rooms.debouncer);
        let moody = Arc::new(Self { inner, adds: AtomicBool::new(true), blind: AtomicU32::new(0) });
        (Rooms { debouncer: Arc::clone(&moody) as Arc<dyn Debouncer>, ..rooms }, moody)
    }
}

fn away(action: &'static str) -> DebounceError {
    DebounceError { url: "test:".into(), action, detail: "it went away".into() }
}

#[async_trait]
impl Debouncer for Moody {
    async fn add(&self, adds: Vec<WindowAdd>) -> Result<(), DebounceError> {
        if !self.adds.load(Ordering::Relaxed) {
            return Err(away("add"));
        }
        self.inner.add(adds).await
    }

    async fn claim(
        &self,
        now: Timestamp,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, DebounceError> {
        self.inner.claim(now, limit, lease).await
    }

    async fn members(
        &self,
        claim: &Claim,
        after: Option<HitId>,
        limit: usize,
    ) -> Result<Vec<HitId>, DebounceError> {
        // Of one window nobody can read the members, for as long as that lasts.
        if claim.key.watch().is_some_and(|watch| watch.as_str() == "cursed") {
            let left =
                self.blind.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if left.is_ok() {
                return Err(away("members"));
            }
        }
        self.inner.members(claim, after, limit).await
    }

    async fn ack(&self, claim: &Claim) -> Result<(), DebounceError> {
        self.inner.ack(claim).await
    }

    async fn release(&self, claim: &Claim, now: Timestamp, delay: Duration) -> Result<(), DebounceError> {
        self.inner.release(claim, now, delay).await
    }

    async fn outlook(&self) -> Result<(u64, Option<Timestamp>), DebounceError> {
        self.inner.outlook().await
    }
}

// The mark is set, and the step after it fails: what is marked and in no window is told by nobody, unless somebody looks.
async fn a_timer_index_that_fails_after_the_commit_loses_and_doubles_nothing(
    world: World,
) -> anyhow::Result<()> {
    let (rooms, moody) = Moody::around(Rooms::around(world).await?);
    rooms.watch("later", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    moody.adds.store(false, Ordering::Relaxed);
    rooms.world.ring(11..=13);
    settle(&mut ingest).await?;
    drain(&mut rooms.relay("relay")).await?;
    matching.step().await.expect_err("the timer index is away");
    assert_eq!(rooms.hits("later", HitState::Pending).await?, 3, "they are committed");
    // The worker dies with its messages, which come to another when the ack wait is over, or never.
    drop(matching);
    moody.adds.store(true, Ordering::Relaxed);
    let mut another = rooms.matching(|_| {});
    for _ in 0..8 {
        rooms.pass(10);
        drain(&mut another).await?;
        drain(&mut rooms.digest()).await?;
    }
    let told = rooms.told().await?;
    assert_eq!(told.iter().map(|row| row.notification.count).sum::<u64>(), 3);
    let events: BTreeSet<_> = told.iter().flat_map(|row| row.notification.events.clone()).collect();
    assert_eq!(events.len(), 3, "each once");
    Ok(())
}

// It answers, and takes nothing: full, or a replica. The sweep that fails must not keep the hits for the length of a lease.
async fn a_timer_index_that_takes_no_window_for_a_while_costs_no_more_than_that_while(
    world: World,
) -> anyhow::Result<()> {
    let (rooms, moody) = Moody::around(Rooms::around(world).await?);
    rooms.watch("later", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    moody.adds.store(false, Ordering::Relaxed);
    rooms.world.ring(11..=13);
    settle(&mut ingest).await?;
    drain(&mut rooms.relay("relay")).await?;
    matching.step().await.expect_err("the timer index takes nothing");
    let mut digest = rooms.digest();
    // Past their due time and the grace: the sweep finds them, and cannot put them anywhere.
    rooms.pass(16);
    for _ in 0..3 {
        digest.step().await.expect_err("the timer index takes nothing");
        rooms.pass(3);
    }
    moody.adds.store(true, Ordering::Relaxed);
    drain(&mut digest).await?;
    drain(&mut digest).await?;
    let told = rooms.told().await?;
    assert_eq!(told.iter().map(|row| row.notification.count).sum::<u64>(), 3, "at once, not after a lease");
    Ok(())
}

async fn a_window_that_cannot_be_closed_is_given_up_with_its_reason_and_the_others_close(
    world: World,
) -> anyhow::Result<()> {
    let (rooms, moody) = Moody::around(Rooms::around(world).await?);
    rooms.watch("cursed", window(10), DeliverAt::Seen).await?;
    rooms.watch("well", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=12).await?;
    moody.blind.store(DigestConfig::default().claims_max, Ordering::Relaxed);
    let mut digest = rooms.digest();
    let mut failures = 0;
    for _ in 0..60 {
        rooms.pass(31);
        while !matches!(digest.step().await.inspect_err(|_| failures += 1), Ok(Progress::Idle) | Err(_)) {}
    }
    assert!(failures > 0, "its window failed");
    assert_eq!(rooms.told().await?.iter().filter(|row| row.notification.watch.as_str() == "well").count(), 1);
    assert_eq!(rooms.hits("well", HitState::Notified).await?, 2, "it does not wait for the other");
    let states = rooms.world.store.hits_by_state(Some(&"cursed".parse()?)).await?;
    let ended: u64 = ["notified", "dead"].iter().filter_map(|state| states.get(*state)).sum();
    assert_eq!(ended, 2, "each of its hits has an end: {states:?}");
    assert_eq!(rooms.debouncer.outlook().await?.0, 0, "and it is claimed no more");
    Ok(())
}

// Were those tries counted, every window that is due in an outage of some minutes would be given up at its end.
async fn a_store_that_is_away_for_long_costs_no_window_its_hits(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    for watch in ["a", "b", "c"] {
        rooms.watch(watch, window(10), DeliverAt::Seen).await?;
    }
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=12).await?;
    // The timer index is elsewhere, as Redis is, and goes on.
    let away = Store::connect(&rooms.world.url).await?;
    away.close().await;
    let deps = DigestDeps {
        store: away,
        debouncer: Arc::clone(&rooms.debouncer),
        notifier: rooms.notifier(),
        clock: rooms.clock(),
        relay: Bell::new(),
    };
    let mut cut_off = Digest::new(deps, DigestConfig::default());
    for _ in 0..3 * DigestConfig::default().claims_max {
        rooms.pass(31);
        cut_off.step().await.expect_err("the store is away");
    }
    rooms.pass(31);
    drain(&mut rooms.digest()).await?;
    for watch in ["a", "b", "c"] {
        assert_eq!(rooms.hits(watch, HitState::Notified).await?, 2, "{watch}");
    }
    assert_eq!(rooms.told().await?.len(), 3);
    Ok(())
}

fn digest_at(rooms: &Rooms, clock: &ManualClock) -> Digest {
    let deps = DigestDeps {
        store: rooms.world.store.clone(),
        debouncer: Arc::clone(&rooms.debouncer),
        notifier: rooms.notifier(),
        clock: Arc::new(clock.clone()),
        relay: Bell::new(),
    };
    Digest::new(deps, DigestConfig::default())
}

// In a running process the store's time is everybody's. Should one have another all the same, nothing is lost or doubled.
async fn a_worker_whose_clock_is_hours_off_tells_early_or_late_but_once(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("later", window(60), DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    let hours = Duration::from_secs(5 * 3_600);
    let (ahead, behind) = (ManualClock::new(rooms.world.now()), ManualClock::new(rooms.world.now()));
    ahead.advance(hours);
    behind.rewind(hours);
    let (mut early, mut late) = (digest_at(&rooms, &ahead), digest_at(&rooms, &behind));
    for round in 0..4_u64 {
        rooms.bring(&mut ingest, &mut matching, 11 + 2 * round..=12 + 2 * round).await?;
        drain(&mut late).await?;
        if round % 2 == 0 {
            drain(&mut early).await?;
        }
        for seconds in [30, 40] {
            rooms.pass(seconds);
            ahead.advance(Duration::from_secs(seconds));
            behind.advance(Duration::from_secs(seconds));
            drain(&mut rooms.digest()).await?;
            drain(&mut late).await?;
        }
    }
    let told = rooms.told().await?;
    let events: Vec<_> = told.iter().flat_map(|row| row.notification.events.clone()).collect();
    assert_eq!(events.len(), 8);
    assert_eq!(events.into_iter().collect::<BTreeSet<_>>().len(), 8, "each once");
    assert_eq!(rooms.debouncer.outlook().await?.0, 0);
    Ok(())
}

// Ids are given out before the commit: whoever reads by "larger than the last" never sees a smaller one that comes later.
async fn rows_that_commit_out_of_the_order_of_their_ids_are_all_published(
    world: World,
) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let mut ingest = rooms.world.ingest();
    settle(&mut ingest).await?;
    rooms.world.ring(11..=50);
    settle(&mut ingest).await?;
    let heard = rooms.broker.consumer(STREAM_NOTIFY, "listener", ConsumerConfig::default());
    let stored = rooms.world.stored().await?;
    let keys: Vec<_> = stored.iter().map(|stored| EventKey::of(&stored.event)).collect();
    // Eight write at once into the lane of notifications, while its relay reads and deletes.
    let written = AtomicU32::new(0);
    let write = async |part: usize| {
        let mut matching = rooms.matching(|_| {});
        for key in keys.iter().skip(part).step_by(8) {
            matching.handle(&[*key]).await?;
        }
        written.fetch_add(1, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let relay = async {
        let mut relay = rooms.relay("relay");
        while written.load(Ordering::Relaxed) < 8 {
            relay.step().await?;
        }
        drain(&mut relay).await?;
        anyhow::Ok(())
    };
    let (writers, relayed) = tokio::join!(futures::future::try_join_all((0..8).map(write)), relay);
    writers?;
    relayed?;
    assert!(rooms.world.store.outbox_page(Store::notify_lane(), 10).await?.is_empty());
    let published: BTreeSet<_> =
        heard.fetch(1_000, Duration::ZERO).await?.into_iter().map(|incoming| incoming.message.id).collect();
    assert_eq!(published.len(), stored.len());
    Ok(())
}

// Two routes that share a key swallow each other.
async fn each_watch_has_a_window_of_its_own_for_the_same_events(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.recipient("dev", "UTC", None, None).await?;
    // Names that run together where their parts are joined by nothing.
    for (recipient, watch) in [("ops", "a"), ("ops", "a-b"), ("dev", "b"), ("dev", "a-b-c")] {
        rooms.watch_of(recipient, watch, window(30), domain::Telling::default(), DeliverAt::Seen).await?;
    }
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=15).await?;
    assert_eq!(rooms.debouncer.outlook().await?.0, 4);
    rooms.pass(31);
    drain(&mut rooms.digest()).await?;
    let mut told: Vec<_> = rooms
        .told()
        .await?
        .iter()
        .map(|row| (row.notification.watch.to_string(), row.notification.count))
        .collect();
    told.sort();
    assert_eq!(told, ["a", "a-b", "a-b-c", "b"].map(|watch| (watch.to_owned(), 5)));
    let (ops, dev) = ("ops".parse()?, "dev".parse()?);
    assert_ne!(WindowKey::new(&ops, &"a".parse()?), WindowKey::new(&dev, &"a".parse()?));
    Ok(())
}

// The worst that may happen to it: its message is lost, and then the timer index forgets it.
async fn a_hit_is_told_within_its_longest_wait_and_two_sweeps(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("later", window(60), DeliverAt::Seen).await?;
    let (mut ingest, mut matching, mut digest, mut deliver) =
        (rooms.world.ingest(), rooms.matching(|_| {}), rooms.digest(), rooms.deliver("deliver"));
    settle(&mut ingest).await?;
    rooms.world.ring(11..=11);
    settle(&mut ingest).await?;
    drain(&mut rooms.relay("relay")).await?;
    rooms.broker.purge();
    let begun = rooms.world.now();
    let mut forgotten = false;
    while rooms.channel.sent().is_empty() {
        rooms.pass(1);
        drain(&mut matching).await?;
        if !forgotten && rooms.hits("later", HitState::Pending).await? == 1 {
            rooms.world.store.window_clear().await?;
            forgotten = true;
        }
        drain(&mut digest).await?;
        drain(&mut rooms.relay("relay")).await?;
        drain(&mut deliver).await?;
        deliver.drain().await?;
        assert!(rooms.world.now().duration_since(begun).as_secs() < 600, "it is never told");
    }
    assert!(forgotten);
    let took = rooms.world.now().duration_since(begun).as_secs();
    // A minute of window, and ten and five seconds of grace for what the broker and the timer index lost.
    assert!((60..=80).contains(&took), "it took {took} s");
    Ok(())
}
