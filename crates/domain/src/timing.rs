//! When a hit is told: at once, or in which window. Owns what quiet hours, a spent budget, a schedule and a window come to
//! together; must not know who gathers, who counts, or what is told.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    Recipient, Strategy, Watch,
    budget::{Budget, Period},
    local,
    quiet::QuietHours,
    window::WindowRule,
};

/// Why a hit waits longer than its watch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Held {
    /// Its recipient was not to be disturbed.
    QuietHours,
    /// Its recipient had been told as often as it is to be.
    Budget,
}

impl Held {
    /// The word in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QuietHours => "quiet_hours",
            Self::Budget => "budget",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::QuietHours, Self::Budget].into_iter().find(|held| held.as_str() == word)
    }
}

/// A recipient's time: when it is to be left alone.
#[derive(Debug, Clone)]
pub struct Attention {
    /// The zone of its clocks.
    pub zone: TimeZone,
    /// When only what is critical is told.
    pub quiet_hours: Option<QuietHours>,
    /// How often it is told.
    pub at_most: Option<Budget>,
}

/// When a hit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// By itself.
    AtOnce,
    /// With others, when their window closes.
    Window(Gather),
}

/// How a hit joins a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gather {
    /// How the window closes.
    pub rule: WindowRule,
    /// When it should have closed at the latest; never before now.
    pub due: Timestamp,
    /// Why it closes later than the watch asks for.
    pub held: Option<Held>,
}

/// How often quiet hours and the end of a period are asked in turn.
const TURNS_MAX: usize = 4;

impl Attention {
    /// A recipient's.
    pub fn of(recipient: &Recipient) -> Self {
        Self {
            zone: local::zone(&recipient.timezone),
            quiet_hours: recipient.quiet_hours,
            at_most: recipient.at_most,
        }
    }

    /// The budget's period that a moment is in, where there is a budget.
    pub fn period(&self, now: Timestamp) -> Option<Period> {
        self.at_most.map(|budget| budget.period(now, &self.zone))
    }

    /// The period that `now` is in, where its budget is spent; `spent` is what the store counted: since when, and how much.
    pub fn spent_period(&self, (since, count): (Timestamp, u64), now: Timestamp) -> Option<Period> {
        let (budget, period) = (self.at_most?, self.period(now)?);
        (since >= period.start && count >= u64::from(budget.limit)).then_some(period)
    }

    /// The first moment from `at` on at which the recipient may be told, and why that is later than `at`. `spent` is the
    /// period whose budget is spent, if one is.
    pub fn free_from(&self, at: Timestamp, spent: Option<Period>) -> (Timestamp, Option<Held>) {
        let (mut free, mut held) = (at, None);
        for _ in 0..TURNS_MAX {
            let quiet = self.quiet_hours.and_then(|hours| hours.end(free, &self.zone));
            let (until, why) = match (quiet, spent) {
                (_, Some(period)) if period.start <= free && free < period.end => (period.end, Held::Budget),
                (Some(end), _) => (end, Held::QuietHours),
                _ => break,
            };
            (free, held) = (until, held.max(Some(why)));
        }
        (free, held)
    }
}

/// When a hit of `watch` is told that is found at `now`. `spent` is the period whose budget is spent, if one is.
pub fn timing(watch: &Watch, attention: &Attention, spent: Option<Period>, now: Timestamp) -> Timing {
    let Some(Gather { rule, due, .. }) = asked(watch, attention, now) else {
        return match free_from(watch, attention, spent, now) {
            (_, None) => Timing::AtOnce,
            (due, held) => Timing::Window(Gather { rule: WindowRule::until(due, now), due, held }),
        };
    };
    // A window that slides closes somewhen up to `due`; what counts is when it would close if nothing more came.
    let closes = later(now, rule.window).min(due);
    Timing::Window(match free_from(watch, attention, spent, closes) {
        (_, None) => Gather { rule, due, held: None },
        (due, held) => Gather { rule: WindowRule::until(due, now), due, held },
    })
}

/// What the watch itself asks for; `None`: at once.
fn asked(watch: &Watch, attention: &Attention, now: Timestamp) -> Option<Gather> {
    let Strategy::Digest(rule) = watch.strategy else { return None };
    if let Some(schedule) = &watch.telling.schedule {
        let due = schedule.next(now, &attention.zone).unwrap_or(Timestamp::MAX);
        return Some(Gather { rule: WindowRule::until(due, now), due, held: None });
    }
    let wait = if rule.slide { rule.max_wait.max(rule.window) } else { rule.window };
    Some(Gather { rule, due: later(now, wait), held: None })
}

/// As [`Attention::free_from`], for a watch that may be critical.
pub fn free_from(
    watch: &Watch,
    attention: &Attention,
    spent: Option<Period>,
    at: Timestamp,
) -> (Timestamp, Option<Held>) {
    if watch.telling.critical { (at, None) } else { attention.free_from(at, spent) }
}

fn later(from: Timestamp, by: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| from.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
