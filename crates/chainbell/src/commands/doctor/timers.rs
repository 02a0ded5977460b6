//! The timer index of open windows: whether it can be reached.

use store::Store;

use super::Findings;
use crate::{config::Config, failure::Failure};

/// Examines the timer index of `[debounce]`.
pub(super) async fn examine(config: &Config, store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    let section = &config.raw.debounce;
    let opened = debounce::open(&section.url, &section.prefix, store.clone()).await;
    let shown = domain::redact_url(section.url.trim_end_matches(':'));
    match opened {
        Ok(debouncer) => match debouncer.outlook().await {
            Ok((open, _)) => findings.good(&format!("debouncer {shown}: reachable, {open} windows open")),
            Err(error) => findings.wrong(&error.to_string()),
        },
        Err(error) => findings.wrong(&error.to_string()),
    }
}
