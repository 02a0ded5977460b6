//! Owns where the past is asked for when a URL has let go of it: which blocks each URL is known to lack, and the way to
//! another one that has them. Blocks as old as these are final, so that it does not matter who tells of them; a URL that
//! lacks them is as good as before for newer ones.

use domain::LogQuery;
use futures::future::BoxFuture;

use crate::{
    fault::Fault,
    node::Node,
    questions::BY_NUMBER,
    turns::{Turn, Where},
    upstream::Upstream,
};

/// Which blocks a question is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Era {
    oldest: u64,
    newest: u64,
    // Whether it is a long stretch of final blocks, which may be asked for elsewhere on a mere suspicion. Near the head
    // nothing but the node's own word leads elsewhere.
    stretch: bool,
    // Whether only headers are asked for, which are kept longer than what is in the blocks.
    headers: bool,
}

impl Era {
    pub(crate) const fn block(number: u64) -> Self {
        Self { oldest: number, newest: number, stretch: false, headers: false }
    }

    pub(crate) fn headers(numbers: &[u64]) -> Option<Self> {
        let (oldest, newest) = (numbers.iter().min()?, numbers.iter().max()?);
        Some(Self { oldest: *oldest, newest: *newest, stretch: false, headers: true })
    }

    pub(crate) const fn of(query: LogQuery) -> Self {
        match query {
            LogQuery::Block(block) => Self::block(block.number),
            LogQuery::Range { from, to } => Self { oldest: from, newest: to, stretch: true, headers: false },
        }
    }

    fn doubt(self, url: &Upstream) -> u8 {
        if self.headers {
            return 0;
        }
        let doubt = url.pruned().doubt(self.oldest);
        if self.stretch || doubt == LACKING { doubt } else { 0 }
    }
}

/// So many blocks above the newest block that a URL lacks are taken to be lacking too, at least.
const ASSUMED_MIN: u64 = 1_000;

/// The doubt about a block that the node said it lacks.
const LACKING: u8 = 2;

/// What one URL is known to have let go of. Pure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pruned(Option<Lacking>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lacking {
    oldest: u64,
    newest: u64,
}

impl Pruned {
    /// The node said that it lacks this block. Returns whether that is new.
    pub(crate) fn refused(&mut self, block: u64) -> bool {
        let Some(lacking) = &mut self.0 else {
            self.0 = Some(Lacking { oldest: block, newest: block });
            return true;
        };
        lacking.oldest = lacking.oldest.min(block);
        lacking.newest = lacking.newest.max(block);
        false
    }

    /// The node has this block: whatever it lacks lies below.
    pub(crate) fn had(&mut self, block: u64) {
        let Some(lacking) = &mut self.0 else { return };
        match block.checked_sub(1).filter(|below| *below >= lacking.oldest) {
            Some(below) => lacking.newest = lacking.newest.min(below),
            // It came back, as after a new start with more history.
            None => self.0 = None,
        }
    }

    /// How much speaks against asking for this block: 0 nothing, 1 what lies not far below it is lacking, 2 it is itself.
    /// The further the lacking blocks reach, the further ahead they are taken to, so that a long history costs few
    /// questions in vain.
    pub(crate) fn doubt(&self, block: u64) -> u8 {
        let Some(lacking) = self.0 else { return 0 };
        let assumed = (lacking.newest - lacking.oldest).max(ASSUMED_MIN);
        if block <= lacking.newest { 2 } else { u8::from(block <= lacking.newest.saturating_add(assumed)) }
    }
}

impl Node {
    /// Puts a question about the blocks of `era` where it may be put, and where they were let go of to the others, the
    /// fittest first. Returns the answer with the URL that gave it.
    pub(crate) async fn put_to_history<'a, T: Send + 'a>(
        &'a self,
        method: &'static str,
        place: Where,
        era: Option<Era>,
        ask: impl Fn(&'a Upstream) -> BoxFuture<'a, Result<T, Fault>> + Send + Sync,
    ) -> Turn<T> {
        let in_use = self.choice.pinned();
        let url = |index: usize| &self.pool.upstreams[index];
        let doubt = |index: usize| era.map_or(0, |era| era.doubt(url(index)));
        let mut failed = None;
        if self.witness || doubt(in_use) == 0 {
            let (index, answer) = self.put(method, place, &ask).await;
            match learn(url(index), era, answer) {
                Err(fault @ Fault::Pruned(_)) if !self.witness => failed = Some((index, fault)),
                answer => return (index, answer),
            }
        }
        let asked = failed.as_ref().map(|(index, _)| *index);
        let mut order = vec![in_use];
        order.extend(self.pool.others(in_use));
        order.retain(|index| Some(*index) != asked);
        // The order of equals stays.
        order.sort_by_key(|index| doubt(*index));
        for index in order {
            if index != in_use && !reaches(url(index), era).await {
                continue;
            }
            let (index, answer) =
                self.in_turn(method, Where::Here, &self.turns(index, Where::Here), &ask).await;
            let fault = match learn(url(index), era, answer) {
                Err(fault) if fault.demotes() || matches!(fault, Fault::Pruned(_)) => fault,
                answer => return (index, answer),
            };
            // What may pass says more about the next try than what stays.
            let passing = !matches!(fault, Fault::Pruned(_));
            if failed.as_ref().is_none_or(|(_, before)| passing && matches!(before, Fault::Pruned(_))) {
                failed = Some((index, fault));
            } else {
                url(index).note(method, &fault);
            }
        }
        let nobody = || (in_use, Fault::Unavailable("no node is left to ask".to_owned()));
        let (index, fault) = failed.unwrap_or_else(nobody);
        (index, Err(fault))
    }
}

/// Takes note of what an answer says about the URL's history.
fn learn<T>(url: &Upstream, era: Option<Era>, answer: Result<T, Fault>) -> Result<T, Fault> {
    let Some(Era { oldest, headers, .. }) = era else { return answer };
    let mut pruned = url.pruned();
    match &answer {
        Ok(_) if !headers && pruned.doubt(oldest) > 0 => pruned.had(oldest),
        Err(Fault::Pruned(why)) if pruned.refused(oldest) => {
            let (chain, at, why) =
                (&url.shared.config.chain, url.endpoint.redacted(), url.endpoint.clean(why));
            tracing::info!(%chain, url = at, block = oldest, why, "the node keeps no history of this block");
        }
        _ => {}
    }
    drop(pruned);
    answer
}

/// Whether the URL is known to have come so far: one that lags answers that there is nothing.
async fn reaches(url: &Upstream, era: Option<Era>) -> bool {
    let Some(Era { newest, .. }) = era else { return true };
    if url.health().standing.head.is_some_and(|head| head >= newest) {
        return true;
    }
    match url.headers_by_number(&[newest]).await {
        Ok(headers) => headers.iter().all(Option::is_some),
        // It has come so far: what it lacks of the block is for the question to show.
        Err(Fault::Pruned(_)) => true,
        Err(fault) => {
            url.note(BY_NUMBER, &fault);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_above_a_lacking_block_is_doubted_the_further_the_more_is_lacking() {
        let mut pruned = Pruned::default();
        assert_eq!(pruned.doubt(0), 0);
        assert!(pruned.refused(10) && !pruned.refused(10));
        assert_eq!([0, 10, 11, 1_010, 1_011].map(|block| pruned.doubt(block)), [2, 2, 1, 1, 0]);
        pruned.refused(100_010);
        assert_eq!([100_010, 100_011, 200_010, 200_011].map(|block| pruned.doubt(block)), [2, 1, 1, 0]);
    }

    #[test]
    fn a_block_that_is_there_ends_what_is_lacking() {
        let mut pruned = Pruned::default();
        pruned.refused(10);
        pruned.refused(500);
        pruned.had(400);
        assert_eq!([399, 400, 1_399, 1_400].map(|block| pruned.doubt(block)), [2, 1, 1, 0]);
        // It came back.
        pruned.had(5);
        assert_eq!(pruned, Pruned::default());
    }
}
