//! When `run --until-block` ends: everything up to a block is through the pipeline, or all but what rooms set aside is. Owns
//! what is waited for; how it is done is the rooms' to know.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{Apart, Store, StoreError};

use crate::{failure::Failure, wiring::Parts};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How much of what is set aside is looked at.
const ASIDE_MAX: u32 = 10_000;
// What a window tells later than this from now is left to the next run, which finds it in the store.
const WINDOWS_WAITED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// How far a block is through the pipeline.
enum Through {
    /// Something is left to do.
    No,
    /// Nothing is.
    Yes,
    /// Nothing but what rests, since it cannot be handled.
    ButFor(Apart),
}

/// Returns when everything up to `block` is through.
///
/// # Errors
/// [`Failure::SetAside`] when all but what is set aside is.
pub(super) async fn through(parts: &Parts, block: u64) -> Result<(), Failure> {
    loop {
        match is_through(parts, block).await {
            Ok(Through::Yes) => return say_what_waits(parts).await,
            Ok(Through::ButFor(apart)) => return Err(set_aside(block, &apart)),
            Ok(Through::No) => {}
            Err(error) if error.is_transient() => tracing::debug!("{error}"),
            Err(error) => return Err(error.into()),
        }
        parts.clock.sleep(LOOK_EVERY).await;
    }
}

async fn say_what_waits(parts: &Parts) -> Result<(), Failure> {
    let hits = parts.store.counts().await?.hits_pending;
    if hits > 0 {
        tracing::info!(hits, "their windows close much later: the next run notifies of them");
    }
    let items: u64 = parts.store.set_aside_by_room().await?.iter().map(|(_, count)| count).sum();
    if items > 0 {
        tracing::warn!(items, "they are set aside: chainbell set-aside list shows each with its reason");
    }
    Ok(())
}

fn set_aside(block: u64, apart: &Apart) -> Failure {
    let kinds = [
        (apart.events.len(), "event", "events"),
        (apart.messages.len(), "message", "messages"),
        (apart.hits.len(), "hit", "hits"),
        (apart.notifications.len(), "correction", "corrections"),
        (apart.deliveries.len(), "delivery", "deliveries"),
    ];
    let said = kinds.into_iter().filter(|(count, ..)| *count > 0);
    let said: Vec<_> =
        said.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many })).collect();
    Failure::SetAside(format!(
        "block {block} is through, but for what is set aside since it cannot be handled: {}; `chainbell set-aside list` shows \
         each with its reason, and the next run tries it again",
        said.join(", ")
    ))
}

/// Whether everything up to `block` is read, matched, told and delivered, on every chain, but for what windows tell much
/// later.
async fn is_through(parts: &Parts, block: u64) -> Result<Through, StoreError> {
    for chain in &parts.config.chains {
        let row = parts.store.chain(chain.id).await?;
        if row.and_then(|row| row.tip).is_none_or(|tip| tip.number < block) {
            return Ok(Through::No);
        }
        let cursors = parts.store.contract_cursors(chain.id).await?;
        if cursors.iter().any(|cursor| cursor.is_behind() && cursor.next_block <= block) {
            return Ok(Through::No);
        }
        // A chain has a tip before its contracts have their cursors.
        let mut contracts = parts.config.catalog.of_chain(chain.id);
        if contracts.any(|contract| !cursors.iter().any(|cursor| cursor.name == contract.name)) {
            return Ok(Through::No);
        }
    }
    if is_done(parts, block, &Apart::default()).await? {
        return Ok(Through::Yes);
    }
    // What is to be tried again now is waited for.
    let now = parts.clock.now();
    let rows = parts.store.all_set_aside(None, ASIDE_MAX).await?;
    let apart = pipeline::apart(rows.iter().filter(|row| row.next_try > now));
    let only_that = !apart.is_empty() && is_done(parts, block, &apart).await?;
    Ok(if only_that { Through::ButFor(apart) } else { Through::No })
}

async fn is_done(parts: &Parts, block: u64, apart: &Apart) -> Result<bool, StoreError> {
    let later = parts.clock.now().saturating_add(WINDOWS_WAITED_FOR).unwrap_or(Timestamp::MAX);
    for chain in &parts.config.chains {
        let (lane, settle_blocks) = (Store::lane_of_chain(&chain.name), chain.keys.settle_blocks);
        let left = parts.store.work_left(chain.id, &lane, block, settle_blocks, (later, apart)).await?;
        if !left.is_done() {
            return Ok(false);
        }
    }
    Ok(true)
}
