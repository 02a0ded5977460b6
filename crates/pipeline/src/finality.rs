//! Tells of events that became final, once each, in chain order. Owns the mark up to which it was told; must not know
//! who listens.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{ChainId, ChainName, Clock};
use futures::FutureExt as _;
use store::Store;

use crate::{Bell, Progress, Room, RoomError, aside::first_of};

/// Limits of the telling. Many blocks become final at once, and nobody is in a hurry to hear of it: the first pages are
/// small, and each waits `pause` after a new block, so that no block has to wait for the store or the broker behind
/// them. What they do not get through is told at full speed.
#[derive(Debug, Clone, Copy)]
pub struct FinalityConfig {
    /// How many events are told of at once at full speed, about: whole blocks are.
    pub batch: u32,
    /// How many events a small page tells of, about.
    pub page: u32,
    /// How many pages are small before it goes on at full speed.
    pub pages: u32,
    /// How long behind a new block a small page goes: what the block brought is matched then.
    pub pause: Duration,
    /// How long a small page waits for a new block.
    pub patience: Duration,
    /// How often to look.
    pub poll: Duration,
}

impl Default for FinalityConfig {
    fn default() -> Self {
        Self {
            batch: 1_000,
            page: 150,
            pages: 20,
            pause: Duration::from_millis(20),
            patience: Duration::from_secs(1),
            poll: Duration::from_secs(1),
        }
    }
}

/// The room.
#[derive(Debug)]
pub struct Finality {
    store: Store,
    chains: Vec<(ChainId, ChainName)>,
    clock: Arc<dyn Clock>,
    relay: Bell,
    committed: Bell,
    config: FinalityConfig,
    // Small pages in a row that left something.
    small: u32,
}

impl Finality {
    /// A room for the events of `chains`; `relay` is rung when the outbox has something, and `committed` rings when a
    /// block is committed.
    pub const fn new(
        store: Store,
        chains: Vec<(ChainId, ChainName)>,
        clock: Arc<dyn Clock>,
        relay: Bell,
        committed: Bell,
        config: FinalityConfig,
    ) -> Self {
        Self { store, chains, clock, relay, committed, config, small: 0 }
    }
}

#[async_trait]
impl Room for Finality {
    async fn step(&mut self) -> Result<Progress, RoomError> {
        let (mut done, hurry) = (true, self.small >= self.config.pages);
        let limit = if hurry { self.config.batch } else { self.config.page };
        let mut ended = Ok(());
        for (chain, name) in &self.chains {
            let told = match self.store.tell_finalized(*chain, name, limit, self.clock.now()).await {
                Ok(told) => told,
                // A chain that fails keeps no other waiting.
                Err(error) => {
                    ended = first_of(ended, Err(error.into()));
                    continue;
                }
            };
            if told.events > 0 {
                domain::crash_point!("finality.told");
                self.relay.ring();
            }
            done &= told.done;
        }
        ended?;
        if done {
            self.small = 0;
        } else if !hurry {
            self.small += 1;
        }
        Ok(if done || self.small < self.config.pages { Progress::Idle } else { Progress::Worked })
    }

    async fn rest(&mut self) {
        if self.small == 0 {
            self.clock.sleep(self.config.poll).await;
        }
        // A block that was committed meanwhile is none to go behind.
        let _ = self.committed.rung().now_or_never();
        tokio::select! {
            () = self.committed.rung() => self.clock.sleep(self.config.pause).await,
            () = self.clock.sleep(self.config.patience) => {}
        }
    }
}
