//! Chains: their checkpoint and the blocks near it.

use alloy_primitives::B256;
use domain::{BlockRef, ChainId, ChainName, confirmation::ChainView};
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    rows::chain_lane,
    tx::{read, tx},
};

/// A followed chain as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// Chain id.
    pub id: ChainId,
    /// The operator's name for it.
    pub name: ChainName,
    /// The last block that we hold: the checkpoint.
    pub tip: Option<BlockRef>,
    /// The node's newest block when it was last asked.
    pub head: Option<u64>,
    /// Height of the `safe` block.
    pub safe: Option<u64>,
    /// Height of the `finalized` block.
    pub finalized: Option<u64>,
    /// Why ingest stopped and waits for a person; nothing while it goes on.
    pub halted: Option<String>,
    /// When its heads or its tip were last noted.
    pub noted_at: Timestamp,
}

impl ChainRow {
    /// The heights that confirmation goes by.
    pub fn view(&self) -> ChainView {
        ChainView { tip: self.tip.map_or(0, |tip| tip.number), safe: self.safe, finalized: self.finalized }
    }
}

type Row =
    (i64, String, Option<i64>, Option<Vec<u8>>, Option<i64>, Option<i64>, Option<i64>, Option<String>, i64);

const COLUMNS: &str =
    "chain_id, name, tip_number, tip_hash, head_number, safe_number, finalized_number, halted, updated_at";

fn from_row(
    (id, name, number, hash, head, safe, finalized, halted, noted_at): Row,
) -> Result<ChainRow, StoreError> {
    let tip = match (number, hash) {
        (Some(number), Some(hash)) => Some(BlockRef::new(number.cast_unsigned(), hash32("chain", &hash)?)),
        _ => None,
    };
    Ok(ChainRow {
        id: ChainId(id.cast_unsigned()),
        name: name.parse().map_err(|error| StoreError::corrupt("chain", error))?,
        tip,
        head: head.map(i64::cast_unsigned),
        safe: safe.map(i64::cast_unsigned),
        finalized: finalized.map(i64::cast_unsigned),
        halted,
        noted_at: Timestamp::from_millisecond(noted_at)
            .map_err(|error| StoreError::corrupt("chain", error))?,
    })
}

fn other_chain(id: ChainId, name: &ChainName, held: Option<i64>) -> Result<(), StoreError> {
    match held.map(|held| ChainId(held.cast_unsigned())) {
        Some(held) if held != id => Err(StoreError::OtherChain { name: name.clone(), held, given: id }),
        _ => Ok(()),
    }
}

pub(crate) fn hash32(what: &'static str, bytes: &[u8]) -> Result<B256, StoreError> {
    B256::try_from(bytes).map_err(|error| StoreError::corrupt(what, error))
}

impl Store {
    /// Checks that no other chain has that name. A chain of this id under another name is fine: it is renamed when it is
    /// registered.
    ///
    /// # Errors
    /// [`StoreError::OtherChain`] when another chain has that name.
    pub async fn check_chain(&self, id: ChainId, name: &ChainName) -> Result<(), StoreError> {
        let held: Option<i64> = read!(self, "check_chain", |db| {
            let statement = "SELECT chain_id FROM chain WHERE name = $1";
            Ok(db.query(statement).bind(name.as_str()).optional_scalar().await?)
        })?;
        other_chain(id, name, held)
    }

    /// Registers a chain under its name, or renames it. What waits in the outbox under its old name is moved to the lane
    /// of the new one, since no relay looks into the old one any more.
    ///
    /// # Errors
    /// [`StoreError::OtherChain`] when another chain has that name.
    pub async fn register_chain(
        &self,
        id: ChainId,
        name: &ChainName,
        now: Timestamp,
    ) -> Result<ChainRow, StoreError> {
        tx!(self, "register_chain", |tx| {
            let known: Vec<(i64, String)> = tx
                .query("SELECT chain_id, name FROM chain WHERE chain_id = $1 OR name = $2")
                .bind(id.0.cast_signed())
                .bind(name.as_str())
                .fetch_all()
                .await?;
            for (held, before) in known {
                if before == name.as_str() {
                    other_chain(id, name, Some(held))?;
                } else {
                    let before = before.parse().map_err(|error| StoreError::corrupt("chain", error))?;
                    tx.query("UPDATE outbox SET lane = $1 WHERE lane = $2")
                        .bind(chain_lane(name))
                        .bind(chain_lane(&before))
                        .execute()
                        .await?;
                }
            }
            let statement = "INSERT INTO chain (chain_id, name, updated_at) VALUES ($1, $2, $3)
                ON CONFLICT (chain_id) DO UPDATE SET name = excluded.name";
            tx.query(statement)
                .bind(id.0.cast_signed())
                .bind(name.as_str())
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })?;
        let row = self.chain(id).await?;
        row.ok_or_else(|| StoreError::corrupt("chain", format!("{name} vanished after it was registered")))
    }

    /// One chain.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn chain(&self, id: ChainId) -> Result<Option<ChainRow>, StoreError> {
        let row: Option<Row> = read!(self, "chain", |db| {
            let statement = format!("SELECT {COLUMNS} FROM chain WHERE chain_id = $1");
            Ok(db.query(&statement).bind(id.0.cast_signed()).fetch_optional().await?)
        })?;
        row.map(from_row).transpose()
    }

    /// Every chain, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn chains(&self) -> Result<Vec<ChainRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "chains", |db| {
            let statement = format!("SELECT {COLUMNS} FROM chain ORDER BY name");
            Ok(db.query(&statement).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// The newest canonical blocks that we hold, oldest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recent_blocks(&self, chain: ChainId, limit: u32) -> Result<Vec<BlockRef>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = read!(self, "recent_blocks", |db| {
            let statement = "SELECT number, hash FROM block WHERE chain_id = $1 AND canonical
                ORDER BY number DESC LIMIT $2";
            Ok(db.query(statement).bind(chain.0.cast_signed()).bind(i64::from(limit)).fetch_all().await?)
        })?;
        let mut blocks = Vec::with_capacity(rows.len());
        for (number, hash) in rows.into_iter().rev() {
            blocks.push(BlockRef::new(number.cast_unsigned(), hash32("block", &hash)?));
        }
        Ok(blocks)
    }

    /// The newest canonical blocks that we hold, each with its parent's hash, oldest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recent_links(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<(BlockRef, B256)>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = read!(self, "recent_links", |db| {
            let statement = "SELECT number, hash, parent_hash FROM block WHERE chain_id = $1 AND canonical
                ORDER BY number DESC LIMIT $2";
            Ok(db.query(statement).bind(chain.0.cast_signed()).bind(i64::from(limit)).fetch_all().await?)
        })?;
        let mut links = Vec::with_capacity(rows.len());
        for (number, hash, parent) in rows.into_iter().rev() {
            let block = BlockRef::new(number.cast_unsigned(), hash32("block", &hash)?);
            links.push((block, hash32("block", &parent)?));
        }
        Ok(links)
    }

    /// The canonical block at a height, where one is held.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn canonical_block(&self, chain: ChainId, number: u64) -> Result<Option<BlockRef>, StoreError> {
        let hash: Option<Vec<u8>> = read!(self, "canonical_block", |db| {
            let statement = "SELECT hash FROM block WHERE chain_id = $1 AND number = $2 AND canonical";
            Ok(db
                .query(statement)
                .bind(chain.0.cast_signed())
                .bind(number.cast_signed())
                .optional_scalar()
                .await?)
        })?;
        hash.map(|hash| Ok(BlockRef::new(number, hash32("block", &hash)?))).transpose()
    }

    /// Notes what the node says of its heads. `safe` and `finalized` never move back.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_heads(
        &self,
        chain: ChainId,
        head: u64,
        safe: Option<u64>,
        finalized: Option<u64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx!(self, "note_heads", |tx| {
            let greater = if tx.dialect().is_postgres() { "GREATEST" } else { "MAX" };
            // SQLite's two-argument MAX is null when either is; PostgreSQL's GREATEST is not.
            let statement = format!(
                "UPDATE chain SET head_number = $2,
                    safe_number = {greater}(coalesce(safe_number, $3), coalesce($3, safe_number)),
                    finalized_number = {greater}(coalesce(finalized_number, $4), coalesce($4, finalized_number)),
                    updated_at = $5
                 WHERE chain_id = $1"
            );
            tx.query(&statement)
                .bind(chain.0.cast_signed())
                .bind(head.cast_signed())
                .bind(safe.map(u64::cast_signed))
                .bind(finalized.map(u64::cast_signed))
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })
    }
}
