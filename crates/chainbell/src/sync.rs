//! The file's chains, recipients, targets and watches against what the store has. Owns how the one becomes the other;
//! must not know what they are for.
//!
//! What came from the file and is not in it any more goes at the next run; what the command line or the API made stays.
//! Every command that shows or edits them puts the file's into the store too, so that they are there before the first
//! run. It removes nothing: another file over the same store may still name what this one does not.

use domain::Target;
use store::{Store, StoreError};

use crate::{config::Config, failure::Failure};

/// The store of a command that shows or edits recipients, targets or watches, with the file's in it.
///
/// # Errors
/// See [`Failure`].
pub async fn open(config: &Config) -> Result<Store, Failure> {
    let store = crate::stores::open(config).await?;
    put(config, &store).await?;
    Ok(store)
}

/// Makes the store agree with the file.
///
/// # Errors
/// See [`StoreError`].
pub async fn file_into_store(config: &Config, store: &Store) -> Result<(), StoreError> {
    put(config, store).await?;
    for watch in store.watches(None).await?.into_iter().filter(|watch| watch.from_file) {
        if !config.watches.iter().any(|kept| kept.id == watch.id) {
            store.remove_watch(&watch.id).await?;
        }
    }
    for target in store.targets().await?.into_iter().filter(|target| target.from_file) {
        if !config.targets.iter().any(|kept| is_same(kept, &target)) {
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

async fn put(config: &Config, store: &Store) -> Result<(), StoreError> {
    store.put_recipients(&config.recipients).await?;
    store.put_targets(&config.targets).await?;
    domain::crash_point!("sync.recipients");
    store.put_watches(&config.watches).await?;
    domain::crash_point!("sync.watches");
    Ok(())
}

/// The targets that the next run has: the file's, and those of the store that the file does not own.
///
/// # Errors
/// See [`StoreError`].
pub async fn targets(config: &Config, store: &Store) -> Result<Vec<Target>, StoreError> {
    let mut targets = config.targets.clone();
    let held = store.targets().await?.into_iter().filter(|held| !held.from_file);
    targets.extend(held.filter(|held| !config.targets.iter().any(|of_file| is_same(of_file, held))));
    Ok(targets)
}

/// Checks that the store knows each of the file's chains by the same id, since everything that is stored of a chain
/// belongs to its id.
///
/// # Errors
/// [`StoreError::OtherChain`], in one sentence with the mend.
pub async fn chains_agree(config: &Config, store: &Store) -> Result<(), StoreError> {
    for chain in &config.chains {
        store.check_chain(chain.id, &chain.name).await?;
    }
    Ok(())
}

fn is_same(one: &Target, other: &Target) -> bool {
    one.recipient == other.recipient && one.name == other.name
}
