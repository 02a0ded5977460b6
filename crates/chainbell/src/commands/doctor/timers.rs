//! The timer index of open windows: whether windows can be opened, closed and read there.

use domain::Clock;
use store::Store;

use super::Findings;
use crate::{config::Config, failure::Failure, servers};

/// Examines the timer index of `[debounce]`.
pub(super) async fn examine(
    config: &Config,
    store: &Store,
    clock: &dyn Clock,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let described = servers::timers(config);
    if let Err(error) = debounce::try_out(&described, clock).await {
        return findings.wrong(&error.to_string());
    }
    let outlook = match servers::debouncer(config, store.clone()).await {
        Ok(debouncer) => debouncer.outlook().await.map_err(|error| error.to_string()),
        Err(failure) => Err(failure.to_string()),
    };
    match outlook {
        Ok((open, _)) => findings.good(&format!(
            "timer index {}: windows are opened and closed, {open} are open",
            described.shown().trim_end_matches(':')
        )),
        Err(why) => findings.wrong(&why),
    }
}
