//! The file's recipients, targets and watches, put into the store. What came from the file and is not in it any more
//! goes; what the command line or the API made stays.

use store::{Store, StoreError};

use crate::config::Config;

/// Makes the store agree with the file.
///
/// # Errors
/// See [`StoreError`].
pub async fn file_into_store(config: &Config, store: &Store) -> Result<(), StoreError> {
    store.put_recipients(&config.recipients).await?;
    store.put_targets(&config.targets).await?;
    domain::crash_point!("sync.recipients");
    store.put_watches(&config.watches).await?;
    domain::crash_point!("sync.watches");
    for watch in store.watches(None).await?.into_iter().filter(|watch| watch.from_file) {
        if !config.watches.iter().any(|kept| kept.id == watch.id) {
            store.remove_watch(&watch.id).await?;
        }
    }
    for target in store.targets().await?.into_iter().filter(|target| target.from_file) {
        if !config.targets.iter().any(|kept| kept.recipient == target.recipient && kept.name == target.name) {
            store.remove_target(&target.recipient, &target.name).await?;
        }
    }
    for recipient in store.recipients().await?.into_iter().filter(|recipient| recipient.from_file) {
        if !config.recipients.iter().any(|kept| kept.id == recipient.id) {
            store.remove_recipient(&recipient.id).await?;
        }
    }
    Ok(())
}
