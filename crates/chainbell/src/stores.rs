//! The store as the configuration describes it. Owns the way from `[store]` to an open store, for a running process and for
//! a command beside it; must not know what is stored.

use std::num::NonZeroU32;

use store::{Connections, Store};

use crate::{config::Config, failure::Failure};

/// The store of a command: with as many connections as `store.connections` says at most, and no more than running processes
/// left.
///
/// # Errors
/// See [`Failure`].
pub async fn open(config: &Config) -> Result<Store, Failure> {
    Ok(try_open(config).await?)
}

/// As [`open`], with the store's own error.
///
/// # Errors
/// See [`store::StoreError`].
pub async fn try_open(config: &Config) -> Result<Store, store::StoreError> {
    let section = &config.raw.store;
    Store::open_beside(&section.url, section.connections.map(NonZeroU32::get)).await
}

/// The store of a running process, which says so when it has fewer connections than it wants.
///
/// # Errors
/// See [`Failure`].
pub async fn of_process(config: &Config) -> Result<Store, Failure> {
    let section = &config.raw.store;
    let store = Store::open_with(&section.url, section.connections.map(NonZeroU32::get)).await?;
    if let Some((most, wanted, why)) = store.connections().and_then(few) {
        tracing::warn!(
            connections.most = most,
            connections.wanted = wanted,
            "few connections to the store: {why}"
        );
    }
    Ok(store)
}

/// How many connections there are, how many are wanted, and why there are not as many.
pub fn few(connections: &Connections) -> Option<(u32, u32, &str)> {
    let why = connections.limited_by.as_deref()?;
    Some((connections.most, connections.wanted, why))
}
