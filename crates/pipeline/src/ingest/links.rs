//! Headers by number, where a height may have no block: on some chains a round passes without one. Owns the rule that only
//! a link decides: heights are void when the node has nothing there, and the block above them is built on the block below.
//! A node that lags has nothing there either, and no block above that says so. A long stretch is looked through in several
//! steps: of what was looked at only its ends are kept.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{BlockRef, ChainError, Header};

use super::{Did, Ingest};
use crate::RoomError;

// How many heights are looked at together on the way to the next block: at first, and at most.
const WINDOW_MIN: u64 = 32;
const WINDOW_MAX: u64 = 128;

// How many such windows are looked at in one step.
const WINDOWS_MAX: u64 = 8;

// How many steps an audit or a replay takes at once where a stretch is that long.
const STEPS_MAX: usize = 256;

/// The heights without a block that were looked at on the way to the next one.
#[derive(Debug, Default)]
pub(super) struct Voids(Mutex<Stretch>);

#[derive(Debug, Default)]
struct Stretch {
    // From where to where, and of which URL.
    looked: Option<(u64, u64, String)>,
    // How far this step came, where the next one is to go on.
    reached: Option<u64>,
}

impl Voids {
    fn stretch(&self) -> MutexGuard<'_, Stretch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins.
    pub(super) fn begin(&self) {
        self.stretch().reached = None;
    }

    /// How far the step came that ended with `error`, if all that it lacks is another step.
    pub(super) fn reached(&self, error: &RoomError) -> Option<u64> {
        let unknown = matches!(error, RoomError::Chain(ChainError::UnknownBlock { .. }));
        self.stretch().reached.take().filter(|_| unknown)
    }

    // The first height from this one on that was not looked at.
    fn beyond(&self, from: u64, url: &str) -> u64 {
        match &self.stretch().looked {
            Some((first, last, of)) if of == url && (*first..=*last).contains(&from) => {
                last.saturating_add(1)
            }
            _ => from,
        }
    }

    fn looked(&self, from: u64, to: u64, url: &str) {
        let looked = &mut self.stretch().looked;
        match looked {
            Some((first, last, of)) if of == url && (*first..=last.saturating_add(1)).contains(&from) => {
                *last = to.max(*last);
            }
            _ => *looked = Some((from, to, url.to_owned())),
        }
    }

    fn forget(&self) {
        self.stretch().looked = None;
    }
}

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
        let mut run = self.run_of(from, to).await;
        for _ in 0..STEPS_MAX {
            match &run {
                Err(error) if self.voids.reached(error).is_some() => run = self.run_of(from, to).await,
                _ => break,
            }
        }
        run
    }

    async fn run_of(&self, from: u64, to: u64) -> Result<Vec<Header>, RoomError> {
        let headers = self.linked_headers(from, to).await?;
        if headers.len() as u64 == to - from + 1 {
            return Ok(headers);
        }
        let torn = || {
            let detail =
                format!("final blocks {from} to {to} are not all there, or do not link to each other");
            RoomError::from(ChainError::Incoherent { url: self.deps.client.url(), detail })
        };
        let head = self.tip_number();
        let last = self.header_at_or_below(to, head).await?;
        let Some((first, newest)) = headers.first().zip(headers.last()) else {
            // A stretch without a block, as the link across it says.
            return if last.block.number < from { Ok(headers) } else { Err(torn()) };
        };
        let begins = first.block.number == from
            || self.header_at_or_below(from, head).await?.block.hash == first.parent;
        if begins && last.block == newest.block { Ok(headers) } else { Err(torn()) }
    }

    async fn known_at(&self, number: u64) -> Result<Option<Header>, RoomError> {
        Ok(self.deps.client.headers_by_number(&[number]).await?.into_iter().flatten().next())
    }

    /// The first block from a height on, at most up to another. What has to be looked through for more than one step is an
    /// error, with which the step is not over: see [`Voids::reached`].
    pub(super) async fn next_header(&self, from: u64, to: u64) -> Result<Option<Header>, RoomError> {
        let url = self.deps.client.url();
        let mut next = self.voids.beyond(from, &url);
        let mut window = if next == from { 1 } else { WINDOW_MAX };
        for _ in 0..=WINDOWS_MAX {
            if next > to {
                return Ok(None);
            }
            let last = to.min(next.saturating_add(window - 1));
            let numbers: Vec<_> = (next..=last).collect();
            let found = self.deps.client.headers_by_number(&numbers).await?.into_iter().flatten().next();
            if found.is_some() {
                return Ok(found);
            }
            self.voids.looked(next, last, &url);
            next = last.saturating_add(1);
            window = (window * 2).clamp(WINDOW_MIN, WINDOW_MAX);
        }
        self.voids.stretch().reached = Some(next - 1);
        Err(self.unknown(from))
    }

    /// The next block, up to the node's head.
    async fn next_below(&self, from: u64, head: u64) -> Result<Header, RoomError> {
        let next = self.next_header(from, head).await?;
        next.ok_or_else(|| self.lacking(from))
    }

    /// The blocks above our tip, up to the height `last`. Where the heights up to there have none, the first one above them,
    /// which alone shows that.
    pub(super) async fn next_headers(
        &self,
        head: &Header,
        tip: BlockRef,
        last: u64,
    ) -> Result<Vec<Header>, RoomError> {
        if head.parent == tip.hash && self.until(head.block.number) == head.block.number {
            return Ok(vec![*head]);
        }
        let (from, url) = (tip.number + 1, self.deps.client.url());
        if self.voids.beyond(from, &url) <= last {
            let headers = self.linked_headers(from, last).await?;
            if !headers.is_empty() || last >= head.block.number {
                return Ok(headers);
            }
            self.voids.looked(from, last, &url);
        }
        let next = self.next_header(from, head.block.number).await?;
        if next.is_none() {
            self.voids.forget();
        }
        Ok(next.into_iter().collect())
    }

    /// The newest block at a height or below it. Where there is none at the height, the block above has to be built on it;
    /// it is looked for up to `head`.
    pub(super) async fn header_at_or_below(&self, number: u64, head: u64) -> Result<Header, RoomError> {
        if let Some(header) = self.known_at(number).await? {
            return Ok(header);
        }
        let above = self.next_below(number.saturating_add(1), head).await?;
        let below = self.deps.client.header_by_hash(above.parent).await?;
        below.filter(|below| below.block.number < number).ok_or_else(|| self.lacking(number))
    }

    /// The node's block at the height of our tip. Where it has none there, the one that its next block above is built on.
    pub(super) async fn at_our_tip(&self, tip: BlockRef, head: &Header) -> Result<Header, RoomError> {
        if let Some(header) = self.known_at(tip.number).await? {
            return Ok(header);
        }
        let above = self.next_below(tip.number.saturating_add(1), head.block.number).await?;
        let below = self.deps.client.header_by_hash(above.parent).await?;
        below.filter(|below| below.block.number <= tip.number).ok_or_else(|| self.lacking(tip.number))
    }

    // The node lacks a block: it is asked for all heights again.
    fn lacking(&self, number: u64) -> RoomError {
        self.voids.forget();
        self.unknown(number)
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
        Err(self.lacking(tip.number + 1))
    }
    /// What a step did that ended so: one that only came part of the way past heights without a block has not failed.
    pub(super) fn passing(&self, did: Result<Did, RoomError>) -> Result<Did, RoomError> {
        match did {
            Err(error) => match self.voids.reached(&error) {
                Some(to) => Ok(Did::Passed { to }),
                None => Err(error),
            },
            did => did,
        }
    }
}
