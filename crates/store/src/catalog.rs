//! Contracts and event schemas as small integers, and each contract's backfill cursor.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use domain::{ChainId, ContractName, EventSchema};

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

/// Names and shapes that were looked up once. They never change, so the cache is never wrong.
#[derive(Debug, Default)]
pub(crate) struct Names {
    contracts: RwLock<HashMap<(ChainId, ContractName), i32>>,
    contracts_by_id: RwLock<HashMap<i32, ContractName>>,
    schemas: RwLock<HashMap<Arc<EventSchema>, i32>>,
    schemas_by_id: RwLock<HashMap<i32, Arc<EventSchema>>>,
}

/// How far a contract has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractCursor {
    /// Which contract.
    pub name: ContractName,
    /// The first block that is read for it.
    pub start_block: u64,
    /// The next block of its past to read; equal to `live_from` when the past is read.
    pub next_block: u64,
    /// The first block that was read live.
    pub live_from: u64,
    /// What is read for it, as a text that changes with that.
    pub fingerprint: String,
}

impl ContractCursor {
    /// Whether blocks of the past remain to be read.
    pub const fn is_behind(&self) -> bool {
        self.next_block < self.live_from
    }
}

impl Store {
    /// Every contract of a chain that was ever met, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn contract_cursors(&self, chain: ChainId) -> Result<Vec<ContractCursor>, StoreError> {
        let rows: Vec<(String, i64, i64, i64, String)> = read!(self, "contract_cursors", |db| {
            let statement = "SELECT name, start_block, next_block, live_from, fingerprint FROM contract
                WHERE chain_id = $1 ORDER BY name";
            Ok(db.query(statement).bind(chain.0.cast_signed()).fetch_all().await?)
        })?;
        rows.into_iter()
            .map(|(name, start, next, live, fingerprint)| {
                Ok(ContractCursor {
                    name: name.parse().map_err(|error| StoreError::corrupt("contract", error))?,
                    start_block: start.cast_unsigned(),
                    next_block: next.cast_unsigned(),
                    live_from: live.cast_unsigned(),
                    fingerprint,
                })
            })
            .collect()
    }

    pub(crate) async fn contract_id(&self, chain: ChainId, name: &ContractName) -> Result<i32, StoreError> {
        let key = (chain, name.clone());
        if let Some(id) = lock(&self.names.contracts, |map| map.get(&key).copied()) {
            return Ok(id);
        }
        let id: Option<i32> = read!(self, "contract_id", |db| {
            let statement = "SELECT id FROM contract WHERE chain_id = $1 AND name = $2";
            Ok(db.query(statement).bind(chain.0.cast_signed()).bind(name.as_str()).optional_scalar().await?)
        })?;
        let id = id.ok_or_else(|| StoreError::corrupt("contract", format!("{name} was never registered")))?;
        self.names.contracts.write().unwrap_or_else(PoisonError::into_inner).insert(key, id);
        Ok(id)
    }

    pub(crate) async fn contract_name(&self, id: i32) -> Result<ContractName, StoreError> {
        if let Some(name) = lock(&self.names.contracts_by_id, |map| map.get(&id).cloned()) {
            return Ok(name);
        }
        let name: String = read!(self, "contract_name", |db| {
            Ok(db.query("SELECT name FROM contract WHERE id = $1").bind(id).scalar().await?)
        })?;
        let name: ContractName = name.parse().map_err(|error| StoreError::corrupt("contract", error))?;
        self.names.contracts_by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, name.clone());
        Ok(name)
    }

    pub(crate) async fn schema_id(&self, schema: &Arc<EventSchema>) -> Result<i32, StoreError> {
        if let Some(id) = lock(&self.names.schemas, |map| map.get(schema).copied()) {
            return Ok(id);
        }
        let declaration = schema.declaration();
        let json =
            serde_json::to_string(schema.as_ref()).map_err(|error| StoreError::corrupt("schema", error))?;
        let id: i32 = tx!(self, "schema_id", |tx| {
            let statement = if tx.dialect().is_postgres() {
                "INSERT INTO event_schema (declaration, schema) VALUES ($1, $2::jsonb) ON CONFLICT DO NOTHING"
            } else {
                "INSERT INTO event_schema (declaration, schema) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            };
            tx.query(statement).bind(&declaration).bind(&json).execute().await?;
            let statement = "SELECT id FROM event_schema WHERE declaration = $1";
            Ok(tx.query(statement).bind(&declaration).scalar().await?)
        })?;
        self.names.schemas.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(schema), id);
        Ok(id)
    }

    pub(crate) async fn schema(&self, id: i32) -> Result<Arc<EventSchema>, StoreError> {
        if let Some(schema) = lock(&self.names.schemas_by_id, |map| map.get(&id).cloned()) {
            return Ok(schema);
        }
        let json: String = read!(self, "schema", |db| {
            let statement = "SELECT CAST(schema AS text) FROM event_schema WHERE id = $1";
            Ok(db.query(statement).bind(id).scalar().await?)
        })?;
        let schema: Arc<EventSchema> =
            Arc::new(serde_json::from_str(&json).map_err(|error| StoreError::corrupt("schema", error))?);
        self.names
            .schemas_by_id
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Arc::clone(&schema));
        Ok(schema)
    }
}

fn lock<T, R>(map: &RwLock<T>, get: impl FnOnce(&T) -> R) -> R {
    get(&map.read().unwrap_or_else(PoisonError::into_inner))
}
