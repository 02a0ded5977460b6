//! What explanations read besides what the rooms read. Must not know how it is told.

use std::collections::HashMap;

use alloy_primitives::B256;
use domain::{BlockRef, ChainId, Notification, NotificationId};

use crate::{
    EventKey, Store, StoreError,
    chain::hash32,
    notification::{COLUMNS, Row, from_row},
    tx::read,
};

impl Store {
    /// Where the events of a transaction are, oldest first, whether they can be read or not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn keys_of_transaction(&self, tx_hash: B256) -> Result<Vec<EventKey>, StoreError> {
        let rows: Vec<(i64, i64, Vec<u8>, i64)> = read!(self, "keys_of_transaction", |db| {
            let statement = "SELECT chain_id, block_number, block_hash, CAST(log_index AS bigint) FROM event
                WHERE tx_hash = $1 ORDER BY chain_id, block_number, log_index";
            Ok(db.query(statement).bind(tx_hash.to_vec()).fetch_all().await?)
        })?;
        let key = |(chain, number, hash, log_index): (i64, i64, Vec<u8>, i64)| {
            let block = BlockRef::new(number.cast_unsigned(), hash32("event", &hash)?);
            let (chain, log_index) = (ChainId(chain.cast_unsigned()), log_index.cast_unsigned());
            Ok(EventKey { chain, block, log_index })
        };
        rows.into_iter().map(key).collect()
    }

    /// Of rows of the outbox that are the news of a block, which block that is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn blocks_of_outbox(
        &self,
        ids: &[i64],
    ) -> Result<HashMap<i64, (ChainId, BlockRef)>, StoreError> {
        let rows: Vec<(i64, i64, i64, Vec<u8>)> = read!(self, "blocks_of_outbox", |db| {
            let statement = "SELECT id, chain_id, block_number, block_hash FROM outbox
                WHERE id {numbers:1} AND block_hash IS NOT NULL";
            Ok(db.query(statement).numbers(ids.iter().copied()).fetch_all().await?)
        })?;
        let block = |(id, chain, number, hash): (i64, i64, i64, Vec<u8>)| {
            let block = BlockRef::new(number.cast_unsigned(), hash32("outbox", &hash)?);
            Ok((id, (ChainId(chain.cast_unsigned()), block)))
        };
        rows.into_iter().map(block).collect()
    }

    /// The corrections of a notification, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn corrections_of(&self, first: NotificationId) -> Result<Vec<Notification>, StoreError> {
        let rows: Vec<Row> = read!(self, "corrections_of", |db| {
            let statement =
                format!("SELECT {COLUMNS} FROM notification n WHERE n.corrects = $1 ORDER BY n.revision");
            Ok(db.query(&statement).bind(first.0).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }
}
