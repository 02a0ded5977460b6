//! The head that the node told of and that is not held yet. Owns how long it stays wanted; must not know how it is read.
//! A node behind a balancer tells of a head and, asked again, of an older one: the wake-up is not over with that.

use std::time::Duration;

use domain::{ChainError, Header};
use jiff::{SignedDuration, Timestamp};

use super::{Did, Ingest};
use crate::RoomError;

// The first pause before the node is asked for it again; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(50);

// How long a head is wanted that the node does not know (any more): it may have left its chain in silence.
const WANTED_MAX: SignedDuration = SignedDuration::from_mins(2);

/// A head, and when the node is asked for it again.
#[derive(Debug)]
pub(super) struct Wanted {
    header: Header,
    since: Timestamp,
    pause: Duration,
    look_at: Timestamp,
}

impl Ingest {
    /// The node announced a head: it takes the place of an older one, however low it is.
    pub(super) fn want_announced(&mut self, header: &Header) {
        if self.wanted.as_ref().is_none_or(|wanted| wanted.header.block != header.block) {
            self.want(header);
        }
    }

    /// The node gave this as its newest block. One that is no higher than what is wanted may come from a machine that lags.
    pub(super) fn want_latest(&mut self, header: &Header) {
        let lower = |wanted: &Wanted| wanted.header.block.number < header.block.number;
        if self.wanted.as_ref().is_none_or(lower) {
            self.want(header);
        }
    }

    fn want(&mut self, header: &Header) {
        let now = self.deps.clock.now();
        self.wanted = Some(Wanted { header: *header, since: now, pause: PAUSE_MIN, look_at: now });
    }

    /// Reads what is wanted and was not read by the way of the newest block, where the node has it in its chain.
    pub(super) async fn follow_wanted(&mut self) -> Result<Did, RoomError> {
        self.forget_what_is_held();
        let Some(header) = self.wanted.as_ref().map(|wanted| wanted.header) else { return Ok(Did::Idle) };
        if self.factories_behind() {
            return Ok(Did::Idle);
        }
        let known = match self.deps.client.headers_by_number(&[header.block.number]).await {
            Ok(headers) => headers.into_iter().flatten().any(|known| known.block == header.block),
            Err(ChainError::UnknownBlock { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if known { self.follow(&header).await } else { Ok(Did::Idle) }
    }

    /// Lets go of a head that is held, or lies beyond what is to be read, or that the node has not known for long.
    pub(super) fn forget_what_is_held(&mut self) {
        let (Some(wanted), Some(chain)) = (&self.wanted, &self.chain) else { return };
        let (now, block) = (self.deps.clock.now(), wanted.header.block);
        if now.duration_since(wanted.since) >= WANTED_MAX {
            let chain = &self.config.name;
            tracing::debug!(%chain, %block, "the node told of a head and does not know it any more");
            self.wanted = None;
        } else if chain.holds(block) || self.until(block.number) < block.number {
            self.wanted = None;
        }
    }

    /// The step did not bring it: it is asked for again after a pause.
    pub(super) fn put_off_wanted(&mut self) {
        let now = self.deps.clock.now();
        let poll = self.config.poll;
        let Some(wanted) = &mut self.wanted else { return };
        wanted.look_at = now.saturating_add(wanted.pause).unwrap_or(Timestamp::MAX);
        wanted.pause = wanted.pause.saturating_mul(2).min(poll.max(PAUSE_MIN));
    }

    /// How long until the node is asked for it again; `None` where nothing is wanted.
    pub(super) fn wanted_in(&self) -> Option<Duration> {
        let wanted = self.wanted.as_ref()?;
        Some(Duration::try_from(wanted.look_at.duration_since(self.deps.clock.now())).unwrap_or_default())
    }
}
