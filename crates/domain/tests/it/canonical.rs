//! The canonical chain under every history of forks: it ends as the branch that won.

use std::collections::HashMap;

use alloy_primitives::{B256, keccak256};
use domain::{
    BlockRef, Header,
    canonical::{Assessment, CanonicalChain},
};
use proptest::prelude::*;

/// How deep the forks of these tests go.
const DEPTH: usize = 64;

/// A node's block tree, with one branch that it calls canonical.
struct Node {
    by_hash: HashMap<B256, Header>,
    branch: Vec<Header>,
    made: u64,
}

impl Node {
    fn new() -> Self {
        let genesis =
            Header { block: BlockRef::new(0, B256::ZERO), parent: B256::ZERO, timestamp: 0, bloom: None };
        Self { by_hash: HashMap::from([(B256::ZERO, genesis)]), branch: vec![genesis], made: 0 }
    }

    fn head(&self) -> Header {
        *self.branch.last().unwrap()
    }

    /// Drops `depth` blocks and mines `length` others in their place.
    fn fork(&mut self, depth: usize, length: usize) {
        let kept = self.branch.len().saturating_sub(depth).max(1);
        self.branch.truncate(kept);
        for _ in 0..length {
            self.made += 1;
            let parent = self.head().block;
            let hash = keccak256(self.made.to_be_bytes());
            // Now and then a round passes without a block.
            let skipped = if hash[0].is_multiple_of(8) { 1 + u64::from(hash[1] % 3) } else { 0 };
            let block = BlockRef::new(parent.number + 1 + skipped, hash);
            let header = Header { block, parent: parent.hash, timestamp: block.number, bloom: None };
            self.by_hash.insert(hash, header);
            self.branch.push(header);
        }
    }
}

/// Brings the chain to the node's head as ingest does: by hashes, remote parents first. Gives what was dropped.
fn follow(chain: &mut CanonicalChain, node: &Node) -> Vec<BlockRef> {
    let head = node.head();
    let mut missing = vec![];
    let mut at = head;
    while !chain.holds(at.block) {
        missing.push(at);
        at = node.by_hash[&at.parent];
    }
    // A head below the tip that we hold is a lagging node, unless the node dropped blocks without replacing them.
    let dropped = chain.rewind(at.block).unwrap();
    for header in missing.iter().rev() {
        assert_eq!(chain.assess(header), Assessment::Extends);
        chain.extend(header).unwrap();
    }
    dropped
}

/// Every block that is held, oldest first.
fn held(chain: &CanonicalChain) -> Vec<BlockRef> {
    (chain.anchor().number..=chain.tip().number).filter_map(|number| chain.at(number)).collect()
}

fn histories() -> impl Strategy<Value = Vec<(usize, usize)>> {
    // The forks together go no deeper than what is held: each is at most what was mined before it.
    prop::collection::vec((0..=DEPTH, 0..20_usize), 1..20)
}

/// One thing that happens: the node drops blocks and mines others, shows a head that it had before, shows the same head
/// again, or the reader begins anew from what was stored.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Fork(usize, usize),
    Lag(usize),
    Again,
    Restart,
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        4 => (0..=DEPTH, 0..20_usize).prop_map(|(depth, length)| Happens::Fork(depth, length)),
        2 => (1..6_usize).prop_map(Happens::Lag),
        1 => Just(Happens::Again),
        1 => Just(Happens::Restart),
    ];
    prop::collection::vec(one, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn forks_lags_repeats_and_restarts_in_any_order_end_on_the_nodes_branch(history in happenings()) {
        let mut node = Node::new();
        node.fork(0, DEPTH);
        let mut chain = CanonicalChain::new(node.branch[0].block, DEPTH);
        follow(&mut chain, &node);
        let mut believed: HashMap<u64, B256> = node.branch.iter().map(|at| (at.block.number, at.block.hash)).collect();
        for happens in history {
            match happens {
                Happens::Fork(depth, length) => {
                    let held = held(&chain).len() - 1;
                    node.fork(depth.min(held), length);
                    for dead in follow(&mut chain, &node) {
                        prop_assert_eq!(believed.remove(&dead.number), Some(dead.hash), "taken back what was believed");
                    }
                    for at in &node.branch {
                        believed.insert(at.block.number, at.block.hash);
                    }
                }
                Happens::Lag(by) => {
                    let shown = node.branch[node.branch.len().saturating_sub(by + 1)];
                    let judged = chain.assess(&shown);
                    prop_assert!(matches!(judged, Assessment::Lagging | Assessment::Tip | Assessment::BelowAnchor));
                }
                Happens::Again => prop_assert_eq!(chain.assess(&node.head()), Assessment::Tip),
                Happens::Restart => {
                    let stored = held(&chain).into_iter().map(|block| (block, node.by_hash[&block.hash].parent));
                    chain = CanonicalChain::from_links(stored, DEPTH).unwrap();
                }
            }
            prop_assert_eq!(chain.tip(), node.head().block);
        }
        let truth: HashMap<u64, B256> = node.branch.iter().map(|at| (at.block.number, at.block.hash)).collect();
        prop_assert_eq!(believed, truth);
    }
}

proptest! {
    #[test]
    fn after_any_history_of_forks_the_chain_is_the_nodes_branch(history in histories()) {
        let mut node = Node::new();
        node.fork(0, DEPTH);
        let mut chain = CanonicalChain::new(node.branch[0].block, DEPTH);
        follow(&mut chain, &node);
        let mut dead = Vec::new();
        for (depth, length) in history {
            // Deeper than the anchor is another story: a halt.
            let deepest = held(&chain).len() - 1;
            node.fork(depth.min(deepest), length);
            dead.extend(follow(&mut chain, &node));
            prop_assert_eq!(chain.tip(), node.head().block);
            let held = held(&chain);
            let newest: Vec<_> = node.branch.iter().map(|at| at.block).collect();
            prop_assert_eq!(&held[..], &newest[newest.len() - held.len()..]);
            prop_assert!(held.len() <= DEPTH + 1);
        }
        prop_assert!(dead.iter().all(|block| !chain.holds(*block)));
    }

    #[test]
    fn every_head_is_judged_by_its_hash(
        grown in 1..40_usize, back in 0..40_usize, depth in 1..40_usize, length in 1..45_usize,
    ) {
        let mut node = Node::new();
        node.fork(0, grown);
        let mut chain = CanonicalChain::new(node.branch[0].block, DEPTH);
        follow(&mut chain, &node);
        let tip = node.head().block.number;
        let lagging = node.branch[grown.saturating_sub(back)];
        let expected = if lagging.block.number == tip { Assessment::Tip } else { Assessment::Lagging };
        prop_assert_eq!(chain.assess(&lagging), expected);

        node.fork(depth.min(grown), length);
        let head = node.head();
        let judged = chain.assess(&head);
        if length == 0 {
            prop_assert_eq!(judged, Assessment::Lagging);
        } else if head.block.number <= tip + 1 {
            prop_assert_eq!(judged, Assessment::Fork);
        } else {
            // The gap's filling will meet the fork, by the parent hash of its first block.
            prop_assert_eq!(judged, Assessment::Gap { from: tip + 1 });
            let first = node.branch.iter().find(|at| at.block.number > tip).unwrap();
            prop_assert!(chain.clone().extend(first).is_err());
        }
    }

    #[test]
    fn nothing_but_the_next_block_extends_the_chain(grown in 1..20_usize, wrong in 0..20_usize) {
        let mut node = Node::new();
        node.fork(0, grown);
        let mut chain = CanonicalChain::new(node.branch[0].block, DEPTH);
        follow(&mut chain, &node);
        let before = chain.clone();
        prop_assert!(chain.extend(&node.branch[wrong.min(grown)]).is_err());
        let stranger = BlockRef::new(chain.tip().number, B256::repeat_byte(0xee));
        prop_assert!(chain.rewind(stranger).is_err());
        prop_assert_eq!(chain, before);
    }

    #[test]
    fn finality_forgets_what_is_below_it_and_never_the_tip(grown in 1..40_usize, final_block in 0..60_u64) {
        let mut node = Node::new();
        node.fork(0, grown);
        let mut chain = CanonicalChain::new(node.branch[0].block, DEPTH);
        follow(&mut chain, &node);
        let tip = chain.tip();
        chain.finalize(final_block);
        prop_assert_eq!(chain.tip(), tip);
        let lowest = node.branch.iter().map(|at| at.block.number).find(|number| *number >= final_block);
        prop_assert_eq!(chain.anchor().number, lowest.unwrap_or(tip.number));
    }
}

fn block(number: u64) -> BlockRef {
    BlockRef::new(number, keccak256(number.to_be_bytes()))
}

fn header(number: u64, parent: u64) -> Header {
    Header { block: block(number), parent: block(parent).hash, timestamp: number, bloom: None }
}

#[test]
fn of_stored_blocks_the_newest_run_that_links_is_the_chain() {
    let link = |number: u64| (block(number), block(number.wrapping_sub(1)).hash);
    assert!(CanonicalChain::from_links([], DEPTH).is_none());
    let chain = CanonicalChain::from_links((1..100).map(link), DEPTH).unwrap();
    assert_eq!((chain.anchor(), chain.tip()), (block(99 - 64), block(99)));
    // 3 to 5 were read by range.
    let chain = CanonicalChain::from_links([link(1), link(2), link(6), link(7)], DEPTH).unwrap();
    assert_eq!((chain.anchor(), chain.tip()), (block(6), block(7)));
    // At 3 to 5 there is no block.
    let chain = CanonicalChain::from_links([link(1), link(2), (block(6), block(2).hash)], DEPTH).unwrap();
    assert_eq!((chain.anchor(), chain.tip()), (block(1), block(6)));
}

#[test]
fn a_block_that_is_built_on_the_tip_is_the_next_one_whatever_its_number_is() {
    let mut chain = CanonicalChain::new(block(10), DEPTH);
    chain.extend(&header(11, 10)).unwrap();
    assert_eq!(chain.assess(&header(14, 11)), Assessment::Extends);
    assert_eq!(chain.assess(&header(14, 13)), Assessment::Gap { from: 12 });
    chain.extend(&header(14, 11)).unwrap();
    assert_eq!([11, 12, 13, 14].map(|number| chain.at(number).is_some()), [true, false, false, true]);
    assert_eq!(
        [10, 11, 12, 13, 14].map(|number| chain.void_to(number)),
        [None, None, Some(13), Some(13), None]
    );
    assert_eq!(chain.at_or_below(13), Some(block(11)));
    assert_eq!(chain.assess(&header(12, 11)), Assessment::Fork, "we hold that there is none");
    assert_eq!(chain.assess(&header(11, 10)), Assessment::Lagging);
    assert_eq!(chain.rewind(block(11)).unwrap(), [block(14)]);
    assert!(chain.extend(&header(11, 11)).is_err());
}

#[test]
fn a_head_below_the_anchor_says_nothing() {
    let chain = CanonicalChain::new(BlockRef::new(50, B256::repeat_byte(5)), DEPTH);
    let low = Header {
        block: BlockRef::new(49, B256::repeat_byte(4)),
        parent: B256::ZERO,
        timestamp: 0,
        bloom: None,
    };
    assert_eq!(chain.assess(&low), Assessment::BelowAnchor);
}
