//! The fixture node as a process of its own.

use std::{collections::BTreeMap, process::Stdio};

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use testkit::fixture_node::{FixtureNode, Http, Shape};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
};

/// The process, which ends with this.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) url: String,
    _process: Child,
}

/// Serves until standard input ends.
pub(crate) async fn serve(words: &[&str]) -> anyhow::Result<()> {
    let [blocks, logs, finalized_depth, results_max] = words else {
        anyhow::bail!("node BLOCKS LOGS FINALIZED_DEPTH RESULTS_MAX")
    };
    let shape = Shape {
        finalized_depth: finalized_depth.parse()?,
        results_max: Some(results_max.parse()?),
        ..Shape::new(blocks.parse()?, logs.parse()?)
    };
    let node = FixtureNode::start(shape).await?;
    println!("{}", node.http_url());
    let _ = tokio::io::stdin().read(&mut [0]).await?;
    Ok(())
}

impl Node {
    pub(crate) async fn start(blocks: u64, logs: u64, finalized_depth: u64) -> anyhow::Result<Self> {
        Self::start_with(blocks, logs, finalized_depth, u64::MAX).await
    }

    /// One that refuses to give more than `results_max` logs at once.
    pub(crate) async fn start_with(
        blocks: u64,
        logs: u64,
        finalized_depth: u64,
        results_max: u64,
    ) -> anyhow::Result<Self> {
        let words = [blocks, logs, finalized_depth, results_max].map(|number| number.to_string());
        let mut process = Command::new(std::env::current_exe()?)
            .arg("node")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = process.stdout.take().context("its output")?;
        let url = BufReader::new(out).lines().next_line().await?.context("its URL")?;
        Ok(Self { url, _process: process })
    }

    /// How often each method was called so far.
    pub(crate) async fn calls(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let answer = Http::connect(&self.url).await?.ask("fixture_calls", json!([])).await?;
        let answer: Json = serde_json::from_slice(&answer)?;
        let mut calls: BTreeMap<String, u64> = serde_json::from_value(answer["result"].clone())?;
        calls.remove("fixture_calls");
        Ok(calls)
    }
}

/// The calls between two counts.
pub(crate) fn between(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let since = |(method, count): (&String, &u64)| {
        (method.clone(), count - before.get(method).copied().unwrap_or_default())
    };
    after.iter().map(since).filter(|(_, count)| *count > 0).collect()
}
