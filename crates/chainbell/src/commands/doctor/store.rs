//! The store: whether it can be reached, is up to date, and has room for as many connections as a process wants.

use store::Store;

use super::Findings;
use crate::{config::Config, failure::Failure, wiring::few};

/// Opens the store of `[store]`, which everything else needs.
pub(super) async fn examine(config: &Config, findings: &mut Findings) -> Result<Store, Failure> {
    let section = &config.raw.store;
    let store = match Store::open(&section.url).await {
        Ok(store) => store,
        Err(error) => {
            findings.wrong(&error.to_string())?;
            return Err(Failure::world("the store is needed for everything else: mend it first"));
        }
    };
    findings.good(&format!("store {}: reachable, schema up to date", store.url()))?;
    let few = store.connections().and_then(few).filter(|_| section.connections.is_none());
    if let Some((_, wanted, why)) = few {
        findings.note(&format!(
            "store {}: a process wants {wanted} connections and makes do with fewer: {why}",
            store.url()
        ))?;
    }
    Ok(store)
}
