//! Owns the decision whether a refusal is about how much was asked for at once. No text decides it: what was refused again
//! while a single one of it was answered is too much, whatever the words are. Pure: the evidence is handed in.

use domain::{Bound, Learned};

use crate::fault::Fault;

/// After so many grants a limit is forgotten at first.
pub(crate) const LASTS: u32 = 64;

/// What is known of how much a URL takes at once.
#[derive(Debug)]
pub(crate) struct Learner {
    bound: Bound,
    // The smallest amount that was refused since so much was granted last, and how often.
    suspected: Option<(u64, u32)>,
    // What was said when so much was found to be too much last.
    why: String,
}

/// What a refusal may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is the first one, of an amount that was granted before: more likely it passes.
    Passing,
    /// It is the first one of such an amount.
    New,
    /// So much was refused before.
    Again,
    /// So much was found to be too much before.
    Known,
}

impl Learner {
    pub(crate) const fn new() -> Self {
        Self { bound: Bound::new(LASTS), suspected: None, why: String::new() }
    }

    /// How much to ask for at most.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.bound.limit()
    }

    pub(crate) fn learned(&self) -> Option<Learned> {
        self.bound.learned()
    }

    pub(crate) fn recall(&mut self, learned: Learned) {
        self.bound.recall(learned);
    }

    /// So much was granted.
    pub(crate) fn grant(&mut self, amount: u64) {
        self.bound.grant(amount);
        self.suspected.take_if(|(suspected, _)| amount >= *suspected);
    }

    /// So much was refused. What that means shows when a single one is asked for.
    pub(crate) fn doubt(&mut self, amount: u64) -> Doubt {
        if self.bound.was_refused(amount) {
            return Doubt::Known;
        }
        let (least, times) = self.suspected.unwrap_or((amount, 0));
        self.suspected = Some((least.min(amount), times.saturating_add(1)));
        if times > 0 || (self.bound.limit().is_some() && amount > self.bound.granted_most()) {
            // Where there is a limit, it may lie lower.
            Doubt::Again
        } else if amount <= self.bound.granted_most() {
            Doubt::Passing
        } else {
            Doubt::New
        }
    }

    /// What was said when so much was found to be too much last.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// So much is too much, in these words. Returns whether that is news.
    pub(crate) fn refuse(&mut self, amount: u64, suggested: Option<u64>, why: &str) -> bool {
        why.clone_into(&mut self.why);
        let news = !self.bound.was_refused(amount);
        self.bound.refuse(amount, suggested);
        self.suspected = None;
        news
    }
}

/// With more recent errors than this, as blame counts them, a URL fails by chance too often for one answer between two
/// refusals to mean anything.
const CALM_MAX: f64 = 3.0;

/// So many times in a row such a URL has to refuse an amount and to answer a single one.
const ROUNDS: usize = 4;

/// How often an amount is to be refused once more, with an answer to a single one each time, before it is too much.
pub(crate) fn rounds(doubt: Doubt, blame: f64) -> usize {
    if blame > CALM_MAX { ROUNDS } else { usize::from(doubt != Doubt::Known) }
}

/// Whether a fault may be the refusal of an amount: the node did not do what it was asked for, in whatever words.
pub(crate) const fn may_refuse(fault: &Fault) -> bool {
    match fault {
        Fault::Unavailable(_)
        | Fault::Refused(_)
        | Fault::NotJsonRpc(_)
        | Fault::Denied(_)
        | Fault::RateLimited { .. }
        | Fault::RangeTooLarge { .. }
        | Fault::Unsupported(_) => true,
        // Where nothing was said, nothing was refused.
        Fault::Silent(_)
        | Fault::WrongChain(_)
        | Fault::Held(_)
        | Fault::UnknownBlock
        | Fault::Pruned(_)
        | Fault::Incoherent(_)
        | Fault::Lie(_)
        | Fault::Unproved(_)
        | Fault::Reverted(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_fails_by_chance_has_to_refuse_more_often() {
        assert_eq!([Doubt::Known, Doubt::Again, Doubt::New].map(|doubt| rounds(doubt, 2.0)), [0, 1, 1]);
        assert_eq!([Doubt::Known, Doubt::Again].map(|doubt| rounds(doubt, 8.0)), [ROUNDS; 2]);
    }

    #[test]
    fn a_refusal_means_more_the_second_time_and_after_a_grant_it_is_a_first_one_again() {
        let mut learner = Learner::new();
        assert_eq!(learner.doubt(100), Doubt::New);
        assert_eq!(learner.doubt(100), Doubt::Again);
        learner.grant(50);
        assert_eq!(learner.doubt(100), Doubt::Again, "less was granted");
        learner.grant(100);
        assert_eq!(learner.doubt(100), Doubt::Passing);
        assert_eq!(learner.doubt(100), Doubt::Again);
        assert!(learner.refuse(100, None, "no"));
        assert_eq!(learner.doubt(150), Doubt::Known);
        assert_eq!(learner.doubt(60), Doubt::Again, "there is a limit");
    }
}
