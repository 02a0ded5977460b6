//! How items are named where rooms set them aside, and the way back from a name. Owns both directions of each name, so that
//! what is set aside can be shown beside what it is about; must not know why it is there.

use alloy_primitives::B256;
use domain::{BlockRef, ChainId, DeliveryId, HitId, NotificationId, WatchId};
use store::{Apart, EventKey, SetAside};

/// An event, as `matching` sets it aside.
pub(crate) fn event(key: &EventKey) -> String {
    format!("event {}/{}/{}/{}", key.chain, key.block.number, key.block.hash, key.log_index)
}

/// A row of the outbox, as `relay` sets it aside.
pub(crate) fn message(lane: &str, id: i64) -> String {
    format!("message {id} of {lane}")
}

/// A hit, as `confirm` sets it aside.
pub(crate) fn hit(id: HitId, watch: &WatchId) -> String {
    format!("hit {id} of watch {watch}")
}

/// A notification, as `amend` sets its correction aside.
pub(crate) fn notification(id: NotificationId) -> String {
    format!("notification {id}")
}

/// A watch, as it is left out.
pub(crate) fn watch(id: &WatchId) -> String {
    format!("watch {id}")
}

/// What a name is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Event(EventKey),
    Message(i64),
    Hit(HitId),
    Notification(NotificationId),
    Delivery(DeliveryId),
}

/// The way back from a name; `None` where nothing waits for the item.
pub(crate) fn named(item: &str) -> Option<Item> {
    let (kind, rest) = item.split_once(' ')?;
    let first = rest.split(' ').next()?;
    match kind {
        "event" => event_named(rest).map(Item::Event),
        "message" => first.parse().ok().map(Item::Message),
        "hit" => first.parse().ok().map(Item::Hit),
        "notification" => first.parse().ok().map(Item::Notification),
        "delivery" => first.parse().ok().map(Item::Delivery),
        _ => None,
    }
}

/// The id of a row of the outbox of `lane`.
pub(crate) fn message_of(lane: &str, item: &str) -> Option<i64> {
    item.strip_prefix("message ")?.strip_suffix(lane)?.strip_suffix(" of ")?.parse().ok()
}

fn event_named(rest: &str) -> Option<EventKey> {
    let mut parts = rest.split('/');
    let (chain, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let hash: B256 = parts.next()?.parse().ok()?;
    let log_index = parts.next()?.parse().ok()?;
    Some(EventKey { chain: ChainId(chain), block: BlockRef::new(number, hash), log_index })
}

/// What these rows are about, so that nothing waits for it.
pub fn apart<'a>(rows: impl IntoIterator<Item = &'a SetAside>) -> Apart {
    let mut apart = Apart::default();
    for item in rows.into_iter().filter_map(|row| named(&row.item)) {
        match item {
            Item::Event(key) => apart.events.push(key),
            Item::Message(id) => apart.messages.push(id),
            Item::Hit(id) => apart.hits.push(id),
            Item::Notification(id) => apart.notifications.push(id),
            Item::Delivery(id) => apart.deliveries.push(id),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_back_to_what_it_names() -> anyhow::Result<()> {
        let id = uuid::Uuid::from_u128(7);
        let block = BlockRef::new(12, B256::repeat_byte(3));
        let key = EventKey { chain: ChainId(31337), block, log_index: 4 };
        let watch_id: WatchId = "of:file".parse()?;
        for (name, item) in [
            (event(&key), Item::Event(key)),
            (message("chain:local", 5), Item::Message(5)),
            (hit(HitId(id), &watch_id), Item::Hit(HitId(id))),
            (notification(NotificationId(id)), Item::Notification(NotificationId(id))),
            (format!("delivery {id}"), Item::Delivery(DeliveryId(id))),
        ] {
            assert_eq!(named(&name), Some(item), "{name}");
        }
        assert_eq!(named(&watch(&watch_id)), None, "nothing waits for a watch");
        assert_eq!(message_of("chain:local", &message("chain:local", 5)), Some(5));
        assert_eq!(message_of("chain:other", &message("chain:local", 5)), None);
        Ok(())
    }
}
