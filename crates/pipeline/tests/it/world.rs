//! A chain that a test scripts, an ingest of it, and a store of its own.

use std::{sync::Arc, time::Duration};

use abi::Decoder;
use alloy_primitives::{Address, B256};
use anyhow::Context as _;
use chain::{Node, NodeConfig};
use domain::{
    Catalog, ChainClient, ChainId, ChainName, Clock, Contract, ContractName, EventSchema, StartBlock,
};
use jiff::Timestamp;
use pipeline::{
    Bell, RoomError,
    ingest::{Did, Ingest, IngestConfig, IngestDeps},
};
use serde_json::Value as Json;
use store::{EventQuery, Store, StoreClock, StoredEvent};
use testkit::{
    clock::ManualClock,
    scripted_node::{LogSpec, ScriptedChain, ScriptedNode},
};

pub(crate) const CHAIN: ChainId = ChainId(31_337);
pub(crate) const BELL: Address = Address::repeat_byte(0xbe);
pub(crate) const GONG: Address = Address::repeat_byte(0x60);

/// A block hash and a log index, in chain order: which log, exactly.
pub(crate) type Place = (u64, B256, u64);

/// A scripted node and a store.
pub(crate) struct World {
    pub(crate) node: ScriptedNode,
    /// The chain that its ingest, its rooms and its questions are about.
    pub(crate) chain: ChainId,
    /// Where the store is.
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Arc<dyn ChainClient>,
    _dir: Option<tempfile::TempDir>,
}

/// Runs a story on SQLite and on PostgreSQL.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::$name(crate::world::World::sqlite().await?).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::$name(crate::world::World::postgres().await?).await
            })*
        }
    };
}
pub(crate) use on_both_stores;

impl World {
    pub(crate) async fn sqlite() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        Self::new(&url, Some(dir)).await
    }

    pub(crate) async fn postgres() -> anyhow::Result<Self> {
        let server = testkit::deployment::server("CHAINBELL_TEST_POSTGRES")?;
        let database = format!("pipeline_{}", uuid::Uuid::new_v4().simple());
        let url = store::create_database(&server, &database).await?;
        Self::new(&url, None).await
    }

    async fn new(url: &str, dir: Option<tempfile::TempDir>) -> anyhow::Result<Self> {
        let store = Store::open(url).await?;
        let node = ScriptedNode::start().await?;
        let client = client(&node.http_url(), &store).await?;
        Ok(Self { node, chain: CHAIN, url: url.to_owned(), store, clock: Arc::default(), client, _dir: dir })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        let name = self.contract_name();
        let bell = contract(name.as_str(), &[BELL], StartBlock::Number(0));
        Arc::new(Catalog::new(vec![Contract { chain: self.chain, ..bell }]))
    }

    /// The name of the chain's one contract, which no other chain's has.
    pub(crate) fn contract_name(&self) -> ContractName {
        if self.chain == CHAIN {
            "bell".parse().unwrap()
        } else {
            format!("bell{}", self.chain).parse().unwrap()
        }
    }

    /// An ingest of the bell with the defaults.
    pub(crate) fn ingest(&self) -> Ingest {
        self.ingest_with(|_| {})
    }

    pub(crate) fn ingest_with(&self, change: impl FnOnce(&mut IngestConfig)) -> Ingest {
        self.ingest_of(&self.client, &self.catalog(), change)
    }

    pub(crate) fn ingest_of(
        &self,
        client: &Arc<dyn ChainClient>,
        catalog: &Arc<Catalog>,
        change: impl FnOnce(&mut IngestConfig),
    ) -> Ingest {
        let mut config = IngestConfig::new(self.chain, name_of(self.chain));
        config.poll = Duration::from_millis(200);
        change(&mut config);
        let deps = IngestDeps {
            client: Arc::clone(client),
            store: self.store.clone(),
            catalog: Arc::clone(catalog),
            decoder: Arc::new(Decoder::new(Arc::clone(catalog))),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            relay: Bell::new(),
            committed: Bell::new(),
        };
        Ingest::new(deps, config)
    }

    /// Mines a block for each transaction number, with one ring of the bell in each.
    pub(crate) fn ring(&self, transactions: std::ops::RangeInclusive<u64>) {
        for tx in transactions {
            self.node.mine(vec![ring(BELL, tx)]);
        }
    }

    /// Takes the newest blocks away and rings others: a reorg.
    pub(crate) fn reorg(&self, depth: usize, transactions: std::ops::RangeInclusive<u64>) {
        self.node.chain(|chain| chain.rollback(depth));
        self.ring(transactions);
    }

    /// The chain as it is, to come back to.
    pub(crate) fn branch(&self) -> ScriptedChain {
        self.node.chain(|chain| chain.clone())
    }

    pub(crate) fn switch_to(&self, branch: &ScriptedChain) {
        self.node.chain(|chain| *chain = branch.clone());
    }

    pub(crate) fn head(&self) -> u64 {
        self.node.chain(|chain| chain.head().block.number)
    }

    /// The logs of `address` on the node's chain.
    pub(crate) fn truth(&self, address: Address) -> Vec<Place> {
        self.node.chain(|chain| {
            let head = chain.head().block.number;
            let blocks = (0..=head).filter_map(|number| chain.block(number));
            let logs = blocks
                .flat_map(|block| block.logs.iter().enumerate().map(move |(index, log)| (block, index, log)));
            logs.filter(|(_, _, log)| log.address == address)
                .map(|(block, index, _)| (block.block.number, block.block.hash, index as u64))
                .collect()
        })
    }

    pub(crate) async fn stored(&self) -> anyhow::Result<Vec<StoredEvent>> {
        let query = EventQuery {
            chain: self.chain,
            from: 0,
            to: u64::MAX,
            contract: None,
            after: None,
            limit: 10_000,
        };
        Ok(self.store.events(&query).await?)
    }

    /// The canonical events of `address` that the store holds.
    pub(crate) async fn held(&self, address: Address) -> anyhow::Result<Vec<Place>> {
        let stored = self.stored().await?;
        let of = stored.iter().map(|stored| &stored.event).filter(|event| event.address == address);
        Ok(of.map(|event| (event.block.number, event.block.hash, event.log_index)).collect())
    }

    /// The store holds what the node tells: no hole, no double, nothing of another branch.
    pub(crate) async fn agrees(&self) -> anyhow::Result<()> {
        for address in [BELL, GONG] {
            let held = self.held(address).await?;
            let truth = if held.is_empty() && address == GONG { Vec::new() } else { self.truth(address) };
            anyhow::ensure!(held == truth, "held of {address}: {held:#?}\ntold: {truth:#?}");
        }
        Ok(())
    }

    pub(crate) async fn tip(&self) -> anyhow::Result<u64> {
        let row = self.store.chain(self.chain).await?.context("the chain is registered")?;
        Ok(row.tip.context("it has a tip")?.number)
    }

    /// Ids of the messages that wait in the chain's lane, in order.
    pub(crate) async fn outbox(&self) -> anyhow::Result<Vec<String>> {
        let rows = self.store.outbox_page(&Store::lane_of_chain(&name_of(self.chain)), 10_000).await?;
        Ok(rows.into_iter().flat_map(|row| row.messages).map(|message| message.id).collect())
    }

    /// The parameters of every `eth_getLogs` since call `since`.
    pub(crate) fn questions(&self, since: usize) -> Vec<Json> {
        let calls = self.node.calls().into_iter().skip(since);
        calls.filter(|call| call.method == "eth_getLogs").map(|call| call.params[0].clone()).collect()
    }
}

/// A client of a node, with short waits.
pub(crate) async fn client(url: &str, store: &Store) -> anyhow::Result<Arc<dyn ChainClient>> {
    let config = NodeConfig {
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(200),
        ..NodeConfig::new(name(), CHAIN, vec![url.to_owned()])
    };
    Ok(Arc::new(Node::connect(config, Arc::new(StoreClock::measure(store).await?)).await?))
}

pub(crate) fn name() -> ChainName {
    "local".parse().unwrap()
}

/// The name of a chain.
pub(crate) fn name_of(chain: ChainId) -> ChainName {
    if chain == CHAIN { name() } else { format!("local{chain}").parse().unwrap() }
}

pub(crate) fn schema() -> EventSchema {
    abi::parse_signature("event Ring()").unwrap()
}

pub(crate) fn contract(name: &str, addresses: &[Address], start: StartBlock) -> Contract {
    let name: ContractName = name.parse().unwrap();
    Contract {
        name,
        chain: CHAIN,
        addresses: addresses.to_vec(),
        factory: None,
        events: vec![Arc::new(schema())],
        start,
    }
}

pub(crate) fn ring(address: Address, tx: u64) -> LogSpec {
    LogSpec::new(address, schema().topic0(), tx)
}

/// Advances until there is nothing left to do, and says what was done.
pub(crate) async fn settle(ingest: &mut Ingest) -> Result<Vec<Did>, RoomError> {
    let mut done = Vec::new();
    for _ in 0..200 {
        match ingest.advance().await? {
            Did::Idle => return Ok(done),
            did => done.push(did),
        }
    }
    panic!("it never comes to rest: {done:?}");
}
