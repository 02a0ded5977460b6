//! The events that an account's fold reads: canonical ones of token transfers, and of what makes or destroys tokens, that
//! name an address. Must not know what is summed.

use alloy_primitives::Address;
use domain::{ChainId, EventSchema, Standard, supply};

use crate::{
    Store, StoreError,
    event::{COLUMNS, EventRow, StoredEvent, number},
    tx::read,
};

impl Store {
    /// Canonical events up to block `to` that may move a token and whose parameters name `address`, oldest first: one page
    /// of at most `limit` after the place `after` (block number and log index).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn movements_naming(
        &self,
        chain: ChainId,
        address: Address,
        to: u64,
        after: Option<(u64, u64)>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let moves = |schema: &EventSchema| {
            Standard::of_schema(schema).is_some()
                || supply::Change::of_schema(schema).is_some()
                || supply::may_change(schema)
        };
        let schemas = self.schemas_that(moves).await?;
        let (block, log_index) = after.map_or((-1, -1), |(b, l)| (b.cast_signed(), l.cast_signed()));
        let rows: Vec<EventRow> = read!(self, "movements_naming", |db| {
            // As the store writes addresses: checksummed, within quotes.
            let template = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.chain_id = $1 AND e.block_number <= $2 AND (e.block_number, e.log_index) > ($3, $4)
                    AND e.canonical AND e.schema_id {{numbers:5}} AND CAST(e.params AS text) LIKE $6
                 ORDER BY e.block_number, e.log_index LIMIT $7"
            );
            Ok(db
                .query(&template)
                .bind(chain.0.cast_signed())
                .bind(number(to))
                .bind(block)
                .bind(log_index)
                .numbers(schemas.iter().copied())
                .bind(named(address))
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        self.stored(rows).await
    }

    /// The canonical transfers in `blocks` that make or destroy tokens: those that name the zero address.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn supply_transfers(
        &self,
        chain: ChainId,
        blocks: impl IntoIterator<Item = u64>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let blocks: Vec<_> = blocks.into_iter().map(number).collect();
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let schemas = self.schemas_that(|schema| Standard::of_schema(schema).is_some()).await?;
        let rows: Vec<EventRow> = read!(self, "supply_transfers", |db| {
            let template = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.chain_id = $1 AND e.block_number {{numbers:2}} AND e.canonical
                    AND e.schema_id {{numbers:3}} AND CAST(e.params AS text) LIKE $4
                 ORDER BY e.block_number, e.log_index"
            );
            Ok(db
                .query(&template)
                .bind(chain.0.cast_signed())
                .numbers(blocks.iter().copied())
                .numbers(schemas.iter().copied())
                .bind(named(Address::ZERO))
                .fetch_all()
                .await?)
        })?;
        self.stored(rows).await
    }

    // There are as many schemas as there are kinds of events in the configuration's ABIs.
    async fn schemas_that(&self, wanted: impl Fn(&EventSchema) -> bool) -> Result<Vec<i64>, StoreError> {
        let rows: Vec<(i32, String)> = read!(self, "schemas", |db| {
            let statement = "SELECT id, CAST(schema AS text) FROM event_schema ORDER BY id";
            Ok(db.query(statement).fetch_all().await?)
        })?;
        let mut ids = Vec::new();
        for (id, json) in rows {
            let schema: EventSchema =
                serde_json::from_str(&json).map_err(|error| StoreError::corrupt("schema", error))?;
            if wanted(&schema) {
                ids.push(i64::from(id));
            }
        }
        Ok(ids)
    }
}

fn named(address: Address) -> String {
    format!("%\"{}\"%", address.to_checksum(None))
}
