//! Pieces of the past that are read ahead while the one before them is committed. Owns their order, their number and how
//! many logs they may hold together; must not know what becomes of a piece. Only blocks that are final are read ahead, so
//! that a piece is either taken as it is or dropped.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use domain::ChainError;
use tokio_util::task::AbortOnDropHandle;

use super::{
    range_size::RangeSize,
    source::{Part, Read, Source, torn},
};
use crate::RoomError;

/// How many ranges are under way or waiting to be committed at once.
const PIECES_MAX: usize = 3;

/// How many logs they may hold together, in times of what a range should bring. A range of which nobody can tell how
/// much it brings is read alone.
const LOGS_MAX: u64 = 4;

/// The pieces that are read ahead, in block order and without a gap between them.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
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
    Coming(AbortOnDropHandle<Result<Read, RoomError>>),
    // To be read once more: the question failed.
    Again,
    // What remains of a piece that was too large for one part.
    Rest(VecDeque<Part>),
}

impl ReadAhead {
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
    /// the ranges after it are read. Nothing where it has not come within `patience`; it is waited for the next time.
    ///
    /// # Errors
    /// The node's, of the range that comes next, which is read again when it is taken again; those of later ranges come with
    /// them.
    pub(super) async fn take_within(
        &mut self,
        from: u64,
        end: u64,
        range_size: &mut RangeSize,
        patience: Option<Duration>,
    ) -> Result<Option<Part>, RoomError> {
        if self.pieces.front().is_some_and(|piece| piece.from != from)
            || self.pieces.back().is_some_and(|piece| piece.to > end)
        {
            self.pieces.clear();
        }
        loop {
            self.top_up(from, end, range_size);
            let Some(mut piece) = self.pieces.pop_front() else { return Err(nothing()) };
            let mut handle = match piece.state {
                State::Coming(handle) => handle,
                State::Again => match &self.source {
                    Some(source) => {
                        AbortOnDropHandle::new(tokio::spawn(Arc::clone(source).read(piece.from, piece.to)))
                    }
                    None => return Err(nothing()),
                },
                State::Rest(parts) => return self.part(parts, piece.to).map(Some).ok_or_else(nothing),
            };
            let Some(read) = within(patience, &mut handle).await else {
                piece.state = State::Coming(handle);
                self.pieces.push_front(piece);
                return Ok(None);
            };
            let url = self.source.as_ref().map_or("rpc", |source| source.url.as_str());
            match read.unwrap_or_else(|error| Err(torn(error, url).into())) {
                Ok(read) => {
                    range_size.granted(piece.to - piece.from + 1, read.logs);
                    let part = self.part(read.parts, piece.to).ok_or_else(nothing)?;
                    // Now that one has come, there is room for another, while this one is committed.
                    self.top_up(part.to.saturating_add(1), end, range_size);
                    return Ok(Some(part));
                }
                Err(RoomError::Chain(ChainError::RangeTooLarge { suggested_blocks, .. }))
                    if piece.to > piece.from =>
                {
                    // The ranges after it are as large, and would be refused too.
                    self.pieces.clear();
                    range_size.refused(piece.to - piece.from + 1, suggested_blocks);
                    tracing::debug!(range.blocks = range_size.blocks(None), "the node refused a range");
                }
                Err(error) => {
                    // Those behind it are not worse for it.
                    self.pieces.push_front(Piece { state: State::Again, ..piece });
                    return Err(error);
                }
            }
        }
    }

    #[cfg(test)]
    async fn take(&mut self, from: u64, end: u64, range_size: &mut RangeSize) -> Result<Part, RoomError> {
        self.take_within(from, end, range_size, None).await?.ok_or_else(nothing)
    }

    // Lets ranges be read, as many as there is room for; one in any case.
    fn top_up(&mut self, from: u64, end: u64, range_size: &RangeSize) {
        let Some(source) = &self.source else { return };
        let room = range_size.logs_wanted().saturating_mul(LOGS_MAX);
        loop {
            let next = self.pieces.back().map_or(from, |piece| piece.to.saturating_add(1));
            let span = range_size.blocks(source.client.range_limit());
            let to = end.min(next.saturating_add(span - 1));
            let expected = range_size.expected(to.saturating_sub(next).saturating_add(1));
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

    // Hands out the first part of what was read up to block `to`; the rest stays in front.
    fn part(&mut self, mut parts: VecDeque<Part>, to: u64) -> Option<Part> {
        let part = parts.pop_front()?;
        if !parts.is_empty() {
            let logs = parts.iter().map(|part| part.counts.events).sum();
            let from = part.to.saturating_add(1);
            self.pieces.push_front(Piece { from, to, logs, state: State::Rest(parts) });
        }
        Some(part)
    }
}

async fn within<T>(patience: Option<Duration>, coming: impl Future<Output = T>) -> Option<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, coming).await.ok(),
        None => Some(coming.await),
    }
}

// There is a plan whenever something is taken.
fn nothing() -> RoomError {
    let detail = "nothing is read ahead".to_owned();
    ChainError::Unavailable { url: "rpc".to_owned(), method: "eth_getLogs", detail }.into()
}

#[cfg(test)]
mod tests;
