//! The past of a million logs, side by side in one run against one fixture node: a bare loop that fetches, decodes and
//! inserts the same rows into the same tables, and `chainbell run`, the real binary.
//!
//! `scripts/bench backfill [--logs N] [--only NAME]`; wants `CHAINBELL_BENCH_BINARY` and `CHAINBELL_TEST_POSTGRES`, which the
//! script sets. Each side is a process of its own, and so is the node.

#[path = "side/mod.rs"]
mod side;

use anyhow::Context as _;
use side::{Measured, bare, binary, node::Node};

/// Transfers in each block.
const LOGS_PER_BLOCK: u64 = 100;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["node", rest @ ..] => side::node::serve(rest).await,
        ["bare", url, store, parallel] => bare::run(url, store, parallel.parse()?).await,
        options => compare(options).await,
    }
}

fn option(options: &[&str], name: &str) -> Option<String> {
    let at = options.iter().position(|option| *option == name)?;
    options.get(at + 1).map(|value| (*value).to_owned())
}

async fn compare(options: &[&str]) -> anyhow::Result<()> {
    let logs: u64 = option(options, "--logs").map_or(Ok(1_000_000), |logs| logs.parse())?;
    let only = option(options, "--only").unwrap_or_default();
    let wanted = |name: &str| name.contains(&only);
    let server = std::env::var("CHAINBELL_TEST_POSTGRES").context("run scripts/bench backfill")?;
    let blocks = logs / LOGS_PER_BLOCK;
    println!("{logs} ERC-20 transfers in {blocks} blocks, {} cores", side::cores());
    let node = Node::start(blocks + 100, LOGS_PER_BLOCK, 64).await?;
    let mut reached = Vec::new();
    for parallel in [1, 3] {
        let name = format!("bare loop, PostgreSQL, {parallel} at once");
        if wanted(&name) {
            reached
                .push((name, bare::process(&node, &side::database(&server).await?, parallel, blocks).await?));
        }
    }
    for postgres in [true, false] {
        let name = if postgres { "chainbell, PostgreSQL" } else { "chainbell, SQLite" };
        if wanted(name) {
            let folder = tempfile::tempdir()?;
            let store = if postgres {
                side::database(&server).await?
            } else {
                format!("sqlite://{}", folder.path().join("bench.db").display())
            };
            reached.push((name.to_owned(), binary::past(&node, &store, folder.path(), blocks).await?));
            if postgres {
                side::drop_database(&store).await?;
            }
        }
    }
    print(&reached);
    drop(node);
    if wanted("calls") {
        calls(&server).await?;
    }
    Ok(())
}

fn print(reached: &[(String, Measured)]) {
    println!("{:<34} {:>9} {:>8} {:>8} {:>7} {:>7}", "", "logs/s", "seconds", "peak MB", "calls", "logs");
    for (name, measured) in reached {
        println!(
            "{name:<34} {:>9.0} {:>8.2} {:>8.1} {:>7} {:>7}",
            measured.rate(),
            measured.seconds,
            measured.peak_mb(),
            measured.calls.values().sum::<u64>(),
            measured.rows
        );
    }
    for (name, measured) in reached {
        let parts: Vec<_> = measured.parts.iter().map(|(part, time)| format!("{part} {time:.2} s")).collect();
        println!("{name}: {}; calls {:?}", parts.join(", "), measured.calls);
    }
}

// What 2,000 final blocks of 100 logs cost in calls, from the start of the process to the past read.
async fn calls(server: &str) -> anyhow::Result<()> {
    let node = Node::start(2_000, LOGS_PER_BLOCK, 0).await?;
    let folder = tempfile::tempdir()?;
    let store = side::database(server).await?;
    let measured = binary::past(&node, &store, folder.path(), 1_999).await?;
    side::drop_database(&store).await?;
    let all: u64 = measured.calls.values().sum();
    println!("2,000 final blocks of {LOGS_PER_BLOCK} logs: {all} calls, {:?}", measured.calls);
    Ok(())
}
