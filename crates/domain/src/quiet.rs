//! Hours in which a person is not to be disturbed: from one time of the day to another in the recipient's zone. Owns
//! when they begin and end as moments, over every change of the clocks; must not know who waits for their end.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::local::{at, date_of};

/// `22:00-07:00`: each day from the first time to the second, which is the next day's where it is the lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    from: Time,
    to: Time,
}

/// A text that names no quiet hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' are no quiet hours: write two different times of the day, such as 22:00-07:00")]
pub struct BadQuietHours(String);

/// How many days' quiet hours a change of the clocks joins, at most.
const JOINED_MAX: usize = 3;

impl QuietHours {
    /// The moment at which the quiet hours end that `now` is within; `None` where it is within none. It is always later
    /// than `now`, and not within others.
    ///
    /// A local time that the clocks skip is as much later as they skip, and of one that they show twice the first counts:
    /// so each day has its quiet hours once. Where the clocks skip all the time between the quiet hours of two days, they
    /// are one.
    pub fn end(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut end = self.end_of_day(now, zone)?;
        for _ in 0..JOINED_MAX {
            match self.end_of_day(end, zone) {
                Some(later) => end = later,
                None => break,
            }
        }
        Some(end)
    }

    // The end of one day's.
    fn end_of_day(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = date_of(now, zone);
        [today.yesterday().ok(), Some(today)].into_iter().flatten().find_map(|begun| {
            let ended = if self.from < self.to { begun } else { begun.tomorrow().ok()? };
            let (start, end) = (at(begun, self.from, zone)?, at(ended, self.to, zone)?);
            (start <= now && now < end).then_some(end)
        })
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), to.hour(), to.minute())
    }
}

impl FromStr for QuietHours {
    type Err = BadQuietHours;

    fn from_str(text: &str) -> Result<Self, BadQuietHours> {
        let halves = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        match halves {
            Some((from, to)) if from != to => Ok(Self { from, to }),
            _ => Err(BadQuietHours(text.chars().take(40).collect())),
        }
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

impl TryFrom<String> for QuietHours {
    type Error = BadQuietHours;

    fn try_from(text: String) -> Result<Self, BadQuietHours> {
        text.parse()
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours.to_string()
    }
}
