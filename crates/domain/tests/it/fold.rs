//! The fold over every history: what a recipient was told, corrections included, ends as the chain does.

use std::collections::BTreeSet;

use domain::{
    HitId,
    fold::{Told, amendment, told},
};
use proptest::prelude::*;
use uuid::Uuid;

/// How many blocks an event may be gone before that is told.
const SETTLE: u64 = 2;

/// What happens between two looks.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// Events from this one on leave the chain, with the blocks from theirs on.
    Fork(usize),
    /// One of the events that are gone is mined again.
    Back(usize),
    /// The tip grows.
    Grow(u64),
    /// Somebody looks whether something is to be corrected.
    Look,
}

fn histories() -> impl Strategy<Value = (usize, Vec<Happens>)> {
    let one = prop_oneof![
        2 => (0..12_usize).prop_map(Happens::Fork),
        3 => (0..12_usize).prop_map(Happens::Back),
        3 => (1..4_u64).prop_map(Happens::Grow),
        3 => Just(Happens::Look),
    ];
    (1..12_usize, prop::collection::vec(one, 0..40))
}

/// A notification of `hits`, told once, and a recipient who remembers what was said last.
struct Story {
    hits: Vec<Told>,
    tip: u64,
    believes: BTreeSet<HitId>,
    told: Vec<usize>,
}

impl Story {
    fn new(count: usize) -> Self {
        let hit = |n| Told { id: HitId(Uuid::from_u128(n as u128)), gone_since: None, believed: true };
        let hits: Vec<_> = (0..count).map(hit).collect();
        let believes = hits.iter().map(|hit| hit.id).collect();
        Self { hits, tip: 100, believes, told: vec![count] }
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Fork(from) => {
                for hit in self.hits.iter_mut().skip(from) {
                    hit.gone_since = hit.gone_since.or(Some(self.tip));
                }
            }
            Happens::Back(which) => {
                if let Some(hit) = self.hits.get_mut(which) {
                    hit.gone_since = None;
                }
            }
            Happens::Grow(blocks) => self.tip += blocks,
            Happens::Look => self.look(),
        }
    }

    fn look(&mut self) {
        if let Some(amendment) = amendment(&self.hits, self.tip - SETTLE) {
            assert!(amendment.changed > 0, "nothing is said where nothing changed");
            let now: BTreeSet<_> = amendment.inside.iter().copied().collect();
            assert_ne!(now, self.believes, "what is said differs from what was said");
            assert_eq!(now.symmetric_difference(&self.believes).count(), amendment.changed);
            self.told.push(now.len());
            self.believes = now;
            told(&mut self.hits);
        }
    }

    fn truth(&self) -> BTreeSet<HitId> {
        self.hits.iter().filter(|hit| hit.gone_since.is_none()).map(|hit| hit.id).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn what_a_recipient_believes_in_the_end_is_what_the_chain_says((count, history) in histories()) {
        let mut story = Story::new(count);
        for happens in history {
            story.happen(happens);
        }
        story.happen(Happens::Grow(SETTLE));
        story.look();
        prop_assert_eq!(&story.believes, &story.truth());
        let before = story.told.len();
        story.happen(Happens::Grow(10));
        story.look();
        prop_assert_eq!(story.told.len(), before, "and nothing is said again");
    }

    #[test]
    fn an_event_that_comes_back_in_time_is_not_talked_about(from in 0..6_usize, blocks in 0..SETTLE) {
        let mut story = Story::new(6);
        story.happen(Happens::Fork(from));
        story.happen(Happens::Grow(blocks));
        // Not settled: gone for less than the blocks that it takes.
        if blocks < SETTLE {
            story.look();
        }
        for which in 0..6 {
            story.happen(Happens::Back(which));
        }
        story.happen(Happens::Grow(5));
        story.look();
        prop_assert_eq!(story.told, vec![6]);
    }
}
