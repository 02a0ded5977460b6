//! Workers that die between any two steps, an index that is emptied at any moment, and still every hit is told
//! exactly once: the protocol of `digest`, with a ledger in the place of the store.

use std::{collections::HashMap, time::Duration};

use domain::{Claim, HitId, WindowAdd, WindowKey, window::WindowRule};
use jiff::{SignedDuration, Timestamp};

use crate::{
    on_each,
    world::{LEASE, World, hit, key},
};

on_each!(every_hit_is_told_exactly_once_whoever_dies_and_whatever_is_flushed);

const GRACE: SignedDuration = SignedDuration::from_secs(5);

/// What the store knows: each hit's key, when it should have been told, and how often it was.
#[derive(Default)]
struct Ledger {
    hits: HashMap<HitId, Row>,
}

struct Row {
    key: WindowKey,
    due: Timestamp,
    told: u32,
}

impl Ledger {
    /// The fence: tells those of `members` that nobody told yet.
    fn tell(&mut self, members: &[HitId]) {
        for member in members {
            if let Some(row) = self.hits.get_mut(member).filter(|row| row.told == 0) {
                row.told += 1;
            }
        }
    }

    fn overdue(&self, now: Timestamp) -> Vec<WindowAdd> {
        let late = self.hits.iter().filter(|(_, row)| row.told == 0 && row.due + GRACE < now);
        late.map(|(hit, row)| WindowAdd {
            key: row.key.clone(),
            rule: WindowRule::NOW,
            hits: vec![*hit],
            now,
        })
        .collect()
    }
}

/// A generator of small random numbers (xorshift), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The worker dies here one time in four; then what it holds is dropped and its lease runs out, or it stalls
/// past its lease and goes on with a claim that is somebody else's.
#[derive(PartialEq, Eq)]
enum Fate {
    Lives,
    Dies,
    Stalls,
}

struct Model<'a> {
    world: &'a World,
    ledger: Ledger,
    dice: Dice,
    stalled: Vec<(Claim, Vec<HitId>)>,
    deaths: u32,
    flushes: u32,
}

impl Model<'_> {
    async fn fate(&mut self) -> anyhow::Result<Fate> {
        if self.dice.roll(12) == 0 {
            self.flushes += 1;
            self.world.flush().await?;
        }
        Ok(match self.dice.roll(8) {
            0 => {
                self.deaths += 1;
                Fate::Dies
            }
            1 => Fate::Stalls,
            _ => Fate::Lives,
        })
    }

    /// Matching: the hit is committed, then joins its window, unless the worker dies in between.
    async fn matched(&mut self, number: u64) -> anyhow::Result<()> {
        let (key, now) = (key(self.dice.roll(4)), self.world.now());
        let rule = WindowRule {
            window: Duration::from_secs(self.dice.roll(20)),
            max_wait: Duration::from_secs(30),
            max_count: 5,
            slide: self.dice.roll(2) == 0,
        };
        let due = now + SignedDuration::from_secs(30);
        self.ledger.hits.insert(hit(number), Row { key: key.clone(), due, told: 0 });
        if self.fate().await? == Fate::Dies {
            return Ok(());
        }
        // A redelivered message adds once more.
        for _ in 0..=self.dice.roll(2) {
            self.world.add(&key, rule, [hit(number)]).await?;
        }
        Ok(())
    }

    /// The closer: claim, read, tell under the fence, ack, and a death between any two.
    async fn closed(&mut self) -> anyhow::Result<()> {
        for claim in self.world.claim(2).await? {
            match self.fate().await? {
                Fate::Lives => {}
                Fate::Dies => return Ok(()),
                Fate::Stalls => {
                    let members = self.world.members(&claim).await?;
                    self.stalled.push((claim, members));
                    continue;
                }
            }
            let members = self.world.members(&claim).await?;
            if self.fate().await? == Fate::Dies {
                return Ok(());
            }
            self.ledger.tell(&members);
            if self.fate().await? == Fate::Dies {
                return Ok(());
            }
            self.world.debouncer.ack(&claim).await?;
        }
        Ok(())
    }

    /// Those that stalled past their lease go on as if nothing had happened.
    async fn woken(&mut self) -> anyhow::Result<()> {
        for (claim, members) in std::mem::take(&mut self.stalled) {
            self.ledger.tell(&members);
            if self.dice.roll(2) == 0 {
                self.world.debouncer.ack(&claim).await?;
            } else {
                self.world.debouncer.release(&claim, self.world.now(), Duration::ZERO).await?;
            }
        }
        Ok(())
    }

    async fn swept(&self) -> anyhow::Result<()> {
        let overdue = self.ledger.overdue(self.world.now());
        Ok(self.world.debouncer.add(overdue).await?)
    }

    async fn play(&mut self, rounds: u64) -> anyhow::Result<()> {
        for number in 0..rounds {
            self.matched(number).await?;
            self.world.advance(self.dice.roll(8));
            self.closed().await?;
            if self.dice.roll(5) == 0 {
                self.world.advance(LEASE.as_secs());
                self.woken().await?;
            }
            if self.dice.roll(3) == 0 {
                self.swept().await?;
            }
        }
        Ok(())
    }

    /// Everybody lives from now on.
    async fn settle(&mut self) -> anyhow::Result<()> {
        for _ in 0..3 {
            self.world.advance(LEASE.as_secs() + 60);
            self.woken().await?;
            self.swept().await?;
            for claim in self.world.claim(1_000).await? {
                let members = self.world.members(&claim).await?;
                self.ledger.tell(&members);
                self.world.debouncer.ack(&claim).await?;
            }
        }
        Ok(())
    }
}

async fn every_hit_is_told_exactly_once_whoever_dies_and_whatever_is_flushed(
    world: &World,
) -> anyhow::Result<()> {
    for seed in 1..=4_u64 {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut model =
            Model { world, ledger: Ledger::default(), dice, stalled: vec![], deaths: 0, flushes: 0 };
        model.play(120).await?;
        model.settle().await?;
        assert!(model.deaths > 10 && model.flushes > 5, "the world was too kind");
        let lost = model.ledger.hits.values().filter(|row| row.told != 1).count();
        assert_eq!(lost, 0, "seed {seed}: {lost} of {} hits", model.ledger.hits.len());
        assert_eq!(world.debouncer.outlook().await?, (0, None), "seed {seed}: nothing is left behind");
    }
    Ok(())
}
