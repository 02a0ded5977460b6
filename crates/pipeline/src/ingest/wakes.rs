//! When to look at the chain. Owns the way from an announcement to the next look; what an announcement says counts for
//! nothing more than that.

use std::time::Duration;

use domain::Wake;
use jiff::SignedDuration;

use super::Ingest;

// Nodes announce logs before their head or after it. Waiting this long after the first of them makes one look of it.
const TOGETHER: Duration = Duration::from_millis(50);

// How many announcements are taken in one go.
const BURST_MAX: usize = 10_000;

impl Ingest {
    /// Whether the live chain comes first now. While the past is read, this is asked between its pieces.
    pub(super) async fn should_look(&mut self) -> bool {
        if self.chain.is_none() || self.halted.is_some() {
            return true;
        }
        self.take_wakes(Duration::ZERO).await;
        let poll = SignedDuration::try_from(self.config.poll).unwrap_or(SignedDuration::MAX);
        let since = self.deps.clock.now().duration_since(self.looked_at);
        // Timers are not exact: nearly the interval is the interval.
        let wanted = self.wanted_in().is_some_and(|wait| wait.is_zero());
        self.look = self.look || wanted || since >= poll * 9 / 10;
        self.look
    }

    // The lease has to be renewed in time, however seldom the chain is looked at; and a head that is wanted is not waited
    // for as long as for one that nobody told of.
    fn patience(&self) -> Duration {
        let lease = self.config.lease.as_ref().map(|lease| lease.term / 3);
        let past = self.hindrance.rests_for(self.deps.clock.now()).unwrap_or(Duration::MAX);
        let patience = lease.unwrap_or(self.config.poll).min(self.config.poll).min(past);
        self.wanted_in().map_or(patience, |wait| wait.min(patience))
    }

    /// Rests until something was announced, or until it is time to look anyway.
    pub(super) async fn wait_for_wakes(&mut self) {
        if self.chain.is_none() {
            // Nothing is subscribed to before there is a start; another reader may hold the lease.
            self.deps.clock.sleep(self.patience()).await;
            self.look = true;
            return;
        }
        self.take_wakes(self.patience()).await;
    }

    /// Takes what was announced up to the next head, waiting at most `limit` for the first. A burst is one look: heads that
    /// are older than the one that is looked at wake nobody, and what comes behind it is heard after the look.
    async fn take_wakes(&mut self, limit: Duration) {
        let mut wait = limit;
        for _ in 0..BURST_MAX {
            let Some(wake) = self.deps.client.next_wake(&self.filters, wait).await else { return };
            match &wake {
                // Its head comes with it, or has come.
                Wake::Log(_) => wait = if self.look || limit.is_zero() { Duration::ZERO } else { TOGETHER },
                Wake::Head(header) => {
                    self.want_announced(header);
                    self.look = true;
                    return;
                }
                Wake::Reconnected => {
                    self.look = true;
                    return;
                }
            }
            self.witness(wake);
        }
    }
}
