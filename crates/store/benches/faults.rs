//! The past over HTTP from a node that fails: `chainbell run`, the real binary, against itself on the same way without
//! faults, in one run.
//!
//! `scripts/bench faults [--blocks N] [--logs N] [--results N]`; wants `CHAINBELL_BENCH_BINARY`, which the script sets. The node and the
//! binary are processes of their own, the way between them is this one. The node gives so few results at once that there are
//! hundreds of requests. Where half of the requests fail at random, no less
//! than a fifth of the rate is left, or the run fails.

#[path = "side/mod.rs"]
mod side;

use anyhow::ensure;
use side::{Measured, binary, node::Node};
use testkit::faulty_way::{Faults, FaultyWay};

/// Blocks above the past, most of which are not final.
const ABOVE: u64 = 100;

/// How far a balancer's slow machine is behind.
const BEHIND: u64 = 3;

/// What is left of the rate, at least, where half of the requests fail.
const LEFT_MIN: f64 = 0.2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["node", rest @ ..] = words.as_slice() {
        return side::node::serve(rest).await;
    }
    let number = |name: &str, default: u64| -> anyhow::Result<u64> {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)).map_or(Ok(default), |value| Ok(value.parse()?))
    };
    compare(number("--blocks", 20_000)?, number("--logs", 25)?, number("--results", 1_000)?).await
}

async fn compare(blocks: u64, logs: u64, results: u64) -> anyhow::Result<()> {
    println!(
        "the past of {blocks} blocks of {logs} transfers over HTTP, {results} results at once, SQLite, {} cores",
        side::cores()
    );
    let node = Node::start_with(blocks + ABOVE, logs, 64, results).await?;
    let slow = Node::start_with(blocks + ABOVE - BEHIND, logs, 64, results).await?;
    let (one, balanced) =
        (vec![node.url.clone()], vec![node.url.clone(), node.url.clone(), slow.url.clone()]);
    println!(
        "{:<44} {:>9} {:>8} {:>7} {:>9} {:>7}",
        "", "blocks/s", "seconds", "ratio", "requests", "failed"
    );
    let mut sound = None;
    for (name, nodes, faults, least) in [
        ("no fault", &one, Faults::Never, 0.0),
        ("one of five requests fails", &one, Faults::Every(5), LEFT_MIN),
        ("half of the requests fail, at random", &one, Faults::Percent(50), LEFT_MIN),
        ("one of three machines is three blocks behind", &balanced, Faults::Never, LEFT_MIN),
    ] {
        let way = FaultyWay::to(nodes.clone(), faults).await?;
        let folder = tempfile::tempdir()?;
        let store = format!("sqlite://{}", folder.path().join("bench.db").display());
        let measured = binary::past_by(&node, &way.url(), &store, folder.path(), blocks).await?;
        ensure!(measured.rows >= blocks * logs, "{name}: {} of {} events", measured.rows, blocks * logs);
        let rate = per_second(blocks, &measured);
        let ratio = rate / *sound.get_or_insert(rate);
        let (requests, failed) = way.counts();
        println!("{name:<44} {rate:>9.0} {:>8.2} {ratio:>7.2} {requests:>9} {failed:>7}", measured.seconds);
        ensure!(ratio >= least, "{name}: {ratio:.2} of the rate is left, and not {least}");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(blocks: u64, measured: &Measured) -> f64 {
    blocks as f64 / measured.seconds.max(0.001)
}
