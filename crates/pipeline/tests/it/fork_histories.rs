//! Random histories of forks through ingest and the store: whatever happened, what is stored and what was published end
//! as the final chain alone would have it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use abi::Decoder;
use anyhow::{Context as _, ensure};
use domain::{ChainClient, ChainId, Clock, EventId, Finality, Origin, StartBlock, message::CloudEvent};
use pipeline::{
    Bell,
    ingest::{Did, FinalityRule, Ingest, IngestConfig, IngestDeps},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use store::{EventKey, EventQuery, Store, StoredEvent};
use testkit::{
    clock::ManualClock,
    forks::{ForkNode, ForkTree, Manners},
};

use crate::world::{BELL, World, contract, schema};

/// Histories of each of the tests below, on each store.
const HISTORIES: u64 = 125;

/// No fork goes deeper below the greatest height that ever was.
const DEPTH: u64 = 64;

macro_rules! quarters {
    ($($name:ident = $quarter:expr),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::histories(crate::world::World::sqlite().await?, $quarter).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::histories(crate::world::World::postgres().await?, $quarter).await
            })*
        }
    };
}

quarters!(
    any_history_of_forks_ends_as_the_final_chain = 0,
    any_history_of_forks_ends_as_the_final_chain_2 = 1,
    any_history_of_forks_ends_as_the_final_chain_3 = 2,
    any_history_of_forks_ends_as_the_final_chain_4 = 3,
);

async fn histories(world: World, quarter: u64) -> anyhow::Result<()> {
    let only: Option<u64> = std::env::var("CHAINBELL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = quarter * HISTORIES..(quarter + 1) * HISTORIES;
    for seed in seeds.filter(|seed| only.is_none_or(|only| only == *seed)) {
        History::new(&world.store, seed).run().await.with_context(|| {
            format!("CHAINBELL_SEED={seed} scripts/test -p chainbell-pipeline any_history_of_forks  # runs it again")
        })?;
    }
    Ok(())
}

struct History {
    rng: StdRng,
    store: Store,
    chain: ChainId,
    node: ForkNode,
    clock: Arc<ManualClock>,
    notify_backfill: bool,
    // Event ids that the published messages say are in the chain, and those that they say are final.
    seen: BTreeSet<String>,
    finals: BTreeMap<String, u32>,
    branches: Vec<Vec<alloy_primitives::B256>>,
    // What happened, for whoever must find out why.
    log: Vec<String>,
}

impl History {
    fn new(store: &Store, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut tree = ForkTree::new(BELL, schema().topic0());
        let height = if rng.random_bool(0.15) { rng.random_range(60..120) } else { rng.random_range(3..25) };
        for _ in 0..height {
            tree.mine(&mut rng);
        }
        let chain = ChainId(1_000 + seed);
        let node = ForkNode::new(chain, tree, seed);
        let notify_backfill = rng.random_bool(0.5);
        Self {
            rng,
            store: store.clone(),
            chain,
            node,
            clock: Arc::default(),
            notify_backfill,
            seen: BTreeSet::new(),
            finals: BTreeMap::new(),
            branches: Vec::new(),
            log: Vec::new(),
        }
    }

    fn name(&self) -> domain::ChainName {
        format!("chain{}", self.chain).parse().unwrap()
    }

    fn ingest(&mut self) -> Ingest {
        let contract = format!("bell{}", self.chain);
        let mut contract = contract_of(&contract);
        contract.chain = self.chain;
        let catalog = Arc::new(domain::Catalog::new(vec![contract]));
        let mut config = IngestConfig::new(self.chain, self.name());
        config.finality = FinalityRule::Depth(DEPTH + 6);
        config.max_reorg_depth = 100;
        config.blocks_max = self.rng.random_range(1..6);
        config.range_max = self.rng.random_range(1..40);
        config.notify_backfill = self.notify_backfill;
        let deps = IngestDeps {
            client: Arc::new(self.node.clone()) as Arc<dyn ChainClient>,
            store: self.store.clone(),
            catalog: Arc::clone(&catalog),
            decoder: Arc::new(Decoder::new(catalog)),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            relay: Bell::new(),
            committed: Bell::new(),
        };
        Ingest::new(deps, config)
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let told = self.history().await;
        told.with_context(|| format!("what happened:\n{}", self.log.join("\n")))
    }

    async fn history(&mut self) -> anyhow::Result<()> {
        // Two readers without a lease: the store alone keeps them apart.
        let mut readers = [self.ingest(), self.ingest()];
        for _ in 0..self.rng.random_range(5..35) {
            match self.rng.random_range(0..10) {
                0..4 => self.fork(),
                4 => self.misbehave(),
                5 => {
                    let which = self.rng.random_range(0..2);
                    readers[which] = self.ingest();
                    self.log.push(format!("reader {which} starts anew"));
                }
                6 => self.drain().await?,
                _ => {
                    let which = self.rng.random_range(0..2);
                    for _ in 0..self.rng.random_range(1..8) {
                        let did = readers[which].advance().await;
                        self.log.push(format!("reader {which}: {did:?}"));
                    }
                }
            }
        }
        self.end(&mut readers).await?;
        self.judge().await
    }

    fn fork(&mut self) {
        let Self { node, rng, branches, log, .. } = self;
        node.tree(|tree| {
            // How deep a fork may go, so that nothing final is taken back.
            let floor = tree.highest().saturating_sub(DEPTH);
            let kept = std::mem::take(branches);
            let branch = tree.branch();
            if !kept.is_empty() && rng.random_bool(0.2) {
                let back = kept[rng.random_range(0..kept.len())].clone();
                let shared = branch.iter().zip(&back).take_while(|(one, two)| one == two).count() as u64;
                if shared > floor {
                    log.push(format!("back to a branch of {} blocks", back.len()));
                    tree.switch_to(back);
                }
            }
            branches.extend(kept);
            branches.push(branch);
            if branches.len() > 4 {
                branches.remove(0);
            }
            let room = tree.height().saturating_sub(floor.max(1));
            let depth = if rng.random_bool(0.6) { 0 } else { rng.random_range(0..=room) };
            tree.rollback(usize::try_from(depth.min(room)).unwrap_or(0));
            let length = rng.random_range(0..12);
            for _ in 0..length {
                tree.mine(rng);
            }
            log.push(format!("{depth} blocks off, {length} on: the head is {}", tree.height()));
        });
    }

    fn misbehave(&mut self) {
        let manners = Manners {
            lag: if self.rng.random_bool(0.5) { self.rng.random_range(0..5) } else { 0 },
            failing: if self.rng.random_bool(0.5) { 0.3 } else { 0.0 },
            unindexed: if self.rng.random_bool(0.5) { 0.5 } else { 0.0 },
        };
        self.log.push(format!("{manners:?}"));
        self.node.behave(manners);
    }

    /// Publishes some of what waits, in order, and folds it.
    async fn drain(&mut self) -> anyhow::Result<()> {
        self.store.tell_finalized(self.chain, &self.name(), 5, self.clock.now()).await?;
        let rows = self.store.outbox_page(&Store::lane_of_chain(&self.name()), 40).await?;
        for message in rows.iter().flat_map(|row| &row.messages) {
            let event: CloudEvent = serde_json::from_str(&message.payload)?;
            let id = event.id.split(':').next().unwrap_or_default().to_owned();
            match event.kind.as_str() {
                "chainbell.event.seen.v1" => ensure!(self.seen.insert(id), "{} was seen twice", event.id),
                "chainbell.event.orphaned.v1" => {
                    ensure!(self.seen.remove(&id), "{} was never seen", event.id);
                }
                "chainbell.event.finalized.v1" => *self.finals.entry(id).or_default() += 1,
                other => anyhow::bail!("a message of type {other}"),
            }
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        self.store.outbox_delete(&ids).await?;
        Ok(())
    }

    /// The chain outgrows every branch, and everybody comes to rest.
    async fn end(&mut self, readers: &mut [Ingest; 2]) -> anyhow::Result<()> {
        self.node.behave(Manners::default());
        let Self { node, rng, .. } = self;
        node.tree(|tree| {
            while tree.height() <= tree.highest() || rng.random_bool(0.5) {
                let before = tree.highest();
                tree.mine(rng);
                if tree.height() > before {
                    break;
                }
            }
        });
        for (which, reader) in readers.iter_mut().enumerate() {
            let mut rested = false;
            for _ in 0..400 {
                let did = reader.advance().await;
                self.log.push(format!("at the end, reader {which}: {did:?}"));
                if matches!(did, Ok(Did::Idle)) {
                    rested = true;
                    break;
                }
            }
            ensure!(rested, "reader {which} does not come to rest");
        }
        while !self.store.outbox_page(&Store::lane_of_chain(&self.name()), 1).await?.is_empty() {
            self.drain().await?;
        }
        while !self.store.tell_finalized(self.chain, &self.name(), 1_000, self.clock.now()).await?.done {}
        while !self.store.outbox_page(&Store::lane_of_chain(&self.name()), 1).await?.is_empty() {
            self.drain().await?;
        }
        Ok(())
    }

    async fn judge(&self) -> anyhow::Result<()> {
        let key =
            |log: &domain::RawLog| EventKey { chain: self.chain, block: log.block, log_index: log.log_index };
        let (truth, ever): (Vec<_>, Vec<_>) = self.node.tree(|tree| {
            let of = |block| tree.logs(block).iter().map(key).collect::<Vec<_>>();
            (tree.chain().flat_map(of).collect(), tree.all().flat_map(of).collect())
        });
        let query = EventQuery {
            chain: self.chain,
            from: 0,
            to: u64::MAX,
            contract: None,
            after: None,
            limit: 100_000,
        };
        let stored = self.store.events(&query).await?;
        let held: Vec<_> = stored.iter().map(|stored| EventKey::of(&stored.event)).collect();
        ensure!(held == truth, "held: {held:#?}\nof the final chain: {truth:#?}");
        let logical: HashSet<_> = stored.iter().map(|stored| stored.event.logical).collect();
        ensure!(logical.len() == stored.len(), "two events of the chain share a logical identity");
        let in_chain: HashSet<_> = truth.iter().map(EventKey::event_id).collect();
        for stored in self.store.events_by_keys(&ever).await? {
            let orphaned = stored.finality == Finality::Orphaned;
            ensure!(orphaned != in_chain.contains(&stored.event.id), "a wrong mark: {stored:?}");
        }
        let news = |stored: &StoredEvent| self.notify_backfill || stored.event.origin == Origin::Live;
        ensure!(stored.iter().all(|stored| stored.published || !news(stored)), "what is news is told");
        let told: BTreeSet<String> = stored
            .iter()
            .filter(|stored| stored.published)
            .map(|stored| stored.event.id.to_string())
            .collect();
        let (more, less) = (self.seen.difference(&told), told.difference(&self.seen));
        let (more, less): (Vec<_>, Vec<_>) = (more.collect(), less.collect());
        let past = self.notify_backfill;
        ensure!(
            more.is_empty() && less.is_empty(),
            "the past is told: {past}; messages say of {} events what the chain does not: {more:#?}\nand say nothing of \
             {}: {less:#?}",
            more.len(),
            less.len()
        );
        self.judge_finality(&stored, &in_chain).await
    }

    async fn judge_finality(
        &self,
        stored: &[StoredEvent],
        in_chain: &HashSet<EventId>,
    ) -> anyhow::Result<()> {
        let row = self.store.chain(self.chain).await?.context("the chain is registered")?;
        let finalized = row.finalized.unwrap_or_default();
        for (id, times) in &self.finals {
            ensure!(*times == 1, "{id} became final {times} times");
            let id = EventId(id.parse()?);
            ensure!(in_chain.contains(&id), "{id} is not in the chain, and was told to be final");
        }
        for stored in stored.iter().filter(|stored| self.seen.contains(&stored.event.id.to_string())) {
            let told = self.finals.contains_key(&stored.event.id.to_string());
            let is_final = stored.event.block.number <= finalized;
            // What was final before anybody looked was told to nobody.
            ensure!(!told || is_final, "told too early: {stored:?}");
        }
        Ok(())
    }
}

fn contract_of(name: &str) -> domain::Contract {
    contract(name, &[BELL], StartBlock::Number(0))
}
