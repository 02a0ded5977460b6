//! What rooms set aside, beside what it is about: an event, its hits, its notifications and their deliveries. Owns which
//! item belongs to what; changes nothing.

use std::collections::{BTreeSet, HashMap};

use domain::{BlockRef, ChainId, RecipientId, Watch};
use store::{EventKey, SetAside, Store, StoreError};

use super::facts::{ExplainedAside, ExplainedWatch, UnreadableEvent};
use crate::items::{Item, named};

/// How many items are looked at.
const ITEMS_MAX: u32 = 10_000;
/// The room that leaves out watches.
const WATCHES: &str = "watches";

/// Everything that is set aside.
pub(super) struct Set {
    rows: Vec<(SetAside, Option<Item>)>,
    blocks: HashMap<i64, (ChainId, BlockRef)>,
}

impl Set {
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        let rows = store.all_set_aside(None, ITEMS_MAX).await?;
        let item_of = |row: SetAside| {
            let item = named(&row.item);
            (row, item)
        };
        let rows: Vec<_> = rows.into_iter().map(item_of).collect();
        let messages = rows.iter().filter_map(|(_, item)| match item {
            Some(Item::Message(id)) => Some(*id),
            _ => None,
        });
        let messages: Vec<_> = messages.collect();
        let blocks =
            if messages.is_empty() { HashMap::new() } else { store.blocks_of_outbox(&messages).await? };
        Ok(Self { rows, blocks })
    }

    /// Of an event in these places, and of what `watches` made of it.
    pub(super) fn of(&self, keys: &[EventKey], watches: &[ExplainedWatch]) -> Vec<ExplainedAside> {
        let hits = || watches.iter().filter_map(|watch| watch.hit.as_ref());
        let notifications = || hits().flat_map(|hit| &hit.notifications);
        let told: BTreeSet<_> = notifications().map(|notification| notification.id.as_str()).collect();
        let sent = notifications().flat_map(|notification| &notification.deliveries);
        let sent: BTreeSet<_> = sent.map(|delivery| delivery.id.as_str()).collect();
        let found: BTreeSet<_> = hits().map(|hit| hit.id.as_str()).collect();
        let belongs = |item: &Item| match item {
            Item::Event(key) => keys.contains(key),
            Item::Message(id) => self.blocks.get(id).is_some_and(|(chain, block)| {
                keys.iter().any(|key| key.chain == *chain && key.block == *block)
            }),
            Item::Hit(id) => found.contains(id.to_string().as_str()),
            Item::Notification(id) => told.contains(id.to_string().as_str()),
            Item::Delivery(id) => sent.contains(id.to_string().as_str()),
        };
        let rows = self.rows.iter().filter(|(_, item)| item.as_ref().is_some_and(belongs));
        rows.map(|(row, _)| explained(row)).collect()
    }

    /// The watches that are left out.
    pub(super) fn watches(&self) -> Vec<ExplainedAside> {
        self.rows.iter().filter(|(row, _)| row.room == WATCHES).map(|(row, _)| explained(row)).collect()
    }

    /// An event that cannot be read.
    pub(super) fn unreadable(&self, key: &EventKey, why: &StoreError) -> UnreadableEvent {
        UnreadableEvent {
            chain_id: key.chain.0,
            block_number: key.block.number,
            block_hash: key.block.hash.to_string(),
            log_index: key.log_index,
            reason: why.to_string(),
            set_aside: self.of(std::slice::from_ref(key), &[]),
        }
    }
}

/// The watches that can be read: one that cannot keeps no other from being explained.
pub(super) async fn readable_watches(
    store: &Store,
    recipient: Option<&RecipientId>,
) -> Result<Vec<Watch>, StoreError> {
    match store.watches(recipient).await {
        Err(error) if error.is_about_data() => {}
        ended => return ended,
    }
    let all = store.watches_since(i64::MIN).await?.into_iter().filter_map(|change| change.watch);
    let mut watches: Vec<_> = all.filter(|watch| recipient.is_none_or(|id| *id == watch.recipient)).collect();
    watches.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(watches)
}

fn explained(row: &SetAside) -> ExplainedAside {
    ExplainedAside {
        room: row.room.clone(),
        item: row.item.clone(),
        reason: row.reason.clone(),
        tries: row.tries,
        since: row.since.to_string(),
        next_try: row.next_try.to_string(),
    }
}
