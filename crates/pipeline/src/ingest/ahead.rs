//! Pieces of the past that are read ahead while the one before them is committed. Owns their order, their number and how
//! many logs they may hold together; must not know what becomes of a piece. Only blocks that are final are read ahead, so
//! that a piece is either taken as it is or dropped.

use std::{collections::VecDeque, sync::Arc};

use domain::{ChainError, Event};
use tokio_util::task::AbortOnDropHandle;

use super::{
    reach::Reach,
    source::{Read, Source, torn},
};

/// How many ranges are under way or waiting to be committed at once.
const PIECES_MAX: usize = 3;

/// How many logs they may hold together, in times of what a range should bring. A range of which nobody can tell how
/// much it brings is read alone.
const LOGS_MAX: u64 = 4;

/// A piece with more than this many times the wanted logs is handed out in parts.
const PART_MAX: u64 = 2;

/// The pieces that are read ahead, in block order and without a gap between them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    source: Option<Arc<Source>>,
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
struct Piece {
    from: u64,
    to: u64,
    // As expected; as it is, once the piece has come.
    logs: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Coming(AbortOnDropHandle<Result<Read, ChainError>>),
    // What remains of a piece that was too large for one part.
    Rest(VecDeque<Event>),
}

/// A piece to be committed.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) to: u64,
    pub(super) events: Vec<Event>,
}

impl Ahead {
    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.source = None;
        self.pieces.clear();
    }

    /// The plan that the pieces follow.
    pub(super) const fn source(&self) -> Option<&Arc<Source>> {
        self.source.as_ref()
    }

    /// Drops everything and follows another plan.
    pub(super) fn follow(&mut self, source: Source) -> &Arc<Source> {
        self.pieces.clear();
        self.source.insert(Arc::new(source))
    }

    /// How many pieces are held, and how many logs they have together or are expected to.
    #[cfg(test)]
    fn held(&self) -> (usize, u64) {
        (self.pieces.len(), self.pieces.iter().map(|piece| piece.logs).sum())
    }

    /// The events from block `from` on and at most up to `end`, after the refusal of a range of a smaller one; meanwhile
    /// the ranges after it are read.
    ///
    /// # Errors
    /// The node's, of the range that comes next; those of later ranges come with them. Everything is dropped then.
    pub(super) async fn take(&mut self, from: u64, end: u64, reach: &mut Reach) -> Result<Taken, ChainError> {
        if self.pieces.front().is_some_and(|piece| piece.from != from)
            || self.pieces.back().is_some_and(|piece| piece.to > end)
        {
            self.pieces.clear();
        }
        loop {
            self.top_up(from, end, reach);
            let Some(piece) = self.pieces.pop_front() else {
                let detail = "nothing is read ahead".to_owned();
                return Err(ChainError::Unavailable { url: "rpc".to_owned(), method: "eth_getLogs", detail });
            };
            let handle = match piece.state {
                State::Coming(handle) => handle,
                State::Rest(events) => return Ok(self.part(piece.from, piece.to, events, reach)),
            };
            let url = self.source.as_ref().map_or("rpc", |source| source.url.as_str());
            match handle.await.unwrap_or_else(|error| Err(torn(error, url))) {
                Ok(read) => {
                    reach.granted(piece.to - piece.from + 1, read.logs);
                    // Now that one has come, there is room for another, before the next is waited for.
                    let next = piece.to.saturating_add(1);
                    let taken = self.part(piece.from, piece.to, read.events.into(), reach);
                    if taken.to == piece.to && next <= end {
                        self.top_up(next, end, reach);
                    }
                    return Ok(taken);
                }
                Err(ChainError::RangeTooLarge { suggested_blocks, .. }) if piece.to > piece.from => {
                    // The ranges after it are as large, and would be refused too.
                    self.pieces.clear();
                    reach.refused(piece.to - piece.from + 1, suggested_blocks);
                    tracing::debug!(range.blocks = reach.blocks(), "the node refused a range");
                }
                Err(error) => {
                    self.pieces.clear();
                    return Err(error);
                }
            }
        }
    }

    // Lets ranges be read, as many as there is room for; one in any case.
    fn top_up(&mut self, from: u64, end: u64, reach: &Reach) {
        let Some(source) = &self.source else { return };
        let room = reach.logs_wanted().saturating_mul(LOGS_MAX);
        loop {
            let next = self.pieces.back().map_or(from, |piece| piece.to.saturating_add(1));
            let to = end.min(next.saturating_add(reach.blocks() - 1));
            let expected = reach.expected(to.saturating_sub(next).saturating_add(1));
            let held: u64 = self.pieces.iter().map(|piece| piece.logs).sum();
            let fits = self.pieces.len() < PIECES_MAX
                && expected.is_some_and(|expected| held.saturating_add(expected) <= room);
            if next > end || !(fits || self.pieces.is_empty()) {
                return;
            }
            let reading = tokio::spawn(Arc::clone(source).read(next, to));
            let state = State::Coming(AbortOnDropHandle::new(reading));
            self.pieces.push_back(Piece { from: next, to, logs: expected.unwrap_or(room), state });
        }
    }

    // Hands out a piece, or as many of its blocks as are enough for one commit; the rest stays in front.
    fn part(&mut self, from: u64, to: u64, mut events: VecDeque<Event>, reach: &Reach) -> Taken {
        let wanted = usize::try_from(reach.logs_wanted()).unwrap_or(usize::MAX);
        let max = wanted.saturating_mul(usize::try_from(PART_MAX).unwrap_or(usize::MAX));
        let last = if events.len() > max { events.get(wanted).map(|event| event.block.number) } else { None };
        // A block is never torn: the cursor counts blocks.
        let cut = last.map(|last| events.partition_point(|event| event.block.number <= last));
        let (Some(last), Some(cut)) = (last, cut.filter(|cut| *cut < events.len())) else {
            return Taken { to, events: events.into() };
        };
        debug_assert!(from <= last && last < to);
        let rest = events.split_off(cut);
        let logs = rest.len() as u64;
        self.pieces.push_front(Piece { from: last + 1, to, logs, state: State::Rest(rest) });
        Taken { to: last, events: events.into() }
    }
}
