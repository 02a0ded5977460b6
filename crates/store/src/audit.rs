//! Audits: which blocks were read a second time, how, and what that showed. Owns the rule that turns the notes into
//! ranges; must not know how blocks are audited.

use domain::ChainId;
use jiff::Timestamp;
use sqlx::FromRow;

use crate::{
    Store, StoreError,
    event::number,
    tx::{read, tx},
};

/// How blocks were verified, the surest way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuditMethod {
    /// By receipts that hash to the header's receipts root.
    ReceiptsRoot,
    /// By receipts that could not be hashed: the node's word.
    ReceiptsWord,
    /// By the logs of another provider.
    OtherProvider,
    /// By the logs of the same provider, asked again.
    SameProvider,
}

impl AuditMethod {
    const ALL: [Self; 4] = [Self::ReceiptsRoot, Self::ReceiptsWord, Self::OtherProvider, Self::SameProvider];

    pub(crate) const fn number(self) -> i16 {
        match self {
            Self::ReceiptsRoot => 1,
            Self::ReceiptsWord => 2,
            Self::OtherProvider => 3,
            Self::SameProvider => 4,
        }
    }

    pub(crate) fn from_number(number: i16) -> Result<Self, StoreError> {
        let method = Self::ALL.into_iter().find(|method| method.number() == number);
        method.ok_or_else(|| StoreError::corrupt("audit", format!("there is no method {number}")))
    }
}

/// What one audit of a range showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Chain.
    pub chain: ChainId,
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// How it was verified.
    pub method: AuditMethod,
    /// Fingerprint of the set of contracts that was audited.
    pub contracts: String,
    /// Events that the store lacked.
    pub missing: u64,
    /// Events that only the store had.
    pub extra: u64,
    /// Events with other content in the store.
    pub different: u64,
    /// How many of these differences were mended.
    pub repaired: u64,
    /// Redacted URL of who was asked.
    pub provider: String,
    /// When, by the store's clock.
    pub audited_at: Timestamp,
}

impl AuditRow {
    const fn differences(&self) -> u64 {
        self.missing + self.extra + self.different
    }

    /// Whether the store holds what the audit found: no difference, or each mended.
    pub const fn is_clean(&self) -> bool {
        self.repaired >= self.differences()
    }
}

/// Blocks that are known to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// The least sure of the ways in which its blocks were verified.
    pub method: AuditMethod,
}

/// The largest ranges of blocks that are known to be complete, lowest first. `rows` are in the order in which they were
/// noted: a later one replaces earlier ones of the same blocks, and one with differences that were not mended says that
/// its blocks are not complete.
pub fn verified(rows: &[AuditRow]) -> Vec<Verified> {
    // Disjoint ranges, lowest first, each with its newest verdict.
    let mut painted: Vec<(u64, u64, Option<AuditMethod>)> = Vec::new();
    for row in rows {
        let verdict = row.is_clean().then_some(row.method);
        let mut next = Vec::with_capacity(painted.len() + 2);
        for (from, to, method) in painted {
            if from < row.from {
                next.push((from, to.min(row.from - 1), method));
            }
            if to > row.to {
                next.push((from.max(row.to + 1), to, method));
            }
        }
        next.push((row.from, row.to, verdict));
        next.sort_unstable_by_key(|(from, _, _)| *from);
        painted = next;
    }
    let mut ranges: Vec<Verified> = Vec::new();
    for (from, to, method) in painted {
        let Some(method) = method else { continue };
        match ranges.last_mut() {
            Some(last) if last.to + 1 == from => {
                last.to = to;
                last.method = last.method.max(method);
            }
            _ => ranges.push(Verified { from, to, method }),
        }
    }
    ranges
}

#[derive(Debug, FromRow)]
struct Row {
    chain_id: i64,
    from_block: i64,
    to_block: i64,
    method: i16,
    contracts: String,
    missing: i64,
    extra: i64,
    different: i64,
    repaired: i64,
    provider: String,
    audited_at: i64,
}

fn from_row(row: Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        chain: ChainId(row.chain_id.cast_unsigned()),
        from: row.from_block.cast_unsigned(),
        to: row.to_block.cast_unsigned(),
        method: AuditMethod::from_number(row.method)?,
        contracts: row.contracts,
        missing: row.missing.cast_unsigned(),
        extra: row.extra.cast_unsigned(),
        different: row.different.cast_unsigned(),
        repaired: row.repaired.cast_unsigned(),
        provider: row.provider,
        audited_at: Timestamp::from_millisecond(row.audited_at)
            .map_err(|error| StoreError::corrupt("audit", error))?,
    })
}

impl Store {
    /// Notes an audit. One without differences that continues the one before it becomes one row with it, and rows
    /// without differences that it covers whole are dropped, so that the table stays small; rows with differences stay.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        tx!(self, "note_audit", |tx| {
            // A row may grow only while no later one speaks of its blocks or of the new ones: their order is their rank.
            let statement = "UPDATE audit SET to_block = $3, audited_at = $4
                WHERE id = (SELECT max(id) FROM audit WHERE chain_id = $1 AND contracts = $5 AND to_block = $2 - 1
                        AND method = $6 AND provider = $7 AND missing + extra + different = 0 AND $8 = 0)
                    AND NOT EXISTS (SELECT 1 FROM audit later WHERE later.chain_id = $1 AND later.contracts = $5
                        AND later.id > audit.id AND later.from_block <= $3 AND later.to_block >= audit.from_block)
                RETURNING id, from_block";
            let grown: Option<(i64, i64)> = tx
                .query(statement)
                .bind(row.chain.0.cast_signed())
                .bind(row.from.cast_signed())
                .bind(number(row.to))
                .bind(row.audited_at.as_millisecond())
                .bind(&row.contracts)
                .bind(row.method.number())
                .bind(&row.provider)
                .bind(row.differences().cast_signed())
                .fetch_optional()
                .await?;
            let (id, from) = match grown {
                Some(grown) => grown,
                None => {
                    let statement =
                        "INSERT INTO audit (chain_id, from_block, to_block, method, contracts, missing,
                            extra, different, repaired, provider, audited_at)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id";
                    let id: i64 = tx
                        .query(statement)
                        .bind(row.chain.0.cast_signed())
                        .bind(row.from.cast_signed())
                        .bind(number(row.to))
                        .bind(row.method.number())
                        .bind(&row.contracts)
                        .bind(row.missing.cast_signed())
                        .bind(row.extra.cast_signed())
                        .bind(row.different.cast_signed())
                        .bind(row.repaired.cast_signed())
                        .bind(&row.provider)
                        .bind(row.audited_at.as_millisecond())
                        .scalar()
                        .await?;
                    (id, row.from.cast_signed())
                }
            };
            let statement = "DELETE FROM audit WHERE chain_id = $1 AND contracts = $2 AND id < $3
                AND from_block >= $4 AND to_block <= $5 AND missing + extra + different = 0";
            tx.query(statement)
                .bind(row.chain.0.cast_signed())
                .bind(&row.contracts)
                .bind(id)
                .bind(from)
                .bind(number(row.to))
                .execute()
                .await?;
            Ok(())
        })
    }

    /// The audits of this set of contracts, in the order in which they were noted: what [`verified`] takes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audits(&self, chain: ChainId, contracts: &str) -> Result<Vec<AuditRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "audits", |db| {
            let statement =
                "SELECT chain_id, from_block, to_block, method, contracts, missing, extra, different,
                    repaired, provider, audited_at
                FROM audit WHERE chain_id = $1 AND contracts = $2 ORDER BY id";
            Ok(db.query(statement).bind(chain.0.cast_signed()).bind(contracts).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: u64, to: u64, method: AuditMethod) -> AuditRow {
        AuditRow {
            chain: ChainId(1),
            from,
            to,
            method,
            contracts: String::new(),
            missing: 0,
            extra: 0,
            different: 0,
            repaired: 0,
            provider: String::new(),
            audited_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn ranges(rows: &[AuditRow]) -> Vec<(u64, u64, AuditMethod)> {
        verified(rows).into_iter().map(|range| (range.from, range.to, range.method)).collect()
    }

    use AuditMethod::{OtherProvider, ReceiptsRoot, ReceiptsWord, SameProvider};

    #[test]
    fn neighbours_join_under_the_weakest_method_and_gaps_do_not() {
        let rows = [row(11, 20, ReceiptsWord), row(1, 10, ReceiptsRoot), row(22, 30, OtherProvider)];
        assert_eq!(ranges(&rows), [(1, 20, ReceiptsWord), (22, 30, OtherProvider)]);
        assert!(ranges(&[]).is_empty());
    }

    #[test]
    fn a_later_audit_replaces_an_earlier_one_of_its_blocks_only() {
        let rows = [row(1, 30, SameProvider), row(11, 20, ReceiptsRoot)];
        assert_eq!(ranges(&rows), [(1, 30, SameProvider)]);
        let rows = [row(5, 10, SameProvider), row(0, 10, ReceiptsRoot)];
        assert_eq!(ranges(&rows), [(0, 10, ReceiptsRoot)]);
    }

    #[test]
    fn differences_that_were_not_mended_break_a_range() {
        let bad = AuditRow { missing: 2, different: 1, repaired: 2, ..row(11, 20, ReceiptsRoot) };
        let rows = [row(1, 30, ReceiptsRoot), bad.clone()];
        assert_eq!(ranges(&rows), [(1, 10, ReceiptsRoot), (21, 30, ReceiptsRoot)]);
        let mended = AuditRow { repaired: 3, ..bad.clone() };
        assert_eq!(ranges(&[row(1, 30, ReceiptsRoot), mended]), [(1, 30, ReceiptsRoot)]);
        let again = [row(1, 30, ReceiptsRoot), bad, row(15, 16, ReceiptsWord)];
        assert_eq!(ranges(&again), [(1, 10, ReceiptsRoot), (15, 16, ReceiptsWord), (21, 30, ReceiptsRoot)]);
    }
}
