//! Between which bounds each span and each number of the configuration makes sense. Owns the bounds and the sentence
//! about what is outside of them; must not know what the keys do.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use super::{ConfigError, Raw, Span, duration::written};

/// The shortest and the longest span of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    min: Duration,
    max: Duration,
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

const DEADLINE: Bounds = Bounds::new(Duration::from_millis(100), Duration::from_secs(600));
const RETRY: Bounds = Bounds::new(Duration::from_millis(10), Duration::from_secs(30 * DAY));
const GRACE: Bounds = Bounds::new(Duration::from_millis(100), Duration::from_secs(HOUR));
const SWEEP_GRACE: Bounds = GRACE;
const LEASE: Bounds = GRACE;
const TOKEN_REFRESH: Bounds = Bounds::new(Duration::from_secs(60), Duration::from_secs(366 * DAY));
const POLL: Bounds = Bounds::new(Duration::from_millis(50), Duration::from_secs(HOUR));

/// How long a digest gathers, and how long its first event waits.
pub(super) const WINDOW: Bounds = Bounds::new(Duration::from_millis(10), Duration::from_secs(366 * DAY));

const RETRIES_MAX: usize = 1_000;
const CALLS: RangeInclusive<usize> = 1..=1_000;
const RANGE: RangeInclusive<u64> = 1..=1_000_000_000;
const REORG_DEPTH: RangeInclusive<u32> = 1..=100_000;

impl Bounds {
    const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// Whether a span is within.
    ///
    /// # Errors
    /// One sentence that names the value and the bounds.
    pub(super) fn hold(self, span: &Span) -> Result<(), String> {
        if (self.min..=self.max).contains(&span.0) {
            return Ok(());
        }
        let side = if span.0 < self.min { "short" } else { "long" };
        Err(format!("'{span}' is too {side}: write {} to {}", written(self.min), written(self.max)))
    }
}

/// Checks the spans and numbers of every section but those of watches, which are checked with their strategy.
pub(super) fn check(raw: &Raw) -> Result<(), ConfigError> {
    let at = |key: &str| {
        let key = key.to_owned();
        move |detail: String| ConfigError::key(&key, detail)
    };
    DEADLINE.hold(&raw.channels.deadline).map_err(at("channels.deadline"))?;
    for span in &raw.channels.retry {
        RETRY.hold(span).map_err(at("channels.retry"))?;
    }
    let retries = raw.channels.retry.len();
    number(retries, &(0..=RETRIES_MAX)).map_err(at("channels.retry: how many spans it has"))?;
    GRACE.hold(&raw.run.grace).map_err(at("run.grace"))?;
    SWEEP_GRACE.hold(&raw.run.sweep_grace).map_err(at("run.sweep_grace"))?;
    LEASE.hold(&raw.run.lease).map_err(at("run.lease"))?;
    TOKEN_REFRESH.hold(&raw.run.token_refresh).map_err(at("run.token_refresh"))?;
    for chain in &raw.chain {
        let at = |key: &str| at(&format!("chain '{}': {key}", chain.name));
        POLL.hold(&chain.poll).map_err(at("poll"))?;
        number(chain.calls_max, &CALLS).map_err(at("calls_max"))?;
        number(chain.range_max, &RANGE).map_err(at("range_max"))?;
        number(chain.max_reorg_depth, &REORG_DEPTH).map_err(at("max_reorg_depth"))?;
    }
    Ok(())
}

fn number<N: PartialOrd + Display>(value: N, bounds: &RangeInclusive<N>) -> Result<(), String> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let side = if value < *bounds.start() { "small" } else { "large" };
    Err(format!("{value} is too {side}: write {} to {}", bounds.start(), bounds.end()))
}
