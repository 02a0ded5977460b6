//! Owns the check of an answer against its question. Pure. A log that passes is in the block and the range asked for,
//! matches the filter, was not taken back, and has its index for itself.

use std::collections::HashSet;

use alloy_primitives::{Address, B256};
use domain::{LogFilter, LogQuery, RawLog, event::put_in_order};

/// Sorts the logs into chain order and checks them; the error is one sentence.
///
/// Order is mended, because it is a habit of the node and hides nothing, and a log that is there twice counts once.
/// Everything else is refused.
pub(crate) fn check(query: &LogQuery, filter: &LogFilter, logs: &mut Vec<RawLog>) -> Result<(), String> {
    let ordered = put_in_order(logs);
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
    ordered.map_err(|contradiction| contradiction.to_string())
}

/// Checks the logs of one transaction, as its receipt holds them.
pub(crate) fn check_transaction(tx_hash: B256, logs: &mut Vec<RawLog>) -> Result<(), String> {
    let ordered = put_in_order(logs);
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
    ordered.map_err(|contradiction| contradiction.to_string())
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

    fn verdict(query: LogQuery, logs: &[RawLog]) -> Result<Vec<RawLog>, String> {
        let filter =
            LogFilter { addresses: vec![Address::repeat_byte(1)], topics0: vec![B256::repeat_byte(2)] };
        let mut logs = logs.to_vec();
        check(&query, &filter, &mut logs).map(|()| logs)
    }

    const RANGE: LogQuery = LogQuery::Range { from: 10, to: 20 };

    #[test]
    fn logs_are_put_into_chain_order() {
        let logs = verdict(RANGE, &[log(12, 3), log(11, 9), log(12, 1)]).unwrap();
        let places: Vec<_> = logs.iter().map(|log| (log.block.number, log.log_index)).collect();
        assert_eq!(places, [(11, 9), (12, 1), (12, 3)]);
    }

    #[test]
    fn copies_of_a_log_count_once_and_two_logs_at_one_place_contradict_each_other() {
        let (one, two) = (log(12, 1), log(12, 2));
        let copies = [two.clone(), one.clone(), two.clone(), one.clone(), one.clone()];
        assert_eq!(verdict(RANGE, &copies).unwrap(), [one.clone(), two]);
        // Some nodes give the time only sometimes; nothing depends on it.
        let timed = RawLog { block_timestamp: Some(5), ..one.clone() };
        assert_eq!(verdict(RANGE, &[one.clone(), timed]).unwrap().len(), 1);
        let data = RawLog { data: Bytes::from_static(b"x"), ..one.clone() };
        let transaction = RawLog { tx_hash: B256::ZERO, ..one.clone() };
        for other in [data, transaction] {
            let said = verdict(RANGE, &[one.clone(), other]).unwrap_err();
            assert!(said.contains("the two differ"), "{said}");
        }
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
            (RANGE, |log| (log.log_index, log.tx_index) = (1, 1), "twice"),
            (RANGE, |log| log.removed = true, "removed"),
            (RANGE, |log| log.address = Address::ZERO, "not asked for"),
            (RANGE, |log| log.topics.clear(), "topic 0"),
        ];
        for (query, spoil, expected) in cases {
            let mut logs = [log(12, 1), log(12, 2)];
            verdict(query, &logs).unwrap();
            spoil(&mut logs[1]);
            let said = verdict(query, &logs).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_filter_that_names_nothing_takes_everything() {
        let mut odd = vec![log(12, 1)];
        odd[0].topics.clear();
        check(&RANGE, &LogFilter::default(), &mut odd).unwrap();
    }

    #[test]
    fn a_receipt_with_a_log_of_another_transaction_is_refused() {
        let mut logs = vec![log(12, 1), log(12, 2)];
        check_transaction(B256::repeat_byte(4), &mut logs).unwrap();
        logs[0].tx_hash = B256::ZERO;
        assert!(check_transaction(B256::repeat_byte(4), &mut logs).is_err());
    }
}
