//! The timer index of open windows: in Redis, or in the store.
//!
//! Owns when a window is due and who may close it. It holds identifiers and times only: emptied at any moment, it is
//! filled again by the sweep over pending hits, and a double claim is stopped by the fence in the store. Must not
//! know what a hit says.

mod redis_index;
mod store_index;

use std::sync::Arc;

use domain::{DebounceError, Debouncer};
use store::Store;

pub use redis_index::{RedisDebouncer, delete_all};
pub use store_index::StoreDebouncer;

/// The timer index that a URL names: `store:` or `redis://host:6379/0`. `prefix` keeps deployments on one server
/// apart.
///
/// # Errors
/// One sentence that names the redacted URL and the mend.
pub async fn open(url: &str, prefix: &str, store: Store) -> Result<Arc<dyn Debouncer>, DebounceError> {
    if url == "store:" {
        return Ok(Arc::new(StoreDebouncer::new(store)));
    }
    if ["redis://", "rediss://", "redis+unix://", "unix://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(Arc::new(RedisDebouncer::connect(url, prefix).await?));
    }
    Err(DebounceError {
        url: domain::redact_url(url),
        action: "open",
        detail: "debounce.url must be store: or begin with redis://".to_owned(),
    })
}
