//! The canonical chain as we hold it: a pure value that grows, shrinks, and judges a head. Owns every reorg
//! decision; must not know nodes, stores or time.

use std::collections::VecDeque;

use alloy_primitives::B256;

use crate::{BlockRef, Header};

/// The newest blocks that we hold, linked by parent hash, oldest first. The oldest is the anchor, which cannot be
/// rewound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalChain {
    blocks: VecDeque<BlockRef>,
    max_depth: usize,
}

/// What a head means for the chain that we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessment {
    /// It is our tip.
    Tip,
    /// It is a block below our tip: the node lags, and that is no reorg.
    Lagging,
    /// It is the next block, and its parent is our tip.
    Extends,
    /// Blocks are missing between our tip and it.
    Gap {
        /// The first missing height.
        from: u64,
    },
    /// It contradicts a block that we hold: a reorg, whose common ancestor is to be found.
    Fork,
    /// It is lower than everything that we hold: nothing can be said about it.
    BelowAnchor,
}

/// A header that does not follow the tip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {block} with parent {parent} does not follow the tip {tip}")]
pub struct DoesNotFollow {
    block: BlockRef,
    parent: B256,
    tip: BlockRef,
}

/// A block to rewind to that we do not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {0} is not held, so the chain cannot be rewound to it")]
pub struct NotHeld(pub BlockRef);

impl CanonicalChain {
    /// A chain that holds its anchor only. At most `max_depth` blocks above the anchor are held; the anchor moves
    /// up with the tip.
    pub fn new(anchor: BlockRef, max_depth: usize) -> Self {
        Self { blocks: VecDeque::from([anchor]), max_depth: max_depth.max(1) }
    }

    /// The chain of stored blocks, oldest first. `None` when there are none or they are not consecutive.
    pub fn from_blocks(blocks: impl IntoIterator<Item = BlockRef>, max_depth: usize) -> Option<Self> {
        let blocks: VecDeque<_> = blocks.into_iter().collect();
        let consecutive =
            blocks.iter().zip(blocks.iter().skip(1)).all(|(one, two)| one.number + 1 == two.number);
        (consecutive && !blocks.is_empty()).then(|| {
            let mut chain = Self { blocks, max_depth: max_depth.max(1) };
            chain.trim();
            chain
        })
    }

    /// The last block that we hold.
    pub fn tip(&self) -> BlockRef {
        self.blocks.back().copied().unwrap_or(BlockRef::new(0, B256::ZERO))
    }

    /// The first block that we hold.
    pub fn anchor(&self) -> BlockRef {
        self.blocks.front().copied().unwrap_or(BlockRef::new(0, B256::ZERO))
    }

    /// The block that we hold at a height.
    pub fn at(&self, number: u64) -> Option<BlockRef> {
        let offset = number.checked_sub(self.anchor().number)?;
        self.blocks.get(usize::try_from(offset).ok()?).copied()
    }

    /// Whether we hold exactly this block.
    pub fn holds(&self, block: BlockRef) -> bool {
        self.at(block.number) == Some(block)
    }

    /// What `head` means. Hashes decide, not heights: a known hash at a lower height is a lagging node, an unknown
    /// one is a fork.
    pub fn assess(&self, head: &Header) -> Assessment {
        let tip = self.tip();
        let number = head.block.number;
        if head.block == tip {
            Assessment::Tip
        } else if number < self.anchor().number {
            Assessment::BelowAnchor
        } else if let Some(held) = self.at(number) {
            if held == head.block { Assessment::Lagging } else { Assessment::Fork }
        } else if number == tip.number + 1 {
            if head.parent == tip.hash { Assessment::Extends } else { Assessment::Fork }
        } else {
            Assessment::Gap { from: tip.number + 1 }
        }
    }

    /// Appends the next block.
    ///
    /// # Errors
    /// [`DoesNotFollow`] when its parent is not the tip; the chain is unchanged.
    pub fn extend(&mut self, header: &Header) -> Result<(), DoesNotFollow> {
        let tip = self.tip();
        if header.block.number != tip.number + 1 || header.parent != tip.hash {
            return Err(DoesNotFollow { block: header.block, parent: header.parent, tip });
        }
        self.blocks.push_back(header.block);
        self.trim();
        Ok(())
    }

    /// Drops every block above `ancestor` and returns them, newest first.
    ///
    /// # Errors
    /// [`NotHeld`] when `ancestor` is not ours; the chain is unchanged.
    pub fn rewind(&mut self, ancestor: BlockRef) -> Result<Vec<BlockRef>, NotHeld> {
        if !self.holds(ancestor) {
            return Err(NotHeld(ancestor));
        }
        let mut dropped = Vec::new();
        while self.tip() != ancestor {
            dropped.extend(self.blocks.pop_back());
        }
        Ok(dropped)
    }

    /// Starts anew at a block far above: after blocks were read by range, only their last is held.
    pub fn jump(&mut self, anchor: BlockRef) {
        self.blocks = VecDeque::from([anchor]);
    }

    /// Forgets blocks below `final_block`, which can no longer change. The tip always stays.
    pub fn finalize(&mut self, final_block: u64) {
        while self.blocks.len() > 1 && self.anchor().number < final_block {
            self.blocks.pop_front();
        }
    }

    fn trim(&mut self) {
        while self.blocks.len() > self.max_depth + 1 {
            self.blocks.pop_front();
        }
    }
}
