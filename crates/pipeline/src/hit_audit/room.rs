//! The audit of hits that goes on in the background: page by page, never in a hurry. Owns the pace, and which blocks are
//! done with; what is audited is the audit's.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{ChainId, Clock, HitState, NotificationId};
use jiff::Timestamp;
use store::{EventKey, Store};

use super::{HitAudit, HitReport, Kind};
use crate::{Progress, Room, RoomError, aside::own_fault, standby::Standby};

/// How an auditor of hits goes about.
#[derive(Debug, Clone, Copy)]
pub struct HitAuditorConfig {
    /// How long it rests when it has looked at everything.
    pub poll: Duration,
    /// How long it rests after each page, so that it never crowds out the live chain.
    pub pause: Duration,
    /// How long its lease is: one process audits a store.
    pub lease: Duration,
}

impl Default for HitAuditorConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            pause: Duration::from_millis(200),
            lease: Duration::from_secs(300),
        }
    }
}

/// Where a round is.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At this chain, by its position, after this event.
    Chain(usize, Option<EventKey>),
    /// At what is open.
    Open,
    /// At the notifications.
    Notifications,
}

/// The room. A round looks at every event of blocks that were not final in the round before, at what is open, and at the
/// notifications that are new; what is final and clean is not looked at again.
#[derive(Debug)]
pub struct HitAuditor {
    audit: HitAudit,
    store: Store,
    clock: Arc<dyn Clock>,
    chains: Vec<ChainId>,
    owner: String,
    config: HitAuditorConfig,
    at: At,
    report: HitReport,
    // The first block of each chain that is not done with, and what it becomes when the round is clean.
    from: HashMap<ChainId, u64>,
    next_from: HashMap<ChainId, u64>,
    told: Option<(Timestamp, NotificationId)>,
    rested: bool,
    standby: Standby,
}

const LEASE: &str = "hit-audit";

impl HitAuditor {
    /// An auditor of `chains` under the name `owner`, which no other auditor has.
    pub fn new(
        audit: HitAudit,
        store: Store,
        clock: Arc<dyn Clock>,
        chains: Vec<ChainId>,
        owner: String,
        config: HitAuditorConfig,
    ) -> Self {
        Self {
            audit,
            store,
            clock,
            chains,
            owner,
            config,
            at: At::Chain(0, None),
            report: HitReport::default(),
            from: HashMap::new(),
            next_from: HashMap::new(),
            told: None,
            rested: false,
            standby: Standby::default(),
        }
    }

    async fn page(&mut self, position: usize, after: Option<EventKey>) -> Result<At, RoomError> {
        let Some(chain) = self.chains.get(position).copied() else { return Ok(At::Open) };
        let Some(row) = self.store.chain(chain).await? else { return Ok(At::Chain(position + 1, None)) };
        let tip = row.tip.map_or(0, |tip| tip.number);
        if after.is_none() {
            self.audit.follow().await?;
            // Nothing changes any more in what is final now.
            let done = row.finalized.map_or(0, |block| block.min(tip) + 1);
            self.next_from.insert(chain, done);
        }
        let from = self.from.get(&chain).copied().unwrap_or_default();
        let next = self.audit.page(chain, (from, tip), after, &mut self.report).await?;
        Ok(match next {
            Some(next) => At::Chain(position, Some(next)),
            None => At::Chain(position + 1, None),
        })
    }

    // A round is over: what it found is shown, and, where it found nothing, final blocks are done with.
    async fn finish_round(&mut self) -> Result<(), RoomError> {
        let report = std::mem::take(&mut self.report);
        let states = self.store.hits_by_state(None).await?;
        show(&states, &report);
        if report.is_clean() && self.audit.uncertain() == 0 {
            self.from.extend(self.next_from.drain());
        }
        for difference in &report.differences {
            tracing::warn!(?difference, "{}", difference.kind.sentence());
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges of counts")]
fn show(states: &BTreeMap<String, u64>, report: &HitReport) {
    for state in HitState::ALL {
        let count = states.get(state.as_str()).copied().unwrap_or_default();
        metrics::gauge!("chainbell_hits", "state" => state.as_str()).set(count as f64);
    }
    for kind in Kind::ALL {
        let count = report.counts.get(&kind).copied().unwrap_or_default();
        metrics::gauge!("chainbell_hit_audit_differences", "kind" => kind.as_str()).set(count as f64);
    }
    metrics::counter!("chainbell_hit_audit_events_total").increment(report.events);
    metrics::counter!("chainbell_hit_audit_owed_total").increment(report.owed);
}

#[async_trait]
impl Room for HitAuditor {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        self.rested = true;
        let now = self.clock.now();
        if !self.store.take_lease(LEASE, &self.owner, now, self.config.lease).await? {
            self.standby.wait(&self.store, LEASE, now).await?;
            return Ok(Progress::Idle);
        }
        self.standby.over();
        self.rested = false;
        self.at = match self.at {
            At::Chain(position, after) => match self.page(position, after).await {
                Err(error) if own_fault(&error) => {
                    // What cannot be read there keeps the other chains from no audit.
                    self.at = At::Chain(position + 1, None);
                    return Err(error);
                }
                next => next?,
            },
            At::Open => {
                self.audit.open(&mut self.report).await?;
                At::Notifications
            }
            At::Notifications => {
                let next = self.audit.notifications(self.told, &mut self.report).await?;
                self.told = next.or(self.told);
                if next.is_some() {
                    At::Notifications
                } else {
                    self.finish_round().await?;
                    self.rested = true;
                    At::Chain(0, None)
                }
            }
        };
        // The pause is the room's rest.
        Ok(Progress::Idle)
    }

    async fn rest(&mut self) {
        self.clock.sleep(if self.rested { self.config.poll } else { self.config.pause }).await;
    }

    fn standing_by(&self) -> Option<&str> {
        self.standby.why()
    }

    async fn finish(&mut self) {
        // A lease that is not given back ends by itself.
        if let Err(error) = self.store.release_lease(LEASE, &self.owner).await {
            tracing::debug!("the lease on the audit of hits was not given back: {error}");
        }
    }
}
