//! Durations as people write them: `500ms`, `60s`, `1h 30m`, `1d`, `1w`.

use std::{fmt, sync::Arc, time::Duration};

use jiff::SpanRelativeTo;
use serde::{Deserialize, Deserializer, de::Error};

/// A duration in the configuration or on the command line. It shows itself as it was written.
#[derive(Clone)]
pub struct Span(pub Duration, Option<Arc<str>>);

impl Span {
    /// One that was not written.
    pub const fn new(duration: Duration) -> Self {
        Self(duration, None)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no duration: write 500ms, 60s, 10m, 1h 30m, 1d or 1w");
        let span: jiff::Span = text.parse().map_err(|_| bad())?;
        // A day has 24 hours here; months and years have no fixed length.
        let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
        let duration = Duration::try_from(signed).map_err(|_| bad())?;
        Ok(Self(duration, Some(text.trim().into())))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.1 {
            Some(written) => f.write_str(written),
            None => f.write_str(&written(self.0)),
        }
    }
}

// Two spans of one length are the same setting, however they were written.
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.0).finish()
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Span {}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A duration in the notation of the configuration, with its largest units first: `1w 2d`, `1h 30m`, `60s` as `1m`.
pub fn written(duration: Duration) -> String {
    const UNITS: [(&str, u128); 6] =
        [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut left = duration.as_millis();
    let mut parts = Vec::new();
    for (name, length) in UNITS {
        if left >= length {
            parts.push(format!("{}{name}", left / length));
            left %= length;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}
