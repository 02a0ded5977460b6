//! Waits that look at the state, again and again, up to a cap: no test sleeps for a while and hopes.

use std::{fmt::Debug, time::Duration};

use anyhow::bail;
use tokio::time::{Instant, MissedTickBehavior, interval};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Returns as soon as `look` gives something, and fails, with what it last said, after `cap`.
///
/// # Errors
/// When the cap is reached, or `look` fails.
#[expect(clippy::disallowed_methods, reason = "the one wait of the tests, capped")]
pub async fn eventually<T, E: Debug, F>(
    what: &str,
    cap: Duration,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Result<T, E>>>,
{
    let end = Instant::now() + cap;
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match look().await? {
            Ok(found) => return Ok(found),
            Err(state) if Instant::now() >= end => {
                bail!("waited {cap:?} in vain until {what}; last seen: {state:?}")
            }
            Err(_) => {}
        }
    }
}
