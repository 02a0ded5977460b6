//! Figures for `status`, for metrics, and for the question whether anything is left to do.

use domain::{ChainId, DeliveryId, HitId, NotificationId};
use jiff::Timestamp;

use crate::{EventKey, Store, StoreError, tx::read};

/// Figures of the notification half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages in the outbox.
    pub outbox: u64,
    /// Events whose last change is not matched.
    pub unmatched: u64,
    /// Hits that wait for confidence.
    pub hits_waiting: u64,
    /// Hits that wait for their window.
    pub hits_pending: u64,
    /// Deliveries that were never tried.
    pub deliveries_queued: u64,
    /// Deliveries that will be tried again.
    pub deliveries_scheduled: u64,
    /// Dead letters.
    pub deliveries_dead: u64,
}

/// What was set aside, and is not waited for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Apart {
    /// Events.
    pub events: Vec<EventKey>,
    /// Rows of the outbox.
    pub messages: Vec<i64>,
    /// Hits.
    pub hits: Vec<HitId>,
    /// Notifications whose correction cannot be made.
    pub notifications: Vec<NotificationId>,
    /// Deliveries.
    pub deliveries: Vec<DeliveryId>,
}

impl Apart {
    /// Whether nothing is.
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.messages.is_empty()
            && self.hits.is_empty()
            && self.notifications.is_empty()
            && self.deliveries.is_empty()
    }
}

/// What is left to do for a chain's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainCounts {
    /// Messages in its outbox lane and in the lane of notifications.
    pub outbox: u64,
    /// Events that are not matched.
    pub unmatched: u64,
    /// Hits that are waiting or pending.
    pub hits: u64,
    /// Deliveries of its notifications that are not finished.
    pub deliveries: u64,
}

impl ChainCounts {
    /// Whether nothing is left.
    pub const fn is_done(&self) -> bool {
        self.outbox == 0 && self.unmatched == 0 && self.hits == 0 && self.deliveries == 0
    }
}

impl Store {
    /// Figures of the notification half. Each is counted over a partial index of what is open.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let row: (i64, i64, i64, i64, i64, i64, i64) = read!(self, "counts", |db| {
            let statement = "SELECT (SELECT CAST(coalesce(sum(messages), 0) AS bigint) FROM outbox),
                (SELECT count(*) FROM unmatched) + (SELECT CAST(coalesce(sum(events), 0) AS bigint) FROM unmatched_block),
                (SELECT count(*) FROM hit WHERE state = 'waiting'),
                (SELECT count(*) FROM hit WHERE state = 'pending'),
                (SELECT count(*) FROM delivery WHERE state IN ('queued', 'scheduled') AND state = 'queued'),
                (SELECT count(*) FROM delivery WHERE state IN ('queued', 'scheduled') AND state = 'scheduled'),
                (SELECT count(*) FROM delivery WHERE state = 'dead')";
            Ok(db.query(statement).fetch_one().await?)
        })?;
        let (outbox, unmatched, waiting, pending, queued, scheduled, dead) = row;
        Ok(Counts {
            outbox: outbox.cast_unsigned(),
            unmatched: unmatched.cast_unsigned(),
            hits_waiting: waiting.cast_unsigned(),
            hits_pending: pending.cast_unsigned(),
            deliveries_queued: queued.cast_unsigned(),
            deliveries_scheduled: scheduled.cast_unsigned(),
            deliveries_dead: dead.cast_unsigned(),
        })
    }

    /// What is left to do for a chain's blocks up to `up_to`, and can be done without higher ones and before `later`: hits
    /// that wait for more blocks than that, deliveries in doubt until `settle_blocks` have passed that, and hits whose
    /// window closes later (a scheduled digest, quiet hours, a spent budget, what looks like spam) are not counted, and
    /// neither is what is set `apart`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn work_left(
        &self,
        chain: ChainId,
        lane: &str,
        up_to: u64,
        settle_blocks: u64,
        (later, apart): (Timestamp, &Apart),
    ) -> Result<ChainCounts, StoreError> {
        let row: (i64, i64, i64, i64) = read!(self, "work_left", |db| {
            let statement = "SELECT (SELECT CAST(coalesce(sum(messages), 0) AS bigint) FROM outbox
                    WHERE (lane = $3 OR lane = $4) AND NOT (id {numbers:7})),
                (SELECT count(*) FROM unmatched WHERE chain_id = $1 AND block_number <= $2)
                    + (SELECT CAST(coalesce(sum(events), 0) AS bigint) FROM unmatched_block
                        WHERE chain_id = $1 AND block_number <= $2),
                (SELECT count(*) FROM hit
                    WHERE state IN ('waiting', 'pending') AND chain_id = $1 AND block_number <= $2 AND NOT (id {uuids:8})
                        AND (state = 'pending' AND due_hint <= $6 OR state = 'waiting' AND CASE WHEN deliver_at IN ('seen', 'safe', 'finalized') THEN true
                            ELSE block_number + CAST(deliver_at AS bigint) <= $2 END)),
                (SELECT count(*) FROM delivery d JOIN notification n ON n.id = d.notification_id
                    WHERE d.state IN ('queued', 'scheduled') AND n.chain_id = $1
                        AND NOT (d.id {uuids:9}) AND NOT (coalesce(n.corrects, n.id) {uuids:10})
                        AND NOT EXISTS (SELECT 1 FROM hit h WHERE h.notification_id = coalesce(n.corrects, n.id)
                            AND h.state = 'notified' AND h.believed AND h.gone_since > $2 - $5))";
            Ok(db
                .query(statement)
                .bind(chain.0.cast_signed())
                .bind(i64::try_from(up_to).unwrap_or(i64::MAX))
                .bind(lane)
                .bind(crate::outbox::NOTIFY_LANE)
                .bind(i64::try_from(settle_blocks).unwrap_or(i64::MAX))
                .bind(later.as_millisecond())
                .numbers(apart.messages.iter().copied())
                .uuids(apart.hits.iter().map(|id| id.0))
                .uuids(apart.deliveries.iter().map(|id| id.0))
                .uuids(apart.notifications.iter().map(|id| id.0))
                .fetch_one()
                .await?)
        })?;
        let (outbox, mut unmatched, hits, deliveries) = row;
        let events = apart.events.iter().filter(|key| key.chain == chain && key.block.number <= up_to);
        let events: Vec<_> = events.copied().collect();
        if unmatched > 0 && !events.is_empty() {
            let resting = self.in_backlog(&events).await?.len();
            unmatched = unmatched.saturating_sub(i64::try_from(resting).unwrap_or(i64::MAX)).max(0);
        }
        Ok(ChainCounts {
            outbox: outbox.cast_unsigned(),
            unmatched: unmatched.cast_unsigned(),
            hits: hits.cast_unsigned(),
            deliveries: deliveries.cast_unsigned(),
        })
    }

    /// How many hits of a watch are in each state, by the states' words; of all watches without one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hits_by_state(
        &self,
        watch: Option<&domain::WatchId>,
    ) -> Result<std::collections::BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, i64)> = read!(self, "hits_by_state", |db| {
            let statement =
                "SELECT state, count(*) FROM hit WHERE watch_id = coalesce($1, watch_id) GROUP BY state";
            Ok(db.query(statement).bind(watch.map(domain::WatchId::as_str)).fetch_all().await?)
        })?;
        Ok(rows.into_iter().map(|(state, count)| (state, count.cast_unsigned())).collect())
    }
}
