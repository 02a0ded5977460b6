//! Random forks, windows and failures through every room: what the recipient ends up believing, told and corrected, is
//! what the final chain says.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use domain::{
    ChainClient, ChainId, DeliverAt, EventId, HitState, LogicalId, NotificationId, Origin, Strategy, Telling,
};
use pipeline::{
    Bell,
    amend::{Amend, AmendConfig, AmendDeps},
    deliver::Deliver,
    ingest::{FinalityRule, Ingest},
    matching::Matching,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use store::EventKey;
use testkit::forks::{ForkNode, ForkTree, TreeBlock};

use crate::{
    rooms::{Does, Rooms, drain, window},
    world::{BELL, CHAIN, World, schema},
};

/// Histories of each of the tests below, on each store: they share its database, each on a chain of its own.
const HISTORIES: u64 = 25;
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

macro_rules! eighths {
    ($($name:ident = $eighth:expr),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::histories($eighth, crate::world::World::sqlite).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::histories($eighth, crate::world::World::postgres).await
            })*
        }
    };
}

eighths!(
    what_the_recipient_believes_is_what_the_final_chain_says = 0,
    what_the_recipient_believes_is_what_the_final_chain_says_2 = 1,
    what_the_recipient_believes_is_what_the_final_chain_says_3 = 2,
    what_the_recipient_believes_is_what_the_final_chain_says_4 = 3,
    what_the_recipient_believes_is_what_the_final_chain_says_5 = 4,
    what_the_recipient_believes_is_what_the_final_chain_says_6 = 5,
    what_the_recipient_believes_is_what_the_final_chain_says_7 = 6,
    what_the_recipient_believes_is_what_the_final_chain_says_8 = 7,
);

async fn histories(eighth: u64, world: impl AsyncFn() -> anyhow::Result<World>) -> anyhow::Result<()> {
    let only: Option<u64> = std::env::var("CHAINBELL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = eighth * HISTORIES..(eighth + 1) * HISTORIES;
    let seeds: Vec<_> = seeds.filter(|seed| only.is_none_or(|only| only == *seed)).collect();
    if seeds.is_empty() {
        return Ok(());
    }
    let mut rooms = Rooms::around(world().await?).await?;
    let (mut told, mut corrected) = (0, 0);
    for seed in seeds {
        let mut life = Life::begin(rooms, seed).await?;
        let lived = life.live().await;
        lived.with_context(|| {
            format!(
                "CHAINBELL_SEED={seed} scripts/test -p chainbell-pipeline what_the_recipient_believes  # runs it \
                 again\nwhat happened:\n{}",
                life.log.join("\n")
            )
        })?;
        for sent in life.rooms.channel.sent() {
            *(if sent.notification.revision > 1 { &mut corrected } else { &mut told }) += 1;
        }
        rooms = life.end().await?;
    }
    println!("{told} were told, {corrected} corrected");
    // Where nothing is told and nothing taken back, every belief is right.
    ensure!(only.is_some() || (told > 500 && corrected > 10), "{told} were told, {corrected} corrected");
    Ok(())
}

struct Life {
    seed: u64,
    rng: StdRng,
    node: ForkNode,
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
    deliver: Deliver,
    log: Vec<String>,
}

impl Life {
    async fn begin(mut rooms: Rooms, seed: u64) -> anyhow::Result<Self> {
        rooms.begin_anew(ChainId(CHAIN.0 + seed));
        let mut rng = StdRng::seed_from_u64(seed);
        let mut tree = ForkTree::new(BELL, schema().topic0());
        for _ in 0..3 {
            tree.mine(&mut rng);
        }
        let node = ForkNode::new(rooms.world.chain, tree, seed);
        put_watches(&rooms, &mut rng, seed).await?;
        let client = Arc::new(node.clone()) as Arc<dyn ChainClient>;
        let catalog = rooms.world.catalog();
        let ingest = rooms.world.ingest_of(&client, &catalog, |config| {
            config.finality = FinalityRule::Depth(DEPTH * 4);
            config.blocks_max = 3;
        });
        let (matching, deliver) = (rooms.matching(|_| {}), rooms.deliver("deliver"));
        Ok(Self { seed, rng, node, rooms, ingest, matching, deliver, log: Vec::new() })
    }

    fn amend(&self) -> Amend {
        let deps = AmendDeps {
            store: self.rooms.world.store.clone(),
            notifier: self.rooms.notifier(),
            clock: self.rooms.clock(),
            relay: Bell::new(),
        };
        Amend::new(deps, vec![(self.rooms.world.chain, SETTLE)], AmendConfig::default())
    }

    /// Its watches go, so that those of the next life are the only ones.
    async fn end(self) -> anyhow::Result<Rooms> {
        for (watch, _) in WATCHES {
            self.rooms.world.store.remove_watch(&id_of(watch, self.seed).parse()?).await?;
        }
        Ok(self.rooms)
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        // It has begun before anything happens that is to be told.
        self.ingest.advance().await?;
        for _ in 0..self.rng.random_range(8..30) {
            match self.rng.random_range(0..14) {
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
                8..11 => self.flow().await?,
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
            if rng.random_bool(0.5) {
                tree.forget(0.4, rng);
            }
            let length = rng.random_range(1..5);
            for _ in 0..length {
                tree.mine(rng);
            }
            log.push(format!("{depth} blocks off, {length} on: the head is {}", tree.height()));
        });
    }

    /// What happened so far is told, so that there is something to take back.
    async fn flow(&mut self) -> anyhow::Result<()> {
        self.log.push("all rooms in turn".to_owned());
        for _ in 0..8 {
            if matches!(self.ingest.advance().await, Ok(pipeline::ingest::Did::Idle)) {
                break;
            }
        }
        drain(&mut self.rooms.relay("relay")).await?;
        drain(&mut self.matching).await?;
        drain(&mut self.rooms.confirm()).await?;
        self.rooms.pass(self.rng.random_range(1..40));
        drain(&mut self.rooms.digest()).await?;
        drain(&mut self.amend()).await?;
        drain(&mut self.rooms.relay("relay")).await?;
        drain(&mut self.deliver).await?;
        Ok(self.deliver.drain().await?)
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
            // Nothing of the lives before is pending.
            let states = self.rooms.world.store.hits_by_state(None).await?;
            if !states.contains_key(HitState::Pending.as_str()) {
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
        let in_chain: HashSet<_> = stored.iter().map(|stored| stored.event.logical).collect();
        let logical = self.ever_stored().await?;
        for (watch, depth) in WATCHES {
            let watch = id_of(watch, self.seed);
            let pending = self.rooms.hits(&watch, HitState::Pending).await?;
            ensure!(pending == 0, "watch '{watch}' still has {pending} pending hits");
            let due: Vec<_> = live.iter().filter(|stored| stored.event.block.number + depth <= tip).collect();
            let told: u64 =
                inbox.iter().filter(|((of, _), _)| *of == watch).map(|(_, (_, count, _))| count).sum();
            // The newest blocks' events may still wait for their depth or their window.
            let least = due.iter().filter(|stored| stored.event.block.number + 6 <= tip).count() as u64;
            // What was told once stays told, in however new a block its transaction is now.
            let most = live.len() as u64;
            ensure!(
                (least..=most).contains(&told),
                "watch '{watch}' is believed to have {told} events, and has {least} to {most}"
            );
            let of = inbox.iter().filter(|((of, _), _)| *of == watch);
            no_event_twice(of.map(|((_, first), said)| (first, said)), &in_chain, &logical)?;
        }
        Ok(())
    }

    /// The logical identity of every event of every branch that was stored.
    async fn ever_stored(&self) -> anyhow::Result<BTreeMap<EventId, LogicalId>> {
        let chain = self.rooms.world.chain;
        let keys = self.node.tree(|tree| {
            let of = |block: &TreeBlock| {
                let logs = tree.logs(block).into_iter();
                logs.map(|log| EventKey { chain, block: log.block, log_index: log.log_index })
                    .collect::<Vec<_>>()
            };
            tree.all().flat_map(of).collect::<Vec<_>>()
        });
        let ever = self.rooms.world.store.events_by_keys(&keys).await?;
        Ok(ever.iter().map(|stored| (stored.event.id, stored.event.logical)).collect())
    }
}

/// What is believed are events of the final chain, each once, whatever block told them first.
fn no_event_twice<'s>(
    inbox: impl Iterator<Item = (&'s NotificationId, &'s (u32, u64, Vec<EventId>))>,
    in_chain: &HashSet<LogicalId>,
    logical: &BTreeMap<EventId, LogicalId>,
) -> anyhow::Result<()> {
    let mut believed = BTreeSet::new();
    for (first, (_, count, events)) in inbox {
        ensure!(*count == events.len() as u64, "{first} names {} of {count} events", events.len());
        for event in events {
            let logical = logical.get(event).context("a told event was stored")?;
            ensure!(in_chain.contains(logical), "{first} is believed to tell {event}, which is gone");
            ensure!(believed.insert(*logical), "{event} is believed twice");
        }
    }
    Ok(())
}

/// The watch of this name in the life of `seed`.
fn id_of(watch: &str, seed: u64) -> String {
    format!("{watch}-{seed}")
}

/// Every watch, and who is told.
async fn put_watches(rooms: &Rooms, rng: &mut StdRng, seed: u64) -> anyhow::Result<()> {
    let (ops, calm) = (id_of("ops", seed), id_of("calm", seed));
    rooms.recipient(&ops, "UTC", None, None).await?;
    // The story begins at 22:13:20: its first minutes are quiet, or just before.
    let quiet = if rng.random_bool(0.5) { "22:13-22:15" } else { "22:14-22:20" };
    rooms.recipient(&calm, "UTC", Some(quiet), Some("5/hour")).await?;
    let plain = Telling::default;
    let leading = || Telling { leading: true, ..Telling::default() };
    let grouped = || Telling { group_by: vec!["tx_hash".to_owned()], ..Telling::default() };
    let scheduled = Telling { schedule: Some("*/5 * * * *".parse()?), ..Telling::default() };
    for (who, watch, strategy, telling) in [
        (&ops, "now", Strategy::Immediate, plain()),
        (&ops, "later", window(30), plain()),
        (&ops, "sure", window(10), plain()),
        (&ops, "lead", window(15), leading()),
        (&ops, "sure-lead", window(15), leading()),
        (&ops, "each", window(20), grouped()),
        (&calm, "calm-now", Strategy::Immediate, plain()),
        (&calm, "calm-each", window(20), grouped()),
        (&calm, "calm-often", window(20), scheduled),
    ] {
        let depth = WATCHES.iter().find(|(name, _)| *name == watch).map(|(_, depth)| *depth);
        let deliver_at = match depth.context("its depth is listed")? {
            0 => DeliverAt::Seen,
            depth => DeliverAt::Depth(depth),
        };
        rooms.watch_of(who, &id_of(watch, seed), strategy, telling, deliver_at).await?;
    }
    Ok(())
}
