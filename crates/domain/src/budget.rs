//! How often a person may be disturbed: a number of notifications for each calendar day or hour of the recipient's zone.
//! Owns when such a period begins and ends; who has spent what is the store's to know.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::local::{at, date_of};

/// `12/day`, `3/hour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    /// How many notifications; at least one.
    pub limit: u32,
    /// In what time.
    pub per: Per,
}

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// A clock hour.
    Hour,
    /// A calendar day.
    Day,
}

/// A time with a budget of its own: from its start to before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// When it begins.
    pub start: Timestamp,
    /// When the next one begins.
    pub end: Timestamp,
}

/// A text that names no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no budget of notifications: write a number from 1 on for each day or hour, such as 12/day or 3/hour"
)]
pub struct BadBudget(String);

impl Budget {
    /// The period that `now` is in, by the clocks of `zone`. Its end is always later than `now`.
    pub fn period(&self, now: Timestamp, zone: &TimeZone) -> Period {
        match self.per {
            Per::Day => day(now, zone),
            Per::Hour => hour(now, zone),
        }
        .unwrap_or(Period { start: now, end: Timestamp::MAX })
    }
}

fn day(now: Timestamp, zone: &TimeZone) -> Option<Period> {
    let mut date = date_of(now, zone);
    // Clocks that go back over midnight show the end of a day twice.
    while at(date, Time::midnight(), zone)? > now {
        date = date.yesterday().ok()?;
    }
    let start = at(date, Time::midnight(), zone)?;
    let mut next = date.tomorrow().ok()?;
    let mut end = at(next, Time::midnight(), zone)?;
    while end <= now {
        next = next.tomorrow().ok()?;
        end = at(next, Time::midnight(), zone)?;
    }
    Some(Period { start, end })
}

// By what the clock shows past the hour, so that a zone of half an hour has its hours where its clocks have them.
fn hour(now: Timestamp, zone: &TimeZone) -> Option<Period> {
    let local = zone.to_datetime(now);
    let past = SignedDuration::new(
        i64::from(local.minute()) * 60 + i64::from(local.second()),
        local.subsec_nanosecond(),
    );
    let start = now.checked_sub(past).ok()?;
    Some(Period { start, end: start.checked_add(SignedDuration::from_hours(1)).ok()? })
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Hour => "hour",
            Per::Day => "day",
        };
        write!(f, "{}/{per}", self.limit)
    }
}

impl FromStr for Budget {
    type Err = BadBudget;

    fn from_str(text: &str) -> Result<Self, BadBudget> {
        let bad = || BadBudget(text.chars().take(40).collect());
        let (limit, per) = text.split_once('/').ok_or_else(bad)?;
        let limit = limit.trim().parse().ok().filter(|limit| *limit > 0).ok_or_else(bad)?;
        let per = match per.trim() {
            "hour" => Per::Hour,
            "day" => Per::Day,
            _ => return Err(bad()),
        };
        Ok(Self { limit, per })
    }
}

impl TryFrom<String> for Budget {
    type Error = BadBudget;

    fn try_from(text: String) -> Result<Self, BadBudget> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.to_string()
    }
}
