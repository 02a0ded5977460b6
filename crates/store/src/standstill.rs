//! What goes on beside the live chain and cannot: the past that a node refuses, the audit that finds no truth; and the
//! blocks that no receipts prove. Owns the notes of them, for `status`; must not know why.

use domain::ChainId;
use jiff::Timestamp;
use sqlx::FromRow;

use crate::{
    AuditMethod, Store, StoreError,
    event::number,
    tx::{read, tx},
};

/// So many unproved blocks of a chain are kept, the newest.
pub const UNPROVED_MAX: u64 = 1_000;

/// What can stand still while the live chain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Reading the past of contracts.
    Past,
    /// The audit of final blocks.
    Audit,
}

impl Part {
    const fn number(self) -> i16 {
        match self {
            Self::Past => 1,
            Self::Audit => 2,
        }
    }

    fn from_number(number: i16) -> Result<Self, StoreError> {
        match number {
            1 => Ok(Self::Past),
            2 => Ok(Self::Audit),
            _ => Err(StoreError::corrupt("standstill", format!("there is no part {number}"))),
        }
    }
}

/// A part that stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standstill {
    /// Which.
    pub part: Part,
    /// The block that is tried again and again.
    pub block: u64,
    /// Why, in one sentence.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A final block that no receipts prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproved {
    /// Its number.
    pub block: u64,
    /// Why, in one sentence.
    pub reason: String,
    /// How it was checked instead; nothing where it could not be checked at all.
    pub method: Option<AuditMethod>,
}

#[derive(Debug, FromRow)]
struct StandstillRow {
    part: i16,
    block_number: i64,
    reason: String,
    since: i64,
}

#[derive(Debug, FromRow)]
struct UnprovedRow {
    block_number: i64,
    reason: String,
    method: Option<i16>,
}

fn clean(reason: &str) -> String {
    reason.replace('\0', "")
}

impl Store {
    /// Notes that a part of a chain stands still. Since when is kept while it does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_standstill(
        &self,
        chain: ChainId,
        part: Part,
        (block, reason): (u64, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx!(self, "note_standstill", |tx| {
            let statement = "INSERT INTO standstill (chain_id, part, block_number, reason, since, updated_at)
                VALUES ($1, $2, $3, $4, $5, $5)
                ON CONFLICT (chain_id, part) DO UPDATE SET block_number = excluded.block_number,
                    reason = excluded.reason, updated_at = excluded.updated_at";
            tx.query(statement)
                .bind(chain.0.cast_signed())
                .bind(part.number())
                .bind(number(block))
                .bind(clean(reason))
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })
    }

    /// Notes that a part of a chain goes on.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn clear_standstill(&self, chain: ChainId, part: Part) -> Result<(), StoreError> {
        tx!(self, "clear_standstill", |tx| {
            let statement = "DELETE FROM standstill WHERE chain_id = $1 AND part = $2";
            tx.query(statement).bind(chain.0.cast_signed()).bind(part.number()).execute().await?;
            Ok(())
        })
    }

    /// What stands still of a chain.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn standstills(&self, chain: ChainId) -> Result<Vec<Standstill>, StoreError> {
        let rows: Vec<StandstillRow> = read!(self, "standstills", |db| {
            let statement =
                "SELECT part, block_number, reason, since FROM standstill WHERE chain_id = $1 ORDER BY part";
            Ok(db.query(statement).bind(chain.0.cast_signed()).fetch_all().await?)
        })?;
        let read = |row: StandstillRow| {
            Ok(Standstill {
                part: Part::from_number(row.part)?,
                block: row.block_number.cast_unsigned(),
                reason: row.reason,
                since: Timestamp::from_millisecond(row.since)
                    .map_err(|error| StoreError::corrupt("standstill", error))?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Notes of the blocks from `from` to `to` which of them no receipts prove; what was noted of them before is taken
    /// back. Of a chain the newest [`UNPROVED_MAX`] are kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_unproved(
        &self,
        chain: ChainId,
        (from, to): (u64, u64),
        blocks: &[Unproved],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx!(self, "note_unproved", |tx| {
            let statement = "DELETE FROM unproved_block WHERE chain_id = $1 AND block_number >= $2 AND block_number <= $3";
            tx.query(statement)
                .bind(chain.0.cast_signed())
                .bind(number(from))
                .bind(number(to))
                .execute()
                .await?;
            for block in blocks {
                let statement =
                    "INSERT INTO unproved_block (chain_id, block_number, reason, method, audited_at)
                    VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (chain_id, block_number) DO UPDATE SET reason = excluded.reason,
                        method = excluded.method, audited_at = excluded.audited_at";
                tx.query(statement)
                    .bind(chain.0.cast_signed())
                    .bind(number(block.block))
                    .bind(clean(&block.reason))
                    .bind(block.method.map(AuditMethod::number))
                    .bind(now.as_millisecond())
                    .execute()
                    .await?;
            }
            if !blocks.is_empty() {
                let statement = "DELETE FROM unproved_block WHERE chain_id = $1 AND block_number < (
                        SELECT min(block_number) FROM (SELECT block_number FROM unproved_block WHERE chain_id = $1
                            ORDER BY block_number DESC LIMIT $2) newest)";
                tx.query(statement).bind(chain.0.cast_signed()).bind(number(UNPROVED_MAX)).execute().await?;
            }
            Ok(())
        })
    }

    /// The blocks of a chain that no receipts prove, the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unproved(&self, chain: ChainId) -> Result<Vec<Unproved>, StoreError> {
        let rows: Vec<UnprovedRow> = read!(self, "unproved", |db| {
            let statement = "SELECT block_number, reason, method FROM unproved_block WHERE chain_id = $1
                ORDER BY block_number DESC";
            Ok(db.query(statement).bind(chain.0.cast_signed()).fetch_all().await?)
        })?;
        let read = |row: UnprovedRow| {
            Ok(Unproved {
                block: row.block_number.cast_unsigned(),
                reason: row.reason,
                method: row.method.map(AuditMethod::from_number).transpose()?,
            })
        };
        rows.into_iter().map(read).collect()
    }
}
