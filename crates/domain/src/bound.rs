//! How much can be asked for at once: blocks in a range, questions in a message. Owns the search for a limit that nobody
//! names, from what was granted and what was refused; must not know what is asked, nor of whom. Pure.

/// The longest that a limit is kept before more is tried again, in grants.
const LASTS_MAX: u32 = 65_536;

/// What was learned of a limit. It is found by halving the gap between what was granted and what was refused. After a
/// number of grants it is forgotten, because whoever set it may have changed it; each time that it turns out to stand, it
/// is kept twice as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    // The most that was granted, below what was refused.
    granted: u64,
    // The least that was refused lately.
    refused: Option<u64>,
    // What was refused before that was forgotten.
    once_refused: Option<u64>,
    grants: u32,
    lasts: u32,
    lasts_first: u32,
}

/// A limit as it outlives a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The most that was granted.
    pub granted: u64,
    /// The least that was refused.
    pub refused: u64,
    /// After so many grants more is tried again.
    pub lasts: u32,
}

impl Bound {
    /// Nothing is known; what will be is kept for `lasts` grants at first.
    pub const fn new(lasts: u32) -> Self {
        Self { granted: 0, refused: None, once_refused: None, grants: 0, lasts, lasts_first: lasts }
    }

    /// Takes up what was learned before.
    pub fn recall(&mut self, learned: Learned) {
        self.refused = Some(learned.refused.max(2));
        self.granted = learned.granted.min(learned.refused.max(2) - 1);
        self.lasts = learned.lasts.clamp(self.lasts_first, LASTS_MAX);
        (self.once_refused, self.grants) = (None, 0);
    }

    /// What is worth being kept: a limit below which something was granted.
    pub fn learned(&self) -> Option<Learned> {
        let refused = self.refused.filter(|_| self.granted > 0)?;
        Some(Learned { granted: self.granted, refused, lasts: self.lasts })
    }

    /// The most that was granted since more than that was refused.
    pub const fn granted_most(&self) -> u64 {
        self.granted
    }

    /// How much to ask for at most: the middle between what was granted and what was refused, while the gap is worth a
    /// try, and twice as much as was granted where that is forgotten. Nothing where nothing was refused.
    pub fn limit(&self) -> Option<u64> {
        let Some(refused) = self.refused else {
            return self.once_refused.map(|_| self.granted.saturating_mul(2).max(1));
        };
        let room = refused.saturating_sub(self.granted);
        let limit = if room > refused / 8 { self.granted + room / 2 } else { self.granted };
        Some(limit.max(1))
    }

    /// Whether so much was refused before, even if that is forgotten by now.
    pub fn was_refused(&self, amount: u64) -> bool {
        [self.refused, self.once_refused].into_iter().flatten().any(|refused| amount >= refused)
    }

    /// So much was granted.
    pub fn grant(&mut self, amount: u64) {
        self.granted = self.granted.max(amount);
        self.grants = self.grants.saturating_add(1);
        if self.refused.or(self.once_refused).is_some_and(|refused| amount >= refused) {
            // There is no such limit any more.
            (self.refused, self.once_refused, self.lasts) = (None, None, self.lasts_first);
        } else if self.refused.is_some() && self.grants >= self.lasts {
            self.once_refused = self.refused.take();
        }
    }

    /// So much was refused, maybe with a suggestion of what would be granted.
    pub fn refuse(&mut self, amount: u64, suggested: Option<u64>) {
        let before = self.once_refused.take();
        if before.is_some() {
            // It stands.
            self.lasts = self.lasts.saturating_mul(2).min(LASTS_MAX);
        }
        self.refused = [self.refused, before, Some(amount)].into_iter().flatten().min();
        self.grants = 0;
        if self.granted >= amount {
            self.granted = 0;
        }
        if let Some(suggested) = suggested.filter(|suggested| (1..amount).contains(suggested)) {
            // Nothing between it and what was refused is worth a try.
            self.granted = suggested;
            self.refused = Some(suggested.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for `wanted`, or what the bound allows, so many times; how often that was refused.
    fn ask(bound: &mut Bound, wanted: u64, limit: u64, times: u32) -> u32 {
        let refused = (0..times).filter(|_| {
            let amount = bound.limit().map_or(wanted, |limit| limit.min(wanted));
            let fits = amount <= limit;
            if fits {
                bound.grant(amount);
            } else {
                bound.refuse(amount, None);
            }
            !fits
        });
        u32::try_from(refused.count()).unwrap()
    }

    #[test]
    fn a_limit_is_found_in_few_questions_and_nearly_whole() {
        for limit in [1, 3, 10, 100, 1_000] {
            let mut bound = Bound::new(1_000);
            let refused = ask(&mut bound, 10_000, limit, 100);
            let kept = bound.limit().unwrap();
            assert!(kept <= limit && kept * 8 >= limit * 7, "{kept} of {limit}");
            assert!(refused <= 16, "{refused} refusals until {limit}");
        }
    }

    #[test]
    fn a_limit_that_stands_is_tried_more_and_more_seldom() {
        let mut bound = Bound::new(64);
        let early = ask(&mut bound, 1_000, 100, 1_000);
        let late = ask(&mut bound, 1_000, 100, 100_000);
        assert!(early < 60 && late < 120, "{early} and {late} refusals");
    }

    #[test]
    fn a_limit_that_fell_is_found_out() {
        let mut bound = Bound::new(64);
        ask(&mut bound, 1_000, 100, 1_000);
        let questions = (0..).take_while(|_| {
            ask(&mut bound, 1_000, u64::MAX, 1);
            bound.limit().is_some()
        });
        assert!(questions.count() <= 1_024);
        assert_eq!(ask(&mut bound, 1_000, u64::MAX, 10), 0);
    }

    #[test]
    fn what_was_learned_outlives_the_process_and_only_where_something_was_granted() {
        let mut bound = Bound::new(64);
        bound.refuse(500, None);
        assert_eq!(bound.learned(), None, "it may be refused whatever the amount is");
        bound.grant(100);
        let learned = bound.learned().unwrap();
        assert_eq!((learned.granted, learned.refused), (100, 500));
        let mut later = Bound::new(64);
        later.recall(learned);
        assert_eq!(later.limit(), bound.limit());
        assert!(later.was_refused(500) && !later.was_refused(499));
        // Nonsense does no harm.
        later.recall(Learned { granted: 9, refused: 0, lasts: 0 });
        assert_eq!(later.limit(), Some(1));
    }

    #[test]
    fn a_suggestion_is_taken_where_it_is_less_than_what_was_refused() {
        let mut bound = Bound::new(64);
        bound.refuse(1_000, Some(120));
        assert_eq!(bound.limit(), Some(120));
        bound.refuse(120, Some(120));
        assert_eq!(bound.limit(), Some(60));
    }
}
