//! A store of its own for each test, and the smallest events that a store accepts.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use anyhow::Context as _;
use domain::{
    BlockRef, ChainId, ChainName, Content, ContractName, Event, EventId, EventParam, EventSchema, Fields,
    Header, LogicalId, Origin, ParamType, Value,
};
use jiff::Timestamp;
use sqlx::postgres::PgConnectOptions;
use store::{
    BackfillCommit, ChainCommit, ChainRow, Committed, ContractCursor, EventQuery, Publish, Store, StoreError,
    StoredEvent,
};

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    pub(crate) name: ChainName,
    pub(crate) contract: ContractName,
    pub(crate) url: String,
    _dir: Option<tempfile::TempDir>,
}

pub(crate) const CHAIN: ChainId = ChainId(31337);

impl World {
    pub(crate) async fn postgres() -> anyhow::Result<Self> {
        let server = std::env::var("CHAINBELL_TEST_POSTGRES")
            .context("CHAINBELL_TEST_POSTGRES is not set: run `scripts/services start` and eval `scripts/services env`")?;
        let database = format!("store_{}", uuid::Uuid::new_v4().simple());
        let url = store::create_database(&server, &database).await?;
        Self::new(url, None).await
    }

    pub(crate) async fn sqlite() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        Self::new(url, Some(dir)).await
    }

    async fn new(url: String, dir: Option<tempfile::TempDir>) -> anyhow::Result<Self> {
        let store = Store::open(&url).await?;
        let now = Timestamp::from_second(1_700_000_000)?;
        let world = Self { store, now, name: "anvil".parse()?, contract: "token".parse()?, url, _dir: dir };
        world.store.register_chain(CHAIN, &world.name, now).await?;
        world.store.settle_contracts(CHAIN, &[cursor("token", 0, 99)], 99).await?;
        Ok(world)
    }

    /// How to connect to the test's database beside the store.
    pub(crate) fn postgres_options(&self) -> anyhow::Result<PgConnectOptions> {
        Ok(self.url.parse()?)
    }

    /// How to connect to the server, and not to the test's database.
    pub(crate) fn server_options(&self) -> anyhow::Result<PgConnectOptions> {
        Ok(testkit::deployment::server("CHAINBELL_TEST_POSTGRES")?.parse()?)
    }

    /// Commits blocks on `expected`, or on `ancestor` in a reorg.
    pub(crate) async fn commit(
        &self,
        expected: Option<BlockRef>,
        ancestor: Option<BlockRef>,
        headers: &[Header],
        events: &[Event],
    ) -> Result<Committed, StoreError> {
        self.store.commit_chain(&self.chain_commit(expected, ancestor, headers, events)).await
    }

    pub(crate) fn chain_commit<'a>(
        &'a self,
        expected_tip: Option<BlockRef>,
        ancestor: Option<BlockRef>,
        headers: &'a [Header],
        events: &'a [Event],
    ) -> ChainCommit<'a> {
        let tip = headers.last().map(|header| header.block).or(ancestor).unwrap_or_else(|| block(0, 0));
        ChainCommit {
            chain: CHAIN,
            name: &self.name,
            expected_tip,
            ancestor,
            headers,
            events,
            children: &[],
            publish: Publish::News,
            tip,
            fence: None,
            now: self.now,
        }
    }

    pub(crate) fn backfill_commit<'a>(&'a self, events: &'a [Event], publish: Publish) -> BackfillCommit<'a> {
        BackfillCommit {
            chain: CHAIN,
            name: &self.name,
            contracts: &[],
            block: None,
            events,
            children: &[],
            publish,
            fence: None,
            now: self.now,
        }
    }

    /// The ids of the messages in the chain's lane, in order.
    pub(crate) async fn messages(&self) -> anyhow::Result<Vec<String>> {
        let rows = self.store.outbox_page(&Store::lane_of_chain(&self.name), 1000).await?;
        Ok(rows.into_iter().flat_map(|row| row.messages).map(|message| message.id).collect())
    }

    /// The canonical events, in order.
    pub(crate) async fn canonical(&self) -> anyhow::Result<Vec<StoredEvent>> {
        Ok(self.store.events(&all()).await?)
    }

    pub(crate) async fn row(&self) -> anyhow::Result<ChainRow> {
        self.store.chain(CHAIN).await?.context("the chain is registered")
    }

    /// Notes `finalized` as the finalized block.
    pub(crate) async fn finalize(&self, finalized: u64) -> anyhow::Result<()> {
        Ok(self.store.note_heads(CHAIN, finalized, None, Some(finalized), self.now).await?)
    }

    pub(crate) fn event(&self, block: BlockRef, log_index: u64, tx: u8) -> Event {
        let schema = EventSchema {
            name: "Sent".into(),
            params: vec![
                EventParam { name: "to".into(), ty: ParamType::Address, indexed: true },
                EventParam { name: "amount".into(), ty: ParamType::Uint(256), indexed: false },
                EventParam { name: "note".into(), ty: ParamType::String, indexed: false },
            ],
            anonymous: false,
        };
        let params = Fields::named([
            ("to", Value::Address(Address::repeat_byte(0x11))),
            ("amount", Value::Uint(U256::MAX)),
            ("note", Value::String("a \0 nul, a \" quote, a \u{202e} bidi".into())),
        ]);
        Event {
            id: EventId::derive(CHAIN, block.hash, log_index),
            logical: LogicalId::derive(CHAIN, B256::repeat_byte(tx), B256::ZERO, log_index),
            chain: CHAIN,
            block,
            block_timestamp: 1_700_000_000 + block.number,
            tx_hash: B256::repeat_byte(tx),
            tx_index: 0,
            log_index,
            address: Address::repeat_byte(0x22),
            contract: self.contract.clone(),
            content: Content::Decoded { schema: Arc::new(schema), params },
            origin: Origin::Live,
        }
    }
}

pub(crate) fn all() -> EventQuery {
    EventQuery { chain: CHAIN, from: 0, to: u64::MAX, contract: None, after: None, limit: 1000 }
}

/// What ingest wants for a contract that is read from `start` on when the tip is at `tip`.
pub(crate) fn cursor(name: &str, start: u64, tip: u64) -> ContractCursor {
    ContractCursor {
        name: name.parse().expect("a name"),
        start_block: start,
        next_block: start,
        live_from: start.max(tip + 1),
        fingerprint: "one".to_owned(),
    }
}

/// Block `number` of branch `branch`, whose parent is on branch `parent`.
pub(crate) fn header(number: u64, branch: u8, parent: u8) -> Header {
    Header {
        block: block(number, branch),
        parent: block(number.saturating_sub(1), parent).hash,
        timestamp: 1_700_000_000 + number,
        bloom: None,
    }
}

pub(crate) fn block(number: u64, branch: u8) -> BlockRef {
    let mut hash = B256::repeat_byte(branch);
    hash.0[..8].copy_from_slice(&number.to_be_bytes());
    BlockRef::new(number, hash)
}
