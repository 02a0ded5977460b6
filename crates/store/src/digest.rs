//! A notification with its deliveries and messages, inserted as one; and the fence that a digest closes behind.

use std::collections::HashSet;

use domain::{Delivery, HitId, Message, Notification};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Store, StoreError, WindowSpend,
    attention::spend_for_window,
    bulk::Bulk,
    error::TxError,
    outbox::{NOTIFY_LANE, outbox_bulk},
    tx::{Tx, tx},
};

/// A notification and everything that goes with it into the store.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The notification.
    pub notification: Notification,
    /// One for each target of its recipient.
    pub deliveries: Vec<Delivery>,
    /// One for each channel among them.
    pub messages: Vec<Message>,
}

/// How a window's closing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The notification is in the store.
    Notified,
    /// Other hits were pending than those that the notification was made from: make it again.
    Changed,
    /// Its recipient has been told as often as it is to be: nothing was done.
    Spent,
}

pub(crate) fn notification_bulk(bundles: &[&Bundle]) -> Bulk {
    let all = || bundles.iter().map(|bundle| &bundle.notification);
    let events = |n: &Notification| serde_json::to_string(&n.events).unwrap_or_else(|_| "[]".to_owned());
    Bulk::new()
        .uuids("id", all().map(|n| n.id.0))
        .texts("recipient_id", all().map(|n| n.recipient.as_str()))
        .texts("watch_id", all().map(|n| n.watch.as_str()))
        .numbers("chain_id", all().map(|n| n.chain.0.cast_signed()))
        .texts("kind", all().map(|n| n.kind.as_str()))
        .texts("title", all().map(|n| clean(&n.title)))
        .texts("body", all().map(|n| clean(&n.body)))
        .numbers("count", all().map(|n| n.count.cast_signed()))
        .maybe_numbers("window_from", all().map(|n| n.window.map(|span| span.from.cast_signed())))
        .maybe_numbers("window_to", all().map(|n| n.window.map(|span| span.to.cast_signed())))
        .texts("facts", all().map(|n| n.facts.to_string()))
        .texts("events", all().map(events))
        .texts("finality", all().map(|n| n.finality.as_str()))
        .texts("state", all().map(|n| n.state.as_str()))
        .numbers("revision", all().map(|n| i64::from(n.revision)))
        .maybe_uuids("corrects", all().map(|n| n.corrects.map(|id| id.0)))
        .numbers("created_at", all().map(|n| n.created_at.as_millisecond()))
}

// PostgreSQL's text has no NUL.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) fn delivery_bulk(deliveries: &[(u32, &Delivery)], now: Timestamp) -> Bulk {
    let all = || deliveries.iter().map(|(_, delivery)| *delivery);
    Bulk::new()
        .uuids("id", all().map(|d| d.id.0))
        .uuids("notification_id", all().map(|d| d.notification.0))
        .numbers("revision", deliveries.iter().map(|(revision, _)| i64::from(*revision)))
        .texts("recipient_id", all().map(|d| d.recipient.as_str()))
        .texts("target", all().map(|d| d.target.as_str()))
        .texts("channel", all().map(|d| d.channel.as_str()))
        .texts("state", all().map(|d| d.state.as_str()))
        .numbers("next_attempt_at", all().map(|d| d.next_attempt_at.as_millisecond()))
        .numbers("created_at", all().map(|_| now.as_millisecond()))
}

/// Which of these hits stand for canonical events. The share lock makes an orphaning wait for the end of the transaction.
pub(crate) async fn canonical_hits(tx: &mut Tx<'_>, hits: &[HitId]) -> Result<Vec<Uuid>, TxError> {
    let statement =
        "SELECT h.id FROM hit h JOIN event e ON e.chain_id = h.chain_id AND e.block_number = h.block_number
            AND e.log_index = h.log_index AND e.block_hash = h.block_hash
         WHERE h.id {uuids:1} AND e.canonical
         ORDER BY e.chain_id, e.block_number, e.log_index, h.id {share of e}";
    Ok(tx.query(statement).uuids(hits.iter().map(|hit| hit.0)).scalars().await?)
}

/// Inserts the bundles whose notification is not there yet, with their deliveries and outbox rows. Returns how many.
pub(crate) async fn insert_bundles(
    tx: &mut Tx<'_>,
    bundles: &[&Bundle],
    now: Timestamp,
) -> Result<u64, TxError> {
    if bundles.is_empty() {
        return Ok(0);
    }
    let tail = "ON CONFLICT (id) DO NOTHING RETURNING id";
    let fresh: Vec<Uuid> = tx.insert("notification", &notification_bulk(bundles), tail).scalars().await?;
    let fresh: HashSet<_> = fresh.into_iter().collect();
    let inserted: Vec<_> =
        bundles.iter().filter(|bundle| fresh.contains(&bundle.notification.id.0)).collect();
    let deliveries: Vec<_> = inserted
        .iter()
        .flat_map(|bundle| bundle.deliveries.iter().map(|d| (bundle.notification.revision, d)))
        .collect();
    if !deliveries.is_empty() {
        let tail = "ON CONFLICT (notification_id, revision, recipient_id, target) DO NOTHING";
        tx.insert("delivery", &delivery_bulk(&deliveries, now), tail).execute().await?;
    }
    let messages: Vec<_> = inserted.iter().flat_map(|bundle| bundle.messages.iter().cloned()).collect();
    if !messages.is_empty() {
        let tail = "ON CONFLICT (message_id) DO NOTHING";
        tx.insert("outbox", &outbox_bulk(NOTIFY_LANE, &messages, now), tail).execute().await?;
    }
    Ok(fresh.len() as u64)
}

impl Store {
    /// Closes a window: marks exactly `hits` as told by `bundle`'s notification, and inserts it.
    ///
    /// This is the fence: a double claim, an expired lease, a replay or a stale ack finds no pending hit here. `cost` is
    /// what it takes of its recipient's budget, where there is one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn close_window(
        &self,
        hits: &[HitId],
        bundle: &Bundle,
        cost: Option<&WindowSpend>,
        now: Timestamp,
    ) -> Result<Closed, StoreError> {
        // What it is that stops a transaction which is rolled back.
        let mut stopped = Closed::Changed;
        let closed = tx!(self, "close_window", |tx| {
            stopped = Closed::Changed;
            if canonical_hits(tx, hits).await?.len() != hits.len() {
                return Err(StoreError::Fenced("an event of the window left the chain".to_owned()).into());
            }
            let statement = "UPDATE hit SET notification_id = $2, state = 'notified'
                 WHERE id {uuids:1} AND notification_id IS NULL AND state = 'pending'";
            let fenced = tx
                .query(statement)
                .uuids(hits.iter().map(|hit| hit.0))
                .bind(bundle.notification.id.0)
                .execute()
                .await?;
            if fenced != hits.len() as u64 {
                return Err(StoreError::Fenced("the window's hits changed".to_owned()).into());
            }
            // Last, so that the others who spend of this budget wait as short as may be.
            if let Some(cost) = cost {
                if !spend_for_window(tx, cost, now).await? {
                    stopped = Closed::Spent;
                    return Err(StoreError::Fenced("the recipient's budget is spent".to_owned()).into());
                }
                tx.query("DELETE FROM window_held WHERE window_key = $1")
                    .bind(cost.window.as_str())
                    .execute()
                    .await?;
            }
            insert_bundles(tx, &[bundle], now).await?;
            Ok(())
        });
        match closed {
            Ok(()) => Ok(Closed::Notified),
            Err(StoreError::Fenced(_)) => Ok(stopped),
            Err(error) => Err(error),
        }
    }
}
