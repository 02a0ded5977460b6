//! What the texts about transfers have in common: the transfers of some events added up contract by contract, and which
//! contracts the facts show. Must not know what is added up, nor what the facts call it.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::{Address, B256};
use domain::Transfer;
use store::{StoredEvent, TokenRow};

use super::{
    common::Common,
    movement::{self, Movement},
    tally::{Addresses, Tally, Top},
    token::TokenFacts,
    watched::{Direction, Watched, WatchedFacts},
};

/// What the transfers of one contract come to.
pub(super) trait AddUp: Default {
    fn add(&mut self, transfer: &Transfer, direction: Direction);

    /// How many were added.
    fn count(&self) -> u64;
}

/// The transfers of some events.
#[derive(Debug)]
pub(super) struct Moved<S> {
    pub(super) common: Common,
    /// `None` where nothing is watched.
    pub(super) watched: Option<WatchedFacts>,
    pub(super) counterparties: Addresses,
    /// In the order of the events, each with its transaction.
    pub(super) transfers: Vec<(Transfer, B256)>,
    by_contract: HashMap<Address, S>,
}

/// The contracts with the most transfers, most first.
#[derive(Debug)]
pub(super) struct Shown<T> {
    /// How many contracts there are.
    pub(super) contracts: usize,
    pub(super) first: Vec<T>,
    /// How many contracts are not shown.
    pub(super) others: usize,
    /// How many transfers those have.
    pub(super) other_transfers: u64,
}

impl<S: AddUp> Moved<S> {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(events: &[&StoredEvent], watched: &Watched) -> Option<Self> {
        let common = Common::of(events)?;
        let transfers = movement::all(events);
        // A batch of ERC-1155 may be empty: its collection is told of all the same.
        let mut by_contract: HashMap<Address, S> =
            events.iter().map(|stored| (stored.event.address, S::default())).collect();
        let mut counterparties = Tally::default();
        for (transfer, _) in &transfers {
            by_contract.entry(transfer.token).or_default().add(transfer, watched.direction(transfer));
            watched.count_others(transfer, &mut counterparties);
        }
        let (watched, counterparties) = (watched.facts(), counterparties.facts());
        Some(Self { common, watched, counterparties, transfers, by_contract })
    }

    /// The one transfer, where there is one only.
    pub(super) fn only(&self, watched: &Watched) -> Option<(&Transfer, Movement)> {
        let [(transfer, _)] = &self.transfers[..] else { return None };
        Some((transfer, Movement::of(transfer, watched)))
    }

    /// At most `limit` contracts, each as `show` puts it: what it says of itself, what its transfers come to, and whether
    /// any address is watched.
    pub(super) fn shown<T>(
        &self,
        limit: usize,
        tokens: &HashMap<Address, TokenRow>,
        show: impl Fn(TokenFacts, &S, bool) -> T,
    ) -> Shown<T> {
        let mut top = Top::new(limit);
        for (address, sums) in &self.by_contract {
            top.offer((Reverse(sums.count()), *address));
        }
        let top = top.into_sorted();
        let shown_transfers: u64 = top.iter().map(|(Reverse(count), _)| count).sum();
        let show = |address: Address| {
            let sums = self.by_contract.get(&address)?;
            Some(show(TokenFacts::of(address, tokens), sums, self.watched.is_some()))
        };
        let shown: Vec<_> = top.into_iter().filter_map(|(_, address)| show(address)).collect();
        Shown {
            contracts: self.by_contract.len(),
            others: self.by_contract.len() - shown.len(),
            other_transfers: self.transfers.len() as u64 - shown_transfers,
            first: shown,
        }
    }
}
