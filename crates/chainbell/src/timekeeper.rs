//! What a clock that was ahead left in the store is cut to its own length: at the start, and then every minute. Owns the pace;
//! what is cut is the store's.

use std::{sync::Arc, time::Duration};

use domain::Clock;
use jiff::SignedDuration;
use store::{OwnLengths, Store, StoreClock};

use crate::supervise::Supervisor;

const EVERY: Duration = Duration::from_secs(60);
/// How far the store's clock may have been moved before that is worth a line.
const MOVED: SignedDuration = SignedDuration::from_secs(5);

/// Cuts once, and starts doing so every minute.
pub async fn start(supervisor: &mut Supervisor, store: Store, clock: Arc<dyn Clock>, lengths: OwnLengths) {
    cut(&store, clock.as_ref(), lengths).await;
    supervisor.task("timekeeper", |stop| async move {
        let mut moved = SignedDuration::ZERO;
        while !stop.is_cancelled() {
            tokio::select! { () = stop.cancelled() => return, () = clock.sleep(EVERY) => {} }
            cut(&store, clock.as_ref(), lengths).await;
            moved = compare(&store, clock.as_ref(), moved).await;
        }
    });
}

async fn cut(store: &Store, clock: &dyn Clock, lengths: OwnLengths) {
    match store.cut_to_own_length(clock.now(), lengths).await {
        Ok(0) => {}
        Ok(rows) => tracing::warn!(
            rows,
            "times in the store were ahead of the clock, as after a run under a clock that was ahead: they are cut to what \
             they last"
        ),
        Err(error) => tracing::debug!("times that may be ahead are not cut: {error}"),
    }
}

// A process goes on by the time that it measured at its start.
async fn compare(store: &Store, clock: &dyn Clock, before: SignedDuration) -> SignedDuration {
    let Ok(measured) = StoreClock::measure(store).await else { return before };
    let moved = measured.now().duration_since(clock.now());
    if (moved - before).abs() > MOVED {
        tracing::warn!(
            moved.seconds = moved.as_secs(),
            "the clock of the store was set while this process ran, which goes on by the time of its start: restart it"
        );
        return moved;
    }
    before
}
