//! What a run of chaos will do, all of it decided by the seed before anything starts. Owns the dice and the mixture of
//! traffic and faults; must not know how any of it is done.

use domain::crash;

/// A small generator of numbers: `SplitMix64` (Steele, Lea, Flood, 2014). The same seed gives the same numbers.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `sides - 1`.
    pub(super) const fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }

    /// A number from `from` to `to`, both included.
    pub(super) const fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Whether something happens that does in `percent` of all cases.
    pub(super) const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Dice of their own for a part of the run.
    pub(super) const fn part(&mut self) -> Self {
        Self(self.roll())
    }

    /// One of several.
    pub(super) fn of<'a, T>(&mut self, several: &'a [T]) -> &'a T {
        &several[usize::try_from(self.below(several.len() as u64)).unwrap_or_default()]
    }
}

/// One transaction of the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pay {
    /// One transfer.
    One { to: usize, value: u64 },
    /// Several transfers in one transaction.
    Burst(Vec<(usize, u64)>),
    /// The same transfer several times in one transaction.
    Same { to: usize, value: u64, times: u64 },
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// A block with these transactions.
    Block(Vec<Pay>),
    /// The newest blocks are replaced by as many others: of the transactions that fall out, this many percent are mined
    /// again, and others come in.
    Fork { depth: u64, again_percent: u64, news: Vec<Pay> },
    /// The newest blocks go, and none come in their place yet.
    Shrink { depth: u64 },
    /// A process dies, and is started again after a while; maybe with a crash point to die at.
    Kill { process: usize, down_ms: u64, crash: Option<(&'static str, u64)> },
    /// Every connection to the node is cut.
    Cut,
    /// Nothing comes through to the node or from it for a while.
    Stall { millis: u64 },
    /// The timer index is emptied.
    FlushTimers,
    /// The broker's streams are deleted.
    PurgeStreams,
}

/// One step: a pause, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) pause_ms: u64,
    pub(super) act: Act,
}

/// The whole run.
#[derive(Debug)]
pub(super) struct Plan {
    /// The roles of each process; no role means all of them.
    pub(super) processes: Vec<&'static str>,
    pub(super) steps: Vec<Step>,
    /// What the endpoints do.
    pub(super) endpoints: Dice,
    /// Which transactions are mined again, and where.
    pub(super) miners: Dice,
}

/// Who is paid: accounts 1 to 3 are watched, 4 is not.
const PAID: u64 = 4;

const LAYOUTS: [&[&str]; 3] =
    [&[""], &["", ""], &["ingest,relay", "matching,digest", "deliver,matching,relay"]];

/// How deep a fork is at most.
pub(super) const FORK_MAX: u64 = 5;

impl Plan {
    /// The plan of a seed, for about so many milliseconds.
    pub(super) fn of(seed: u64, millis: u64, servers: bool) -> Self {
        let mut dice = Dice::new(seed);
        // An in-process broker and one file are for one process.
        let processes = if servers { dice.of(&LAYOUTS).to_vec() } else { LAYOUTS[0].to_vec() };
        let (mut steps, mut passed) = (Vec::new(), 0);
        while passed < millis {
            let pause_ms = if dice.chance(40) { dice.between(0, 30) } else { dice.between(40, 260) };
            passed += pause_ms + 25;
            steps.push(Step { pause_ms, act: act(&mut dice, processes.len() as u64, servers) });
        }
        Self { processes, steps, endpoints: dice.part(), miners: dice.part() }
    }
}

fn act(dice: &mut Dice, processes: u64, servers: bool) -> Act {
    match dice.below(100) {
        0..=59 => Act::Block(payments(dice, 5)),
        60..=70 => Act::Fork {
            depth: dice.between(1, FORK_MAX),
            again_percent: *dice.of(&[0, 50, 80, 100]),
            news: payments(dice, 2),
        },
        71..=72 => Act::Shrink { depth: dice.between(1, 3) },
        73..=87 => {
            let armed = crash::COMPILED_IN && dice.chance(60);
            let process = usize::try_from(dice.below(processes)).unwrap_or_default();
            let points = points();
            let crash = if armed { Some((*dice.of(&points), dice.between(1, 3))) } else { None };
            Act::Kill { process, down_ms: dice.between(0, 400), crash }
        }
        88..=91 => Act::Cut,
        92..=93 => Act::Stall { millis: dice.between(100, 1_500) },
        94..=96 => Act::FlushTimers,
        _ if servers => Act::PurgeStreams,
        _ => Act::FlushTimers,
    }
}

// Those that a running pipeline comes by when nobody replays and no node lies.
fn points() -> Vec<&'static str> {
    let of_others =
        |point: &&str| point.starts_with("replay.") || ["audit.compared", "audit.repaired"].contains(point);
    crash::POINTS.iter().map(|(point, _)| *point).filter(|point| !of_others(point)).collect()
}

fn payments(dice: &mut Dice, most: u64) -> Vec<Pay> {
    (0..dice.between(0, most)).map(|_| payment(dice)).collect()
}

fn payment(dice: &mut Dice) -> Pay {
    let to = |dice: &mut Dice| usize::try_from(dice.between(1, PAID)).unwrap_or(1);
    match dice.below(10) {
        0 => {
            let payments = (0..dice.between(2, 6)).map(|_| (to(dice), dice.between(1, 10_000_000))).collect();
            Pay::Burst(payments)
        }
        1 => Pay::Same { to: to(dice), value: dice.between(1, 10_000_000), times: dice.between(2, 4) },
        _ => Pay::One { to: to(dice), value: dice.between(1, 10_000_000) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        let (one, again, other) =
            (Plan::of(7, 5_000, true), Plan::of(7, 5_000, true), Plan::of(8, 5_000, true));
        assert_eq!((&one.steps, &one.processes), (&again.steps, &again.processes));
        assert_ne!(one.steps, other.steps);
    }

    #[test]
    fn a_few_seeds_do_everything_that_chaos_can_do() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..20 {
            for step in Plan::of(seed, 20_000, true).steps {
                kinds.insert(format!("{:?}", step.act).split([' ', '(']).next().unwrap().to_owned());
            }
        }
        let all = ["Block", "Cut", "FlushTimers", "Fork", "Kill", "PurgeStreams", "Shrink", "Stall"];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    }
}
