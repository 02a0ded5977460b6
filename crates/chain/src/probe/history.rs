//! Owns the search for the oldest logs that a node has. A pruned node either refuses, or says that a block whose bloom
//! is not empty has no logs.

use alloy_primitives::Bloom;
use domain::{Header, LogFilter, LogQuery};

use super::Examination;
use crate::fault::Fault;

/// How far back a node has logs, as far as was looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// Nothing is missing.
    Whole,
    /// It has those of one block and lacks those of the one before, or of an earlier one where looking ended there.
    Since {
        /// The oldest block whose logs it was found to have.
        has: u64,
        /// The newest block whose logs it was found to lack.
        lacks: u64,
        /// What it said of the latter.
        why: String,
    },
}

/// How many blocks are looked at, with two questions each: enough to halve any chain down to a block.
const LOOKS: u32 = 40;

/// How many of them are to find one that lacks its logs.
const FIRST_LOOKS: u32 = 3;

impl Examination<'_> {
    /// Looks at block 1, then at halves and quarters where that one has no logs to lack, then between the last that is
    /// there and the first that is not.
    pub(super) async fn history(&self, latest: &Header) -> History {
        let head = latest.block.number;
        let (mut has, mut at) = (head, 1.min(head));
        let mut lacks = None;
        for look in 0..LOOKS {
            match self.look_back(at).await {
                Ok(Seen::Logs) if lacks.is_none() => return History::Whole,
                Ok(Seen::Nothing) if lacks.is_none() => {
                    if look + 1 == FIRST_LOOKS {
                        return History::Whole;
                    }
                    // It has nothing to lack. A later block is more likely to.
                    at = head / (2 << look).max(1);
                }
                Ok(Seen::Logs | Seen::Nothing) => has = at,
                Err(why) => lacks = Some((at, why)),
            }
            if let Some((lacks, _)) = &lacks {
                at = lacks + (has - lacks) / 2;
                if at == *lacks {
                    break;
                }
            }
        }
        match lacks {
            Some((lacks, why)) => History::Since { has, lacks, why },
            None => History::Whole,
        }
    }

    async fn look_back(&self, number: u64) -> Result<Seen, String> {
        let said = |fault: Fault| self.endpoint.clean(&fault.detail());
        let header = self.header(&format!("0x{number:x}")).await.map_err(said)?;
        let all = LogFilter::default();
        let logs = self.logs(LogQuery::Block(header.block), &all).await;
        match (logs, header.bloom.unwrap_or_default() == Bloom::ZERO) {
            (Ok(0), true) => Ok(Seen::Nothing),
            (Ok(0), false) => Err("no logs, though the bloom says that there are some".to_owned()),
            // More than it wants to give is there.
            (Ok(_) | Err(Fault::RangeTooLarge { .. }), _) => Ok(Seen::Logs),
            (Err(fault), _) => Err(said(fault)),
        }
    }
}

enum Seen {
    Logs,
    Nothing,
}
