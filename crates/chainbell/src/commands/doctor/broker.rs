//! The broker: whether messages can be published, read and acknowledged there, and what somebody changed.

use std::sync::Arc;

use domain::Clock;

use super::Findings;
use crate::{config::Config, failure::Failure, servers};

/// Examines the broker of `[broker]`.
pub(super) async fn examine(
    config: &Config,
    clock: &Arc<dyn Clock>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let broker = match servers::broker(config, Arc::clone(clock)).await {
        Ok(broker) => broker,
        Err(failure) => return findings.wrong(&failure.to_string()),
    };
    match broker.concerns(&servers::consumers()).await {
        Ok(concerns) => {
            for concern in concerns {
                let said = format!("broker {}: {concern}", broker.url());
                if concern.works { findings.note(&said)? } else { findings.wrong(&said)? }
            }
        }
        Err(error) => return findings.wrong(&error.to_string()),
    }
    match broker.try_out().await {
        Ok(()) => findings.good(&format!(
            "broker {}: messages are published, read and acknowledged",
            broker.url().trim_end_matches(':')
        )),
        Err(error) => findings.wrong(&error.to_string()),
    }
}
