//! Releases hits that waited for confidence, when the chain gets there. Owns the step from `waiting` on; must not
//! know how an event was matched.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    ChainId, Clock, Debouncer, DeliverAt, Watch, WatchId,
    confirmation::released_up_to,
    spam::{self, SPAM_GROUP},
};
use store::{HitRow, Store};

use crate::{
    Bell, Progress, Room, RoomError,
    aside::{Aside, first_of, guarded, own_fault},
    items,
    notify::{Notifier, in_chain_order},
    planning::{Found, Planner, window_adds},
};

/// Limits of the release.
#[derive(Debug, Clone, Copy)]
pub struct ConfirmConfig {
    /// How many hits are released at once.
    pub batch: u32,
    /// How often to look.
    pub poll: Duration,
}

impl Default for ConfirmConfig {
    fn default() -> Self {
        Self { batch: 500, poll: Duration::from_millis(500) }
    }
}

/// What the room works with.
#[derive(Debug, Clone)]
pub struct ConfirmDeps {
    /// The store.
    pub store: Store,
    /// The timer index.
    pub debouncer: Arc<dyn Debouncer>,
    /// Makes the notifications of immediate hits.
    pub notifier: Arc<Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Rung when the outbox has something.
    pub relay: Bell,
}

/// The room.
#[derive(Debug)]
pub struct Confirm {
    deps: ConfirmDeps,
    chains: Vec<ChainId>,
    config: ConfirmConfig,
    aside: Aside,
}

impl Confirm {
    /// A room for the waiting hits of `chains`.
    pub fn new(deps: ConfirmDeps, chains: Vec<ChainId>, config: ConfirmConfig) -> Self {
        let aside = Aside::new(deps.store.clone(), "confirm");
        Self { deps, chains, config, aside }
    }

    async fn release(&mut self, chain: ChainId) -> Result<u64, RoomError> {
        let Some(row) = self.deps.store.chain(chain).await? else { return Ok(0) };
        let mut released = 0;
        let now = self.deps.clock.now();
        self.aside.refresh(now).await?;
        for word in self.deps.store.waiting_for(chain).await? {
            let Ok(deliver_at) = word.parse::<DeliverAt>() else { continue };
            let Some(up_to) = released_up_to(deliver_at, &row.view()) else { continue };
            let limit = self.aside.page(self.config.batch);
            let mut hits = self.deps.store.waiting_hits(chain, &word, up_to, limit).await?;
            hits.retain(|row| !self.aside.rests(&item(row), now));
            hits.truncate(usize::try_from(self.config.batch).unwrap_or(usize::MAX));
            released += self.release_hits(hits).await?;
        }
        Ok(released)
    }

    // Returns how many wait no more. A hit whose event left the chain still waits: matching is about to say so.
    async fn release_hits(&mut self, hits: Vec<HitRow>) -> Result<u64, RoomError> {
        let mut released = 0;
        let mut by_watch: HashMap<WatchId, Vec<HitRow>> = HashMap::new();
        for row in hits {
            by_watch.entry(row.hit.watch.clone()).or_default().push(row);
        }
        for (id, rows) in by_watch {
            let mut left = vec![rows.as_slice()];
            while let Some(rows) = left.pop() {
                match guarded(self.release_some(&id, rows)).await {
                    Ok(done) => {
                        released += done;
                        self.aside.over(rows.iter().map(item)).await?;
                    }
                    Err(error) if !own_fault(&error) => return Err(error),
                    Err(error) => match rows {
                        [row] => self.aside.put(item(row), &error.to_string(), self.deps.clock.now()).await?,
                        _ => {
                            let (one, other) = rows.split_at(rows.len() / 2);
                            left.extend([other, one]);
                        }
                    },
                }
            }
        }
        Ok(released)
    }

    async fn release_some(&self, id: &WatchId, rows: &[HitRow]) -> Result<u64, RoomError> {
        let Some(watch) = self.deps.store.watch(id).await? else {
            let ids: Vec<_> = rows.iter().map(|row| row.hit.id).collect();
            return Ok(self.deps.store.suppress_hits(&ids, "its watch was removed").await?);
        };
        self.release_of(&watch, rows).await
    }

    async fn release_of(&self, watch: &Watch, rows: &[HitRow]) -> Result<u64, RoomError> {
        let now = self.deps.clock.now();
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        let groups: HashMap<_, _> = rows.iter().map(|row| (row.hit.id, row.group.clone())).collect();
        let events = self.deps.store.events_by_keys(&keys).await?;
        let (ids, events) = in_chain_order(rows, events);
        let gathering = spam::gathering(watch);
        let found = |(id, stored)| {
            let group: String = groups.get(&id).cloned().unwrap_or_default();
            let watch = if group == SPAM_GROUP { &gathering } else { watch };
            Found { id, watch, stored, group, sure: true }
        };
        let found: Vec<_> = ids.iter().copied().zip(&events).map(found).collect();
        let audience = self.deps.notifier.audience([watch.recipient.clone()]).await?;
        let (store, notifier) = (&self.deps.store, self.deps.notifier.as_ref());
        let planned = Planner { store, notifier, audience: &audience, now }.plans(&found).await?;
        let plans: Vec<_> =
            ids.iter().zip(&planned).map(|(id, planned)| (*id, planned.plan.clone())).collect();
        domain::crash_point!("confirm.before_release");
        let outcome = self.deps.store.release_hits(&plans, now).await?;
        domain::crash_point!("confirm.released");
        let planned: HashMap<_, _> = ids.iter().copied().zip(&planned).collect();
        let adds = window_adds(&outcome.pending, &planned, now);
        if !adds.is_empty() {
            self.deps.debouncer.add(adds).await?;
        }
        if outcome.notified > 0 {
            self.deps.relay.ring();
        }
        domain::crash_point!("confirm.joined");
        metrics::counter!("chainbell_notifications_total").increment(outcome.notified);
        Ok(outcome.pending.len() as u64 + outcome.notified)
    }
}

fn item(row: &HitRow) -> String {
    items::hit(row.hit.id, &row.hit.watch)
}

#[async_trait]
impl Room for Confirm {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let mut released = 0;
        let mut ended = Ok(());
        // A chain that fails keeps no other waiting.
        for chain in self.chains.clone() {
            match self.release(chain).await {
                Ok(done) => released += done,
                Err(error) => ended = first_of(ended, Err(error)),
            }
        }
        ended?;
        Ok(if released > 0 { Progress::Worked } else { Progress::Idle })
    }

    async fn rest(&mut self) {
        self.deps.clock.sleep(self.config.poll).await;
    }
}
