//! `chainbell run` as a process.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use testkit::fixture_node::{Http, token};
use tokio::process::{Child, Command};

use super::{Measured, node::Node};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The parts of its time, as its metrics tell: a label, and the name with labels of a sum of seconds.
const PARTS: [(&str, &str); 4] = [
    ("getLogs", "chainbell_rpc_seconds_sum{chain=\"bench\",method=\"eth_getLogs\"}"),
    ("decode", "chainbell_backfill_seconds_sum{chain=\"bench\",part=\"decode\"}"),
    ("waiting for a piece", "chainbell_backfill_seconds_sum{chain=\"bench\",part=\"wait\"}"),
    ("commit", "chainbell_store_query_seconds_sum{query=\"commit_backfill\"}"),
];

/// The configuration of one chain and its token.
pub(crate) fn config(url: &str, store: &str) -> String {
    format!(
        "[store]\nurl = \"{store}\"\n[broker]\nurl = \"memory:\"\n[debounce]\nurl = \"store:\"\n\
         [api]\nlisten = \"127.0.0.1:0\"\n\
         [[chain]]\nname = \"bench\"\nchain_id = 31337\nrpc = [\"{url}\"]\n\
         [[contract]]\nname = \"token\"\nchain = \"bench\"\naddress = \"{}\"\n\
         events = [\"event Transfer(address indexed from, address indexed to, uint256 value)\"]\nstart_block = 0\n",
        token()
    )
}

/// Starts the binary.
pub(crate) fn start(config: &str, folder: &Path, arguments: &[&str]) -> anyhow::Result<Child> {
    let binary = std::env::var("CHAINBELL_BENCH_BINARY").context("run scripts/bench")?;
    let path = folder.join("chainbell.toml");
    std::fs::write(&path, config)?;
    let log = std::fs::File::create(folder.join("log.txt"))?;
    let mut command = Command::new(binary);
    command.arg("run").args(arguments).arg("--config").arg(path).env("NO_COLOR", "1").stdin(Stdio::null());
    Ok(command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()?)
}

/// Runs it until block `until` is through, and measures that.
pub(crate) async fn past(node: &Node, store: &str, folder: &Path, until: u64) -> anyhow::Result<Measured> {
    past_by(node, &node.url, store, folder, until).await
}

/// The same, over a way to the node that has a URL of its own.
pub(crate) async fn past_by(
    node: &Node,
    url: &str,
    store: &str,
    folder: &Path,
    until: u64,
) -> anyhow::Result<Measured> {
    let before = node.calls().await?;
    let began = super::now();
    let mut child = start(&config(url, store), folder, &["--until-block", &until.to_string()])?;
    let process = child.id().context("it runs")?;
    let mut measured = Measured::default();
    let status = loop {
        let ended = tokio::time::timeout(LOOK_EVERY, child.wait()).await;
        measured.peak_bytes = measured.peak_bytes.max(super::peak_of(process).unwrap_or_default());
        if let Ok(status) = ended {
            break status?;
        }
        if let Some(parts) = parts(folder).await {
            measured.parts = parts;
        }
    };
    measured.seconds = began.elapsed().as_secs_f64();
    let log = std::fs::read_to_string(folder.join("log.txt"))?;
    ensure!(status.success(), "{status}\n{log}");
    measured.calls = super::node::between(&before, &node.calls().await?);
    measured.rows = super::rows(store).await?;
    if std::env::var("CHAINBELL_BENCH_LOG").is_ok() {
        println!("{log}");
    }
    Ok(measured)
}

/// What its histograms of seconds say, as the average of each in milliseconds, by name and label.
pub(crate) async fn averages(folder: &Path) -> Option<BTreeMap<String, f64>> {
    let page = metrics(folder).await?;
    let sums = page.lines().filter_map(|line| line.split_once("_seconds_sum"));
    let average = |(name, rest): (&str, &str)| {
        let (labels, sum) = rest.rsplit_once(' ')?;
        let count =
            page.lines().find_map(|line| line.strip_prefix(&format!("{name}_seconds_count{labels} ")))?;
        let (sum, count): (f64, f64) = (sum.parse().ok()?, count.parse().ok()?);
        Some((format!("{name}{labels} x {count}"), 1_000.0 * sum / count))
    };
    Some(sums.filter_map(average).collect())
}

/// The sums of its parts as they are now; `None` while it does not answer.
pub(crate) async fn parts(folder: &Path) -> Option<BTreeMap<String, f64>> {
    let page = metrics(folder).await?;
    let sum = |name: &str| page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some(PARTS.iter().filter_map(|(label, name)| Some(((*label).to_owned(), sum(name)?))).collect())
}

async fn metrics(folder: &Path) -> Option<String> {
    let log = std::fs::read_to_string(folder.join("log.txt")).ok()?;
    let (_, listening) = log.split_once("api.listen=")?;
    let address = listening.split_whitespace().next()?;
    let mut http = Http::connect(&format!("http://{address}")).await.ok()?;
    String::from_utf8(http.get("/metrics").await.ok()?).ok()
}
