//! A world in which processes die, and the question at the end whether its recipient believes what the chain says.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitStatus,
    time::Duration,
};

use alloy_primitives::{Address, B256, U256};
use anyhow::Context as _;
use devnet::{Call, Options, Reorg};
use domain::{Clock as _, EventId};
use jiff::Timestamp;
use serde_json::Value as Json;
use store::{Store, StoreClock};
use testkit::{anvil::TestAnvil, deployment::Deployment, process::Running, wait::eventually};

use crate::world::{CHAIN, Stage, World, digest_watch, immediate_watch};

/// What goes on while a process waits for its death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Transfers that every watch wants, and blocks.
    Plain,
    /// The last of them falls out at once, and another takes its place.
    Fork,
    /// It falls out after it was told.
    TakenBack,
    /// The timer index is emptied while windows are open.
    Forgetful,
    /// The endpoint refuses the first tries.
    Refused,
    /// Nobody publishes what is in the outbox.
    Unheard,
}

const ROUNDS_MAX: usize = 60;
const DEATH_CAP: Duration = Duration::from_millis(700);
const TOLD_CAP: Duration = Duration::from_secs(3);
const HUSHER: &str = "nobody";
const HUSHED: Duration = Duration::from_secs(120);
/// Each is watched by one watch, or two.
const PAID: [usize; 4] = [3, 4, 5, 6];

pub(crate) struct Ordeal {
    pub(crate) stage: Stage,
    pub(crate) world: World,
    /// What is told begins with this block.
    pub(crate) from_block: u64,
    value: u64,
}

impl Ordeal {
    pub(crate) async fn begin(deployment: Deployment) -> anyhow::Result<Self> {
        // Blocks become final soon.
        let anvil = TestAnvil::start_with(Options { slots_in_an_epoch: 2, ..Options::default() }).await?;
        let (token, exchange) = (anvil.token().await?, anvil.exchange().await?);
        let stage = Stage { anvil, token, exchange };
        let to = |index| stage.anvil.account(index);
        let extra = immediate_watch("alert", "bell", "Transfer", &format!("to == {}", to(PAID[0])))
            + &digest_watch("in", to(PAID[1]), "300ms")
            + &digest_watch("deep", to(PAID[2]), "300ms")
            + "deliver_at = 1\n"
            + &immediate_watch("sure", "bell", "Transfer", &format!("to == {}", to(PAID[3])))
            + "deliver_at = 1\n";
        let world = World::new(deployment, &stage, &extra).await?;
        let text = std::fs::read_to_string(&world.config)?;
        // A delivery whose worker died is taken up soon.
        std::fs::write(&world.config, text.replace("[channels]", "[channels]\ndeadline = \"500ms\""))?;
        let from_block = stage.head().await? + 1;
        Ok(Self { stage, world, from_block, value: 0 })
    }

    fn pay(&mut self, to: Address) -> Call {
        self.value += 1;
        self.stage.token.transfer(self.stage.anvil.account(0), to, U256::from(self.value))
    }

    fn payments(&mut self) -> Vec<Call> {
        PAID.map(|index| self.stage.anvil.account(index)).into_iter().map(|to| self.pay(to)).collect()
    }

    /// Goes on, round after round, until the process is dead.
    pub(crate) async fn until_over(
        &mut self,
        running: &mut Running,
        round: Round,
    ) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.reads_on(running).await? {
            return Ok(status);
        }
        for _ in 0..ROUNDS_MAX {
            self.round(round).await?;
            let over = eventually("it dies", DEATH_CAP, || {
                let over = running.over();
                async move { Ok(over?.ok_or("alive")) }
            });
            if let Ok(status) = over.await {
                return Ok(status);
            }
        }
        anyhow::bail!("it lives")
    }

    /// Waits until the past is read, so that nothing that happens from now on is the past; or until the process is dead.
    pub(crate) async fn reads_on(&self, running: &mut Running) -> anyhow::Result<Option<ExitStatus>> {
        let store = self.world.store().await?;
        eventually("it reads, or is dead", crate::world::CAP, || {
            let over = running.over();
            let store = &store;
            async move {
                let over = over?;
                let cursors = store.contract_cursors(CHAIN).await?;
                let reads = !cursors.is_empty() && cursors.iter().all(|cursor| !cursor.is_behind());
                Ok(if over.is_some() || reads { Ok(over) } else { Err(cursors) })
            }
        })
        .await
    }

    /// A transfer for each watch, in one block.
    pub(crate) async fn pay_all(&mut self) -> anyhow::Result<()> {
        let calls = self.payments();
        self.stage.anvil.send_all(&calls).await?;
        Ok(())
    }

    /// The last block is replaced by one with another transfer.
    pub(crate) async fn fall_out(&mut self) -> anyhow::Result<()> {
        let other = self.pay(self.stage.anvil.account(PAID[0]));
        self.stage.anvil.reorg(Reorg::new(1).send(&other, 0)).await?;
        Ok(())
    }

    /// One round.
    pub(crate) async fn round(&mut self, round: Round) -> anyhow::Result<()> {
        if round == Round::Refused {
            for _ in 0..4 {
                self.world.receiver.fail_next(500, None);
            }
        }
        self.pay_all().await?;
        match round {
            Round::Plain | Round::Refused | Round::Unheard => {}
            Round::Fork | Round::TakenBack => {
                if round == Round::TakenBack {
                    // One way or the other: the process may be dead before it tells.
                    let _ = self.told_last().await;
                }
                self.fall_out().await?;
            }
            Round::Forgetful => self.forget_timers().await?,
        }
        self.stage.anvil.mine(3).await?;
        Ok(())
    }

    /// Takes the place of the process that publishes, when the dead one's lease is over.
    pub(crate) async fn hush(&self) -> anyhow::Result<()> {
        let store = self.world.store().await?;
        let clock = StoreClock::measure(&store).await?;
        eventually("the lease of the dead process is over", crate::world::CAP, || {
            let (store, now) = (&store, clock.now());
            async move {
                let held = store.take_lease(&relay_of_chain()?, HUSHER, now, HUSHED).await?;
                Ok(if held { Ok(()) } else { Err("held") })
            }
        })
        .await
    }

    /// Leaves it to the next process.
    pub(crate) async fn unhush(&self) -> anyhow::Result<()> {
        Ok(self.world.store().await?.release_lease(&relay_of_chain()?, HUSHER).await?)
    }

    async fn told_last(&self) -> anyhow::Result<()> {
        let wanted = self.ids_of("alert").await?;
        eventually("the last alert is told", TOLD_CAP, || async {
            let believed = believed(&self.world.receiver.inbox(), "alert")?;
            Ok(if wanted.is_subset(&believed) { Ok(()) } else { Err(believed.len()) })
        })
        .await
    }

    async fn forget_timers(&self) -> anyhow::Result<()> {
        if self.world.deployment.debounce == "store:" {
            return Ok(self.world.store().await?.window_clear().await?);
        }
        self.world.deployment.flush_redis().await
    }

    // The events of the final chain that a watch wants.
    async fn ids_of(&self, watch: &str) -> anyhow::Result<BTreeSet<EventId>> {
        let position = ["alert", "in", "deep", "sure"].iter().position(|known| *known == watch);
        let to = self.stage.anvil.account(PAID[position.context("a watch of this world")?]);
        let head = self.stage.head().await?;
        let logs = self.stage.anvil.logs(self.stage.token.address, self.from_block, head).await?;
        let mut ids = BTreeSet::new();
        for log in &logs {
            let topic = |index: usize| log["topics"][index].as_str().unwrap_or_default().to_owned();
            if topic(0) != TRANSFER || Address::from_word(topic(2).parse()?) != to {
                continue;
            }
            let block: B256 = log["blockHash"].as_str().unwrap_or_default().parse()?;
            let index: U256 = log["logIndex"].as_str().unwrap_or_default().parse()?;
            ids.insert(EventId::derive(CHAIN, block, index.to()));
        }
        Ok(ids)
    }

    // The chain grows meanwhile, by empty blocks: what is gone settles when others have followed.
    async fn rests(&self, store: &Store) -> anyhow::Result<()> {
        let (lane, mut looks) = (Store::lane_of_chain(&"local".parse()?), 0_u64);
        eventually("everything is told and settled", crate::world::CAP * 2, || {
            looks += 1;
            let (lane, grow) = (&lane, looks.is_multiple_of(10));
            async move {
                let head = self.stage.head().await?;
                let tip = store.chain(CHAIN).await?.and_then(|chain| chain.tip).map_or(0, |tip| tip.number);
                let left =
                    store.work_left(CHAIN, lane, head, 0, (Timestamp::MAX, &store::Apart::default())).await?;
                let due = store.doubtful(CHAIN, head, 10).await?.len();
                if tip == head && left.is_done() && due == 0 {
                    return Ok(Ok(()));
                }
                if grow {
                    self.stage.anvil.mine(1).await?;
                }
                Ok(Err((tip, head, left, due)))
            }
        })
        .await
    }

    /// The last process comes to rest, and its recipient believes exactly what the chain says.
    pub(crate) async fn ends_exact(self) -> anyhow::Result<()> {
        let mut running = self.world.start(&[])?;
        let store = self.world.store().await?;
        self.rests(&store).await.with_context(|| self.world.logged())?;
        anyhow::ensure!(running.over()?.is_none(), "it ended by itself\n{}", self.world.logged());
        let mut events = 0;
        for watch in ["alert", "in", "deep", "sure"] {
            let (wanted, told) = (self.ids_of(watch).await?, believed(&self.world.receiver.inbox(), watch)?);
            events += wanted.len();
            let (lost, false_): (Vec<_>, Vec<_>) =
                (wanted.difference(&told).collect(), told.difference(&wanted).collect());
            anyhow::ensure!(
                lost.is_empty() && false_.is_empty(),
                "{watch}: lost {lost:?}, not taken back {false_:?}\n{}",
                self.world.logged()
            );
        }
        anyhow::ensure!(events > 0, "nothing happened");
        running.terminate().await?;
        Ok(())
    }
}

/// keccak-256 of `Transfer(address,address,uint256)`.
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

fn relay_of_chain() -> anyhow::Result<String> {
    Ok(format!("relay:{}", Store::lane_of_chain(&"local".parse()?)))
}

// What the endpoint believes of a watch: the events of the last revision of each notification. One that two tell of is
// an error.
fn believed(inbox: &BTreeMap<String, Json>, watch: &str) -> anyhow::Result<BTreeSet<EventId>> {
    let mut last: BTreeMap<&str, &Json> = BTreeMap::new();
    for body in inbox.values().filter(|body| body["data"]["watch"] == watch) {
        let data = &body["data"];
        let first = data["corrects"].as_str().or_else(|| data["id"].as_str()).context("an id")?;
        let newer = |held: &&Json| held["data"]["revision"].as_u64() < data["revision"].as_u64();
        if last.get(first).is_none_or(newer) {
            last.insert(first, body);
        }
    }
    let mut believed = BTreeSet::new();
    for body in last.into_values().filter(|body| body["type"] != "notification.retracted") {
        for event in body["data"]["events"].as_array().context("events")? {
            let event: EventId = event.as_str().context("an event id")?.parse()?;
            anyhow::ensure!(believed.insert(event), "{watch}: event {event} was told twice");
        }
    }
    Ok(believed)
}
