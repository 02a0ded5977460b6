//! The canonical chain as we hold it: a pure value that grows, shrinks, and judges a head. Owns every reorg
//! decision; must not know nodes, stores or time.
//!
//! A block follows the one that its parent hash names. Its number is mostly the next one, and need not be: on some chains
//! a round passes without a block, and the next block is built on the one before that round.

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
    /// Its parent is our tip: it is the next block, whatever its number is.
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

    /// The chain of stored blocks with their parents, oldest first: the newest run of them in which each block is built on
    /// the one before it. Blocks that were read by range leave only their last, which is built on none that is stored.
    /// `None` when there are none.
    pub fn from_links(links: impl IntoIterator<Item = (BlockRef, B256)>, max_depth: usize) -> Option<Self> {
        let mut blocks = VecDeque::new();
        for (block, parent) in links {
            let follows = |last: &BlockRef| last.hash == parent && last.number < block.number;
            if !blocks.back().is_some_and(follows) {
                blocks.clear();
            }
            blocks.push_back(block);
        }
        (!blocks.is_empty()).then(|| {
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
        let place = self.blocks.binary_search_by_key(&number, |block| block.number).ok()?;
        self.blocks.get(place).copied()
    }

    /// The newest block that we hold at a height or below it.
    pub fn at_or_below(&self, number: u64) -> Option<BlockRef> {
        let above = self.blocks.partition_point(|block| block.number <= number);
        self.blocks.get(above.checked_sub(1)?).copied()
    }

    /// The last height of the stretch without a block that `number` is in: the blocks on both sides of it are held, and the
    /// upper one is built on the lower one. `None` where no such stretch is known.
    pub fn void_to(&self, number: u64) -> Option<u64> {
        let above = self.blocks.partition_point(|block| block.number <= number);
        let below = self.blocks.get(above.checked_sub(1)?)?;
        let above = self.blocks.get(above)?;
        (below.number < number).then(|| above.number - 1)
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
        } else if number <= tip.number {
            // A block where we hold none contradicts us as much as another one does.
            if self.holds(head.block) { Assessment::Lagging } else { Assessment::Fork }
        } else if head.parent == tip.hash {
            Assessment::Extends
        } else if number == tip.number + 1 {
            Assessment::Fork
        } else {
            Assessment::Gap { from: tip.number + 1 }
        }
    }

    /// Appends the next block: the one whose parent is the tip. Heights between them have no block.
    ///
    /// # Errors
    /// [`DoesNotFollow`] when its parent is not the tip; the chain is unchanged.
    pub fn extend(&mut self, header: &Header) -> Result<(), DoesNotFollow> {
        let tip = self.tip();
        if header.block.number <= tip.number || header.parent != tip.hash {
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
