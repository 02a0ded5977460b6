//! Owns the judgement of a URL as one number, and the order of URLs by it. Pure.
//!
//! The score begins at 100 and loses:
//! - 2 for each block of lag but the first, up to the allowed lag; beyond it 60, and 1 for each block more, 90 at most;
//! - 15 for each recent error, 60 at most; an error counts half after 15 seconds, a quarter after 30, and so on, and an
//!   answer that contradicts itself counts as three;
//! - 50 on probation after a lie;
//! - at most 3 for a slow last answer, so that latency decides only between equals.
//!
//! A URL in quarantine has 0, and one that rests after a failure 20 at most.

use std::time::Duration;

/// So much better must another URL be before it takes the place of the one in use.
pub(crate) const MARGIN: u8 = 20;

/// So much worse than the best is a URL that is no longer worth listening to.
pub(crate) const MUCH: u8 = 40;

const LAG_EACH: u64 = 2;
const LAG_BEYOND: u64 = 60;
const LAG_MOST: u64 = 90;
const BLAME_EACH: f64 = 15.0;
const BLAME_MOST: f64 = 60.0;
const PROBATION: u64 = 50;
const RESTING_MOST: u64 = 20;

/// What speaks against a URL.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Evidence {
    /// Blocks behind the best head known.
    pub(crate) lag_blocks: u64,
    /// Blocks that it may be behind.
    pub(crate) lag_max: u64,
    /// Recent errors, each counting less with time.
    pub(crate) blame: f64,
    /// It failed a moment ago, and rests.
    pub(crate) resting: bool,
    /// It lied, and is kept out of use.
    pub(crate) quarantined: bool,
    /// It lied, and is watched.
    pub(crate) on_probation: bool,
    /// Of its last answer.
    pub(crate) latency: Option<Duration>,
}

/// The score, from 0 to 100.
pub(crate) fn score(evidence: &Evidence) -> u8 {
    if evidence.quarantined {
        return 0;
    }
    let lag = evidence.lag_blocks;
    let for_lag = match lag.checked_sub(evidence.lag_max) {
        // A block takes its time from node to node.
        None | Some(0) => (lag.saturating_sub(1) * LAG_EACH).min(LAG_BEYOND),
        Some(beyond) => beyond.saturating_add(LAG_BEYOND).min(LAG_MOST),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 60")]
    let for_errors = (evidence.blame * BLAME_EACH).clamp(0.0, BLAME_MOST).floor() as u64;
    let for_probation = if evidence.on_probation { PROBATION } else { 0 };
    let for_latency = match evidence.latency.unwrap_or_default().as_secs() {
        0 => 0,
        1..=2 => 1,
        3..=9 => 2,
        _ => 3,
    };
    let left = 100_u64.saturating_sub(for_lag + for_errors + for_probation + for_latency);
    let most = if evidence.resting { RESTING_MOST } else { 100 };
    u8::try_from(left.min(most)).unwrap_or(100)
}

/// What makes the score less than 100, in words.
pub(crate) fn why(evidence: &Evidence, last_error: Option<&str>) -> Option<String> {
    let mut reasons = Vec::new();
    if evidence.quarantined {
        reasons.push("in quarantine for a lie".to_owned());
    } else if evidence.on_probation {
        reasons.push("on probation after a lie".to_owned());
    }
    if evidence.lag_blocks > 1 {
        reasons.push(format!("{} blocks behind", evidence.lag_blocks));
    }
    if evidence.resting || evidence.blame * BLAME_EACH >= 1.0 {
        let last = last_error.unwrap_or("no details");
        reasons.push(format!("recent errors, the last: {last}"));
    }
    if let Some(latency) = evidence.latency.filter(|latency| latency.as_secs() > 0) {
        reasons.push(format!("slow, {:.1} s for the last answer", latency.as_secs_f64()));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// A URL to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choosable {
    pub(crate) index: usize,
    pub(crate) score: u8,
    /// It comes after those that are not, where scores are equal.
    pub(crate) second_choice: bool,
}

impl Choosable {
    const fn order(&self) -> (bool, usize) {
        (self.second_choice, self.index)
    }
}

/// The URLs by score, equal ones in their order. The one in use stays in front until another is better by the margin, or
/// one that comes before it in order is as good again: noise in the scores moves nobody to and fro.
pub(crate) fn rank(mut urls: Vec<Choosable>, in_use: usize) -> Vec<Choosable> {
    urls.sort_by_key(|url| (std::cmp::Reverse(url.score), url.order()));
    let Some(at) = urls.iter().position(|url| url.index == in_use) else { return urls };
    let incumbent = urls[at];
    let beaten = urls[..at].iter().any(|other| {
        other.score >= incumbent.score.saturating_add(MARGIN) || other.order() < incumbent.order()
    });
    if !beaten {
        urls[..=at].rotate_right(1);
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Evidence = Evidence {
        lag_blocks: 0,
        lag_max: 5,
        blame: 0.0,
        resting: false,
        quarantined: false,
        on_probation: false,
        latency: None,
    };

    #[test]
    fn nothing_against_a_url_is_100_and_each_thing_costs_what_is_written() {
        let slow = |seconds| Some(Duration::from_secs(seconds));
        for (evidence, expected) in [
            (SOUND, 100),
            (Evidence { lag_blocks: 1, ..SOUND }, 100),
            (Evidence { lag_blocks: 5, ..SOUND }, 92),
            (Evidence { lag_blocks: 6, ..SOUND }, 39),
            (Evidence { lag_blocks: u64::MAX, ..SOUND }, 10),
            (Evidence { lag_blocks: u64::MAX, lag_max: 0, ..SOUND }, 10),
            (Evidence { blame: 1.0, ..SOUND }, 85),
            (Evidence { blame: 0.06, ..SOUND }, 100),
            (Evidence { blame: 1e9, ..SOUND }, 40),
            (Evidence { resting: true, ..SOUND }, 20),
            (Evidence { on_probation: true, ..SOUND }, 50),
            (Evidence { quarantined: true, ..SOUND }, 0),
            (Evidence { latency: slow(1), ..SOUND }, 99),
            (Evidence { latency: slow(60), ..SOUND }, 97),
            (Evidence { lag_blocks: 90, blame: 9.0, on_probation: true, ..SOUND }, 0),
        ] {
            assert_eq!(score(&evidence), expected, "{evidence:?}");
        }
        assert_eq!(why(&SOUND, Some("old")), None);
        let both = Evidence { lag_blocks: 7, blame: 1.0, ..SOUND };
        assert_eq!(
            why(&both, Some("HTTP 502")).unwrap(),
            "7 blocks behind; recent errors, the last: HTTP 502"
        );
    }

    fn order(scores: &[u8], in_use: usize) -> Vec<usize> {
        let urls = scores.iter().enumerate();
        let urls = urls.map(|(index, score)| Choosable { index, score: *score, second_choice: false });
        rank(urls.collect(), in_use).into_iter().map(|url| url.index).collect()
    }

    #[test]
    fn equal_scores_go_by_the_configured_order() {
        assert_eq!(order(&[100, 100, 100], 0), [0, 1, 2]);
        assert_eq!(order(&[90, 100, 90], 1), [1, 0, 2]);
        // One that comes first and is as good again comes first again.
        assert_eq!(order(&[100, 100, 100], 2), [0, 1, 2]);
    }

    #[test]
    fn the_url_in_use_stays_until_another_is_clearly_better() {
        assert_eq!(order(&[98, 100], 0), [0, 1]);
        assert_eq!(order(&[81, 100], 0), [0, 1]);
        assert_eq!(order(&[80, 100], 0), [1, 0]);
        // Its return takes a full recovery.
        assert_eq!(order(&[99, 100], 1), [1, 0]);
        assert_eq!(order(&[50, 39, 60], 1), [2, 0, 1]);
        // One that may not be chosen is not in front.
        assert_eq!(order(&[10, 90], 7), [1, 0]);
    }

    #[test]
    fn among_equals_one_that_can_announce_comes_first() {
        let url = |index, second_choice| Choosable { index, score: 100, second_choice };
        let ranked = rank(vec![url(0, true), url(1, false)], 0);
        assert_eq!(ranked.iter().map(|url| url.index).collect::<Vec<_>>(), [1, 0]);
    }
}
