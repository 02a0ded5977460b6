//! What was answered in a step that did not come to its end. Owns how much of it is kept, and for how long; must not know
//! what becomes of it. Everything is kept under the hash of what it is about, so that it is never taken for another's.

use std::collections::HashMap;

use alloy_primitives::B256;
use domain::{BlockRef, Header, RawLog};

/// Answers for the next step.
#[derive(Debug, Default)]
pub(super) struct Kept {
    // The blocks up to this head, as the node gave them.
    headers: Option<(BlockRef, Vec<Header>)>,
    // Logs of blocks behind one whose logs were not answered. At most as many blocks as one step reads.
    logs: HashMap<B256, Vec<RawLog>>,
}

impl Kept {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps headers that were read on the way to a head.
    pub(super) fn keep_headers(&mut self, head: BlockRef, headers: &[Header]) {
        self.headers = Some((head, headers.to_vec()));
    }

    /// Takes the headers on our tip, while the head is the one that they were read for.
    pub(super) fn take_headers(&mut self, head: BlockRef, tip: BlockRef) -> Option<Vec<Header>> {
        let (kept_for, headers) = self.headers.take()?;
        let next = headers.iter().position(|header| header.parent == tip.hash)?;
        (kept_for == head).then(|| headers[next..].to_vec())
    }

    /// Keeps the logs of blocks in place of what was kept before.
    pub(super) fn keep_logs(&mut self, logs: impl Iterator<Item = (B256, Vec<RawLog>)>) {
        self.logs = logs.collect();
    }

    /// The logs of a block.
    pub(super) fn logs(&self, block: BlockRef) -> Option<&Vec<RawLog>> {
        self.logs.get(&block.hash)
    }
}
