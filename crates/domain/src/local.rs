//! Local times as moments. Owns the one answer to a local time that a change of the clocks skips or shows twice: a skipped
//! one is as much later as they skip, of a doubled one the first counts (RFC 5545, section 3.3.5).

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// The zone of an IANA name; UTC where there is no such name (any more).
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The local date at a moment.
pub(crate) fn date_of(now: Timestamp, zone: &TimeZone) -> Date {
    zone.to_datetime(now).date()
}

/// The moment of a local date and time.
pub(crate) fn at(date: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    moment(date.to_datetime(time), zone)
}

/// The moment of a local date and time.
pub(crate) fn moment(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).compatible().ok()
}
