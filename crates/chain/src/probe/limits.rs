//! Owns the search for the ranges that a node accepts: tried from large to small, its suggestions first.

use alloy_primitives::{Address, B256, keccak256};
use domain::{Header, LogFilter, LogQuery};

use super::Examination;
use crate::fault::Fault;

/// How much a node gives in one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// At least so much; more was not tried.
    AtLeast(u64),
    /// So much, and not more.
    At {
        /// The most that it gave.
        most: u64,
        /// What it said to more.
        why: String,
    },
    /// It gave nothing.
    Nothing(String),
}

/// The ranges that are tried, in blocks.
const RANGES: [u64; 5] = [10_000, 2_000, 500, 100, 10];

/// The range over which results are counted, in blocks.
const BUSY_RANGE: u64 = 100;

impl Examination<'_> {
    /// How many blocks a question may span, found with a filter that nothing satisfies.
    pub(super) async fn range_limit(&self, latest: &Header) -> Limit {
        // No contract lies at the zero address.
        let nothing = LogFilter { addresses: vec![Address::ZERO], topics0: Vec::new() };
        let mut refused = None;
        let mut sizes = RANGES.into_iter();
        let mut next = sizes.next();
        for _ in RANGES {
            let Some(size) = next else { break };
            let size = size.min(latest.block.number.saturating_add(1));
            match self.logs(back_from(latest, size), &nothing).await {
                Ok(_) => {
                    return match refused {
                        None => Limit::AtLeast(size),
                        Some(why) => Limit::At { most: size, why },
                    };
                }
                Err(fault) => {
                    let suggested = match &fault {
                        Fault::RangeTooLarge { suggested_blocks, .. } => *suggested_blocks,
                        _ => None,
                    };
                    refused.get_or_insert_with(|| self.endpoint.clean(&fault.detail()));
                    sizes = RANGES.into_iter();
                    let smaller = sizes.by_ref().find(|smaller| *smaller < size);
                    next = suggested.filter(|suggested| *suggested < size).or(smaller);
                }
            }
        }
        Limit::Nothing(refused.unwrap_or_default())
    }

    /// How many logs one answer holds, found with the transfers of all tokens of a few blocks.
    pub(super) async fn result_limit(&self, latest: &Header) -> Limit {
        let transfer: B256 = keccak256("Transfer(address,address,uint256)");
        let transfers = LogFilter { addresses: Vec::new(), topics0: vec![transfer] };
        let size = BUSY_RANGE.min(latest.block.number.saturating_add(1));
        match self.logs(back_from(latest, size), &transfers).await {
            Ok(given) => Limit::AtLeast(given),
            Err(fault) => Limit::Nothing(self.endpoint.clean(&fault.detail())),
        }
    }
}

fn back_from(latest: &Header, blocks: u64) -> LogQuery {
    let to = latest.block.number;
    LogQuery::Range { from: to.saturating_sub(blocks.saturating_sub(1)), to }
}
