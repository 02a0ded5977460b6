//! `chainbell migrate`.

use crate::{config::Config, failure::Failure};

/// Brings the store's schema up to date.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config) -> Result<(), Failure> {
    let store = crate::stores::open(config).await?;
    eprintln!("{} is up to date", store.url());
    store.close().await;
    Ok(())
}
