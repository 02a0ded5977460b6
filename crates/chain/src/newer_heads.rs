//! Owns what follows where another URL knows a newer head than the one in use: it is asked in its place, and the reader is
//! woken for it. A head is only a number here: whether it belongs to our chain shows when it is read.

use std::{sync::PoisonError, time::Duration};

use domain::Heads;
use jiff::{SignedDuration, Timestamp};

use crate::{node::Node, questions::BY_NUMBER, tags::Tags};

/// So often a URL is asked for the sake of one head: what brings us nowhere must not keep us from the others.
const TRIES_MAX: u8 = 3;

/// What was done about heads of URLs that are ahead.
#[derive(Debug, Default)]
pub(crate) struct Outrun {
    tried: Option<(usize, u64)>,
    tries: u8,
    woke_for: u64,
}

impl Outrun {
    fn may_try(&mut self, index: usize, head: u64) -> bool {
        if self.tried != Some((index, head)) {
            (self.tried, self.tries) = (Some((index, head)), 0);
        }
        self.tries = self.tries.saturating_add(1);
        self.tries <= TRIES_MAX
    }
}

impl Node {
    /// The heads of a URL that has been further than these for a while, where there is one.
    pub(crate) async fn further_than(
        &self,
        index: usize,
        heads: &Heads,
    ) -> Option<(usize, Heads, Option<Tags>)> {
        let head = heads.latest.block.number;
        let (further, theirs, since) = self.pool.ahead_of(index, head)?;
        if self.choice.fixed || !self.left_of_grace(since).is_zero() || !self.may_try(further, theirs) {
            return None;
        }
        let upstream = &self.pool.upstreams[further];
        match upstream.within(upstream.deadline(false), self.heads_of(upstream, None)).await {
            Ok((newer, tags)) => (newer.latest.block.number > head).then_some((further, newer, tags)),
            Err(fault) => {
                upstream.note(BY_NUMBER, &fault);
                None
            }
        }
    }

    /// Returns when another URL has been further than the one in use for a while; once for each head. Meanwhile the heads of
    /// the others are asked for when that is due.
    pub(crate) async fn until_outrun(&self) {
        loop {
            let mut moved = std::pin::pin!(self.pool.moved.notified());
            // Before the look, so that nothing that happens after it is missed.
            moved.as_mut().enable();
            let in_use = self.choice.pinned();
            let head = self.pool.upstreams[in_use].health().standing.head.unwrap_or_default();
            let ahead = self.pool.ahead_of(in_use, head);
            let ahead = ahead.filter(|(_, theirs, _)| self.further().woke_for < *theirs);
            let grace = ahead.map(|(_, theirs, since)| (theirs, self.left_of_grace(since)));
            if let Some((theirs, left)) = grace
                && left.is_zero()
            {
                self.further().woke_for = theirs;
                return;
            }
            let grace = grace.map_or(Duration::MAX, |(_, left)| left);
            let pause = self.pool.next_look(in_use).unwrap_or(Duration::MAX).min(grace);
            tokio::select! { () = moved => {} () = self.pool.shared.clock.sleep(pause) => self.look_around() }
        }
    }

    fn left_of_grace(&self, since: Timestamp) -> Duration {
        let (now, grace) = (self.pool.shared.clock.now(), self.pool.shared.config.lag_grace);
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        Duration::try_from(grace - now.duration_since(since)).unwrap_or_default()
    }

    fn may_try(&self, index: usize, head: u64) -> bool {
        self.further().may_try(index, head)
    }

    fn further(&self) -> std::sync::MutexGuard<'_, Outrun> {
        self.outrun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
