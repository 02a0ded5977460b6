//! The store: whether it can be reached, is up to date, takes writes, and has room for as many connections as a process
//! wants.

use std::time::Duration;

use domain::Clock as _;
use store::{Store, StoreClock};
use tokio::time::timeout;

use super::Findings;
use crate::{config::Config, failure::Failure, stores, stores::few};

/// A commit that waits for a synchronous standby that is gone waits for ever.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(40);

/// Opens the store of `[store]`, which everything else needs.
pub(super) async fn examine(config: &Config, findings: &mut Findings) -> Result<Store, Failure> {
    let section = &config.raw.store;
    let store = match stores::try_open(config).await {
        Ok(store) => store,
        Err(error) => {
            findings.wrong(&error.to_string())?;
            return Err(needed());
        }
    };
    findings.good(&format!("store {}: reachable, schema up to date", store.url()))?;
    if let Err(why) = write(&store).await {
        findings.wrong(&why)?;
        return Err(needed());
    }
    findings.good(&format!("store {}: a row is written, read back and removed", store.url()))?;
    let few = store.connections().and_then(few).filter(|_| section.connections.is_none());
    if let Some((_, wanted, why)) = few {
        findings.note(&format!(
            "store {}: a process wants {wanted} connections and makes do with fewer: {why}",
            store.url()
        ))?;
    }
    Ok(store)
}

fn needed() -> Failure {
    Failure::world("the store is needed for everything else: mend it first")
}

async fn write(store: &Store) -> Result<(), String> {
    let trial = async { store.try_out(StoreClock::measure(store).await?.now()).await };
    match timeout(TRIAL_TIMEOUT, trial).await {
        Ok(tried) => tried.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "store {}: a write does not end within {} s: look for a transaction that holds its lock, or a synchronous standby \
             (synchronous_standby_names) that is gone",
            store.url(),
            TRIAL_TIMEOUT.as_secs()
        )),
    }
}
