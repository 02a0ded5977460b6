//! The broker: whether it can be reached.

use std::sync::Arc;

use broker::Broker;
use domain::Clock;

use super::Findings;
use crate::{config::Config, failure::Failure};

/// Examines the broker of `[broker]`.
pub(super) async fn examine(
    config: &Config,
    clock: &Arc<dyn Clock>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let section = &config.raw.broker;
    match Broker::open(&section.url, &section.prefix, Arc::clone(clock)).await {
        Ok(broker) => match broker.publisher().ping().await {
            Ok(()) => findings.good(&format!("broker {}: reachable", broker.url().trim_end_matches(':'))),
            Err(error) => findings.wrong(&error.to_string()),
        },
        Err(error) => findings.wrong(&error.to_string()),
    }
}
