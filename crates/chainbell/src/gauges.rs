//! Gauges that nobody keeps up as they change: asked of the store every few seconds.

use std::{sync::Arc, time::Duration};

use domain::{Clock, Debouncer};
use store::Store;

use crate::supervise::Supervisor;

/// The rooms that set aside what they cannot handle.
const SETTING_ASIDE: [&str; 6] = ["matching", "watches", "confirm", "amend", "relay", "deliver"];
const EVERY: Duration = Duration::from_secs(5);

/// Starts asking.
pub fn start(
    supervisor: &mut Supervisor,
    store: Store,
    debouncer: Arc<dyn Debouncer>,
    clock: Arc<dyn Clock>,
) {
    supervisor.task("gauges", |stop| async move {
        while !stop.is_cancelled() {
            measure(&store, debouncer.as_ref()).await;
            tokio::select! { () = stop.cancelled() => {} () = clock.sleep(EVERY) => {} }
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "gauges of counts")]
async fn measure(store: &Store, debouncer: &dyn Debouncer) {
    match store.counts().await {
        Ok(counts) => {
            metrics::gauge!("chainbell_outbox_depth").set(counts.outbox as f64);
            metrics::gauge!("chainbell_events_unmatched").set(counts.unmatched as f64);
            for (state, count) in [("waiting", counts.hits_waiting), ("pending", counts.hits_pending)] {
                metrics::gauge!("chainbell_hits_open", "state" => state).set(count as f64);
            }
            for (state, count) in [
                ("queued", counts.deliveries_queued),
                ("scheduled", counts.deliveries_scheduled),
                ("dead", counts.deliveries_dead),
            ] {
                metrics::gauge!("chainbell_deliveries", "state" => state).set(count as f64);
            }
        }
        Err(error) => tracing::debug!("the gauges stand still: {error}"),
    }
    if let Ok(rooms) = store.set_aside_by_room().await {
        // A room that has nothing aside any more says so, too.
        for room in SETTING_ASIDE {
            let count = rooms.iter().find(|(name, _)| name == room).map_or(0, |(_, count)| *count);
            metrics::gauge!("chainbell_set_aside", "room" => room).set(count as f64);
        }
    }
    if let Ok((windows, _)) = debouncer.outlook().await {
        metrics::gauge!("chainbell_windows").set(windows as f64);
    }
}
