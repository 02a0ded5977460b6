//! Headers by number, where a height may have no block: on some chains a round passes without one. Owns the rule that only
//! a link decides: heights are void when the node has nothing there, and the block above them is built on the block below.
//! A node that lags has nothing there either, and no block above that says so.

use domain::{BlockRef, ChainError, Header};

use super::Ingest;
use crate::RoomError;

// How many heights are looked at together on the way to the next block.
const WINDOW: u64 = 32;

// How many such windows are looked at before the node counts as one that does not know.
const WINDOWS_MAX: u64 = 8;

impl Ingest {
    /// Headers of a run of blocks, each the parent of the next; shorter when the node does not know all of them, or its
    /// chain changed in between. What the first one is built on is for the caller to look at.
    pub(super) async fn linked_headers(&self, from: u64, to: u64) -> Result<Vec<Header>, RoomError> {
        let numbers: Vec<_> = (from..=to).collect();
        let mut linked: Vec<Header> = Vec::with_capacity(numbers.len());
        for header in self.deps.client.headers_by_number(&numbers).await?.into_iter().flatten() {
            if linked.last().is_some_and(|last| last.block.hash != header.parent) {
                break;
            }
            linked.push(header);
        }
        Ok(linked)
    }

    /// Headers of all blocks of a stretch. That nothing is missing is shown by the links: those between them, and where an
    /// end of the stretch has no block, the one across it.
    pub(super) async fn whole_run(&self, from: u64, to: u64) -> Result<Vec<Header>, RoomError> {
        let headers = self.linked_headers(from, to).await?;
        if headers.len() as u64 == to - from + 1 {
            return Ok(headers);
        }
        let torn = || {
            let detail =
                format!("final blocks {from} to {to} are not all there, or do not link to each other");
            RoomError::from(ChainError::Incoherent { url: self.deps.client.url(), detail })
        };
        let last = self.header_at_or_below(to).await?;
        let Some((first, newest)) = headers.first().zip(headers.last()) else {
            // A stretch without a block, as the link across it says.
            return if last.block.number < from { Ok(headers) } else { Err(torn()) };
        };
        let begins =
            first.block.number == from || self.header_at_or_below(from).await?.block.hash == first.parent;
        if begins && last.block == newest.block { Ok(headers) } else { Err(torn()) }
    }

    async fn known_at(&self, number: u64) -> Result<Option<Header>, RoomError> {
        Ok(self.deps.client.headers_by_number(&[number]).await?.into_iter().flatten().next())
    }

    /// The first block from a height on, at most up to another.
    pub(super) async fn next_header(&self, from: u64, to: u64) -> Result<Option<Header>, RoomError> {
        if let Some(header) = self.known_at(from).await? {
            return Ok(Some(header));
        }
        let mut from = from.saturating_add(1);
        for _ in 0..WINDOWS_MAX {
            if from > to {
                break;
            }
            let numbers: Vec<_> = (from..=to.min(from + WINDOW - 1)).collect();
            let found = self.deps.client.headers_by_number(&numbers).await?.into_iter().flatten().next();
            if found.is_some() {
                return Ok(found);
            }
            from += WINDOW;
        }
        Ok(None)
    }

    /// The newest block at a height or below it. Where there is none at the height, the block above has to be built on it.
    pub(super) async fn header_at_or_below(&self, number: u64) -> Result<Header, RoomError> {
        if let Some(header) = self.known_at(number).await? {
            return Ok(header);
        }
        let above = self.next_header(number.saturating_add(1), u64::MAX).await?;
        let above = above.ok_or_else(|| self.unknown(number))?;
        let below = self.deps.client.header_by_hash(above.parent).await?;
        below.filter(|below| below.block.number < number).ok_or_else(|| self.unknown(number))
    }

    /// The node's block at the height of our tip. Where it has none there, the one that its next block above is built on.
    pub(super) async fn at_our_tip(&self, tip: BlockRef, head: &Header) -> Result<Header, RoomError> {
        if let Some(header) = self.known_at(tip.number).await? {
            return Ok(header);
        }
        let above = self.next_header(tip.number.saturating_add(1), head.block.number).await?;
        let above = above.ok_or_else(|| self.unknown(tip.number))?;
        let below = self.deps.client.header_by_hash(above.parent).await?;
        below.filter(|below| below.block.number <= tip.number).ok_or_else(|| self.unknown(tip.number))
    }

    fn unknown(&self, number: u64) -> RoomError {
        ChainError::UnknownBlock { url: self.deps.client.url(), block: number.to_string() }.into()
    }

    /// What to do where `first`, the first block that the node knows above our tip, is not built on it: a block of another
    /// branch is a fork; else the node lacks blocks in between, as one that lags does.
    pub(super) async fn is_fork(&self, tip: BlockRef, first: &Header) -> Result<bool, RoomError> {
        if first.block.number == tip.number + 1
            || self.known_at(tip.number).await?.map(|at| at.block) != Some(tip)
        {
            return Ok(true);
        }
        Err(self.unknown(tip.number + 1))
    }
}
