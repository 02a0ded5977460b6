//! Random forks, windows and failures through every room: what the recipient ends up believing, told and corrected, is
//! what the final chain says.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use domain::{ChainClient, DeliverAt, EventId, HitState, NotificationId, Origin, Strategy, Telling};
use pipeline::{
    Bell,
    amend::{Amend, AmendConfig, AmendDeps},
    deliver::Deliver,
    ingest::{FinalityRule, Ingest},
    matching::Matching,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use testkit::forks::{ForkNode, ForkTree};

use crate::{
    rooms::{Does, Rooms, drain, window},
    world::{BELL, CHAIN, World, schema},
};

/// Histories on SQLite; on PostgreSQL, where each has a database to make, fewer.
const HISTORIES: u64 = 100;
const HISTORIES_POSTGRES: u64 = 30;
const DEPTH: u64 = 20;
const SETTLE: u64 = 2;

/// Every watch, and how many blocks it waits for.
const WATCHES: [(&str, u64); 9] = [
    ("now", 0),
    ("later", 0),
    ("sure", 3),
    ("lead", 0),
    ("sure-lead", 3),
    ("each", 0),
    ("calm-now", 0),
    ("calm-each", 0),
    ("calm-often", 0),
];

macro_rules! halves {
    ($($name:ident = $half:expr),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::histories($half, super::HISTORIES, crate::world::World::sqlite).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::histories($half, super::HISTORIES_POSTGRES, crate::world::World::postgres).await
            })*
        }
    };
}

halves!(
    what_the_recipient_believes_is_what_the_final_chain_says = 0,
    what_the_recipient_believes_is_what_the_final_chain_says_2 = 1,
);

async fn histories(
    half: u64,
    count: u64,
    world: impl AsyncFn() -> anyhow::Result<World>,
) -> anyhow::Result<()> {
    let only: Option<u64> = std::env::var("CHAINBELL_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in
        (half * count / 2..(half + 1) * count / 2).filter(|seed| only.is_none_or(|only| only == *seed))
    {
        let mut life = Life::begin(world().await?, seed).await?;
        let lived = life.live().await;
        lived.with_context(|| {
            format!(
                "CHAINBELL_SEED={seed} scripts/test -p chainbell-pipeline what_the_recipient_believes  # runs it \
                 again\nwhat happened:\n{}",
                life.log.join("\n")
            )
        })?;
    }
    Ok(())
}

struct Life {
    rng: StdRng,
    node: ForkNode,
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
    deliver: Deliver,
    log: Vec<String>,
}

impl Life {
    async fn begin(world: World, seed: u64) -> anyhow::Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut tree = ForkTree::new(BELL, schema().topic0());
        for _ in 0..3 {
            tree.mine(&mut rng);
        }
        let node = ForkNode::new(CHAIN, tree, seed);
        let rooms = Rooms::around(world).await?;
        rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
        rooms.watch("later", window(30), DeliverAt::Seen).await?;
        rooms.watch("sure", window(10), DeliverAt::Depth(3)).await?;
        let leading = Telling { leading: true, ..Telling::default() };
        rooms.watch_of("ops", "lead", window(15), leading.clone(), DeliverAt::Seen).await?;
        rooms.watch_of("ops", "sure-lead", window(15), leading, DeliverAt::Depth(3)).await?;
        let grouped = Telling { group_by: vec!["tx_hash".to_owned()], ..Telling::default() };
        rooms.watch_of("ops", "each", window(20), grouped.clone(), DeliverAt::Seen).await?;
        // The story begins at 22:13:20: its first minutes are quiet, or just before.
        let quiet = if rng.random_bool(0.5) { "22:13-22:15" } else { "22:14-22:20" };
        rooms.recipient("calm", "UTC", Some(quiet), Some("5/hour")).await?;
        rooms.watch_of("calm", "calm-now", Strategy::Immediate, Telling::default(), DeliverAt::Seen).await?;
        rooms.watch_of("calm", "calm-each", window(20), grouped, DeliverAt::Seen).await?;
        let scheduled = Telling { schedule: Some("*/5 * * * *".parse()?), ..Telling::default() };
        rooms.watch_of("calm", "calm-often", window(20), scheduled, DeliverAt::Seen).await?;
        let client = Arc::new(node.clone()) as Arc<dyn ChainClient>;
        let catalog = rooms.world.catalog();
        let ingest = rooms.world.ingest_of(&client, &catalog, |config| {
            config.finality = FinalityRule::Depth(DEPTH * 4);
            config.blocks_max = 3;
        });
        let (matching, deliver) = (rooms.matching(|_| {}), rooms.deliver("deliver"));
        Ok(Self { rng, node, rooms, ingest, matching, deliver, log: Vec::new() })
    }

    fn amend(&self) -> Amend {
        let deps = AmendDeps {
            store: self.rooms.world.store.clone(),
            notifier: self.rooms.notifier(),
            clock: self.rooms.clock(),
            relay: Bell::new(),
        };
        Amend::new(deps, vec![(CHAIN, SETTLE)], AmendConfig::default())
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        // It has begun before anything happens that is to be told.
        self.ingest.advance().await?;
        for _ in 0..self.rng.random_range(8..30) {
            match self.rng.random_range(0..12) {
                0..3 => self.fork(),
                3..6 => {
                    for _ in 0..self.rng.random_range(1..4) {
                        let did = self.ingest.advance().await;
                        self.log.push(format!("{did:?}"));
                    }
                }
                6 => {
                    let seconds = self.rng.random_range(1..40);
                    self.log.push(format!("{seconds} s pass"));
                    self.rooms.pass(seconds);
                }
                7 => {
                    self.log.push("the next try at the endpoint fails".to_owned());
                    self.rooms.channel.next(Does::Retry);
                }
                _ => self.one_room().await?,
            }
        }
        self.come_to_rest().await?;
        self.judge().await
    }

    fn fork(&mut self) {
        let Self { node, rng, log, .. } = self;
        node.tree(|tree| {
            let floor = tree.highest().saturating_sub(DEPTH).max(4);
            let room = tree.height().saturating_sub(floor);
            let depth = if rng.random_bool(0.4) { 0 } else { rng.random_range(0..=room) };
            tree.rollback(usize::try_from(depth).unwrap_or_default());
            let length = rng.random_range(1..5);
            for _ in 0..length {
                tree.mine(rng);
            }
            log.push(format!("{depth} blocks off, {length} on: the head is {}", tree.height()));
        });
    }

    async fn one_room(&mut self) -> anyhow::Result<()> {
        let which = self.rng.random_range(0..6);
        self.log.push(format!("room {which}"));
        match which {
            0 => drain(&mut self.rooms.relay("relay")).await?,
            1 => drain(&mut self.matching).await?,
            2 => drain(&mut self.rooms.digest()).await?,
            3 => drain(&mut self.rooms.confirm()).await?,
            4 => drain(&mut self.amend()).await?,
            _ => {
                drain(&mut self.deliver).await?;
                self.deliver.drain().await?;
            }
        }
        Ok(())
    }

    async fn come_to_rest(&mut self) -> anyhow::Result<()> {
        for _ in 0..4 {
            let Self { node, rng, .. } = self;
            // The chain outgrows whatever was seen of it.
            node.tree(|tree| {
                let above = tree.highest() + 1;
                while tree.height() < above {
                    tree.mine(rng);
                }
            });
            for _ in 0..60 {
                if matches!(self.ingest.advance().await, Ok(pipeline::ingest::Did::Idle)) {
                    break;
                }
            }
            self.rooms.pass(41);
            drain(&mut self.rooms.relay("relay")).await?;
            drain(&mut self.matching).await?;
            drain(&mut self.rooms.confirm()).await?;
            self.rooms.pass(41);
            drain(&mut self.rooms.digest()).await?;
            drain(&mut self.amend()).await?;
            drain(&mut self.rooms.relay("relay")).await?;
            drain(&mut self.deliver).await?;
            self.deliver.drain().await?;
        }
        self.wait_for_budgets().await
    }

    /// Hours pass, in which what was held back is told.
    async fn wait_for_budgets(&mut self) -> anyhow::Result<()> {
        for _ in 0..100 {
            let mut pending = 0;
            for (watch, _) in WATCHES {
                pending += self.rooms.hits(watch, HitState::Pending).await?;
            }
            if pending == 0 {
                break;
            }
            self.rooms.pass(1_200);
            drain(&mut self.rooms.digest()).await?;
        }
        drain(&mut self.rooms.relay("relay")).await?;
        drain(&mut self.deliver).await?;
        Ok(self.deliver.drain().await?)
    }

    async fn judge(&self) -> anyhow::Result<()> {
        let stored = self.rooms.world.stored().await?;
        let live: Vec<_> = stored.iter().filter(|stored| stored.event.origin == Origin::Live).collect();
        let truth = self.node.tree(|tree| tree.chain().flat_map(|block| tree.logs(block)).count());
        ensure!(stored.len() == truth, "stored {} events, the chain has {truth}", stored.len());
        // What was heard last of each notification, in the order in which it came.
        let mut inbox: BTreeMap<(String, NotificationId), (u32, u64, Vec<EventId>)> = BTreeMap::new();
        for sent in self.rooms.channel.sent() {
            let notification = sent.notification;
            let first = notification.corrects.unwrap_or(notification.id);
            let key = (notification.watch.to_string(), first);
            let said = (notification.revision, notification.count, notification.events);
            let held = inbox.entry(key).or_insert_with(|| said.clone());
            if said.0 >= held.0 {
                *held = said;
            }
        }
        let tip = self.rooms.world.tip().await?;
        for (watch, depth) in WATCHES {
            let pending = self.rooms.hits(watch, HitState::Pending).await?;
            ensure!(pending == 0, "watch '{watch}' still has {pending} pending hits");
            let due: Vec<_> = live.iter().filter(|stored| stored.event.block.number + depth <= tip).collect();
            let told: u64 =
                inbox.iter().filter(|((of, _), _)| of == watch).map(|(_, (_, count, _))| count).sum();
            // The newest blocks' events may still wait for their depth or their window.
            let least = due.iter().filter(|stored| stored.event.block.number + 6 <= tip).count() as u64;
            ensure!(
                (least..=due.len() as u64).contains(&told),
                "watch '{watch}' is believed to have {told} events, and has {least} to {}",
                due.len()
            );
            self.no_event_twice(watch, &inbox).await?;
        }
        Ok(())
    }

    /// What is believed are events of the final chain, each once, whatever block told them first.
    async fn no_event_twice(
        &self,
        watch: &str,
        inbox: &BTreeMap<(String, NotificationId), (u32, u64, Vec<EventId>)>,
    ) -> anyhow::Result<()> {
        let in_chain: HashSet<_> =
            self.rooms.world.stored().await?.iter().map(|stored| stored.event.logical).collect();
        let keys = self.node.tree(|tree| {
            let of = |block: &testkit::forks::TreeBlock| {
                tree.logs(block)
                    .into_iter()
                    .map(|log| store::EventKey { chain: CHAIN, block: log.block, log_index: log.log_index })
                    .collect::<Vec<_>>()
            };
            tree.all().flat_map(of).collect::<Vec<_>>()
        });
        let ever = self.rooms.world.store.events_by_keys(&keys).await?;
        let logical: BTreeMap<_, _> =
            ever.iter().map(|stored| (stored.event.id, stored.event.logical)).collect();
        let mut believed = BTreeSet::new();
        for ((of, first), (_, count, events)) in inbox {
            if of != watch {
                continue;
            }
            ensure!(*count == events.len() as u64, "{first} names {} of {count} events", events.len());
            for event in events {
                let logical = logical.get(event).context("a told event was stored")?;
                ensure!(in_chain.contains(logical), "{first} is believed to tell {event}, which is gone");
                ensure!(believed.insert(*logical), "{event} is believed twice");
            }
        }
        Ok(())
    }
}
