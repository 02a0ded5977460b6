//! How sure a block is, and whether that is sure enough to tell. Pure: heights in, verdicts out; a caller asks
//! about canonical blocks only.

use crate::{DeliverAt, Finality};

/// The heights that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainView {
    /// The last block that we hold.
    pub tip: u64,
    /// The `safe` block, or what stands for it; `None` while unknown.
    pub safe: Option<u64>,
    /// The `finalized` block, or what stands for it; `None` while unknown.
    pub finalized: Option<u64>,
}

impl ChainView {
    // A finalized block is safe, whatever the node says of `safe`; neither is above what we hold.
    fn safe_up_to(&self) -> Option<u64> {
        self.safe.max(self.finalized).map(|block| block.min(self.tip))
    }

    fn finalized_up_to(&self) -> Option<u64> {
        self.finalized.map(|block| block.min(self.tip))
    }
}

/// The highest block whose events may be told, or `None` when there is none.
pub fn released_up_to(deliver_at: DeliverAt, view: &ChainView) -> Option<u64> {
    match deliver_at {
        DeliverAt::Seen => Some(view.tip),
        // `Depth(1)` waits for one block on top.
        DeliverAt::Depth(blocks) => view.tip.checked_sub(blocks),
        DeliverAt::Safe => view.safe_up_to(),
        DeliverAt::Finalized => view.finalized_up_to(),
    }
}

/// Whether an event of a block at `event_block` may be told.
pub fn is_due(deliver_at: DeliverAt, event_block: u64, view: &ChainView) -> bool {
    released_up_to(deliver_at, view).is_some_and(|released| event_block <= released)
}

/// The finality of a canonical block.
pub fn finality_of(block: u64, view: &ChainView) -> Finality {
    let reached = |up_to: Option<u64>| up_to.is_some_and(|up_to| block <= up_to);
    if reached(view.finalized_up_to()) {
        Finality::Finalized
    } else if reached(view.safe_up_to()) {
        Finality::Safe
    } else {
        Finality::Seen
    }
}
