//! How many blocks one question for a range spans. Owns what was learned of the node's limits and of how many logs come;
//! must not know who asks. Pure.

use domain::Bound;

/// After so many ranges that were granted, a limit that was met is forgotten at first: the node, or how dense the logs
/// are, may have changed.
const LIMIT_LASTS: u32 = 256;

/// The reach of the next range.
#[derive(Debug)]
pub(super) struct RangeSize {
    blocks: u64,
    blocks_max: u64,
    logs_wanted: u64,
    bound: Bound,
    // Of the newest range that brought any: its blocks and its logs.
    density: Option<(u64, u64)>,
}

impl RangeSize {
    /// Begins with `first` blocks and moves towards `logs_wanted` logs, at most `blocks_max` blocks.
    pub(super) fn new(first: u64, blocks_max: u64, logs_wanted: u64) -> Self {
        let blocks_max = blocks_max.max(1);
        Self {
            blocks: first.clamp(1, blocks_max),
            blocks_max,
            logs_wanted: logs_wanted.max(1),
            bound: Bound::new(LIMIT_LASTS),
            density: None,
        }
    }

    /// How many blocks the next range spans; `limit` is what is known of the URL that is asked.
    pub(super) fn blocks(&self, limit: Option<u64>) -> u64 {
        limit.map_or(self.blocks, |limit| self.blocks.min(limit.max(1)))
    }

    /// How many logs a range should bring.
    pub(super) const fn logs_wanted(&self) -> u64 {
        self.logs_wanted
    }

    /// How many logs so many blocks may bring, as far as that can be told; until something was granted it cannot.
    pub(super) fn expected(&self, blocks: u64) -> Option<u64> {
        let (of, logs) = self.density?;
        Some(blocks.saturating_mul(logs).div_ceil(of.max(1)).max(1))
    }

    /// A range of so many blocks brought so many logs: the next one moves towards the wanted number, at most doubling.
    pub(super) fn granted(&mut self, blocks: u64, logs: u64) {
        self.density = Some((blocks, logs));
        self.bound.grant(blocks);
        // A short range, as the last of a stretch is, says how dense the logs are and nothing about what is possible.
        let doubled = self.blocks.saturating_mul(2);
        let wanted = match logs {
            0 => doubled,
            logs => (blocks.saturating_mul(self.logs_wanted) / logs).min(doubled),
        };
        let limit = self.bound.limit().unwrap_or(self.blocks_max);
        self.blocks = wanted.clamp(1, limit.clamp(1, self.blocks_max));
    }

    /// A range of so many blocks was refused, maybe with a suggestion.
    pub(super) fn refused(&mut self, blocks: u64, suggested: Option<u64>) {
        self.bound.refuse(blocks, suggested);
        let suggested = suggested.filter(|suggested| (1..blocks).contains(suggested));
        let next = self.bound.granted_most().max(blocks / 2).max(1);
        self.blocks = suggested.unwrap_or(next).clamp(1, self.blocks_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_towards_the_wanted_logs_and_at_most_doubles() {
        let mut range_size = RangeSize::new(100, 10_000, 8_000);
        range_size.granted(100, 10_000);
        assert_eq!(range_size.blocks(None), 80);
        range_size.granted(80, 80);
        assert_eq!(range_size.blocks(None), 160);
        for _ in 0..20 {
            range_size.granted(range_size.blocks(None), 0);
        }
        assert_eq!(range_size.blocks(None), 10_000);
        range_size.granted(10_000, 80_000_000);
        assert_eq!(range_size.blocks(None), 1);
    }

    #[test]
    fn a_refusal_halves_and_a_suggestion_is_taken() {
        let mut range_size = RangeSize::new(1_000, 10_000, 8_000);
        range_size.refused(1_000, None);
        assert_eq!(range_size.blocks(None), 500);
        range_size.refused(500, Some(120));
        assert_eq!(range_size.blocks(None), 120);
        range_size.granted(120, 0);
        assert_eq!(range_size.blocks(None), 120, "more was refused");
        range_size.refused(120, Some(120));
        assert_eq!(range_size.blocks(None), 60, "a suggestion of what was refused is none");
    }

    #[test]
    fn a_limit_is_found_by_halving_the_gap_and_then_kept() {
        const LIMIT: u64 = 1_000;
        let mut range_size = RangeSize::new(100, 10_000, 8_000);
        let mut refusals = 0;
        for _ in 0..200 {
            let blocks = range_size.blocks(None);
            if blocks > LIMIT {
                refusals += 1;
                range_size.refused(blocks, None);
            } else {
                range_size.granted(blocks, 0);
            }
        }
        assert!(refusals <= 4, "{refusals} refusals");
        assert!((LIMIT * 3 / 4..=LIMIT).contains(&range_size.blocks(None)), "{}", range_size.blocks(None));
    }

    #[test]
    fn a_limit_that_was_met_is_tried_again_after_many_ranges() {
        let mut range_size = RangeSize::new(100, 10_000, 8_000);
        range_size.refused(100, None);
        for _ in 0..300 {
            range_size.granted(range_size.blocks(None), 0);
        }
        assert_eq!(range_size.blocks(None), 10_000);
    }

    #[test]
    fn what_a_range_may_bring_is_told_from_the_newest() {
        let mut range_size = RangeSize::new(100, 10_000, 8_000);
        assert_eq!(range_size.expected(10), None);
        range_size.granted(100, 250);
        assert_eq!(range_size.expected(10), Some(25));
        range_size.granted(100, 0);
        assert_eq!(range_size.expected(10), Some(1));
    }
}
