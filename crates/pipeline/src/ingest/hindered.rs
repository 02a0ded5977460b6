//! The past when it cannot be read: the live chain goes on, the past is tried again after growing pauses, and the store is
//! told where it stands. Owns the pauses; must not know why a node refuses.

use std::time::Duration;

use domain::ChainError;
use jiff::{SignedDuration, Timestamp};
use store::Part;

use super::Ingest;
use crate::RoomError;

const PAUSE_MIN: SignedDuration = SignedDuration::from_millis(100);
const PAUSE_MAX: SignedDuration = SignedDuration::from_secs(15);

/// After so many failures in a row the past is said to stand still: fewer are a node's bad moment.
const STANDS_STILL: u32 = 3;

/// So long a step waits for a piece of the past that is on its way, before it looks at the live chain again.
const PATIENCE: Duration = Duration::from_secs(2);

/// How reading the past fares.
#[derive(Debug)]
pub(super) struct Hindrance {
    // The block that could not be read, since the last step.
    failed_at: Option<u64>,
    failures: u32,
    again_at: Option<Timestamp>,
    noted: bool,
    /// How long to wait for a piece; without it, until it comes.
    pub(super) patience: Option<Duration>,
}

impl Hindrance {
    pub(super) const fn new() -> Self {
        // An earlier process may have noted a standstill: the first piece takes that back.
        Self { failed_at: None, failures: 0, again_at: None, noted: true, patience: None }
    }

    /// A piece from this block on could not be read.
    pub(super) const fn failed(&mut self, block: u64) {
        self.failed_at = Some(block);
    }

    /// A step begins.
    pub(super) const fn hurry(&mut self) {
        (self.failed_at, self.patience) = (None, Some(PATIENCE));
    }

    /// For how much longer the past is left alone.
    pub(super) fn rests_for(&self, now: Timestamp) -> Option<Duration> {
        let left = Duration::try_from(self.again_at?.duration_since(now)).ok()?;
        (!left.is_zero()).then_some(left)
    }
}

impl Ingest {
    /// Takes an error of a step that is about the past alone, so that it holds up nothing else.
    pub(super) async fn bear(&mut self, error: RoomError) -> Result<(), RoomError> {
        let (Some(block), RoomError::Chain(error)) = (self.hindrance.failed_at.take(), &error) else {
            return Err(error);
        };
        let now = self.deps.clock.now();
        let hindrance = &mut self.hindrance;
        hindrance.failures = hindrance.failures.saturating_add(1);
        let doublings = (hindrance.failures - 1).min(16);
        let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
        hindrance.again_at = now.checked_add(pause).ok();
        let failures = hindrance.failures;
        if failures.is_power_of_two() {
            let chain = &self.config.name;
            tracing::warn!(%chain, block, failures, "the past cannot be read now, the live chain goes on: {error}");
        }
        if failures == STANDS_STILL || (failures > STANDS_STILL && failures.is_power_of_two()) {
            self.note_hindrance(block, error).await?;
        }
        Ok(())
    }

    async fn note_hindrance(&mut self, block: u64, error: &ChainError) -> Result<(), RoomError> {
        let (store, chain) = (&self.deps.store, self.config.chain);
        let reason = error.to_string();
        store.note_standstill(chain, Part::Past, (block, &reason), self.deps.clock.now()).await?;
        self.hindrance.noted = true;
        Ok(())
    }

    /// The past was read.
    pub(super) async fn unhinder(&mut self) -> Result<(), RoomError> {
        let hindrance = &mut self.hindrance;
        (hindrance.failed_at, hindrance.failures, hindrance.again_at) = (None, 0, None);
        if std::mem::replace(&mut hindrance.noted, false) {
            self.deps.store.clear_standstill(self.config.chain, Part::Past).await?;
        }
        Ok(())
    }
}
