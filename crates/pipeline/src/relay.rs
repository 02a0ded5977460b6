//! Publishes the outbox. Owns the way from a committed row to an acknowledged message; must not know what a message
//! means.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{BrokerError, Clock, Publisher};
use store::Store;

use crate::{Bell, Progress, Room, RoomError};

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
}

impl Relay {
    /// A relay of `lanes` under the name `owner`, which must be its alone. `bell` is rung when a lane has something.
    pub fn new(
        store: Store,
        publisher: Arc<dyn Publisher>,
        clock: Arc<dyn Clock>,
        lanes: Vec<String>,
        (owner, bell): (String, Bell),
        config: RelayConfig,
    ) -> Self {
        Self { store, publisher, clock, lanes, owner, bell, config }
    }

    async fn publish_lane(&self, lane: &str) -> Result<usize, RoomError> {
        let rows = self.store.outbox_page(lane, self.config.window).await?;
        if rows.is_empty() || !self.lease(lane).await? {
            return Ok(0);
        }
        // Read again under the lease: another relay may have published these rows in between.
        let rows = self.store.outbox_page(lane, self.config.window).await?;
        let (ids, messages): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.id, row.message)).unzip();
        let results = self.publisher.publish(messages).await;
        let mut done = Vec::with_capacity(ids.len());
        let mut failure = None;
        for (id, result) in ids.into_iter().zip(results) {
            match result {
                Ok(()) => done.push(id),
                Err(error @ BrokerError::Refused { .. }) => {
                    // It will never be taken and must not hold up the lane. Nothing is lost with it: matching and
                    // deliver find in the store what no message told them.
                    tracing::error!(outbox.lane = lane, "{error}; the message is dropped");
                    metrics::counter!("chainbell_outbox_refused_total").increment(1);
                    done.push(id);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        self.store.outbox_delete(&done).await?;
        metrics::counter!("chainbell_outbox_published_total", "lane" => lane.to_owned())
            .increment(done.len() as u64);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(done.len()),
        }
    }

    async fn lease(&self, lane: &str) -> Result<bool, RoomError> {
        let name = format!("relay:{lane}");
        Ok(self.store.take_lease(&name, &self.owner, self.clock.now(), self.config.lease).await?)
    }
}

#[async_trait]
impl Room for Relay {
    /// Publishes one window of each lane.
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let mut published = 0;
        for lane in &self.lanes {
            published += self.publish_lane(lane).await?;
        }
        Ok(if published > 0 { Progress::Worked } else { Progress::Idle })
    }

    async fn rest(&mut self) {
        tokio::select! { () = self.bell.rung() => {} () = self.clock.sleep(self.config.poll) => {} }
    }

    async fn finish(&mut self) {
        for lane in &self.lanes {
            // A lease that is not given back ends by itself.
            if let Err(error) = self.store.release_lease(&format!("relay:{lane}"), &self.owner).await {
                tracing::debug!(outbox.lane = lane, "the lease was not given back: {error}");
            }
        }
    }
}
