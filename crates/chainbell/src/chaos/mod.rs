//! `chainbell chaos`: the whole pipeline as processes of its own, on a local chain that forks, with everything around it
//! failing, and the question at the end whether anybody was told anything wrong.
//!
//! Owns one run: the world, the plan's execution, the settling and the verdict. The pipeline is the real one, started as
//! `run` starts it; the verdict uses nothing of it.

mod chain;
mod endpoints;
mod judge;
mod plan;
mod processes;
mod proxy;
mod world;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use domain::{ChainId, Clock};
use jiff::Timestamp;
use pipeline::hit_audit::HitAudit;
use store::Store;

use crate::{commands::audit_hits, config::Config, failure::Failure};
use chain::{CHAIN_ID, Chain, EPOCH};
use judge::{Verdict, judge};
use plan::{Act, Dice, Plan};
use processes::Processes;
use proxy::Proxy;
use world::World;

pub use world::Servers;

/// How long the pipeline may take to come up, and to come to rest in the end.
const REST_MAX: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After how many looks a broker that takes nothing is emptied once more.
const PURGE_EVERY: u64 = 405;
/// After how many looks there is another block.
const BLOCK_EVERY: u64 = 20;

/// What happened in a run.
#[derive(Debug, Default)]
struct Tally {
    forks: u64,
    cuts: u64,
    stalls: u64,
    flushes: u64,
    purges: u64,
}

/// A run that came to its end.
pub struct Report {
    seed: u64,
    servers: bool,
    tally: Tally,
    killed: u64,
    crashed: u64,
    transactions: u64,
    requests: (u64, u64),
    owed: u64,
    verdict: Verdict,
    /// Where the run's logs and store are; gone with the report unless they are kept.
    pub folder: tempfile::TempDir,
}

impl Report {
    /// Whether everything was right.
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean()
    }

    /// What was wrong, one sentence each.
    pub fn sentences(&self) -> &[String] {
        &self.verdict.sentences
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { forks, cuts, stalls, flushes, purges } = &self.tally;
        let (seed, killed, crashed) = (self.seed, self.killed, self.crashed);
        let deployment = if self.servers { "servers" } else { "embedded" };
        let (requests, failed) = self.requests;
        write!(
            f,
            "seed {seed} {deployment}: {killed} kills, {crashed} crash points, {forks} forks, {cuts} cuts, {stalls} stalls, \
             {flushes} flushes, {purges} purges, {failed} of {requests} requests failed; {} transactions, {} hits owed, {} \
             tellings, {} corrections, {} retractions: {}",
            self.transactions,
            self.owed,
            self.verdict.believed,
            self.verdict.corrected,
            self.verdict.retracted,
            self.verdict
        )
    }
}

struct Run {
    world: World,
    store: Store,
    clock: Arc<dyn Clock>,
    chain: Chain,
    miners: Dice,
    processes: Processes,
    // The pipeline's own opinion, which must agree with ours.
    audit: HitAudit,
    owed: u64,
    tally: Tally,
}

/// Runs a seed for about `length`, and judges.
///
/// # Errors
/// When the world cannot be built, or the pipeline does not come to rest; what it was doing then is in the sentence.
pub async fn run(seed: u64, length: Duration, servers: Option<&Servers>) -> Result<Report, Failure> {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let plan = Plan::of(seed, millis, servers.is_some());
    let chain = Chain::start().await.map_err(of_chain)?;
    let world = World::build(seed, &chain, servers, plan.endpoints.clone()).await?;
    let (config, log) = (world.folder.path().join("chainbell.toml"), world.folder.path().join("log.txt"));
    let (store, clock) = (world.store.clone(), Arc::clone(&world.clock));
    let audit = audit_hits::of(&Config::load(Some(&config))?, &store, &clock);
    let processes = Processes::new(config, log, &plan.processes);
    let (miners, tally) = (plan.miners, Tally::default());
    let mut run = Run { world, store, clock, chain, miners, processes, audit, owed: 0, tally };
    let done = run.through(&plan.steps).await;
    let logs = run.world.folder.path().join("log.txt");
    let verdict = match done {
        Ok(verdict) => verdict,
        Err(failure) => {
            let kept = run.world.keep();
            return Err(Failure::world(format!("{failure}; the log is {}\n{}", kept.display(), tail(&logs))));
        }
    };
    Ok(run.report(seed, servers.is_some(), verdict).await)
}

fn stuck_outbox(state: &str) -> bool {
    state.contains("outbox: ") && !state.contains("outbox: 0,")
}

fn of_chain(error: devnet::Error) -> Failure {
    Failure::world(error.to_string())
}

/// How many lines of the log are shown when a run does not end.
const TAIL: usize = 15;

fn tail(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

impl Run {
    async fn through(&mut self, steps: &[plan::Step]) -> Result<Verdict, Failure> {
        self.processes.fresh().await?;
        self.until("the pipeline to come up", async |run| {
            let tip = run.tip().await?;
            let head = run.chain.head().await.map_err(of_chain)?;
            Ok(if tip == Some(head.number) { None } else { Some(format!("tip {tip:?}")) })
        })
        .await?;
        audit_hits::hold(&mut self.audit, self.clock.as_ref()).await?;
        // What was there until now is the past.
        self.chain.begin().await.map_err(of_chain)?;
        for step in steps {
            self.clock.sleep(Duration::from_millis(step.pause_ms)).await;
            self.processes.revive()?;
            self.act(&step.act).await?;
        }
        self.settle().await?;
        self.verdict().await
    }

    async fn act(&mut self, act: &Act) -> Result<(), Failure> {
        match act {
            Act::Block(payments) => self.chain.block(payments).await.map_err(of_chain)?,
            Act::Fork { depth, again_percent, news } => {
                let forked = self.chain.fork(*depth, *again_percent, news, &mut self.miners).await;
                self.tally.forks += u64::from(forked.map_err(of_chain)?);
            }
            Act::Shrink { depth } => {
                self.tally.forks += u64::from(self.chain.shrink(*depth).await.map_err(of_chain)?);
            }
            Act::Kill { process, down_ms, crash } => {
                self.processes.kill(*process).await?;
                self.clock.sleep(Duration::from_millis(*down_ms)).await;
                self.processes.start(*process, *crash)?;
            }
            Act::Cut => {
                self.world.proxies.iter().for_each(Proxy::cut);
                self.tally.cuts += 1;
            }
            Act::Stall { millis } => {
                self.world.proxies.iter().for_each(|proxy| proxy.stall(true));
                self.clock.sleep(Duration::from_millis(*millis)).await;
                self.world.proxies.iter().for_each(|proxy| proxy.stall(false));
                self.tally.stalls += 1;
            }
            Act::FlushTimers => {
                self.world.flush_timers().await?;
                self.tally.flushes += 1;
            }
            Act::PurgeStreams => {
                self.tally.purges += u64::from(self.world.purge_streams().await);
            }
        }
        Ok(())
    }

    /// Everything around behaves, the chain grows until all of it is final, and the pipeline comes to rest.
    async fn settle(&mut self) -> Result<(), Failure> {
        self.world.endpoints.behave();
        self.processes.fresh().await?;
        // In pieces, as a chain grows: what was told and is gone is taken back some blocks later.
        for _ in 0..EPOCH {
            self.chain.blocks(3).await.map_err(of_chain)?;
            self.clock.sleep(LOOK_EVERY).await;
        }
        self.until("everything to be told", async |run| run.unrest().await).await
    }

    // What is not done yet.
    async fn unrest(&self) -> Result<Option<String>, Failure> {
        let head = self.chain.head().await.map_err(of_chain)?;
        let Some(row) = self.store.chain(ChainId(CHAIN_ID)).await? else {
            return Ok(Some("the chain is not known".to_owned()));
        };
        let tip = row.tip.map(|tip| tip.number);
        if row.tip.is_none_or(|tip| tip.hash != head.hash) {
            return Ok(Some(format!("tip {tip:?} of {}", head.number)));
        }
        if row.finalized.is_none_or(|finalized| finalized + 2 * EPOCH < head.number) {
            return Ok(Some(format!("final up to {:?} of {}", row.finalized, head.number)));
        }
        let lane = Store::lane_of_chain(&row.name);
        let left = self
            .store
            .work_left(ChainId(CHAIN_ID), &lane, head.number, 0, (Timestamp::MAX, &store::Apart::default()))
            .await?;
        if !left.is_done() {
            return Ok(Some(format!("{left:?}")));
        }
        let doubtful = self.store.doubtful(ChainId(CHAIN_ID), head.number, 10).await?;
        Ok(if doubtful.is_empty() { None } else { Some(format!("{} corrections due", doubtful.len())) })
    }

    async fn tip(&self) -> Result<Option<u64>, Failure> {
        Ok(self.store.chain(ChainId(CHAIN_ID)).await?.and_then(|row| row.tip).map(|tip| tip.number))
    }

    async fn until(
        &mut self,
        what: &str,
        mut state: impl AsyncFnMut(&Self) -> Result<Option<String>, Failure>,
    ) -> Result<(), Failure> {
        let (mut waited, mut looks) = (Duration::ZERO, 0);
        while let Some(state) = state(self).await? {
            if waited >= REST_MAX {
                let seconds = REST_MAX.as_secs();
                return Err(Failure::world(format!("waited {seconds} s in vain for {what}: {state}")));
            }
            self.processes.revive()?;
            self.clock.sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
            looks += 1;
            // A chain goes on: what is gone is taken back when blocks have followed.
            if looks % BLOCK_EVERY == 0 {
                self.chain.blocks(1).await.map_err(of_chain)?;
            }
            // A stream that was made while it was deleted may be there and acknowledge nothing: nats-server has lost its
            // files. What is told is told all the same, by the sweeps; an operator deletes such a stream.
            if looks % PURGE_EVERY == 0 && stuck_outbox(&state) {
                self.tally.purges += u64::from(self.world.purge_streams().await);
            }
        }
        Ok(())
    }

    async fn verdict(&mut self) -> Result<Verdict, Failure> {
        let truth = self.chain.truth().await.map_err(of_chain)?;
        let interests = world::interests(&self.chain);
        let endpoints = &self.world.endpoints;
        let mut verdict = endpoints
            .seen(|seen| judge(&|id| self.chain.ever(id).copied(), &truth, &interests, &seen.inboxes));
        endpoints.seen(|seen| {
            for id in &seen.changed {
                verdict.wrong += 1;
                verdict.sentences.push(format!("something else came under the id {id} the second time"));
            }
        });
        let audited = self.audit.run(&[ChainId(CHAIN_ID)], 0).await;
        let audited = audited.map_err(|error| Failure::world(error.to_string()))?;
        verdict.sentences.extend(audited.differences.iter().map(audit_hits::line));
        self.owed = audited.owed;
        if self.processes.fallen > 0 {
            verdict.sentences.push(format!("{} processes ended by themselves", self.processes.fallen));
        }
        Ok(verdict)
    }

    async fn report(self, seed: u64, servers: bool, verdict: Verdict) -> Report {
        let Self { world, chain, processes, tally, owed, .. } = self;
        let (killed, crashed) = (processes.killed, processes.crashed);
        // The processes end before what they work on.
        drop(processes);
        let requests = world.endpoints.seen(|seen| (seen.requests, seen.failed));
        let transactions = chain.transactions;
        let folder = world.end().await;
        Report { seed, servers, tally, killed, crashed, transactions, requests, owed, verdict, folder }
    }
}
