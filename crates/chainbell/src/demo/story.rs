//! The story of the demo: what happens on the chain, and what must follow from it.

use std::{collections::BTreeMap, time::Duration};

use alloy_primitives::{Address, B256, U256};
use devnet::{Devnet, Exchange, Leg, Order, Reorg, Token};
use domain::{NotificationState, WatchId};
use store::NotificationQuery;

use super::narrator::Narrator;
use crate::{failure::Failure, wiring::Parts};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_secs(1);
const BURST: usize = 25;
/// One BELL in its smallest unit.
const BELL: u64 = 1_000_000;

/// Who plays.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) token: Token,
    pub(super) exchange: Exchange,
    pub(super) treasury: Address,
}

/// Deploys the contracts and gives every account some BELL. All of this is history when the pipeline starts.
pub(super) async fn deploy(net: &Devnet) -> Result<Cast, Failure> {
    let token = net.token().await.map_err(chain)?;
    let exchange = net.exchange().await.map_err(chain)?;
    let bank = net.account(0);
    let grants: Vec<_> = (2..10).map(|index| (net.account(index), U256::from(100_000 * BELL))).collect();
    net.send(token.burst(bank, &grants)).await.map_err(chain)?;
    net.set_automine(false).await.map_err(chain)?;
    Ok(Cast { token, exchange, treasury: net.account(1) })
}

fn chain(error: devnet::Error) -> Failure {
    Failure::world(error.to_string())
}

#[derive(Debug)]
pub(super) struct Story<'a> {
    net: &'a Devnet,
    parts: &'a Parts,
    narrator: &'a Narrator,
    cast: Cast,
}

impl<'a> Story<'a> {
    pub(super) const fn new(net: &'a Devnet, parts: &'a Parts, narrator: &'a Narrator, cast: Cast) -> Self {
        Self { net, parts, narrator, cast }
    }

    /// Plays every chapter and checks each.
    pub(super) async fn tell(&self) -> Result<(), Failure> {
        self.history().await?;
        self.alert().await?;
        self.burst().await?;
        self.order().await?;
        self.reorg().await?;
        self.taken_back().await?;
        let told =
            self.parts.store.notifications(&NotificationQuery { limit: 100, ..Default::default() }).await?;
        self.narrator.chapter(&format!(
            "{} notifications about {} events",
            told.len(),
            told.iter().map(|n| n.notification.count).sum::<u64>()
        ));
        Ok(())
    }

    async fn history(&self) -> Result<(), Failure> {
        self.narrator.chapter("The past: read from the first block, and nobody is told about it");
        let id = self.chain_id();
        self.until("the past to be read", async || {
            let cursors = self.parts.store.contract_cursors(id).await?;
            Ok(!cursors.is_empty() && cursors.iter().all(|cursor| !cursor.is_behind()))
        })
        .await?;
        self.expect_told("large-transfers", 0).await?;
        self.narrator.proven("history is in the store, and no notification was made");
        Ok(())
    }

    async fn alert(&self) -> Result<(), Failure> {
        self.narrator.chapter("An alert: 7,500 BELL change hands, and the watch asks for 5,000 or more");
        let call = self.transfer(3, self.net.account(4), 7_500);
        self.submit(&[call]).await?;
        self.mine().await?;
        self.await_told("large-transfers", 1).await?;
        self.narrator.proven("one alert, at once");
        Ok(())
    }

    async fn burst(&self) -> Result<(), Failure> {
        self.narrator.chapter(&format!("A burst: {BURST} transfers to the treasury in 5 blocks"));
        for block in 0..5 {
            let calls: Vec<_> = (0..BURST / 5)
                .map(|n| self.transfer(2 + (block + n) % 8, self.cast.treasury, 10 + (block * 5 + n) as u64))
                .collect();
            self.submit(&calls).await?;
            self.mine().await?;
            self.parts.clock.sleep(BEAT / 4).await;
        }
        self.narrator.say("The window gathers for 5 seconds from the first of them.");
        self.await_told("treasury-in", 1).await?;
        let told = self.told("treasury-in").await?;
        let count = told.first().map_or(0, |row| row.notification.count);
        if count != BURST as u64 {
            return Err(Failure::world(format!("the digest tells {count} transfers, not {BURST}")));
        }
        self.narrator.proven(&format!("{BURST} transfers, one digest"));
        Ok(())
    }

    async fn order(&self) -> Result<(), Failure> {
        self.narrator.chapter("An event that is no transfer: an order, with a tuple in it");
        let maker = self.net.account(5);
        let leg = Leg { venue: self.net.account(6), delta: -250, route: vec![0x42; 4].into() };
        let order = Order {
            token: self.cast.token.address,
            amount: U256::from(250 * BELL),
            deadline: 2_000_000_000,
            legs: vec![leg],
        };
        self.submit(&[self.cast.exchange.place_order(maker, &order)]).await?;
        self.mine().await?;
        self.await_told("orders", 1).await?;
        self.narrator.proven("decoded, filtered by a member of the tuple, told");
        Ok(())
    }

    // Each transaction has a sender of its own: on the new branch a later one of the same sender could not be mined.
    async fn reorg(&self) -> Result<(), Failure> {
        self.narrator
            .chapter("A reorg of depth 3: one alert was told already, four transfers wait in a window");
        let before = self.states("treasury-in").await?;
        let alerted = self.submit(&[self.transfer(5, self.net.account(4), 9_000)]).await?;
        self.submit(&[self.transfer(6, self.cast.treasury, 61), self.transfer(7, self.cast.treasury, 62)])
            .await?;
        self.mine().await?;
        self.submit(&[self.transfer(8, self.cast.treasury, 63)]).await?;
        self.mine().await?;
        self.submit(&[self.transfer(9, self.cast.treasury, 64)]).await?;
        self.mine().await?;
        self.await_told("large-transfers", 2).await?;
        self.until("four hits to wait in the window", async || {
            Ok(self.states("treasury-in").await?.get("pending") == Some(&4))
        })
        .await?;
        self.narrator
            .say("Now the chain changes its mind; only the 9,000 BELL are mined again, one block later.");
        let raw = self.net.raw_transaction(alerted[0]).await.map_err(chain)?;
        self.net.reorg(Reorg::new(3).remine(raw, 1)).await.map_err(chain)?;
        self.mine().await?;
        self.until("the four hits to vanish", async || {
            let states = self.states("treasury-in").await?;
            Ok(states.get("orphaned") == Some(&4) && !states.contains_key("pending"))
        })
        .await?;
        self.parts.clock.sleep(Duration::from_secs(6)).await;
        let after = self.states("treasury-in").await?;
        if after.get("notified") != before.get("notified") {
            return Err(Failure::world("a transfer that the chain took back was told"));
        }
        self.expect_told("treasury-in", 1).await?;
        self.narrator.proven("the four transfers vanished, and their window sent nothing");
        self.expect_told("large-transfers", 2).await?;
        self.follow_moved(alerted[0]).await?;
        self.narrator.proven("the transfer that was mined again caused no second alert");
        Ok(())
    }

    async fn follow_moved(&self, transaction: B256) -> Result<(), Failure> {
        let events = self.parts.store.events_of_transaction(transaction).await?;
        let canonical = events.iter().filter(|stored| stored.is_canonical()).count();
        if events.len() != 2 || canonical != 1 {
            let detail =
                format!("the moved transfer has {} events, {canonical} of them canonical", events.len());
            return Err(Failure::world(detail));
        }
        Ok(())
    }

    // The block that vanishes holds two of the digest's transfers, and the alert.
    async fn taken_back(&self) -> Result<(), Failure> {
        self.narrator.chapter("A reorg after the telling: an alert and a part of a digest were sent already");
        let calls: Vec<_> =
            (2..8).map(|from| self.transfer(from, self.cast.treasury, 100 + from as u64)).collect();
        self.submit(&calls).await?;
        self.mine().await?;
        let (eight, nine) =
            (self.transfer(8, self.cast.treasury, 8), self.transfer(9, self.cast.treasury, 9));
        self.submit(&[eight, nine, self.transfer(3, self.net.account(4), 8_000)]).await?;
        self.mine().await?;
        self.await_told("large-transfers", 3).await?;
        self.await_told("treasury-in", 2).await?;
        self.narrator.say("Now the chain replaces the last block by one without them, and grows on.");
        let other = self.transfer(5, self.net.account(4), 1);
        self.net.reorg(Reorg::new(1).send(&other, 0)).await.map_err(chain)?;
        for _ in 0..4 {
            self.mine().await?;
            self.parts.clock.sleep(BEAT / 2).await;
        }
        self.await_told("large-transfers", 4).await?;
        self.expect_amended("large-transfers", NotificationState::Retracted, 0).await?;
        self.narrator.proven("the alert was taken back");
        self.await_told("treasury-in", 3).await?;
        self.expect_amended("treasury-in", NotificationState::Active, 6).await?;
        self.narrator.proven("the digest was corrected: 6 transfers, not 8");
        Ok(())
    }

    async fn expect_amended(&self, watch: &str, state: NotificationState, count: u64) -> Result<(), Failure> {
        let told = self.told(watch).await?;
        let amended = told.iter().map(|row| &row.notification).find(|told| told.corrects.is_some());
        match amended {
            Some(amended) if amended.state == state && amended.count == count => Ok(()),
            amended => Err(Failure::world(format!(
                "watch '{watch}' did not tell {count} left, {state:?}: {amended:?}"
            ))),
        }
    }

    /// Light traffic, for ever.
    pub(super) async fn small_talk(&self) -> Result<(), Failure> {
        for round in 0_u64.. {
            let sender = 2 + usize::try_from(round % 8).unwrap_or_default();
            self.submit(&[self.transfer(sender, self.cast.treasury, 1 + round % 50)]).await?;
            self.mine().await?;
            self.parts.clock.sleep(BEAT * 2).await;
        }
        Ok(())
    }

    fn transfer(&self, from: usize, to: Address, bell: u64) -> devnet::Call {
        self.cast.token.transfer(self.net.account(from), to, U256::from(bell * BELL))
    }

    async fn submit(&self, calls: &[devnet::Call]) -> Result<Vec<B256>, Failure> {
        self.net.submit(calls).await.map_err(chain)
    }

    async fn mine(&self) -> Result<(), Failure> {
        self.net.mine(1).await.map_err(chain)
    }

    fn chain_id(&self) -> domain::ChainId {
        self.parts.config.chains.first().map_or(domain::ChainId(0), |chain| chain.id)
    }

    async fn told(&self, watch: &str) -> Result<Vec<store::NotificationRow>, Failure> {
        let watch: WatchId =
            watch.parse().map_err(|error: domain::ids::BadName| Failure::world(error.to_string()))?;
        let query = NotificationQuery { watch: Some(watch), limit: 100, recipient: None };
        Ok(self.parts.store.notifications(&query).await?)
    }

    async fn states(&self, watch: &str) -> Result<BTreeMap<String, u64>, Failure> {
        let watch: WatchId =
            watch.parse().map_err(|error: domain::ids::BadName| Failure::world(error.to_string()))?;
        Ok(self.parts.store.hits_by_state(Some(&watch)).await?)
    }

    async fn expect_told(&self, watch: &str, count: usize) -> Result<(), Failure> {
        let told = self.told(watch).await?.len();
        if told == count {
            return Ok(());
        }
        Err(Failure::world(format!("watch '{watch}' told {told} notifications, not {count}")))
    }

    async fn await_told(&self, watch: &str, count: usize) -> Result<(), Failure> {
        self.until(&format!("notification {count} of '{watch}' to be delivered"), async || {
            let told = self.told(watch).await?;
            Ok(told.len() == count && told.iter().all(|row| row.delivered == 1))
        })
        .await
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> Result<bool, Failure>) -> Result<(), Failure> {
        let mut waited = Duration::ZERO;
        while !holds().await? {
            if waited >= WAIT_MAX {
                return Err(Failure::world(format!("waited {} s in vain for {what}", WAIT_MAX.as_secs())));
            }
            self.parts.clock.sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        Ok(())
    }
}
