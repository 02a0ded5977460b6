//! Publishes the outbox. Owns the way from a committed row to an acknowledged message; must not know what a message
//! means.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{BrokerError, Clock, Publisher};
use jiff::{SignedDuration, Timestamp};
use store::{OutboxRow, Store};

use crate::{
    Bell, Progress, Room, RoomError,
    aside::{Aside, first_of},
    items,
    standby::Standby,
};

/// Limits of the relay.
#[derive(Debug, Clone, Copy)]
pub struct RelayConfig {
    /// How many messages are in flight at once.
    pub window: u32,
    /// For how long a lane is leased.
    pub lease: Duration,
    /// How often to look when no bell rings.
    pub poll: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { window: 1000, lease: Duration::from_secs(10), poll: Duration::from_millis(500) }
    }
}

/// One relay for a set of lanes; of all relays on one store, one is active per lane.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    publisher: Arc<dyn Publisher>,
    clock: Arc<dyn Clock>,
    lanes: Vec<String>,
    owner: String,
    bell: Bell,
    config: RelayConfig,
    // Until when each lane is ours without asking.
    renew_at: HashMap<String, Timestamp>,
    aside: Aside,
    standing: HashMap<String, Standby>,
    // When each lane that had nothing was last looked at for another's lease.
    looked: HashMap<String, Timestamp>,
    stands_by: Option<String>,
}

/// How often a lane without anything to publish is looked at for another's lease.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(2);

impl Relay {
    /// A relay of `lanes` under the name `owner`, which no other relay has. `bell` is rung when a lane has something.
    pub fn new(
        store: Store,
        publisher: Arc<dyn Publisher>,
        clock: Arc<dyn Clock>,
        lanes: Vec<String>,
        (owner, bell): (String, Bell),
        config: RelayConfig,
    ) -> Self {
        let aside = Aside::new(store.clone(), "relay");
        let (renew_at, standing, looked) = (HashMap::new(), HashMap::new(), HashMap::new());
        let stands_by = None;
        Self {
            store,
            publisher,
            clock,
            lanes,
            owner,
            bell,
            config,
            renew_at,
            aside,
            standing,
            looked,
            stands_by,
        }
    }

    async fn publish_lane(&mut self, lane: &str) -> Result<usize, RoomError> {
        if !self.store.outbox_has(lane).await? {
            self.look(lane).await?;
            return Ok(0);
        }
        if !self.lease(lane).await? {
            return Ok(0);
        }
        domain::crash_point!("relay.leased");
        // Under the lease: nobody else publishes these rows.
        let rows = self.page(lane).await?;
        let counts: Vec<_> = rows.iter().map(|row| (row.id, row.messages.len())).collect();
        let messages = rows.into_iter().flat_map(|row| row.messages).collect();
        let mut results = self.publisher.publish(messages).await.into_iter();
        let (mut done, mut published, mut failure) = (Vec::with_capacity(counts.len()), 0, None);
        for (id, count) in counts {
            let failed = failed(lane, results.by_ref().take(count));
            if failed.is_none() {
                done.push(id);
                published += count;
            }
            failure = failure.or(failed);
        }
        domain::crash_point!("relay.published");
        self.store.outbox_delete(&done).await?;
        domain::crash_point!("relay.deleted");
        metrics::counter!("chainbell_outbox_published_total", "lane" => lane.to_owned())
            .increment(published as u64);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(done.len()),
        }
    }

    // A row whose messages cannot be made is set aside, and the rows behind it are published.
    async fn page(&mut self, lane: &str) -> Result<Vec<OutboxRow>, RoomError> {
        let now = self.clock.now();
        self.aside.refresh(now).await?;
        let resting =
            self.aside.resting(now).filter_map(|item| items::message_of(lane, item)).collect::<Vec<_>>();
        let (rows, unreadable) = self.store.outbox_page_without(lane, self.config.window, &resting).await?;
        for (id, why) in unreadable {
            self.aside.put(items::message(lane, id), &why.to_string(), now).await?;
        }
        self.aside.over(rows.iter().map(|row| items::message(lane, row.id))).await?;
        Ok(rows)
    }

    // Takes the lane's lease, or renews it when a third of its term is over.
    async fn lease(&mut self, lane: &str) -> Result<bool, RoomError> {
        let now = self.clock.now();
        if self.renew_at.get(lane).is_some_and(|renew_at| now < *renew_at) {
            return Ok(true);
        }
        let held = self.store.take_lease(&name_of(lane), &self.owner, now, self.config.lease).await?;
        let third = SignedDuration::try_from(self.config.lease / 3).unwrap_or(SignedDuration::ZERO);
        let renew_at = now.saturating_add(third).unwrap_or(Timestamp::MAX);
        self.renew_at.insert(lane.to_owned(), if held { renew_at } else { Timestamp::MIN });
        let standby = self.standing.entry(lane.to_owned()).or_default();
        if held {
            standby.over();
        } else {
            standby.wait(&self.store, &name_of(lane), now).await?;
        }
        Ok(held)
    }

    // A lane without anything to publish: whose it is counts for whoever asks who works, and now and then is enough.
    async fn look(&mut self, lane: &str) -> Result<(), RoomError> {
        let now = self.clock.now();
        if self.looked.get(lane).is_some_and(|looked| now.duration_since(*looked).abs() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked.insert(lane.to_owned(), now);
        let name = name_of(lane);
        let found = self.store.lease(&name).await?.filter(|found| found.owner != self.owner);
        let term = SignedDuration::try_from(self.config.lease).unwrap_or(SignedDuration::MAX);
        let latest = now.saturating_add(term).unwrap_or(Timestamp::MAX);
        let standby = self.standing.entry(lane.to_owned()).or_default();
        match found {
            // Of a clock that was ahead: asking for it cuts it.
            Some(found) if found.until > latest => {
                self.lease(lane).await?;
            }
            Some(found) if found.until > now => standby.note(&name, Some(found), now),
            _ => standby.idle(),
        }
        Ok(())
    }
}

fn name_of(lane: &str) -> String {
    format!("relay:{lane}")
}

// The first failure among a row's messages that is worth another try.
fn failed(lane: &str, results: impl Iterator<Item = Result<(), BrokerError>>) -> Option<BrokerError> {
    let mut failure = None;
    for error in results.filter_map(Result::err) {
        if matches!(error, BrokerError::Refused { .. }) {
            // It will never be taken and must not hold up the lane. Nothing is lost with it: matching and deliver find in
            // the store what no message told them.
            tracing::error!(outbox.lane = lane, "{error}; the message is dropped");
            metrics::counter!("chainbell_outbox_refused_total").increment(1);
        } else {
            failure = failure.or(Some(error));
        }
    }
    failure
}

#[async_trait]
impl Room for Relay {
    /// Publishes one window of each lane.
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let mut published = 0;
        let mut ended = Ok(());
        // A lane that fails keeps no other waiting.
        for lane in self.lanes.clone() {
            match self.publish_lane(&lane).await {
                Ok(done) => published += done,
                Err(error) => ended = first_of(ended, Err(error)),
            }
        }
        let waits = self.lanes.iter().filter_map(|lane| self.standing.get(lane)?.why());
        let waits: Vec<_> = waits.collect();
        self.stands_by = (!waits.is_empty()).then(|| waits.join("; "));
        ended?;
        Ok(if published > 0 { Progress::Worked } else { Progress::Idle })
    }

    async fn rest(&mut self) {
        tokio::select! { () = self.bell.rung() => {} () = self.clock.sleep(self.config.poll) => {} }
    }

    fn standing_by(&self) -> Option<&str> {
        self.stands_by.as_deref()
    }

    async fn finish(&mut self) {
        for lane in &self.lanes {
            // A lease that is not given back ends by itself.
            if let Err(error) = self.store.release_lease(&name_of(lane), &self.owner).await {
                tracing::debug!(outbox.lane = lane, "the lease was not given back: {error}");
            }
        }
    }
}
