//! A chain that forks at random, and a node of it in this process: for property tests over many histories, where a
//! server each would cost too much.
//!
//! Owns the tree of blocks and what the node shows of it. Real nodes are tested on Anvil, and lies on the scripted node.

mod node;
mod tree;

pub use node::{ForkNode, Manners};
pub use tree::{ForkTree, TreeBlock};
