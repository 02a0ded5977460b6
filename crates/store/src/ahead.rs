//! Times that were stored under a clock that was ahead. Owns that nothing ends later than its own length from now; must not
//! know what waits for what.
//!
//! What was noted later than now was noted under a clock that was ahead: what is left of it is cut to its own length. Named
//! leases are cut by whoever asks for them, and windows of the timer index by the sweep, which goes by their hits.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Store, StoreError, tx::tx};

/// How long what has no beginning of its own lasts.
#[derive(Debug, Clone, Copy)]
pub struct OwnLengths {
    /// The lease of a delivery.
    pub delivery_lease: Duration,
}

// `$1` is now.
const CUTS: [&str; 11] = [
    // Quiet hours, a budget and the sweep give hits that are older another due time.
    "UPDATE hit SET due_hint = due_hint - (due_noted_at - $1), due_noted_at = $1,
            created_at = CASE WHEN created_at > $1 THEN $1 ELSE created_at END
        WHERE state = 'pending' AND due_hint > $1 AND due_noted_at > $1",
    // Rows of a chainbell that did not note it.
    "UPDATE hit SET due_hint = due_hint - (created_at - $1), created_at = $1
        WHERE state = 'pending' AND due_hint > $1 AND due_noted_at IS NULL AND created_at > $1",
    "UPDATE delivery SET next_attempt_at = next_attempt_at - (noted_at - $1), noted_at = $1
        WHERE state IN ('queued', 'scheduled') AND next_attempt_at > $1 AND noted_at > $1",
    "UPDATE delivery SET next_attempt_at = next_attempt_at - (created_at - $1), created_at = $1
        WHERE state IN ('queued', 'scheduled') AND next_attempt_at > $1 AND created_at > $1",
    "UPDATE window_lead SET closes = closes - (opened - $1), until = until - (opened - $1), opened = $1
        WHERE until > $1 AND opened > $1",
    "UPDATE window_held SET due = due - (since - $1), since = $1 WHERE due > $1 AND since > $1",
    // A budget's period that begins later than now has not begun: what was spent in it was spent by no one.
    "DELETE FROM attention WHERE period - 60000 > $1",
    "UPDATE unmatched SET since = $1 WHERE since > $1",
    "UPDATE unmatched_block SET since = $1 WHERE since > $1",
    "UPDATE token SET asked_at = $1 WHERE asked_at > $1",
    "UPDATE set_aside SET next_try = next_try - (noted_at - $1), noted_at = $1
        WHERE next_try > $1 AND noted_at > $1",
];

// `$1` is now and the length of a lease.
const CUT_LEASES: &str =
    "UPDATE delivery SET lease_until = $1 WHERE state IN ('queued', 'scheduled') AND lease_until > $1";

impl Store {
    /// Cuts what ends later than its own length from `now`, and says how much there was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn cut_to_own_length(&self, now: Timestamp, lengths: OwnLengths) -> Result<u64, StoreError> {
        let length = SignedDuration::try_from(lengths.delivery_lease).unwrap_or(SignedDuration::MAX);
        let leased = now.saturating_add(length).unwrap_or(Timestamp::MAX).as_millisecond();
        let all = CUTS.map(|statement| (statement, now.as_millisecond()));
        let mut cut = 0;
        for (statement, latest) in all.into_iter().chain([(CUT_LEASES, leased)]) {
            cut += tx!(self, "cut_to_own_length", |tx| {
                Ok(tx.query(statement).bind(latest).execute().await?)
            })?;
        }
        Ok(cut)
    }
}
