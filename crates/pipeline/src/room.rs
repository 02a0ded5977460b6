//! What a room is, and the one loop around every room.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{BrokerError, ChainError, Clock, DebounceError};
use store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::Pulse;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something; there may be more at once.
    Worked,
    /// There was nothing to do.
    Idle,
}

/// Why a step did not succeed. All of it is tried again; only a halt needs a person.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The timer index.
    #[error(transparent)]
    Debounce(#[from] DebounceError),
    /// A bug that one item meets: what the panic said.
    #[error("{0}")]
    Panicked(String),
    /// The room must not go on without a person: what it saw, and what to do.
    #[error("{0}")]
    Halted(String),
}

/// One room.
#[async_trait]
pub trait Room: Send {
    /// One bounded unit of work.
    ///
    /// # Errors
    /// See [`RoomError`]; the same step is tried again after a pause.
    async fn step(&mut self) -> Result<Progress, RoomError>;

    /// Returns when there may be work again; called after an idle step, and dropped at shutdown.
    async fn rest(&mut self);

    /// The longest pause after steps that failed.
    fn pause_max(&self) -> Duration {
        BACKOFF_MAX
    }

    /// For whom the room leaves its work, and since when; `None` while it does its work itself.
    fn standing_by(&self) -> Option<&str> {
        None
    }

    /// Finishes what must not be torn apart; called once, after the last step.
    async fn finish(&mut self) {}
}

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// Runs a room until `stop`: steps are never torn, pauses are.
pub async fn run(room: &mut dyn Room, pulse: &Pulse, clock: &Arc<dyn Clock>, stop: &CancellationToken) {
    let mut backoff = BACKOFF_MIN;
    while !stop.is_cancelled() {
        match room.step().await {
            Ok(progress) => {
                match room.standing_by() {
                    Some(why) => pulse.stands_by(why),
                    None => pulse.well(),
                }
                backoff = BACKOFF_MIN;
                if progress == Progress::Idle {
                    tokio::select! { biased; () = stop.cancelled() => {} () = room.rest() => {} }
                }
            }
            Err(error) => {
                report(pulse, &error, backoff);
                tokio::select! { biased; () = stop.cancelled() => {} () = clock.sleep(backoff) => {} }
                backoff = (backoff * 2).min(room.pause_max().clamp(BACKOFF_MIN, BACKOFF_MAX));
            }
        }
    }
    room.finish().await;
}

fn report(pulse: &Pulse, error: &RoomError, backoff: Duration) {
    let sentence = error.to_string();
    pulse.fault(&sentence);
    metrics::counter!("chainbell_room_errors_total", "room" => pulse.name().to_owned()).increment(1);
    if let RoomError::Halted(_) = error {
        tracing::error!(room = pulse.name(), "{sentence}");
    } else {
        tracing::warn!(room = pulse.name(), retry.in_ms = backoff.as_millis(), "{sentence}");
    }
}
