//! The confidence dial.

use domain::{
    DeliverAt, Finality,
    confirmation::{ChainView, finality_of, is_due, released_up_to},
};
use proptest::prelude::*;

const VIEW: ChainView = ChainView { tip: 100, safe: Some(68), finalized: Some(36) };

#[test]
fn seen_waits_for_nothing() {
    assert!(is_due(DeliverAt::Seen, 100, &VIEW));
    assert!(!is_due(DeliverAt::Seen, 101, &VIEW));
}

#[test]
fn a_depth_counts_the_blocks_on_top() {
    assert!(is_due(DeliverAt::Depth(0), 100, &VIEW));
    assert!(!is_due(DeliverAt::Depth(1), 100, &VIEW));
    assert!(is_due(DeliverAt::Depth(12), 88, &VIEW));
    assert!(!is_due(DeliverAt::Depth(12), 89, &VIEW));
    assert_eq!(released_up_to(DeliverAt::Depth(101), &VIEW), None);
}

#[test]
fn safe_and_finalized_wait_for_their_blocks() {
    assert!(is_due(DeliverAt::Safe, 68, &VIEW) && !is_due(DeliverAt::Safe, 69, &VIEW));
    assert!(is_due(DeliverAt::Finalized, 36, &VIEW) && !is_due(DeliverAt::Finalized, 37, &VIEW));
    let unknown = ChainView { safe: None, finalized: None, ..VIEW };
    assert_eq!(released_up_to(DeliverAt::Safe, &unknown), None);
    assert_eq!(released_up_to(DeliverAt::Finalized, &unknown), None);
}

#[test]
fn a_finalized_block_is_safe_even_where_safe_is_unknown_or_behind() {
    let odd = ChainView { safe: None, ..VIEW };
    assert!(is_due(DeliverAt::Safe, 36, &odd));
    let behind = ChainView { safe: Some(10), ..VIEW };
    assert_eq!(released_up_to(DeliverAt::Safe, &behind), Some(36));
}

fn view() -> impl Strategy<Value = ChainView> {
    (0..50_u64, prop::option::of(0..60_u64), prop::option::of(0..60_u64))
        .prop_map(|(tip, safe, finalized)| ChainView { tip, safe, finalized })
}

fn deliver_at() -> impl Strategy<Value = DeliverAt> {
    prop_oneof![
        Just(DeliverAt::Seen),
        (0..60_u64).prop_map(DeliverAt::Depth),
        Just(DeliverAt::Safe),
        Just(DeliverAt::Finalized),
    ]
}

proptest! {
    #[test]
    fn a_block_is_due_exactly_up_to_the_released_one(at in deliver_at(), view in view(), block in 0..70_u64) {
        let released = released_up_to(at, &view);
        prop_assert_eq!(is_due(at, block, &view), released.is_some_and(|released| block <= released));
        prop_assert!(released.is_none_or(|released| released <= view.tip));
    }

    #[test]
    fn whoever_waits_for_more_is_told_later(view in view(), block in 0..70_u64) {
        let due = |at| is_due(at, block, &view);
        prop_assert!(!due(DeliverAt::Finalized) || due(DeliverAt::Safe));
        prop_assert!(!due(DeliverAt::Safe) || due(DeliverAt::Seen));
    }

    #[test]
    fn finality_and_release_agree(view in view(), block in 0..70_u64) {
        let finality = finality_of(block, &view);
        prop_assert_eq!(finality == Finality::Finalized, is_due(DeliverAt::Finalized, block, &view));
        prop_assert_eq!(finality >= Finality::Safe, is_due(DeliverAt::Safe, block, &view));
    }

    #[test]
    fn a_growing_chain_takes_nothing_back(at in deliver_at(), view in view(), by in 0..10_u64, block in 0..70_u64) {
        let grown = ChainView { tip: view.tip + by, ..view };
        prop_assert!(!is_due(at, block, &view) || is_due(at, block, &grown));
        prop_assert!(finality_of(block, &grown) >= finality_of(block, &view));
    }
}
