//! The targets of recipients: whether their channels can use them.

use std::sync::Arc;

use domain::Clock;
use store::Store;

use super::Findings;
use crate::{config::Config, failure::Failure, sync, wiring::channels};

/// Examines every target that the next run has. Sends nothing.
pub(super) async fn examine(
    config: &Config,
    store: &Store,
    clock: Arc<dyn Clock>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let channels = channels(config, clock)?;
    for target in sync::targets(config, store).await? {
        let shown = format!("target '{}' of '{}' ({})", target.name, target.recipient, target.url);
        match channels.get(target.url.channel()).map(|channel| channel.check(&target)) {
            Some(Ok(())) => {
                findings.good(&format!("{shown}: usable; `chainbell target test` sends to it"))?;
            }
            Some(Err(why)) => findings.wrong(&format!("{shown}: {why}"))?,
            None => findings.wrong(&format!("{shown}: there is no such channel"))?,
        }
    }
    Ok(())
}
