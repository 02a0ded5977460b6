//! From a block's publication to its committed rows, side by side in one run over the same WebSocket of one fixture node:
//! a bare loop (head, logs by hash, insert, commit), and `chainbell run`, the real binary.
//!
//! `scripts/bench live [--blocks N] [--logs N] [--every-ms N]`; wants `CHAINBELL_BENCH_BINARY` and `CHAINBELL_TEST_POSTGRES`,
//! which the script sets. A trigger that notifies when rows are inserted tells when they are committed, on both sides.

#[path = "side/mod.rs"]
mod side;

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use side::{bare, binary, node::between};
use sqlx::postgres::{PgListener, PgPool};
use store::Store;
use testkit::fixture_node::{FixtureNode, Shape};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

/// The longest that a block is waited for.
const BLOCK_MAX: Duration = Duration::from_secs(20);

/// The longest that a side is waited for until it listens.
const READY_MAX: Duration = Duration::from_secs(30);

/// Blocks before the ones that count.
const WARM_UP: usize = 20;

/// As far below the head as the fixture node's `finalized`.
const SETTLED: usize = 64;

struct Options {
    blocks: usize,
    logs: u64,
    every: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["bare", url, store] = words.as_slice() {
        return bare::follow(url, store).await;
    }
    let number = |name: &str, default: u64| -> anyhow::Result<u64> {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)).map_or(Ok(default), |value| Ok(value.parse()?))
    };
    let options = Options {
        blocks: usize::try_from(number("--blocks", 300)?)?,
        logs: number("--logs", 100)?,
        every: Duration::from_millis(number("--every-ms", 50)?),
    };
    compare(&options).await
}

async fn compare(options: &Options) -> anyhow::Result<()> {
    let server = std::env::var("CHAINBELL_TEST_POSTGRES").context("run scripts/bench live")?;
    let Options { blocks, logs, every } = options;
    println!("{blocks} blocks of {logs} logs, one every {every:?}, PostgreSQL, {} cores", side::cores());
    println!(
        "{:<12} {:>8} {:>8} {:>8} {:>20} {:>20}",
        "", "p50 ms", "p95 ms", "max ms", "calls/block", "empty blocks"
    );
    let mut medians = Vec::new();
    for ours in [false, true, false, true] {
        let folder = tempfile::tempdir()?;
        let store = side::database(&server).await?;
        let node = FixtureNode::start(Shape::new(100, 0)).await?;
        bare::prepare(&store).await?;
        let mut listener = listen(&store).await?;
        let process = if ours {
            chainbell(&node, &store, folder.path()).await?
        } else {
            loop_of(&node, &store).await?
        };
        let before = node.calls();
        let times = times(&node, &mut listener, options).await?;
        let with = between(&before, &node.calls());
        let averages = binary::averages(folder.path()).await.unwrap_or_default();
        // Until nothing waits to become final any more.
        empty(&node, &store, options, 2 * SETTLED).await?;
        let before = node.calls();
        empty(&node, &store, options, options.blocks).await?;
        let without = between(&before, &node.calls());
        let name = if ours { "chainbell" } else { "bare loop" };
        let calls = |calls: &BTreeMap<String, u64>, blocks: usize| {
            let all: u64 = calls.values().sum();
            format!("{:.2}", ratio(all, blocks))
        };
        println!(
            "{name:<12} {:>8.2} {:>8.2} {:>8.2} {:>20} {:>20}",
            at(&times, 50),
            at(&times, 95),
            at(&times, 100),
            calls(&with, options.blocks + WARM_UP),
            calls(&without, options.blocks)
        );
        medians.push((at(&times, 50), at(&times, 95)));
        drop(process);
        side::drop_database(&store).await?;
        if std::env::var("CHAINBELL_BENCH_LOG").is_ok() {
            for (name, average) in averages {
                println!("{average:>9.3} ms {name}");
            }
            println!("with {with:?}, without {without:?}");
            println!("{}", std::fs::read_to_string(folder.path().join("log.txt")).unwrap_or_default());
        }
    }
    let [bare, ours] = [0, 1].map(|side| {
        let of = medians.iter().skip(side).step_by(2);
        let (fifty, ninety): (Vec<f64>, Vec<f64>) = of.copied().unzip();
        (fifty.iter().sum::<f64>() / 2.0, ninety.iter().sum::<f64>() / 2.0)
    });
    println!(
        "chainbell takes {:.2} times the bare loop's p50, {:.2} times its p95",
        ours.0 / bare.0,
        ours.1 / bare.1
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "an average for people")]
fn ratio(all: u64, blocks: usize) -> f64 {
    all as f64 / blocks as f64
}

fn at(times: &[Duration], percent: usize) -> f64 {
    let index = (times.len() * percent / 100).min(times.len() - 1);
    times[index].as_secs_f64() * 1_000.0
}

/// Notifies of every insertion into the table of events, when it is committed.
async fn listen(store: &str) -> anyhow::Result<PgListener> {
    let pool = PgPool::connect(store).await?;
    for statement in [
        "CREATE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_notify('bench', (SELECT max(block_number) FROM fresh)::text); RETURN NULL; END $$",
        "CREATE TRIGGER bench_tell AFTER INSERT ON event REFERENCING NEW TABLE AS fresh
            FOR EACH STATEMENT EXECUTE FUNCTION bench_tell()",
    ] {
        sqlx::query(statement).execute(&pool).await?;
    }
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("bench").await?;
    Ok(listener)
}

/// How long each block took, shortest first.
async fn times(
    node: &FixtureNode,
    listener: &mut PgListener,
    options: &Options,
) -> anyhow::Result<Vec<Duration>> {
    let mut ticks = ticks(options.every);
    let mut times = Vec::with_capacity(options.blocks);
    for position in 0..options.blocks + WARM_UP {
        ticks.tick().await;
        let number = node.add(options.logs);
        let began = side::now();
        node.announce(number);
        let committed = async {
            loop {
                let told: u64 = listener.recv().await?.payload().parse()?;
                if told >= number {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(BLOCK_MAX, committed).await.with_context(|| format!("block {number} is not committed"))??;
        if position >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Blocks without logs, until the last of them is the tip.
async fn empty(node: &FixtureNode, store: &str, options: &Options, blocks: usize) -> anyhow::Result<()> {
    let pool = PgPool::connect(store).await?;
    let mut ticks = ticks(options.every);
    for _ in 0..blocks {
        ticks.tick().await;
        node.mine(0);
    }
    let (head, _) = node.head();
    let there = async {
        loop {
            let tip: Option<i64> =
                sqlx::query_scalar("SELECT tip_number FROM chain").fetch_one(&pool).await?;
            if tip == Some(head.cast_signed()) {
                return anyhow::Ok(());
            }
            ticks.tick().await;
        }
    };
    timeout(BLOCK_MAX, there).await.context("the last block is not the tip")?
}

async fn loop_of(node: &FixtureNode, store: &str) -> anyhow::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["bare", &node.ws_url(), store])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let out = child.stdout.take().context("its output")?;
    timeout(READY_MAX, BufReader::new(out).lines().next_line()).await??.context("it listens")?;
    Ok(child)
}

async fn chainbell(node: &FixtureNode, store: &str, folder: &Path) -> anyhow::Result<Child> {
    // The tables are there; the chain is to be met anew.
    let pool = PgPool::connect(store).await?;
    sqlx::query("TRUNCATE chain, contract, event_schema").execute(&pool).await?;
    // What following costs: the audit reads again what is final, at a price of its own.
    let config = binary::config(&node.ws_url(), store).replace("rpc =", "audit = \"off\"\nrpc =");
    let child = binary::start(&config, folder, &[])?;
    let mut ticks = ticks(Duration::from_millis(50));
    let ready = async {
        // Until it has read the past and listens.
        loop {
            let log = std::fs::read_to_string(folder.join("log.txt")).unwrap_or_default();
            let store = Store::connect(store).await?;
            let cursors = store.contract_cursors(domain::ChainId(testkit::fixture_node::CHAIN_ID)).await?;
            store.close().await;
            let past = !cursors.is_empty() && cursors.iter().all(|cursor| !cursor.is_behind());
            if past && log.contains("subscribed to heads and logs") {
                return anyhow::Ok(());
            }
            ticks.tick().await;
        }
    };
    timeout(READY_MAX, ready)
        .await
        .with_context(|| std::fs::read_to_string(folder.join("log.txt")).unwrap_or_default())??;
    Ok(child)
}
