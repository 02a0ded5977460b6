//! One active reader per chain. Owns the lease and its renewal; the store refuses what a deposed reader would write.

use domain::ChainName;
use jiff::{SignedDuration, Timestamp};
use store::Fence;

use super::Ingest;
use crate::RoomError;

impl Ingest {
    /// The name of the lease under which a chain is read.
    pub fn lease_of(chain: &ChainName) -> String {
        format!("ingest:{chain}")
    }

    fn lease_name(&self) -> String {
        Self::lease_of(&self.config.name)
    }

    /// The lease under which a commit is made.
    pub(super) fn fence<'a>(&'a self, name: &'a str) -> Option<Fence<'a>> {
        self.config.lease.as_ref().map(|lease| Fence { lease: name, owner: &lease.owner })
    }

    /// The lease's name, for [`Ingest::fence`].
    pub(super) fn fence_name(&self) -> String {
        self.lease_name()
    }

    /// Takes the lease, or renews it when a third of its term is over. Without it, nothing that is held in memory counts.
    pub(super) async fn holds_lease(&mut self) -> Result<bool, RoomError> {
        let Some(lease) = &self.config.lease else { return Ok(true) };
        let now = self.deps.clock.now();
        if now < self.renew_at {
            return Ok(true);
        }
        let held = self.deps.store.take_lease(&self.lease_name(), &lease.owner, now, lease.term).await?;
        if held {
            self.standby.over();
            domain::crash_point!("ingest.leased");
            if self.renew_at == Timestamp::MIN {
                tracing::info!(chain = %self.config.name, "reading this chain");
            }
            let third = SignedDuration::try_from(lease.term / 3).unwrap_or(SignedDuration::ZERO);
            self.renew_at = now.saturating_add(third).unwrap_or(Timestamp::MAX);
        } else {
            if self.chain.take().is_some() || self.renew_at != Timestamp::MIN {
                tracing::warn!(chain = %self.config.name, "another process reads this chain now: standing by");
            }
            self.renew_at = Timestamp::MIN;
            // How far behind the chain is, its reader knows.
            metrics::gauge!("chainbell_chain_lag_blocks", "chain" => self.config.name.to_string())
                .set(f64::NAN);
            self.noted = None;
            self.standby.wait(&self.deps.store, &self.lease_name(), now).await?;
        }
        Ok(held)
    }

    /// Lets another reader begin at once.
    pub(super) async fn give_lease_back(&self) {
        let Some(lease) = &self.config.lease else { return };
        if let Err(error) = self.deps.store.release_lease(&self.lease_name(), &lease.owner).await {
            tracing::debug!(chain = %self.config.name, "the lease was not given back: {error}");
        }
    }
}
