//! One recipient, one window, very many hits: how they get into it, and how it closes. Shared with the benchmark.

use domain::{DeliverAt, HitState};
use pipeline::{ingest::Ingest, matching::Matching};

use crate::{
    rooms::{Rooms, drain, window},
    world::{BELL, World, ring, settle},
};

/// How many hits a block brings.
pub(crate) const IN_A_BLOCK: u64 = 500;

/// The rooms, and a watch that gathers for ten minutes.
pub(crate) struct OneWindow {
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
    rung: u64,
}

impl OneWindow {
    pub(crate) async fn around(world: World) -> anyhow::Result<Self> {
        let rooms = Rooms::around(world).await?;
        rooms.watch("w", window(600), DeliverAt::Seen).await?;
        let (mut ingest, matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
        settle(&mut ingest).await?;
        Ok(Self { rooms, ingest, matching, rung: 0 })
    }

    /// Brings so many hits, a multiple of [`IN_A_BLOCK`], into the window.
    pub(crate) async fn gather(&mut self, hits: u64) -> anyhow::Result<()> {
        for _ in 0..hits / IN_A_BLOCK {
            let first = self.rung + 1;
            self.rung += IN_A_BLOCK;
            self.rooms.world.node.mine((first..=self.rung).map(|tx| ring(BELL, tx)).collect());
            settle(&mut self.ingest).await?;
            drain(&mut self.rooms.relay("relay")).await?;
            drain(&mut self.matching).await?;
        }
        let pending = self.rooms.hits("w", HitState::Pending).await?;
        anyhow::ensure!(pending == hits, "{pending} hits of {hits} wait");
        Ok(())
    }

    /// Lets the window become due, and tells it. Returns how many events each notification so far tells of, oldest first.
    pub(crate) async fn close(&self) -> anyhow::Result<Vec<u64>> {
        self.rooms.pass(601);
        drain(&mut self.rooms.digest()).await?;
        let notified = self.rooms.hits("w", HitState::Notified).await?;
        anyhow::ensure!(notified == self.rung, "{notified} hits of {} are told", self.rung);
        let mut told = self.rooms.told().await?;
        told.sort_by_key(|row| row.notification.created_at);
        Ok(told.iter().map(|row| row.notification.count).collect())
    }
}
