//! Owns how a question is put until it is answered: again where it failed, and to another URL where the one in use fails
//! or is late. It must not know what is asked.
//!
//! A question near the head that stands for itself (a block by its hash, its logs by its hash, headers whose links are
//! looked at) may be answered by any URL. Where another one than the pinned answers it, the rest of the decision is that
//! one's: it is pinned. A range does not stand for itself, because a node that is behind gives less of it and does not say
//! so: it stays with its URL.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use crate::{fault::Fault, link::too_slow, node::Node, upstream::Upstream};

/// How many URLs take turns.
const URLS_MAX: usize = 3;

/// The first pause before a URL is asked the same again, and the longest one, in milliseconds.
const PAUSE_MIN: u32 = 10;
const PAUSE_MAX: u32 = 500;

/// After so many questions in a row without an answer a URL counts as silent; one that was not answered in time counts as
/// so many, one that another URL answered first as one.
const SILENT: u32 = 2;

/// What a URL said, and which it was.
pub(crate) type Turn<T> = (usize, Result<T, Fault>);

/// Where a question may be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// To any URL, and the answer is waited for a few seconds.
    Anywhere,
    /// To the one in use, however long it takes.
    Here,
}

/// The pause before a URL is asked the same again: longer with each failure, shorter with each answer.
#[derive(Debug, Default)]
pub(crate) struct Pause(AtomicU32);

impl Pause {
    fn get(&self) -> Duration {
        Duration::from_millis(u64::from(self.0.load(Ordering::Relaxed).max(PAUSE_MIN)))
    }

    fn failed(&self) {
        let longer = |ms: u32| Some(ms.saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
    }

    fn answered(&self) {
        // By more than a failure makes it longer: where every other question fails, the pauses stay short.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ms| Some(ms / 4));
    }
}

impl Node {
    /// The URLs in the order in which a question is put to them, the first being `first`: each once, and again until there
    /// were as many attempts as are allowed.
    pub(crate) fn turns(&self, first: usize, place: Where) -> Vec<usize> {
        let mut urls = vec![first];
        if place == Where::Anywhere && !self.choice.fixed {
            let others = self.pool.candidates(first, false).into_iter().map(|url| url.index);
            urls.extend(others.filter(|index| *index != first).take(URLS_MAX - 1));
        }
        let attempts = if self.witness { 1 } else { self.pool.shared.config.prompt.attempts };
        let turns = urls.len().max(attempts);
        urls.into_iter().cycle().take(turns).collect()
    }

    /// Puts a question to the URL in use, and to others where it may be; pins the one that answered.
    pub(crate) async fn put<'a, T: Send + 'a>(
        &'a self,
        method: &'static str,
        place: Where,
        ask: impl Fn(&'a Upstream) -> BoxFuture<'a, Result<T, Fault>>,
    ) -> Turn<T> {
        let turns = self.turns(self.choice.pinned(), place);
        let turn = self.in_turn(method, place, &turns, ask).await;
        if let (index, Ok(_)) = &turn {
            let quarantined = self.pool.upstreams[*index].is_quarantined(self.pool.shared.clock.now());
            // Found out to lie while this answer was under way, it does not come back into use by it.
            if !quarantined {
                self.pin(*index);
            }
        }
        turn
    }

    /// Asks one URL after the other: the next one as soon as the one before it failed, and beside it when it is late. The
    /// first good answer counts; where there is none, the last fault, which is yet to be noted.
    pub(crate) async fn in_turn<'a, T: Send + 'a>(
        &'a self,
        method: &'static str,
        place: Where,
        turns: &[usize],
        ask: impl Fn(&'a Upstream) -> BoxFuture<'a, Result<T, Fault>>,
    ) -> Turn<T> {
        let alone = turns.iter().all(|index| *index == turns[0]);
        let (mut asked, mut under_way) = (HashSet::new(), HashSet::new());
        let mut answers = FuturesUnordered::new();
        let mut failed: Option<(usize, Fault)> = None;
        for (turn, index) in turns.iter().enumerate() {
            if !under_way.insert(*index) {
                continue;
            }
            let upstream = &self.pool.upstreams[*index];
            let pause = (!asked.insert(*index)).then(|| upstream.pause.get());
            answers.push(self.prompted(upstream, place, alone, pause, ask(upstream)).boxed());
            // Another URL is asked beside it; the same one is not asked twice at once.
            let beside =
                place == Where::Anywhere && turns[turn + 1..].iter().any(|next| !asked.contains(next));
            let late = async {
                if beside {
                    self.pool.shared.clock.sleep(upstream.late_after()).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let answer = tokio::select! { biased; answer = answers.next() => answer, () = late => None };
            let Some((index, answer)) = answer else { continue };
            under_way.remove(&index);
            if let Some(turn) = self.judge(method, alone, (index, answer), &mut failed) {
                self.outrun(&under_way);
                return turn;
            }
        }
        while let Some((index, answer)) = answers.next().await {
            under_way.remove(&index);
            if let Some(turn) = self.judge(method, alone, (index, answer), &mut failed) {
                self.outrun(&under_way);
                return turn;
            }
        }
        match failed {
            Some((index, fault)) => (index, Err(fault)),
            None => (turns[0], Err(Fault::Unavailable("no node is left to ask".to_owned()))),
        }
    }

    fn outrun(&self, under_way: &HashSet<usize>) {
        for late in under_way {
            self.pool.upstreams[*late].was_outrun();
        }
    }

    /// What ends the turns; a fault that does not is kept in place of the one before it, which is noted then.
    fn judge<T>(
        &self,
        method: &'static str,
        alone: bool,
        (index, answer): Turn<T>,
        failed: &mut Option<(usize, Fault)>,
    ) -> Option<Turn<T>> {
        let fault = match answer {
            Err(fault) if fault.is_worth_another_turn() => fault,
            answer => {
                if let Some((index, fault)) = failed.take() {
                    self.note_turn(method, alone, index, &fault);
                }
                return Some((index, answer));
            }
        };
        // What a single URL left unanswered is asked again by the next step, over a connection that may be a new one.
        if alone && self.pool.upstreams[index].is_silent() {
            return Some((index, Err(fault)));
        }
        if let Some((index, fault)) = failed.replace((index, fault)) {
            self.note_turn(method, alone, index, &fault);
        }
        None
    }

    // A fault that did not end the question. A single URL does not rest for it.
    fn note_turn(&self, method: &'static str, alone: bool, index: usize, fault: &Fault) {
        let upstream = &self.pool.upstreams[index];
        match fault {
            Fault::Lie(lie) if !alone => {
                upstream.note(method, fault);
                self.pool.accuse(index, lie);
            }
            fault if alone => upstream.note_in_passing(method, fault),
            fault => drop(upstream.note(method, fault)),
        }
    }

    async fn prompted<'a, T: Send + 'a>(
        &'a self,
        upstream: &'a Upstream,
        place: Where,
        alone: bool,
        pause: Option<Duration>,
        question: BoxFuture<'a, Result<T, Fault>>,
    ) -> Turn<T> {
        if let Some(pause) = pause {
            self.pool.shared.clock.sleep(pause).await;
        }
        let answer = match place {
            Where::Here => question.await,
            Where::Anywhere if self.witness => upstream.within(upstream.witness_deadline(), question).await,
            Where::Anywhere => upstream.within(upstream.deadline(alone), question).await,
        };
        match &answer {
            Ok(_) => upstream.pause.answered(),
            Err(fault) if fault.demotes() => upstream.pause.failed(),
            Err(_) => {}
        }
        (upstream.index, answer)
    }
}

impl Upstream {
    /// After this long another URL is asked beside this one.
    fn late_after(&self) -> Duration {
        self.health().prompt.late_after(&self.shared.config.prompt)
    }

    /// How long an answer near the head is waited for. Where there is no other URL, longer with each silence, so that a slow
    /// one is heard in the end.
    pub(crate) fn deadline(&self, alone: bool) -> Duration {
        let (config, health) = (&self.shared.config, self.health());
        let deadline = health.prompt.deadline(&config.prompt);
        let doublings = if alone { health.unanswered.div_ceil(SILENT).min(8) } else { 0 };
        deadline.saturating_mul(1 << doublings).min(config.request_timeout)
    }

    /// How long a second opinion is waited for.
    fn witness_deadline(&self) -> Duration {
        self.health().prompt.witness_deadline(&self.shared.config.prompt)
    }

    /// Waits for an answer no longer than `limit`, and learns how long answers take.
    pub(crate) fn within<'a, T: Send + 'a>(
        &'a self,
        limit: Duration,
        question: impl Future<Output = Result<T, Fault>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Fault>> {
        Box::pin(async move {
            let clock = &self.shared.clock;
            let began = clock.now();
            let answered = {
                let question = std::pin::pin!(question);
                tokio::select! { biased; answer = question => Some(answer), () = clock.sleep(limit) => None }
            };
            let Some(answer) = answered else {
                // A wait that the provider asked for is not its silence.
                if !self.gate.pace().is_held(clock.now()) {
                    self.fell_silent().await;
                }
                return Err(too_slow(limit));
            };
            if answer.is_ok() {
                let took = Duration::try_from(clock.now().duration_since(began)).unwrap_or_default();
                self.health().prompt.learn(took);
            }
            answer
        })
    }

    /// Another URL answered first.
    fn was_outrun(&self) {
        let now = self.shared.clock.now();
        let mut health = self.health();
        health.unanswered = health.unanswered.saturating_add(1);
        health.standing.failed(now, crate::standing::Gravity::Failure);
    }

    async fn fell_silent(&self) {
        {
            let mut health = self.health();
            health.unanswered = health.unanswered.saturating_add(SILENT);
            health.timeouts += 1;
        }
        self.drop_silent_link().await;
    }

    /// Whether it leaves questions unanswered. It is out of use, and no witness, until it answers one again.
    pub(crate) fn is_silent(&self) -> bool {
        self.health().unanswered >= SILENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_while_nothing_is_answered_and_stays_short_where_half_is() {
        let pause = Pause::default();
        (0..10).for_each(|_| pause.failed());
        assert_eq!(pause.get(), Duration::from_millis(500));
        for _ in 0..10 {
            pause.answered();
            pause.failed();
        }
        assert_eq!(pause.get(), Duration::from_millis(10));
    }
}
