//! Blocks as chainbell needs them: a place in the chain, and the header facts that decide what follows.
//! Must not know where they were read.

use std::fmt;

use alloy_primitives::{B256, Bloom};
use serde::{Deserialize, Serialize};

/// A place in a chain: number *and* hash. A bare number is never a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Height.
    pub number: u64,
    /// Hash of the header.
    pub hash: B256,
}

impl BlockRef {
    /// Puts the two together.
    pub const fn new(number: u64, hash: B256) -> Self {
        Self { number, hash }
    }
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.as_slice();
        write!(f, "{} (0x{:02x}{:02x}{:02x}{:02x}…)", self.number, hash[0], hash[1], hash[2], hash[3])
    }
}

/// The part of a block header that ingest works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number and hash.
    pub block: BlockRef,
    /// Hash of the parent block.
    pub parent: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// The logs bloom, where the node gave one. It may ask for more work, and never excuses from any.
    pub bloom: Option<Bloom>,
}

impl Header {
    /// The parent's place in the chain; the genesis block is its own parent here.
    pub fn parent_ref(&self) -> BlockRef {
        BlockRef::new(self.block.number.saturating_sub(1), self.parent)
    }
}

/// The three heads of a chain, read in one batch from one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The node's newest block.
    pub latest: Header,
    /// The `safe` block, where the chain has the tag.
    pub safe: Option<BlockRef>,
    /// The `finalized` block, where the chain has the tag.
    pub finalized: Option<BlockRef>,
}
