//! Owns the search for how much a node takes at once: blocks in a range, questions in a message. It is tried from large to
//! small, its suggestions first, and then between what it took and what it refused, as the rooms will.

use alloy_primitives::{Address, B256, keccak256};
use domain::{Bound, Header, Learned, LogFilter, LogQuery};

use super::Examination;
use crate::{fault::Fault, learner::LASTS, upstream::Upstream};

/// How much a node gives in one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// At least so much; more was not tried.
    AtLeast(u64),
    /// So much, and not more.
    At {
        /// The most that it gave.
        most: u64,
        /// The least that it refused.
        refused: u64,
        /// What it said to that.
        why: String,
    },
    /// It gave nothing.
    Nothing(String),
}

impl Limit {
    pub(super) fn learned(&self) -> Option<Learned> {
        match self {
            Self::At { most, refused, .. } => {
                Some(Learned { granted: *most, refused: *refused, lasts: LASTS })
            }
            Self::AtLeast(_) | Self::Nothing(_) => None,
        }
    }
}

/// The ranges that are tried before the gap between two of them is, in blocks.
const RANGES: [u64; 6] = [10_000, 2_000, 500, 100, 10, 1];

/// How many ranges are tried.
const TRIES_MAX: usize = 20;

/// The range over which results are counted, in blocks.
const BUSY_RANGE: u64 = 100;

impl Examination<'_> {
    /// How many blocks a question may span where the node has the history since `oldest`, found with a filter that nothing satisfies. A refusal counts as one whatever
    /// its words are, as long as a smaller range is answered.
    pub(super) async fn range_limit(&self, latest: &Header, oldest: u64) -> Limit {
        // No contract lies at the zero address.
        let nothing = LogFilter { addresses: vec![Address::ZERO], topics0: Vec::new() };
        let mut bound = Bound::new(u32::MAX);
        let mut size = RANGES[0].min(latest.block.number.saturating_add(1));
        let kept = latest.block.number.saturating_sub(oldest).saturating_add(1);
        let (mut refused, mut why) = (None, String::new());
        for _ in 0..TRIES_MAX {
            match self.logs(back_from(latest, size), &nothing).await {
                Ok(_) => bound.grant(size),
                // That is about the blocks, not about their number.
                Err(Fault::Pruned(_)) if size > kept => {
                    size = kept;
                    continue;
                }
                Err(fault) => {
                    let suggested = match &fault {
                        Fault::RangeTooLarge { suggested_blocks, .. } => *suggested_blocks,
                        _ => None,
                    };
                    bound.refuse(size, suggested);
                    refused = Some(size);
                    why = self.endpoint.clean(&fault.detail());
                }
            }
            let Some(limit) = bound.limit() else { return Limit::AtLeast(size) };
            // Until anything was granted, larger steps find more.
            let step = RANGES.into_iter().find(|step| *step < size && bound.granted_most() == 0);
            let next = step.unwrap_or(limit);
            if next == size || (size == 1 && refused == Some(1)) {
                break;
            }
            size = next;
        }
        match bound.learned().filter(|learned| refused != Some(1) && learned.granted > 0) {
            Some(Learned { granted, refused, .. }) => Limit::At { most: granted, refused, why },
            None => Limit::Nothing(why),
        }
    }

    /// How many questions may be in one message: as many as would be sent are put together, in the way of the rooms.
    pub(super) async fn batch_limit(&self, upstream: &Upstream, latest: &Header) -> Limit {
        let head = latest.block.number;
        let most = u64::try_from(upstream.shared.config.max_batch).unwrap_or(u64::MAX);
        let numbers: Vec<_> = (head.saturating_sub(most - 1)..=head).collect();
        if let Err(fault) = upstream.headers_by_number(&numbers).await {
            return Limit::Nothing(self.endpoint.clean(&fault.detail()));
        }
        let batches = upstream.batches();
        match batches.learned() {
            None => Limit::AtLeast(numbers.len() as u64),
            Some(Learned { granted, refused, .. }) => {
                Limit::At { most: granted, refused, why: batches.why().to_owned() }
            }
        }
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
