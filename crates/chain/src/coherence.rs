//! Owns the check of an answer against its question. Pure. A log that passes is in the block and the range asked for,
//! matches the filter, was not taken back, and has its index for itself.

use std::collections::HashSet;

use alloy_primitives::{Address, B256};
use domain::{LogFilter, LogQuery, RawLog};

/// Sorts the logs into chain order and checks them; the error is one sentence.
///
/// Order is mended, because it is a habit of the node and hides nothing. Everything else is refused.
pub(crate) fn check(query: &LogQuery, filter: &LogFilter, logs: &mut [RawLog]) -> Result<(), String> {
    logs.sort_by_key(|log| (log.block.number, log.log_index));
    let addresses: HashSet<&Address> = filter.addresses.iter().collect();
    let topics: HashSet<&B256> = filter.topics0.iter().collect();
    for log in logs.iter() {
        match query {
            LogQuery::Block(block) if log.block != *block => {
                return Err(format!(
                    "asked for block {block}, it gave {} of block {}",
                    place(log),
                    log.block
                ));
            }
            LogQuery::Range { from, to } if !(*from..=*to).contains(&log.block.number) => {
                return Err(format!("asked for blocks {from} to {to}, it gave {}", place(log)));
            }
            LogQuery::Block(_) | LogQuery::Range { .. } => {}
        }
        if log.removed {
            return Err(format!("{} is marked as removed inside an answer", place(log)));
        }
        if !addresses.is_empty() && !addresses.contains(&log.address) {
            return Err(format!("{} is from {}, which was not asked for", place(log), log.address));
        }
        if !topics.is_empty() && !log.topics.first().is_some_and(|topic| topics.contains(topic)) {
            return Err(format!("{} has a topic 0 that was not asked for", place(log)));
        }
    }
    consecutive(logs)
}

/// Checks the logs of one transaction, as its receipt holds them.
pub(crate) fn check_transaction(tx_hash: B256, logs: &mut [RawLog]) -> Result<(), String> {
    logs.sort_by_key(|log| log.log_index);
    for log in logs.iter() {
        if log.tx_hash != tx_hash {
            return Err(format!(
                "asked for transaction {tx_hash}, it gave {} of {}",
                place(log),
                log.tx_hash
            ));
        }
        if log.removed {
            return Err(format!("{} is marked as removed inside a receipt", place(log)));
        }
    }
    consecutive(logs)
}

fn consecutive(logs: &[RawLog]) -> Result<(), String> {
    for pair in logs.windows(2) {
        let (before, log) = (&pair[0], &pair[1]);
        if before.block.number != log.block.number {
            continue;
        }
        if before.block.hash != log.block.hash {
            return Err(format!("block {} has two hashes in one answer", log.block.number));
        }
        if before.log_index == log.log_index {
            return Err(format!("{} is there twice", place(log)));
        }
    }
    Ok(())
}

fn place(log: &RawLog) -> String {
    format!("log {} of block {}", log.log_index, log.block.number)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;
    use domain::BlockRef;

    use super::*;

    fn log(number: u64, index: u64) -> RawLog {
        RawLog {
            address: Address::repeat_byte(1),
            topics: vec![B256::repeat_byte(2)],
            data: Bytes::new(),
            block: BlockRef::new(number, B256::with_last_byte(number as u8)),
            block_timestamp: None,
            tx_hash: B256::repeat_byte(4),
            tx_index: 0,
            log_index: index,
            removed: false,
        }
    }

    fn verdict(query: LogQuery, logs: &mut [RawLog]) -> Result<(), String> {
        let filter =
            LogFilter { addresses: vec![Address::repeat_byte(1)], topics0: vec![B256::repeat_byte(2)] };
        check(&query, &filter, logs)
    }

    const RANGE: LogQuery = LogQuery::Range { from: 10, to: 20 };

    #[test]
    fn logs_are_put_into_chain_order() {
        let mut logs = [log(12, 3), log(11, 9), log(12, 1)];
        verdict(RANGE, &mut logs).unwrap();
        assert_eq!(logs.map(|log| (log.block.number, log.log_index)), [(11, 9), (12, 1), (12, 3)]);
    }

    #[test]
    fn each_contradiction_is_refused_and_named() {
        type Spoil = fn(&mut RawLog);
        let block = LogQuery::Block(log(12, 0).block);
        let cases: [(LogQuery, Spoil, &str); 8] = [
            (block, |log| log.block.hash = B256::ZERO, "asked for block 12"),
            (block, |log| log.block.number = 13, "asked for block 12"),
            (RANGE, |log| log.block.number = 21, "asked for blocks 10 to 20"),
            (RANGE, |log| log.block.hash = B256::ZERO, "two hashes"),
            (RANGE, |log| log.log_index = 1, "twice"),
            (RANGE, |log| log.removed = true, "removed"),
            (RANGE, |log| log.address = Address::ZERO, "not asked for"),
            (RANGE, |log| log.topics.clear(), "topic 0"),
        ];
        for (query, spoil, expected) in cases {
            let mut logs = [log(12, 1), log(12, 2)];
            verdict(query, &mut logs).unwrap();
            spoil(&mut logs[1]);
            let said = verdict(query, &mut logs).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_filter_that_names_nothing_takes_everything() {
        let mut odd = [log(12, 1)];
        odd[0].topics.clear();
        check(&RANGE, &LogFilter::default(), &mut odd).unwrap();
    }

    #[test]
    fn a_receipt_with_a_log_of_another_transaction_is_refused() {
        let mut logs = [log(12, 1), log(12, 2)];
        check_transaction(B256::repeat_byte(4), &mut logs).unwrap();
        logs[0].tx_hash = B256::ZERO;
        assert!(check_transaction(B256::repeat_byte(4), &mut logs).is_err());
    }
}
