//! When a window closes. Pure: the state before, the rule and the hits that join give the state after.
//!
//! Both debouncers follow this rule, one in SQL's terms and one in a server-side script; the conformance suite
//! compares them with it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How a digest's window opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowRule {
    /// How long a window gathers: from the first hit, or from the latest where it slides.
    pub window: Duration,
    /// The longest that the first hit waits, however often the window slides.
    pub max_wait: Duration,
    /// How many hits close the window at once.
    pub max_count: u32,
    /// Whether each hit starts `window` anew.
    pub slide: bool,
}

/// From what length on windows are spread: by up to a twentieth, in this many parts.
const SPREAD_FROM: Duration = Duration::from_secs(300);
const SPREAD_PARTS: u32 = 1_000;

/// An open window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState {
    /// When the first hit came.
    pub opened: Timestamp,
    /// When it closes, as things stand.
    pub due: Timestamp,
    /// When it closes at the latest.
    pub hard_due: Timestamp,
    /// How many hits it holds.
    pub count: u32,
}

impl WindowRule {
    /// A window that is due at once: how the sweep adds what the timer index lost.
    pub const NOW: Self =
        Self { window: Duration::ZERO, max_wait: Duration::ZERO, max_count: u32::MAX, slide: false };

    /// A window that is due at one moment, whoever joins it; in the past, now.
    pub fn until(due: Timestamp, now: Timestamp) -> Self {
        // Whole milliseconds, in which the timer indexes count.
        let millis = due.as_millisecond().saturating_sub(now.as_millisecond());
        let window = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        Self { window, max_wait: Duration::MAX, max_count: u32::MAX, slide: false }
    }

    /// The same window, closed a little earlier, so that not all that were opened by one block close at one moment. The
    /// same key always gives the same. A short window stays as it is: nobody waits behind it for long.
    #[must_use]
    pub fn spread(self, key: &str) -> Self {
        if self.slide || self.window < SPREAD_FROM {
            return self;
        }
        // FNV-1a: stable over releases and processes.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let parts = u32::try_from((hash >> 32) % u64::from(SPREAD_PARTS)).unwrap_or_default();
        let earlier = self.window / 20 / SPREAD_PARTS * parts;
        Self { window: self.window.saturating_sub(earlier), ..self }
    }

    /// The window after `joining` new hits came at `now`; `before` is `None` for the first.
    ///
    /// A due time only ever moves later by sliding, and never past `hard_due`. A rule that is due earlier (the
    /// sweep's) brings the window forward.
    pub fn join(&self, before: Option<WindowState>, now: Timestamp, joining: u32) -> WindowState {
        let opened = before.map_or(now, |state| state.opened);
        let count = before.map_or(0, |state| state.count).saturating_add(joining);
        let hard_due = later(opened, self.max_wait);
        let hard_due = before.map_or(hard_due, |state| state.hard_due.min(hard_due.max(now)));
        let fresh = later(now, self.window);
        let due = match before {
            None => fresh,
            Some(state) if self.slide && joining > 0 => state.due.max(fresh),
            Some(state) => state.due.min(fresh),
        };
        let due = if count >= self.max_count { now } else { due };
        WindowState { opened, due: due.min(hard_due), hard_due, count }
    }
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| from.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
