//! A store of its own for each test, and the smallest events that a store accepts.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use anyhow::Context as _;
use domain::{
    BlockRef, ChainId, ChainName, Content, ContractName, Event, EventId, EventParam, EventSchema, Fields,
    Header, LogicalId, Origin, ParamType, Value,
};
use jiff::Timestamp;
use store::{ContractCursor, Store};

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    pub(crate) name: ChainName,
    pub(crate) contract: ContractName,
    _dir: Option<tempfile::TempDir>,
}

pub(crate) const CHAIN: ChainId = ChainId(31337);

impl World {
    pub(crate) async fn postgres() -> anyhow::Result<Self> {
        let server = std::env::var("CHAINBELL_TEST_POSTGRES")
            .context("CHAINBELL_TEST_POSTGRES is not set: run `scripts/services start` and eval `scripts/services env`")?;
        let database = format!("store_{}", uuid::Uuid::new_v4().simple());
        let url = store::create_database(&server, &database).await?;
        Self::new(Store::open(&url).await?, None).await
    }

    pub(crate) async fn sqlite() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        Self::new(Store::open(&url).await?, Some(dir)).await
    }

    async fn new(store: Store, dir: Option<tempfile::TempDir>) -> anyhow::Result<Self> {
        let now = Timestamp::from_second(1_700_000_000)?;
        let world = Self { store, now, name: "anvil".parse()?, contract: "token".parse()?, _dir: dir };
        world.store.register_chain(CHAIN, &world.name, now).await?;
        let cursor =
            ContractCursor { name: world.contract.clone(), start_block: 0, next_block: 0, live_from: 100 };
        world.store.register_contracts(CHAIN, &[cursor]).await?;
        Ok(world)
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
