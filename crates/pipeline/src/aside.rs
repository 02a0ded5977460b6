//! Poison: items that a room cannot handle, through no fault of a server. Owns that one of them never stops the others: it
//! is set aside with its reason and tried again by itself, with growing pauses. Must not know what an item is.

use std::{collections::HashMap, panic::AssertUnwindSafe};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use store::{Store, StoreError};

use crate::RoomError;

/// How often what other processes set aside is looked at.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(2);
/// How many items of a room are known at most.
const ITEMS_MAX: u32 = 10_000;

/// What one room set aside.
#[derive(Debug)]
pub(crate) struct Aside {
    store: Store,
    room: &'static str,
    next_try: HashMap<String, Timestamp>,
    looked: Option<Timestamp>,
}

impl Aside {
    pub(crate) fn new(store: Store, room: &'static str) -> Self {
        Self { store, room, next_try: HashMap::new(), looked: None }
    }

    /// Looks at what is set aside, unless it did so a moment ago.
    pub(crate) async fn refresh(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.looked.is_some_and(|looked| now.duration_since(looked).abs() < LOOK_EVERY) {
            return Ok(());
        }
        let rows = self.store.all_set_aside(Some(self.room), ITEMS_MAX).await?;
        self.next_try = rows.into_iter().map(|row| (row.item, row.next_try)).collect();
        self.looked = Some(now);
        Ok(())
    }

    /// Whether an item rests.
    pub(crate) fn rests(&self, item: &str, now: Timestamp) -> bool {
        self.next_try.get(item).is_some_and(|next| *next > now)
    }

    /// The items that rest.
    pub(crate) fn resting(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let resting = self.next_try.iter().filter(move |(_, next)| **next > now);
        resting.map(|(item, _)| item.as_str())
    }

    /// A page that is to be read so that `limit` items are left when those that rest are taken out.
    pub(crate) fn page(&self, limit: u32) -> u32 {
        limit.saturating_add(u32::try_from(self.next_try.len()).unwrap_or(u32::MAX))
    }

    /// Sets an item aside.
    pub(crate) async fn put(&mut self, item: String, why: &str, now: Timestamp) -> Result<(), StoreError> {
        let next = self.store.set_aside(self.room, &item, why, now).await?;
        tracing::error!(
            room = self.room,
            item,
            next_try = %next,
            "it cannot be handled and is set aside, the others go on: {why}"
        );
        metrics::counter!("chainbell_set_aside_total", "room" => self.room).increment(1);
        self.next_try.insert(item, next);
        Ok(())
    }

    /// Items are handled: those of them that were set aside are no more.
    pub(crate) async fn over(&mut self, items: impl Iterator<Item = String>) -> Result<(), StoreError> {
        if self.next_try.is_empty() {
            return Ok(());
        }
        let over: Vec<_> = items.filter(|item| self.next_try.contains_key(item)).collect();
        if over.is_empty() {
            return Ok(());
        }
        self.store.take_back(self.room, &over).await?;
        for item in &over {
            self.next_try.remove(item);
            tracing::info!(room = self.room, item, "it was set aside, and is handled now");
        }
        Ok(())
    }
}

/// Whether the same failure is to be expected of this item alone: servers that are away, and leases that were lost, are no
/// item's fault.
pub(crate) const fn own_fault(error: &RoomError) -> bool {
    match error {
        RoomError::Panicked(_) => true,
        RoomError::Store(error) => error.is_about_data(),
        _ => false,
    }
}

/// Runs what handles an item; a panic is a failure of the item.
pub(crate) fn guarded<'a, T>(
    work: impl Future<Output = Result<T, RoomError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, RoomError>> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    Box::pin(caught.map(|ended| match ended {
        Ok(ended) => ended,
        Err(panic) => Err(RoomError::Panicked(said(panic.as_ref()))),
    }))
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_else(|| "without a word".to_owned()))
}

/// The first of several failures, after all were tried.
pub(crate) fn first_of(ended: Result<(), RoomError>, next: Result<(), RoomError>) -> Result<(), RoomError> {
    match (ended, next) {
        (Err(first), _) => Err(first),
        (Ok(()), next) => next,
    }
}
