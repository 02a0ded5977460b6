//! Two URLs, the first of which fails in one of the ways in which nodes fail: how late a block of the second is read. Time
//! is the test's: it moves only when the reader waits for it, so that what is measured are the waits of the reader, and not
//! the speed of the machine.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::B256;
use chain::{Node, NodeConfig};
use domain::{ChainClient, Clock};
use pipeline::{Progress, Room as _, ingest::Ingest};
use serde_json::json;
use testkit::{
    clock::{ManualClock, RealClock},
    scripted_node::{LogSpec, Reply, ScriptedBlock, ScriptedNode},
    wire::Wire,
};
use tokio::task::JoinHandle;

use crate::world::{BELL, CHAIN, World, name, ring};

/// A block is never later than this.
const LATE_MAX: Duration = Duration::from_secs(5);

/// A block that is later than this is not waited for.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// By so much time moves at once.
const STEP: Duration = Duration::from_millis(100);

/// From block to block: no multiple of any interval, so that each block comes at another moment between two looks.
const BETWEEN: Duration = Duration::from_millis(13_350);

/// How many blocks come after the first URL began to fail.
const BLOCKS: usize = 5;

/// How many ways a task may go on before it counts as one that waits.
const TURNS: usize = 100;

const METHODS: [&str; 6] = [
    "eth_chainId",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getLogs",
    "eth_getBlockReceipts",
    "eth_subscribe",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Socket,
    Http,
}

/// How the first URL fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// It answers nothing, over a connection that stays open.
    Mute,
    /// The same, of questions for logs only.
    MuteForLogs,
    /// Each question has an error for an answer.
    Refuses(i64, &'static str),
    /// Its head does not move any more.
    Stuck,
    /// It has no logs of any block.
    NoLogs,
    /// It has the logs of another block.
    OtherLogs,
    /// It gives other blocks than it is asked for.
    OtherBlocks,
    /// Its newest block is one that nobody has.
    ForgedHead,
    /// It has blocks that nobody else has, in place of the newest ones.
    Forks,
    /// Nobody listens at its port.
    Closed,
}

/// What the reader does, for the test that moves the time.
#[derive(Debug, Default)]
struct Signs {
    /// It rests, or pauses after an error.
    waits: AtomicBool,
    /// Questions that are never answered.
    unanswered: AtomicUsize,
    /// How many of them there were when its step began.
    before: AtomicUsize,
    /// The blocks whose logs the second URL was asked for.
    asked: Mutex<HashSet<String>>,
}

impl Signs {
    fn waits(&self) -> bool {
        let [before, now] = [&self.before, &self.unanswered].map(|count| count.load(Ordering::Relaxed));
        self.waits.load(Ordering::Relaxed) || now > before
    }

    fn was_asked_for(&self, block: B256) -> bool {
        self.asked.lock().unwrap().contains(&block.to_string())
    }
}

/// The two nodes, and a reader of both at work.
struct Stage {
    world: World,
    sound: ScriptedNode,
    wire: Wire,
    signs: Arc<Signs>,
    clock: Arc<ManualClock>,
    reader: JoinHandle<()>,
    tx: u64,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Stage {
    async fn set(transport: Transport) -> anyhow::Result<Self> {
        let world = World::sqlite().await?;
        let sound = ScriptedNode::start().await?;
        sound.chain(|chain| *chain = world.branch());
        let first = match transport {
            Transport::Socket => world.node.ws_url(),
            Transport::Http => world.node.http_url(),
        };
        let (wire, first) = Wire::to(&first).await?;
        let signs = Arc::<Signs>::default();
        let asked = Arc::clone(&signs);
        sound.interfere(move |calls| {
            let logs = calls.iter().filter(|call| call.method == "eth_getLogs");
            let hashes = logs.filter_map(|call| call.params[0]["blockHash"].as_str().map(ToOwned::to_owned));
            asked.asked.lock().unwrap().extend(hashes);
            None
        });
        let clock = Arc::clone(&world.clock);
        let config = NodeConfig::new(name(), CHAIN, vec![first, sound.http_url()]);
        let node = Node::connect(config, Arc::clone(&clock) as Arc<dyn Clock>).await?;
        let client = Arc::new(node) as Arc<dyn ChainClient>;
        let ingest =
            world.ingest_of(&client, &world.catalog(), |config| config.poll = Duration::from_secs(4));
        let reader = tokio::spawn(read(ingest, Arc::clone(&clock), Arc::clone(&signs)));
        Ok(Self { world, sound, wire, signs, clock, reader, tx: 0 })
    }

    /// Lets everything happen that waits for no time.
    async fn settle(&self) {
        for _ in 0..20 {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            if self.signs.waits() {
                return;
            }
            // The store works on threads of its own.
            RealClock.sleep(Duration::from_millis(1)).await;
        }
    }

    async fn pass(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            self.settle().await;
            let step = left.min(STEP);
            self.clock.advance(step);
            left -= step;
        }
    }

    /// The next block, of both nodes.
    fn mine(&mut self) -> ScriptedBlock {
        let block = self.mine_without_the_first();
        self.world.node.chain(|chain| *chain = self.sound.chain(|chain| chain.clone()));
        block
    }

    fn mine_without_the_first(&mut self) -> ScriptedBlock {
        self.tx += 1;
        let logs: Vec<LogSpec> = vec![ring(BELL, self.tx)];
        self.sound.chain(|chain| chain.mine(logs))
    }

    /// Lets time pass until the block is read of the second URL; returns how long that took.
    async fn lateness(&self, block: &ScriptedBlock) -> Duration {
        let mut late = Duration::ZERO;
        loop {
            self.settle().await;
            if late >= GIVEN_UP || self.signs.was_asked_for(block.block.hash) {
                return late;
            }
            self.clock.advance(STEP);
            late += STEP;
        }
    }

    /// Blocks that the first URL tells of as a sound one does.
    async fn good_times(&mut self) -> anyhow::Result<()> {
        for _ in 0..3 {
            self.pass(BETWEEN).await;
            let block = self.mine();
            self.world.node.announce("newHeads", &block.header_json());
        }
        self.pass(BETWEEN).await;
        anyhow::ensure!(
            self.world.tip().await? == self.world.head(),
            "the first URL is read while it is sound"
        );
        Ok(())
    }

    /// Begins to fail; `chain` is what it knows.
    async fn fail(&mut self, how: Fails) {
        let node = &self.world.node;
        match how {
            Fails::Mute => METHODS.iter().for_each(|method| self.mute(method)),
            Fails::MuteForLogs => self.mute("eth_getLogs"),
            Fails::Refuses(code, words) => {
                for method in METHODS {
                    node.always(method, Reply::error(code, words));
                }
            }
            Fails::NoLogs => node.always("eth_getLogs", Reply::Result(json!([]))),
            Fails::Forks => node.chain(|chain| {
                chain.rollback(2);
                (900..902).for_each(|tx| drop(chain.mine(vec![ring(BELL, tx)])));
            }),
            Fails::Stuck | Fails::OtherLogs | Fails::OtherBlocks | Fails::ForgedHead => {}
            Fails::Closed => self.wire.cut().await,
        }
    }

    fn mute(&self, method: &str) {
        let signs = Arc::clone(&self.signs);
        self.world.node.answer(method, move |_| {
            signs.unanswered.fetch_add(1, Ordering::Relaxed);
            Reply::Silence
        });
    }

    /// The next block, and what the first URL makes of it.
    fn next_block(&mut self, how: Fails) -> ScriptedBlock {
        if matches!(how, Fails::Stuck | Fails::Mute) {
            return self.mine_without_the_first();
        }
        if how == Fails::Forks {
            let block = self.mine_without_the_first();
            let own = vec![ring(BELL, 1_000 + self.tx)];
            self.world.node.mine(own);
            return block;
        }
        let block = self.mine();
        let node = &self.world.node;
        let whole = self.world.branch();
        match how {
            Fails::OtherLogs => node.answer("eth_getLogs", move |_| {
                let other = whole.block(whole.head().block.number - 1).expect("a block below");
                Reply::Result(other.logs_json().into_iter().collect())
            }),
            Fails::OtherBlocks => {
                for method in ["eth_getBlockByNumber", "eth_getBlockByHash"] {
                    let whole = whole.clone();
                    node.answer(method, move |params| forged(whole.answer(method, params)));
                }
            }
            Fails::ForgedHead => node.answer("eth_getBlockByNumber", move |params| {
                let answer = whole.answer("eth_getBlockByNumber", params);
                let newest = [json!("latest"), json!(format!("0x{:x}", whole.head().block.number))];
                if newest.contains(&params[0]) { forged(answer) } else { answer }
            }),
            _ => {}
        }
        let head = block.header_json();
        match how {
            Fails::OtherBlocks | Fails::ForgedHead => {
                if let Reply::Result(head) = forged(Reply::Result(head)) {
                    node.announce("newHeads", &head);
                }
            }
            Fails::Refuses(..) | Fails::Closed => {}
            _ => node.announce("newHeads", &head),
        }
        block
    }
}

/// The same block under another hash.
fn forged(reply: Reply) -> Reply {
    let Reply::Result(mut header) = reply else { return reply };
    if let Some(hash) = header["hash"].as_str() {
        let hash: B256 = hash.parse().expect("a hash");
        header["hash"] = json!(B256::from(std::array::from_fn(|at| hash[at] ^ 0x5a)));
    }
    Reply::Result(header)
}

/// The reader, as it runs; it says when it waits.
async fn read(mut ingest: Ingest, clock: Arc<ManualClock>, signs: Arc<Signs>) {
    let mut pause = Duration::from_millis(100);
    loop {
        signs.before.store(signs.unanswered.load(Ordering::Relaxed), Ordering::Relaxed);
        let done = ingest.step().await;
        signs.waits.store(true, Ordering::Relaxed);
        match done {
            Ok(Progress::Worked) => pause = Duration::from_millis(100),
            Ok(Progress::Idle) => {
                pause = Duration::from_millis(100);
                ingest.rest().await;
            }
            Err(_) => {
                clock.sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(15));
            }
        }
        signs.waits.store(false, Ordering::Relaxed);
    }
}

/// How late each block is.
async fn late(transport: Transport, how: Fails) -> anyhow::Result<Vec<Duration>> {
    let mut stage = Stage::set(transport).await?;
    stage.good_times().await?;
    stage.fail(how).await;
    let mut late = Vec::new();
    for _ in 0..BLOCKS {
        let block = stage.next_block(how);
        let took = stage.lateness(&block).await;
        late.push(took);
        stage.pass(BETWEEN.saturating_sub(took)).await;
    }
    anyhow::ensure!(
        stage.world.tip().await? == stage.sound.chain(|chain| chain.head().block.number),
        "{late:?}"
    );
    stage.world.switch_to(&stage.sound.chain(|chain| chain.clone()));
    stage.world.agrees().await?;
    Ok(late)
}

async fn is_prompt(how: Fails) -> anyhow::Result<()> {
    for transport in [Transport::Socket, Transport::Http] {
        let late = late(transport, how).await?;
        println!("{how:?}, {transport:?}: {late:?}");
        assert!(late.iter().all(|late| *late <= LATE_MAX), "{how:?}, {transport:?}: {late:?}");
    }
    Ok(())
}

#[tokio::test]
async fn beside_a_mute_url_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::Mute).await
}

#[tokio::test]
async fn beside_a_url_that_is_mute_for_logs_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::MuteForLogs).await
}

#[tokio::test]
async fn beside_a_url_that_refuses_everything_no_block_is_late() -> anyhow::Result<()> {
    for (code, words) in [(-32603, "Internal error"), (-32005, "limit exceeded"), (-32000, "unknown block")] {
        is_prompt(Fails::Refuses(code, words)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn beside_a_url_that_is_stuck_on_an_old_head_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::Stuck).await
}

#[tokio::test]
async fn beside_a_url_that_lies_about_logs_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::NoLogs).await?;
    is_prompt(Fails::OtherLogs).await
}

#[tokio::test]
async fn beside_a_url_that_lies_about_blocks_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::OtherBlocks).await?;
    is_prompt(Fails::ForgedHead).await
}

#[tokio::test]
async fn beside_a_url_that_tells_of_a_reorg_of_its_own_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::Forks).await
}

#[tokio::test]
async fn beside_a_url_at_whose_port_nobody_listens_no_block_is_late() -> anyhow::Result<()> {
    is_prompt(Fails::Closed).await
}
