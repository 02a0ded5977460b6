//! Owns the finality tags between two questions for them: they move once in many blocks, so that they need not be asked
//! for with each. Pure: the time is handed in.

use domain::{BlockRef, Heads};
use jiff::Timestamp;

use crate::{NodeConfig, TagsConfig};

/// `safe` and `finalized` as one URL gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) url: usize,
    pub(crate) safe: Option<BlockRef>,
    pub(crate) finalized: Option<BlockRef>,
    // The head then.
    head: BlockRef,
    asked_at: Timestamp,
}

impl Tags {
    pub(crate) const fn of(heads: &Heads, url: usize, asked_at: Timestamp) -> Self {
        Self { url, safe: heads.safe, finalized: heads.finalized, head: heads.latest.block, asked_at }
    }

    /// Whether they will do for this head of the URL.
    pub(crate) fn serve(&self, url: usize, head: BlockRef, now: Timestamp, config: &TagsConfig) -> bool {
        let recent = self.is_recent(now, config) || head == self.head;
        recent && self.is_within(config.blocks, url, head)
    }

    /// Whether they will do for this head of the URL while newer ones are asked for. The first block that somebody waits
    /// for may come long after they were asked for last, and does not wait for them either.
    pub(crate) fn tide_over(&self, url: usize, head: BlockRef, now: Timestamp, config: &NodeConfig) -> bool {
        let TagsConfig { blocks, interval } = config.tags_unawaited;
        let limit = TagsConfig { blocks: blocks.saturating_mul(2), interval: interval.saturating_mul(2) };
        self.is_recent(now, &limit) && self.is_within(limit.blocks, url, head)
    }

    fn is_recent(&self, now: Timestamp, config: &TagsConfig) -> bool {
        now.duration_since(self.asked_at).unsigned_abs() < config.interval
    }

    fn is_within(&self, blocks: u64, url: usize, head: BlockRef) -> bool {
        self.url == url && head.number.abs_diff(self.head.number) < blocks && !self.is_beyond(head)
    }

    /// Whether a tag is above the head, which is then an old one.
    pub(crate) fn is_beyond(&self, head: BlockRef) -> bool {
        self.safe.into_iter().chain(self.finalized).any(|tag| tag.number > head.number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy_primitives::B256;
    use domain::{ChainId, Header};

    use super::*;

    fn block(number: u64) -> BlockRef {
        BlockRef::new(number, B256::with_last_byte(number as u8))
    }

    #[test]
    fn tags_serve_for_sixteen_blocks_or_thirty_seconds_of_one_url() {
        let config = NodeConfig::new("test".parse().unwrap(), ChainId(1), Vec::new());
        let latest = Header { block: block(100), parent: B256::ZERO, timestamp: 0, bloom: None };
        let heads = Heads { latest, safe: Some(block(98)), finalized: Some(block(96)) };
        let tags = Tags::of(&heads, 1, Timestamp::UNIX_EPOCH);
        let serve = |url, number, second| {
            let now = Timestamp::UNIX_EPOCH + Duration::from_secs(second);
            tags.serve(url, block(number), now, &config.tags)
        };
        assert!(serve(1, 115, 29) && !serve(1, 116, 29), "16 blocks");
        assert!(!serve(1, 101, 30), "30 seconds");
        assert!(serve(1, 100, 3_000), "nothing moved");
        assert!(!serve(0, 101, 1), "another URL");
        assert!(serve(1, 98, 1) && !serve(1, 97, 1), "below a tag");
    }

    #[test]
    fn old_tags_tide_over_while_newer_ones_are_asked_for() {
        let config = NodeConfig::new("test".parse().unwrap(), ChainId(1), Vec::new());
        let latest = Header { block: block(100), parent: B256::ZERO, timestamp: 0, bloom: None };
        let heads = Heads { latest, safe: Some(block(98)), finalized: Some(block(96)) };
        let tags = Tags::of(&heads, 1, Timestamp::UNIX_EPOCH);
        let tide_over = |url, number, second| {
            let now = Timestamp::UNIX_EPOCH + Duration::from_secs(second);
            tags.tide_over(url, block(number), now, &config)
        };
        assert!(tide_over(1, 611, 29) && !tide_over(1, 612, 29), "512 blocks");
        assert!(tide_over(1, 116, 1_199) && !tide_over(1, 116, 1_200), "20 minutes");
        assert!(!tide_over(0, 116, 1), "another URL");
        assert!(!tide_over(1, 97, 1), "below a tag");
    }
}
