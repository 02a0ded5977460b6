//! Tells of events that became final, once each, in chain order. Owns the mark up to which it was told; must not know
//! who listens.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{ChainId, ChainName, Clock};
use store::Store;

use crate::{Bell, Progress, Room, RoomError};

/// Limits of the telling.
#[derive(Debug, Clone, Copy)]
pub struct FinalityConfig {
    /// How many events are told of at once, about: whole blocks are.
    pub batch: u32,
    /// How often to look.
    pub poll: Duration,
}

impl Default for FinalityConfig {
    fn default() -> Self {
        Self { batch: 1_000, poll: Duration::from_secs(1) }
    }
}

/// The room.
#[derive(Debug)]
pub struct Finality {
    store: Store,
    chains: Vec<(ChainId, ChainName)>,
    clock: Arc<dyn Clock>,
    relay: Bell,
    config: FinalityConfig,
}

impl Finality {
    /// A room for the events of `chains`; `relay` is rung when the outbox has something.
    pub const fn new(
        store: Store,
        chains: Vec<(ChainId, ChainName)>,
        clock: Arc<dyn Clock>,
        relay: Bell,
        config: FinalityConfig,
    ) -> Self {
        Self { store, chains, clock, relay, config }
    }
}

#[async_trait]
impl Room for Finality {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let mut progress = Progress::Idle;
        for (chain, name) in &self.chains {
            let told = self.store.tell_finalized(*chain, name, self.config.batch, self.clock.now()).await?;
            if told.events > 0 {
                domain::crash_point!("finality.told");
                self.relay.ring();
            }
            if !told.done {
                progress = Progress::Worked;
            }
        }
        Ok(progress)
    }

    async fn rest(&mut self) {
        self.clock.sleep(self.config.poll).await;
    }
}
