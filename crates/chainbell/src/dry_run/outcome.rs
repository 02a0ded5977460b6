//! What a rehearsal came to, in figures. Pure: notifications in, figures out.

use std::collections::BTreeMap;

use domain::{DeliverAt, Spam, Suspicion};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Serialize, Serializer};
use store::NotificationRow;

use super::Rehearsal;

/// The figures of a rehearsal.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The watch.
    pub watch: String,
    /// The recipient.
    pub recipient: String,
    /// Chain.
    pub chain: String,
    /// First block.
    pub from_block: u64,
    /// Last block.
    pub to_block: u64,
    /// How many events satisfy the watch.
    pub events: u64,
    /// In how many blocks they are.
    pub blocks: u64,
    /// Whether there are more events than were looked at.
    pub cut: bool,
    /// How many notifications it would have sent.
    pub notifications: u64,
    /// How many events the largest of them tells of.
    pub largest: u64,
    /// What the watch does with transfers that look like spam.
    pub spam: Spam,
    /// How many of the events look like spam, by why; none where the watch tells them as any other, since nobody looks.
    pub suspected: Vec<Suspected>,
    /// Of how many tokens nothing is known, so that whether their names are lures is not known either.
    pub tokens_unknown: u64,
    /// How sure of an event the chain would have to be, where that takes longer than here; `null` where it is told at once.
    pub deliver_at: Option<String>,
    /// How many a day, on the days that had any, by local date.
    pub days: BTreeMap<String, u64>,
    /// The local hour with the most notifications, such as `2026-01-05 13:00`, and how many.
    pub noisiest_hour: Option<(String, u64)>,
    /// The first, the largest and the last.
    pub samples: Vec<Sample>,
}

/// Events that look like spam for one reason.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Suspected {
    /// Why.
    #[serde(serialize_with = "word")]
    pub reason: Suspicion,
    /// How many.
    pub count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn word<S: Serializer>(reason: &Suspicion, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(reason.as_str())
}

/// What was played, and what came up beside the notifications.
#[derive(Debug, Clone)]
pub struct Played {
    /// How many events.
    pub events: u64,
    /// In how many blocks.
    pub blocks: u64,
    /// Whether there are more.
    pub cut: bool,
    /// How many of them look like spam, by why.
    pub suspected: BTreeMap<Suspicion, u64>,
    /// Of how many of their tokens nothing is known.
    pub tokens_unknown: u64,
}

/// A notification that would have been sent.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// When, in the recipient's zone.
    pub at: String,
    /// How many events it tells of.
    pub count: u64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
}

impl Outcome {
    /// The figures of what was told, in any order.
    pub fn of(rehearsal: &Rehearsal, played: Played, mut told: Vec<NotificationRow>) -> Self {
        let Played { events, blocks, cut, suspected, tokens_unknown } = played;
        let zone = TimeZone::get(&rehearsal.recipient.timezone).unwrap_or(TimeZone::UTC);
        let local = |at: Timestamp, format: &str| at.to_zoned(zone.clone()).strftime(format).to_string();
        told.sort_by_key(|row| (row.notification.created_at, row.notification.id.0));
        let (mut days, mut hours) = (BTreeMap::new(), BTreeMap::new());
        for row in &told {
            let at = row.notification.created_at;
            *days.entry(local(at, "%F")).or_default() += 1;
            *hours.entry(local(at, "%F %H:00")).or_default() += 1;
        }
        // Of several hours as noisy, the first.
        let noisiest = hours.into_iter().rev().max_by_key(|(_, count): &(String, u64)| *count);
        let largest = (0..told.len()).rev().max_by_key(|index| told[*index].notification.count);
        let mut shown: Vec<_> = [(!told.is_empty()).then_some(0), largest, told.len().checked_sub(1)]
            .into_iter()
            .flatten()
            .collect();
        shown.sort_unstable();
        shown.dedup();
        let sample = |index: usize| {
            let notification = &told[index].notification;
            Sample {
                at: local(notification.created_at, "%F %H:%M:%S %Z"),
                count: notification.count,
                title: notification.title.clone(),
                body: notification.body.clone(),
            }
        };
        Self {
            watch: rehearsal.watch.id.to_string(),
            recipient: rehearsal.recipient.id.to_string(),
            chain: rehearsal.name.to_string(),
            from_block: rehearsal.from,
            to_block: rehearsal.to,
            events,
            blocks,
            cut,
            notifications: told.len() as u64,
            largest: largest.map_or(0, |index| told[index].notification.count),
            spam: rehearsal.watch.telling.spam,
            suspected: suspected.into_iter().map(|(reason, count)| Suspected { reason, count }).collect(),
            tokens_unknown,
            deliver_at: Some(rehearsal.watch.deliver_at)
                .filter(|sure| *sure != DeliverAt::Seen)
                .map(|sure| sure.to_string()),
            days,
            noisiest_hour: noisiest,
            samples: shown.into_iter().map(sample).collect(),
        }
    }
}
