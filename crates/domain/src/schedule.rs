//! Times of the day, week or year at which a digest is told, as a cron expression in the recipient's zone. Owns which
//! moment is next, over every change of the clocks; must not know what is told then.
//!
//! The expression is matched against local times without a zone, and each match becomes one moment: a local time that the
//! clocks skip fires as much later as they skip, and one that they show twice fires the first time. So `30 2 * * *` fires
//! once on every local date.

use std::{fmt, str::FromStr};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::local::moment;

/// A checked cron expression of five fields: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule(Box<str>);

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no schedule ({why}): write minute, hour, day, month and weekday, such as \"0 9 * * MON-FRI\""
)]
pub struct BadSchedule {
    text: String,
    why: String,
}

/// Clocks never skip more than a day (Samoa left one out in 2011).
const SKIPPED_MAX: SignedDuration = SignedDuration::from_hours(25);

/// How many local times a search looks at: each minute of the longest skip, and some.
const LOOKED_MAX: usize = 4_000;

impl Schedule {
    /// The first moment after `now` at which the schedule fires by the clocks of `zone`; `None` where time ends before.
    pub fn next(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let cron = parse(&self.0).ok()?;
        // A time that was skipped lately fires later than its own clock time says.
        let skips = zone
            .preceding(now)
            .next()
            .is_some_and(|change| now.duration_since(change.timestamp()) < SKIPPED_MAX);
        let back = if skips { SKIPPED_MAX } else { SignedDuration::ZERO };
        let mut local = zone.to_datetime(now).saturating_sub(back);
        let mut first: Option<Timestamp> = None;
        for _ in 0..LOOKED_MAX {
            let Some(found) = after(&cron, local) else { break };
            local = found;
            let Some(fires) = moment(local, zone) else { break };
            if fires <= now {
                continue;
            }
            first = Some(first.map_or(fires, |first| first.min(fires)));
            // Only skipped times are out of order: the first that is not ends the search.
            if zone.to_datetime(fires) == local {
                break;
            }
        }
        first
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn parse(text: &str) -> Result<Cron, croner::errors::CronError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text)
}

fn after(cron: &Cron, local: DateTime) -> Option<DateTime> {
    cron.find_next_occurrence(&local, false).ok()
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        let bad = |why: &str| BadSchedule { text: text.chars().take(80).collect(), why: why.to_owned() };
        if text.len() > 200 || !text.is_ascii() {
            return Err(bad("it is too long or has strange characters"));
        }
        if text.split_whitespace().count() != 5 {
            return Err(bad("it has not five fields"));
        }
        let cron = parse(text).map_err(|error| bad(&error.to_string()))?;
        // The 30th of February never comes, the 29th does within eight years.
        if after(&cron, DateTime::constant(2000, 1, 1, 0, 0, 0, 0)).is_none() {
            return Err(bad("no day is like that"));
        }
        Ok(Self(text.split_whitespace().collect::<Vec<_>>().join(" ").into()))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Schedule {
    type Error = BadSchedule;

    fn try_from(text: String) -> Result<Self, BadSchedule> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.0.into()
    }
}
