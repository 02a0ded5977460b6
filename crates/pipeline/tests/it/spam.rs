//! Transfers that look like spam: gathered for a day and told with the reasons, told as any other, or not told; none lost.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U256};
use domain::{
    Catalog, Clock, Contract, DeliverAt, HitState, Spam, StartBlock, Strategy, Suspicion, Telling, Watch,
};
use pipeline::{
    Bell,
    hit_audit::{HitAudit, HitAuditConfig, Kind},
    ingest::Ingest,
    matching::{Matching, MatchingConfig, MatchingDeps},
    watches::{REFRESH, Watches},
};
use serde_json::json;
use store::{EventKey, HitRow, NotificationRow, TokenRow};
use testkit::scripted_node::LogSpec;

use crate::{
    rooms::{Rooms, drain, window},
    world::{CHAIN, World, on_both_stores, settle},
};

on_both_stores!(
    transfers_that_look_like_spam_are_told_once_a_day_with_their_reasons,
    what_looks_like_spam_is_told_as_any_other_where_its_watch_says_so,
    what_looks_like_spam_is_suppressed_with_the_reason_where_its_watch_drops_it,
    suspected_transfers_that_leave_the_chain_vanish_and_are_taken_back,
    a_suspected_transfer_that_waited_for_depth_is_gathered_when_it_is_released,
    what_the_timer_index_lost_of_spam_is_told_all_the_same,
);

const ME: Address = Address::repeat_byte(0x3e);
pub(crate) const FRIEND: Address = Address::repeat_byte(0xf1);
pub(crate) const TOKEN: Address = Address::repeat_byte(0x70);
const LURE: Address = Address::repeat_byte(0x1e);

/// Begins and ends like the friend.
fn twin() -> Address {
    let mut bytes = [0x77; 20];
    bytes[..2].copy_from_slice(&[0xf1; 2]);
    bytes[18..].copy_from_slice(&[0xf1; 2]);
    Address::from(bytes)
}

fn schema() -> domain::EventSchema {
    abi::parse_signature("event Transfer(address indexed from, address indexed to, uint256 value)").unwrap()
}

pub(crate) fn transfer((token, from): (Address, Address), value: u64, tx: u64) -> LogSpec {
    let mut log = LogSpec::new(token, schema().topic0(), tx);
    log.topics.extend([from.into_word(), ME.into_word()]);
    log.data = Bytes::copy_from_slice(&U256::from(value).to_be_bytes::<32>());
    log
}

pub(crate) struct Scene {
    pub(crate) rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
    catalog: Arc<Catalog>,
}

impl Scene {
    /// It is 22:13 UTC; who is told is in Berlin.
    pub(crate) async fn set(
        world: World,
        strategy: Strategy,
        telling: Telling,
        deliver_at: DeliverAt,
    ) -> anyhow::Result<Self> {
        let contract = Contract {
            name: "token".parse()?,
            chain: CHAIN,
            addresses: vec![TOKEN, LURE],
            factory: None,
            events: vec![Arc::new(schema())],
            start: StartBlock::Number(0),
        };
        let catalog = Arc::new(Catalog::new(vec![contract]));
        let rooms = Rooms::around(world).await?;
        rooms.recipient("berlin", "Europe/Berlin", None, None).await?;
        let (store, now) = (&rooms.world.store, rooms.world.now());
        let lure = "Visit usdc-bonus.net to claim".to_owned();
        let said = TokenRow { name: Some(lure), symbol: Some("USDC".into()), ..TokenRow::default() };
        store.put_token(CHAIN, LURE, &said, now).await?;
        let said = TokenRow { symbol: Some("USDC".into()), decimals: Some(6), ..TokenRow::default() };
        store.put_token(CHAIN, TOKEN, &said, now).await?;
        let watch = Watch {
            id: "w".parse()?,
            recipient: "berlin".parse()?,
            contract: "token".parse()?,
            event: "Transfer".into(),
            filter: Some(format!("to == {ME}")),
            strategy,
            telling,
            deliver_at,
            paused: false,
            from_file: false,
        };
        store.put_watches(&[watch]).await?;
        let mut ingest = rooms.world.ingest_of(&rooms.world.client, &catalog, |_| {});
        settle(&mut ingest).await?;
        let matching = matching(&rooms, &catalog);
        Ok(Self { rooms, ingest, matching, catalog })
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        settle(&mut self.ingest).await?;
        drain(&mut self.rooms.relay("relay")).await?;
        Ok(drain(&mut self.matching).await?)
    }

    pub(crate) async fn mine(&mut self, logs: Vec<LogSpec>) -> anyhow::Result<()> {
        self.rooms.world.node.mine(logs);
        self.read().await
    }

    /// A friend's transfer, and after it one of nothing, one of who looks like the friend, and one of a lure.
    async fn attack(&mut self) -> anyhow::Result<()> {
        self.mine(vec![transfer((TOKEN, FRIEND), 5, 11)]).await?;
        let stranger = Address::repeat_byte(0x99);
        self.mine(vec![
            transfer((TOKEN, stranger), 0, 12),
            transfer((TOKEN, twin()), 3, 13),
            transfer((LURE, stranger), 900, 14),
            transfer((TOKEN, twin()), 0, 15),
        ])
        .await
    }

    pub(crate) async fn pass(&mut self, seconds: u64) -> anyhow::Result<()> {
        self.rooms.pass(seconds);
        drain(&mut self.matching).await?;
        Ok(drain(&mut self.rooms.digest()).await?)
    }

    pub(crate) async fn told(&self) -> anyhow::Result<Vec<NotificationRow>> {
        let mut told = self.rooms.told().await?;
        told.sort_by_key(|row| (row.notification.created_at, row.notification.revision));
        Ok(told)
    }

    async fn counts(&self) -> anyhow::Result<Vec<u64>> {
        Ok(self.told().await?.iter().map(|row| row.notification.count).collect())
    }

    async fn hits(&self) -> anyhow::Result<Vec<HitRow>> {
        let mut hits = Vec::new();
        for stored in self.rooms.world.stored().await? {
            hits.extend(self.rooms.world.store.hits_of_event(stored.event.id).await?);
        }
        Ok(hits)
    }

    /// Nothing is missing, nor too much.
    async fn audits(&self) -> anyhow::Result<()> {
        let world = &self.rooms.world;
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let config = HitAuditConfig {
            patience: std::time::Duration::ZERO,
            ..HitAuditConfig::new(vec![(CHAIN, 2, false)])
        };
        let mut audit = HitAudit::new(world.store.clone(), clock, &self.catalog, config);
        audit.follow().await?;
        let report = audit.run(&[CHAIN], 0).await?;
        // No room sends here.
        let wrong: Vec<_> = report.differences.iter().filter(|one| one.kind != Kind::Unsent).collect();
        anyhow::ensure!(wrong.is_empty(), "{wrong:?}");
        Ok(())
    }
}

fn matching(rooms: &Rooms, catalog: &Arc<Catalog>) -> Matching {
    let store = rooms.world.store.clone();
    let deps = MatchingDeps {
        store: store.clone(),
        consumer: rooms.broker.consumer(
            domain::message::STREAM_CHAIN,
            "matching",
            broker::ConsumerConfig::default(),
        ),
        debouncer: Arc::clone(&rooms.debouncer),
        notifier: rooms.notifier(),
        clock: rooms.clock(),
        relay: Bell::new(),
    };
    let watches = Watches::new(store, rooms.clock(), catalog, REFRESH);
    let config = MatchingConfig { wait: std::time::Duration::ZERO, ..MatchingConfig::default() };
    Matching::new(deps, watches, config)
}

fn spam(spam: Spam) -> Telling {
    Telling { spam, ..Telling::default() }
}

/// Nine o'clock in Berlin is this far.
const TO_NINE: u64 = 9 * 3600 + 46 * 60 + 40;

async fn transfers_that_look_like_spam_are_told_once_a_day_with_their_reasons(
    world: World,
) -> anyhow::Result<()> {
    let urgent = Telling { critical: true, ..Telling::default() };
    let mut scene = Scene::set(world, Strategy::Immediate, urgent, DeliverAt::Seen).await?;
    scene.attack().await?;
    assert_eq!(scene.counts().await?, [1], "the friend's is told at once, critical or not");
    // What comes again changes nothing of it.
    let stored = scene.rooms.world.stored().await?;
    let keys: Vec<_> = stored.iter().map(|stored| EventKey::of(&stored.event)).collect();
    scene.matching.handle(&keys).await?;
    matching(&scene.rooms, &scene.catalog).handle(&keys).await?;
    let suspicions: Vec<_> = scene.hits().await?.iter().map(|row| row.suspicion).collect();
    let like = Some(Suspicion::LookAlike);
    assert_eq!(suspicions, [None, Some(Suspicion::ZeroValue), like, Some(Suspicion::HostileToken), like]);
    // The friend is known, and whoever looks like him is not.
    scene.mine(vec![transfer((TOKEN, FRIEND), 1, 16)]).await?;
    assert_eq!(scene.counts().await?, [1, 1]);
    scene.pass(TO_NINE - 1).await?;
    assert_eq!(scene.counts().await?, [1, 1]);
    scene.pass(1).await?;
    assert_eq!(scene.counts().await?, [1, 1, 4]);
    let daily = &scene.told().await?[2].notification;
    assert!(daily.title.starts_with("Looks like spam: 4 transfers"), "{}", daily.title);
    assert!(daily.body.contains("a transfer of nothing"), "{}", daily.body);
    let reasons = json!([
        { "reason": "zero_value", "count": 1 },
        { "reason": "look_alike", "count": 2 },
        { "reason": "hostile_token", "count": 1 },
    ]);
    assert_eq!(daily.facts["suspicions"], reasons);
    scene.mine(vec![transfer((TOKEN, twin()), 1, 17)]).await?;
    scene.pass(24 * 3600 - 1).await?;
    assert_eq!(scene.counts().await?, [1, 1, 4]);
    scene.pass(1).await?;
    assert_eq!(scene.counts().await?, [1, 1, 4, 1]);
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 7);
    scene.audits().await
}

async fn what_looks_like_spam_is_told_as_any_other_where_its_watch_says_so(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60), spam(Spam::Tell), DeliverAt::Seen).await?;
    scene.attack().await?;
    scene.pass(61).await?;
    assert_eq!(scene.counts().await?, [5]);
    let told = &scene.told().await?[0].notification;
    assert!(!told.title.contains("spam") && told.facts.get("suspicions").is_none(), "{told:?}");
    assert!(scene.hits().await?.iter().all(|row| row.suspicion.is_none() && row.group.is_empty()));
    scene.audits().await
}

async fn what_looks_like_spam_is_suppressed_with_the_reason_where_its_watch_drops_it(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60), spam(Spam::Drop), DeliverAt::Depth(1)).await?;
    scene.attack().await?;
    scene.mine(Vec::new()).await?;
    drain(&mut scene.rooms.confirm()).await?;
    scene.pass(61).await?;
    scene.pass(48 * 3600).await?;
    assert_eq!(scene.counts().await?, [1], "the friend's alone");
    assert_eq!(scene.rooms.hits("w", HitState::Suppressed).await?, 4);
    let hits = scene.hits().await?;
    let reason = |row: &HitRow| row.hit.reason.clone().unwrap_or_default();
    assert_eq!(reason(&hits[1]), "it looks like spam: it transfers nothing");
    assert_eq!(
        reason(&hits[2]),
        "it looks like spam: a counterparty's address begins and ends like a known one"
    );
    scene.audits().await
}

async fn suspected_transfers_that_leave_the_chain_vanish_and_are_taken_back(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate, Telling::default(), DeliverAt::Seen).await?;
    let stranger = Address::repeat_byte(0x99);
    scene.mine(vec![transfer((TOKEN, stranger), 0, 11)]).await?;
    scene.mine(vec![transfer((TOKEN, stranger), 0, 12)]).await?;
    // One goes for good; then the other moves to a later block.
    scene.rooms.world.node.chain(|chain| chain.rollback(2));
    scene.mine(Vec::new()).await?;
    scene.mine(Vec::new()).await?;
    scene.mine(vec![transfer((TOKEN, stranger), 0, 12)]).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Orphaned).await?, 1);
    scene.pass(TO_NINE).await?;
    assert_eq!(scene.counts().await?, [1]);
    // What was told goes too: it is taken back like any other.
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    for _ in 0..5 {
        scene.mine(Vec::new()).await?;
    }
    let deps = pipeline::amend::AmendDeps {
        store: scene.rooms.world.store.clone(),
        notifier: scene.rooms.notifier(),
        clock: scene.rooms.clock(),
        relay: Bell::new(),
    };
    let mut amend =
        pipeline::amend::Amend::new(deps, vec![(CHAIN, 2)], pipeline::amend::AmendConfig::default());
    drain(&mut amend).await?;
    let told = scene.told().await?;
    assert_eq!(told.last().map(|row| row.notification.count), Some(0));
    scene.audits().await
}

async fn a_suspected_transfer_that_waited_for_depth_is_gathered_when_it_is_released(
    world: World,
) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, Strategy::Immediate, Telling::default(), DeliverAt::Depth(2)).await?;
    scene.attack().await?;
    scene.mine(Vec::new()).await?;
    scene.mine(Vec::new()).await?;
    drain(&mut scene.rooms.confirm()).await?;
    assert_eq!(scene.counts().await?, [1]);
    assert_eq!(scene.rooms.hits("w", HitState::Pending).await?, 4);
    scene.pass(TO_NINE).await?;
    assert_eq!(scene.counts().await?, [1, 4]);
    scene.audits().await
}

async fn what_the_timer_index_lost_of_spam_is_told_all_the_same(world: World) -> anyhow::Result<()> {
    let mut scene = Scene::set(world, window(60), Telling::default(), DeliverAt::Seen).await?;
    scene.attack().await?;
    scene.rooms.world.store.window_clear().await?;
    scene.pass(120).await?;
    for _ in 0..5 {
        scene.pass(31).await?;
    }
    assert_eq!(scene.counts().await?, [1], "spam is not brought forward");
    scene.pass(TO_NINE).await?;
    for _ in 0..5 {
        scene.pass(31).await?;
    }
    assert_eq!(scene.counts().await?, [1, 4]);
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 5);
    scene.audits().await
}
