//! Standing by: whose lease a room waits for, and since when. Owns the sentence for `/readyz`, `status` and the log; must not
//! know what the lease is for.

use jiff::Timestamp;
use store::{LeaseHolder, Store, StoreError};

/// How a room stands to a lease that another process may hold.
#[derive(Debug, Default)]
pub(crate) struct Standby {
    waits: Option<Waits>,
    // Whom the log named last: a room that waits now and then says so once.
    said: Option<String>,
}

#[derive(Debug)]
struct Waits {
    since: Timestamp,
    why: String,
}

impl Standby {
    /// The lease is another's: looks whose.
    pub(crate) async fn wait(
        &mut self,
        store: &Store,
        lease: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found = store.lease(lease).await?;
        self.note(lease, found, now);
        Ok(())
    }

    /// There is nothing to do now, and nobody has the lease.
    pub(crate) fn idle(&mut self) {
        self.waits = None;
    }

    /// The lease is another's, as was just seen.
    pub(crate) fn note(&mut self, lease: &str, found: Option<LeaseHolder>, now: Timestamp) {
        let since = self.waits.as_ref().map_or(now, |waits| waits.since);
        let why = sentence(lease, found.as_ref(), since);
        let holder = found.map(|found| found.owner);
        if holder.is_some() && self.said != holder {
            tracing::info!(lease, "standing by: {why}");
            self.said = holder;
        }
        self.waits = Some(Waits { since, why });
    }

    /// The lease is ours.
    pub(crate) fn over(&mut self) {
        self.waits = None;
        self.said = None;
    }

    /// For whom the room waits; `None` where it does not.
    pub(crate) fn why(&self) -> Option<&str> {
        self.waits.as_ref().map(|waits| waits.why.as_str())
    }
}

fn sentence(lease: &str, holder: Option<&LeaseHolder>, since: Timestamp) -> String {
    let Some(holder) = holder else {
        return format!("it waits since {since:.0} for the lease {lease}, which was given back just now");
    };
    let held = holder.since.map_or_else(String::new, |held| format!(" since {held:.0}"));
    format!(
        "it waits since {since:.0} for the lease {lease}, which process {} holds{held} until {:.0}, unless it renews it",
        holder.owner, holder.until
    )
}
