#![doc = include_str!("../README.md")]

mod connect;
mod faults;
mod redis_index;
mod store_index;
mod trial;

use std::sync::Arc;

use domain::{DebounceError, Debouncer};
use store::Store;

pub use connect::{RedisConfig, RedisFiles};
pub use redis_index::{RedisDebouncer, delete_all};
pub use store_index::StoreDebouncer;
pub use trial::try_out;

/// The timer index that a URL names, which asks for no files. See [`connect()`].
///
/// # Errors
/// As [`connect()`].
pub async fn open(url: &str, prefix: &str, store: Store) -> Result<Arc<dyn Debouncer>, DebounceError> {
    connect(&RedisConfig::new(url, prefix), store).await
}

/// The timer index that an operator describes: `store:` or `redis://host:6379/0`.
///
/// # Errors
/// One sentence that names the redacted URL and the mend.
pub async fn connect(config: &RedisConfig, store: Store) -> Result<Arc<dyn Debouncer>, DebounceError> {
    if config.url == "store:" {
        return Ok(Arc::new(StoreDebouncer::new(store)));
    }
    known(config)?;
    Ok(Arc::new(RedisDebouncer::open(config).await?))
}

fn known(config: &RedisConfig) -> Result<(), DebounceError> {
    let schemes = ["redis://", "rediss://", "redis+unix://", "unix://"];
    if schemes.iter().any(|scheme| config.url.starts_with(scheme)) {
        return Ok(());
    }
    Err(config.failed("open", "debounce.url must be store: or begin with redis:// or rediss://"))
}
