//! What every standard's facts say of a single transfer, and of what several of them came to. Must not know what a token
//! is called.

use alloy_primitives::{B256, U256};
use domain::{Transfer, transfers};
use serde::Serialize;
use store::StoredEvent;

use super::{
    amount::Sum,
    moved::{AddUp, Shown},
    tally::checksummed,
    watched::{Direction, Watched},
};

/// One transfer in the facts.
#[derive(Debug, Serialize)]
pub(super) struct Movement {
    from: String,
    to: String,
    /// Whether the token was made by it: it comes from the zero address.
    minted: bool,
    /// Whether the token was destroyed by it: it goes to the zero address.
    burned: bool,
    direction: Direction,
}

/// What several transfers came to. Of ERC-721 each is 1.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// How many transfers.
    pub(super) count: u64,
    pub(super) total: Sum,
    incoming: Sum,
    outgoing: Sum,
    minted: Sum,
    burned: Sum,
}

impl Movement {
    pub(super) fn of(transfer: &Transfer, watched: &Watched) -> Self {
        Self {
            from: checksummed(&transfer.from),
            to: checksummed(&transfer.to),
            minted: transfer.from.is_zero(),
            burned: transfer.to.is_zero(),
            direction: watched.direction(transfer),
        }
    }
}

/// What several transfers came to, in the facts.
#[derive(Debug, Serialize)]
pub(super) struct Totals<T> {
    /// How many transfers.
    pub(super) count: u64,
    total: T,
    /// Into and out of the watched addresses; `null` where none is watched.
    #[serde(rename = "in")]
    incoming: Option<T>,
    out: Option<T>,
    net: Option<T>,
    /// What came from the zero address, and what went to it; `null` where nothing did.
    minted: Option<T>,
    burned: Option<T>,
}

/// The collections that the facts do not show.
#[derive(Debug, Serialize)]
pub(super) struct OtherCollections {
    collections: usize,
    transfers: u64,
}

impl OtherCollections {
    pub(super) const fn of<T>(shown: &Shown<T>) -> Self {
        Self { collections: shown.others, transfers: shown.other_transfers }
    }
}

impl AddUp for Sums {
    fn add(&mut self, transfer: &Transfer, direction: Direction) {
        let amount: U256 = transfer.amount;
        self.count += 1;
        self.total.add(amount);
        for (counts, sum) in [
            (direction.comes_in(), &mut self.incoming),
            (direction.goes_out(), &mut self.outgoing),
            (transfer.from.is_zero(), &mut self.minted),
            (transfer.to.is_zero(), &mut self.burned),
        ] {
            if counts {
                sum.add(amount);
            }
        }
    }

    fn count(&self) -> u64 {
        self.count
    }
}

impl Sums {
    /// The sums as `show` puts one, and `less` the difference of two.
    pub(super) fn totals<T>(
        &self,
        watched: bool,
        show: impl Fn(Sum) -> T,
        less: impl Fn(Sum, Sum) -> T,
    ) -> Totals<T> {
        let unless_zero = |sum: Sum| (!sum.is_zero()).then(|| show(sum));
        Totals {
            count: self.count,
            total: show(self.total),
            incoming: watched.then(|| show(self.incoming)),
            out: watched.then(|| show(self.outgoing)),
            net: watched.then(|| less(self.incoming, self.outgoing)),
            minted: unless_zero(self.minted),
            burned: unless_zero(self.burned),
        }
    }
}

/// Every transfer, in the order of the events, with its transaction.
pub(super) fn all(events: &[&StoredEvent]) -> Vec<(Transfer, B256)> {
    let each = |stored: &&StoredEvent| {
        let hash = stored.event.tx_hash;
        transfers(&stored.event).into_iter().map(move |transfer| (transfer, hash))
    };
    events.iter().flat_map(each).collect()
}
