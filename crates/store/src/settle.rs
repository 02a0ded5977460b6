//! Which contracts are read from where, when the configuration is other than last time. Owns the rule that no change of
//! it leaves a hole; must not know what a fingerprint is made of.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ChainId, ContractName};

use crate::{ContractCursor, Store, StoreError, bulk::Bulk, tx::tx};

/// A contract as the store has it: the cursor, and since which block the chain is read without it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    cursor: ContractCursor,
    absent_from: Option<u64>,
}

/// What becomes of a contract that is configured now. `wanted` is what a new one would get: `next_block` at the start
/// block, `live_from` at the block after the tip or at the start block if that is higher.
///
/// Reading a block twice is harmless, leaving one out is not: where one cursor cannot say what is read already, more is
/// read.
fn settle(known: Option<&Known>, wanted: &ContractCursor, tip: u64) -> Known {
    let Some(Known { cursor: held, absent_from }) = known else {
        return Known { cursor: wanted.clone(), absent_from: None };
    };
    let frontier = tip.saturating_add(1);
    // A start block above the one that was settled reads nothing less.
    let start_block = held.start_block.min(wanted.start_block);
    let same = held.fingerprint.is_empty() || held.fingerprint == wanted.fingerprint;
    let live_from = if same && absent_from.is_none() { held.live_from } else { frontier.max(start_block) };
    let next_block = match absent_from {
        _ if !same || start_block < held.start_block => start_block,
        None => held.next_block,
        // Read without it: from where it went, or from where its past was not read yet.
        Some(absent) if held.is_behind() => held.next_block.min(*absent).max(start_block),
        Some(absent) => absent.min(&frontier).max(&start_block).to_owned(),
    };
    let cursor = ContractCursor {
        name: wanted.name.clone(),
        start_block,
        next_block: next_block.min(live_from),
        live_from,
        fingerprint: wanted.fingerprint.clone(),
    };
    Known { cursor, absent_from: None }
}

/// What becomes of a contract that is not configured any more: the chain goes on without it.
fn part(known: &Known, tip: u64) -> Known {
    Known {
        cursor: known.cursor.clone(),
        absent_from: Some(known.absent_from.unwrap_or_else(|| tip.saturating_add(1))),
    }
}

type Row = (String, i64, i64, i64, String, Option<i64>);

fn from_row((name, start, next, live, fingerprint, absent): Row) -> Result<Known, StoreError> {
    let cursor = ContractCursor {
        name: name.parse().map_err(|error| StoreError::corrupt("contract", error))?,
        start_block: start.cast_unsigned(),
        next_block: next.cast_unsigned(),
        live_from: live.cast_unsigned(),
        fingerprint,
    };
    Ok(Known { cursor, absent_from: absent.map(i64::cast_unsigned) })
}

fn bulk(chain: ChainId, rows: &[&Known]) -> Bulk {
    let cursors = || rows.iter().map(|row| &row.cursor);
    Bulk::new()
        .texts("name", cursors().map(|cursor| cursor.name.as_str()))
        .numbers("start_block", cursors().map(|cursor| cursor.start_block.cast_signed()))
        .numbers("next_block", cursors().map(|cursor| cursor.next_block.cast_signed()))
        .numbers("live_from", cursors().map(|cursor| cursor.live_from.cast_signed()))
        .texts("fingerprint", cursors().map(|cursor| cursor.fingerprint.as_str()))
        .maybe_numbers("absent_from", rows.iter().map(|row| row.absent_from.map(u64::cast_signed)))
        .same_number("chain_id", chain.0.cast_signed())
}

impl Store {
    /// Settles from where the contracts of a chain are read, now that these and no others are configured, and returns
    /// their cursors by name. `wanted` is what a contract that was never met gets: `next_block` at its start block,
    /// `live_from` at `tip + 1`, or at the start block if that is higher.
    ///
    /// A contract that is known keeps its cursor, except that
    /// - a lower start block reads its past from there;
    /// - another fingerprint reads its past anew (an empty one in the store, from before fingerprints, takes any);
    /// - one that was not configured for a while reads what was missed, from then to the tip.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn settle_contracts(
        &self,
        chain: ChainId,
        wanted: &[ContractCursor],
        tip: u64,
    ) -> Result<Vec<ContractCursor>, StoreError> {
        let settled = tx!(self, "settle_contracts", |tx| {
            let statement =
                "SELECT name, start_block, next_block, live_from, fingerprint, absent_from FROM contract
                 WHERE chain_id = $1 ORDER BY name {lock}";
            let rows: Vec<Row> = tx.query(statement).bind(chain.0.cast_signed()).fetch_all().await?;
            let mut known = BTreeMap::new();
            for row in rows {
                let row = from_row(row)?;
                known.insert(row.cursor.name.clone(), row);
            }
            let settled = settle_all(&known, wanted, tip);
            let changed: Vec<_> =
                settled.iter().filter(|row| known.get(&row.cursor.name) != Some(row)).collect();
            if !changed.is_empty() {
                let bulk = bulk(chain, &changed);
                let tail = "ON CONFLICT (chain_id, name) DO UPDATE SET start_block = excluded.start_block,
                    next_block = excluded.next_block, live_from = excluded.live_from,
                    fingerprint = excluded.fingerprint, absent_from = excluded.absent_from";
                tx.insert("contract", &bulk, tail).execute().await?;
            }
            Ok(settled)
        })?;
        Ok(settled.into_iter().filter(|row| row.absent_from.is_none()).map(|row| row.cursor).collect())
    }
}

fn settle_all(known: &BTreeMap<ContractName, Known>, wanted: &[ContractCursor], tip: u64) -> Vec<Known> {
    let names: BTreeSet<_> = wanted.iter().map(|cursor| &cursor.name).collect();
    let wanted = wanted.iter().map(|cursor| settle(known.get(&cursor.name), cursor, tip));
    let gone = known.values().filter(|row| !names.contains(&row.cursor.name)).map(|row| part(row, tip));
    let mut settled: Vec<_> = wanted.chain(gone).collect();
    settled.sort_by(|one, other| one.cursor.name.cmp(&other.cursor.name));
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(start: u64, tip: u64, fingerprint: &str) -> ContractCursor {
        ContractCursor {
            name: "token".parse().unwrap(),
            start_block: start,
            next_block: start,
            live_from: start.max(tip + 1),
            fingerprint: fingerprint.to_owned(),
        }
    }

    fn known(start: u64, next: u64, live: u64, fingerprint: &str) -> Known {
        let cursor = ContractCursor { next_block: next, live_from: live, ..wanted(start, 0, fingerprint) };
        Known { cursor, absent_from: None }
    }

    // Start, next and live block.
    fn blocks(row: &Known) -> (u64, u64, u64) {
        (row.cursor.start_block, row.cursor.next_block, row.cursor.live_from)
    }

    #[test]
    fn a_contract_that_was_never_met_gets_what_is_wanted() {
        let row = settle(None, &wanted(10, 100, "a"), 100);
        assert_eq!((blocks(&row), row.absent_from), ((10, 10, 101), None));
        assert_eq!(blocks(&settle(None, &wanted(105, 100, "a"), 100)), (105, 105, 105));
    }

    #[test]
    fn a_contract_that_did_not_change_keeps_its_cursor() {
        let row = known(10, 40, 101, "a");
        assert_eq!(settle(Some(&row), &wanted(10, 200, "a"), 200), row);
    }

    #[test]
    fn a_lower_start_block_reads_the_past_from_there_and_a_higher_one_changes_nothing() {
        let row = known(10, 101, 101, "a");
        assert_eq!(blocks(&settle(Some(&row), &wanted(3, 200, "a"), 200)), (3, 3, 101));
        assert_eq!(settle(Some(&row), &wanted(50, 200, "a"), 200), row);
        assert_eq!(settle(Some(&row), &wanted(201, 200, "a"), 200), row);
    }

    #[test]
    fn a_row_from_before_fingerprints_takes_any_and_reads_nothing_again() {
        let row = settle(Some(&known(10, 40, 101, "")), &wanted(10, 200, "a"), 200);
        assert_eq!((blocks(&row), row.cursor.fingerprint.as_str()), ((10, 40, 101), "a"));
    }

    #[test]
    fn another_fingerprint_reads_the_past_anew_from_the_start_that_was_settled() {
        let row = known(10, 101, 101, "a");
        let settled = settle(Some(&row), &wanted(10, 200, "b"), 200);
        assert_eq!((blocks(&settled), settled.cursor.fingerprint.as_str()), ((10, 10, 201), "b"));
        assert_eq!(blocks(&settle(Some(&row), &wanted(201, 200, "b"), 200)), (10, 10, 201));
        assert_eq!(
            blocks(&settle(Some(&known(300, 300, 300, "a")), &wanted(300, 200, "b"), 200)),
            (300, 300, 300)
        );
    }

    #[test]
    fn a_contract_that_went_remembers_since_when_once() {
        let row = part(&known(10, 101, 101, "a"), 200);
        assert_eq!(row.absent_from, Some(201));
        assert_eq!(part(&row, 300).absent_from, Some(201));
    }

    #[test]
    fn a_contract_that_comes_back_reads_what_was_missed() {
        let caught_up = part(&known(10, 101, 101, "a"), 200);
        let back = settle(Some(&caught_up), &wanted(10, 300, "a"), 300);
        assert_eq!((blocks(&back), back.absent_from), ((10, 201, 301), None));
        let behind = part(&known(10, 40, 101, "a"), 200);
        assert_eq!(blocks(&settle(Some(&behind), &wanted(10, 300, "a"), 300)), (10, 40, 301));
        // Nothing was missed.
        assert_eq!(blocks(&settle(Some(&caught_up), &wanted(10, 200, "a"), 200)), (10, 201, 201));
        let changed = settle(Some(&caught_up), &wanted(10, 300, "b"), 300);
        assert_eq!(blocks(&changed), (10, 10, 301));
        assert_eq!(blocks(&settle(Some(&caught_up), &wanted(5, 300, "a"), 300)), (5, 5, 301));
    }

    // One contract's life, told by dice: which of the blocks were read with what is configured now.
    struct Life {
        dice: u64,
        tip: u64,
        row: Option<Known>,
        configured: bool,
        read: BTreeSet<u64>,
    }

    impl Life {
        fn roll(&mut self, sides: u64) -> u64 {
            // A linear congruential generator (Knuth's MMIX): the same life for the same seed.
            self.dice =
                self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.dice >> 33) % sides
        }

        fn live(&mut self, blocks: u64) {
            for _ in 0..blocks {
                self.tip += 1;
                if self.configured {
                    self.read.insert(self.tip);
                }
            }
        }

        fn backfill(&mut self, blocks: u64) {
            let Some(row) = self.row.as_mut().filter(|_| self.configured) else { return };
            for _ in 0..blocks {
                // Blocks above the tip are not there yet.
                if row.cursor.is_behind() && row.cursor.next_block <= self.tip {
                    self.read.insert(row.cursor.next_block);
                    row.cursor.next_block += 1;
                }
            }
        }

        fn reorg(&mut self, depth: u64) {
            self.tip -= depth.min(self.tip);
            let frontier = self.tip + 1;
            self.read.retain(|block| *block < frontier);
            if let Some(row) = &mut self.row {
                row.absent_from = row.absent_from.map(|absent| absent.min(frontier));
            }
        }

        fn restart(&mut self, start: u64, fingerprint: &str, configured: bool) {
            self.configured = configured;
            if !configured {
                self.row = self.row.as_ref().map(|row| part(row, self.tip));
                return;
            }
            if self.row.as_ref().is_some_and(|row| row.cursor.fingerprint != fingerprint) {
                self.read.clear();
            }
            let row = settle(self.row.as_ref(), &wanted(start, self.tip, fingerprint), self.tip);
            assert!(row.cursor.start_block <= row.cursor.next_block);
            assert!(row.cursor.next_block <= row.cursor.live_from);
            self.row = Some(row);
        }
    }

    #[test]
    fn no_change_of_configuration_leaves_a_hole() {
        for seed in 0..3_000 {
            let mut life = Life { dice: seed, tip: 20, row: None, configured: false, read: BTreeSet::new() };
            for _ in 0..30 {
                match life.roll(5) {
                    0 => {
                        let blocks = life.roll(8);
                        life.live(blocks);
                    }
                    1 => {
                        let blocks = life.roll(8);
                        life.backfill(blocks);
                    }
                    2 => {
                        let depth = life.roll(4);
                        life.reorg(depth);
                    }
                    _ => {
                        let (start, other, configured) = (life.roll(40), life.roll(4) == 0, life.roll(3) > 0);
                        life.restart(start, if other { "b" } else { "a" }, configured);
                    }
                }
            }
            life.restart(10, "a", true);
            life.live(50);
            life.backfill(u64::from(u16::MAX));
            let start = life.row.as_ref().map_or(0, |row| row.cursor.start_block);
            let hole = (start..=life.tip).find(|block| !life.read.contains(block));
            assert_eq!(hole, None, "seed {seed}: {:?}, tip {}", life.row, life.tip);
        }
    }
}
