//! The store: whether it can be reached and is up to date.

use store::Store;

use super::Findings;
use crate::{config::Config, failure::Failure};

/// Opens the store of `[store]`, which everything else needs.
pub(super) async fn examine(config: &Config, findings: &mut Findings) -> Result<Store, Failure> {
    let store = match Store::open(&config.raw.store.url).await {
        Ok(store) => store,
        Err(error) => {
            findings.wrong(&error.to_string())?;
            return Err(Failure::world("the store is needed for everything else: mend it first"));
        }
    };
    findings.good(&format!("store {}: reachable, schema up to date", store.url()))?;
    Ok(store)
}
