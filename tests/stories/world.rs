//! What every story has: a chain with the sample contracts, an endpoint, a configuration, and the running binary.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use alloy_primitives::{Address, U256};
use anyhow::Context as _;
use devnet::{Exchange, Options, Token};
use domain::{ChainId, Finality};
use jiff::Timestamp;
use serde_json::Value as Json;
use store::{EventQuery, Store};
use testkit::{
    anvil::TestAnvil,
    deployment::Deployment,
    process::Running,
    receiver::{Receiver, SECRET},
    wait::eventually,
};

pub(crate) const CHAIN: ChainId = ChainId(31337);
pub(crate) const CAP: Duration = Duration::from_secs(60);

/// A chain with the sample contracts, which several deployments can read.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) anvil: TestAnvil,
    pub(crate) token: Token,
    pub(crate) exchange: Exchange,
}

impl Stage {
    pub(crate) async fn set() -> anyhow::Result<Self> {
        let anvil = TestAnvil::start_with(Options::default()).await?;
        let token = anvil.token().await?;
        let exchange = anvil.exchange().await?;
        Ok(Self { anvil, token, exchange })
    }

    /// `count` transfers of 1, 2, 3, … from the first account to `to`, in as few blocks as they fit into.
    pub(crate) async fn transfers(&self, to: Address, count: u64) -> anyhow::Result<()> {
        let from = self.anvil.account(0);
        let calls: Vec<_> =
            (1..=count).map(|value| self.token.transfer(from, to, U256::from(value))).collect();
        self.anvil.send_all(&calls).await?;
        Ok(())
    }

    pub(crate) async fn head(&self) -> anyhow::Result<u64> {
        Ok(self.anvil.head().await?.number)
    }
}

/// One deployment that reads a stage.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) deployment: Deployment,
    pub(crate) receiver: Receiver,
    pub(crate) config: PathBuf,
    pub(crate) log: PathBuf,
}

impl World {
    /// A deployment with the sample contracts, a recipient `ops` with a signed webhook, and `extra` tables.
    pub(crate) async fn new(deployment: Deployment, stage: &Stage, extra: &str) -> anyhow::Result<Self> {
        let receiver = Receiver::start().await?;
        let text = format!(
            r#"{sections}
[api]
listen = "127.0.0.1:0"

[channels]
allow_private = true
retry = ["200ms", "500ms", "1s", "2s", "5s"]

[run]
sweep_grace = "1s"
lease = "1s"

[[chain]]
name = "local"
chain_id = 31337
rpc = ["{rpc}"]
poll = "300ms"

[[contract]]
name = "bell"
chain = "local"
address = "{token}"
abi = "abi/erc20.json"
start_block = 0

[[contract]]
name = "exchange"
chain = "local"
address = "{exchange}"
events = [
    "event OrderPlaced(uint256 indexed id, address indexed maker, (address token, uint256 amount, uint64 deadline, (address venue, int128 delta, bytes route)[] legs) order)",
    "event PriceSet(bytes32 indexed market, uint256 price)",
]
start_block = 0

[[recipient]]
id = "ops"
[[recipient.target]]
name = "hook"
url = "{hook}"
secrets = ["{SECRET}"]

{extra}"#,
            sections = deployment.sections(),
            rpc = stage.anvil.ws_url(),
            token = stage.token.address,
            exchange = stage.exchange.address,
            hook = receiver.url(),
        );
        let config = deployment.folder.path().join("chainbell.toml");
        std::fs::write(&config, text)?;
        let log = deployment.folder.path().join("log.txt");
        Ok(Self { deployment, receiver, config, log })
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        Running::start(&self.config, arguments, &self.log)
    }

    pub(crate) async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.deployment.store).await?)
    }

    /// Runs the pipeline until `block` is through it.
    pub(crate) async fn run_through(&self, block: u64) -> anyhow::Result<()> {
        let mut running = self.start(&["--until-block", &block.to_string()])?;
        let status = running.ended().await?;
        anyhow::ensure!(status.success(), "{status}\n{}", self.logged());
        Ok(())
    }

    /// What the binary said, the end of it.
    pub(crate) fn logged(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(6_000);
        text.get(from..).unwrap_or(&text).to_owned()
    }

    /// Waits until the checkpoint is at or above `block`.
    pub(crate) async fn reached(&self, store: &Store, block: u64) -> anyhow::Result<()> {
        let done = eventually("the checkpoint gets there", CAP, || async {
            let tip = store.chain(CHAIN).await?.and_then(|chain| chain.tip).map_or(0, |tip| tip.number);
            Ok(if tip >= block { Ok(()) } else { Err(tip) })
        });
        done.await.with_context(|| self.logged())
    }

    /// Waits until nothing is left to do.
    pub(crate) async fn quiet(&self, store: &Store, block: u64) -> anyhow::Result<()> {
        self.reached(store, block).await?;
        let lane = Store::lane_of_chain(&"local".parse()?);
        let done = eventually("everything is told", CAP * 2, || async {
            let left =
                store.work_left(CHAIN, &lane, block, 0, (Timestamp::MAX, &store::Apart::default())).await?;
            Ok(if left.is_done() { Ok(()) } else { Err(left) })
        });
        done.await.with_context(|| self.logged())
    }
}

/// A digest watch over everything that `to` receives.
pub(crate) fn digest_watch(id: &str, to: Address, window: &str) -> String {
    format!(
        "[[watch]]\nid = \"{id}\"\nrecipient = \"ops\"\ncontract = \"bell\"\nevent = \"Transfer\"\n\
         where = 'to == {to}'\nstrategy = \"digest\"\nwindow = \"{window}\"\n"
    )
}

/// An immediate watch with a filter.
pub(crate) fn immediate_watch(id: &str, contract: &str, event: &str, filter: &str) -> String {
    format!(
        "[[watch]]\nid = \"{id}\"\nrecipient = \"ops\"\ncontract = \"{contract}\"\nevent = \"{event}\"\n\
         where = '{filter}'\n"
    )
}

/// All canonical events as JSON lines.
pub(crate) async fn events(store: &Store) -> anyhow::Result<Vec<String>> {
    let query =
        EventQuery { chain: CHAIN, from: 0, to: u64::MAX, contract: None, after: None, limit: 100_000 };
    let stored = store.events(&query).await?;
    Ok(stored.iter().map(|stored| stored.event.to_json(Finality::Seen).to_string()).collect())
}

/// Which notification told each event, by the ids in the inbox; an event that two told is an error.
pub(crate) fn told_once(inbox: &BTreeMap<String, Json>, watch: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut told = BTreeSet::new();
    for body in inbox.values().filter(|body| body["data"]["watch"] == watch) {
        for event in body["data"]["events"].as_array().context("a body has events")? {
            let event = event.as_str().context("an event id is text")?;
            anyhow::ensure!(told.insert(event.to_owned()), "event {event} was told twice");
        }
    }
    Ok(told)
}
