//! The figures of ERC-1155 transfers, single and in batches: how many of which ids of which collection moved, in and
//! out of the watched addresses. A pure function of the events and of what their collections are called.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::{Address, U256};
use domain::Transfer;
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    amount::Sum,
    common::Common,
    moved::{AddUp, Moved},
    movement::{Movement, OtherCollections, Sums, Totals},
    tally::{Addresses, Top},
    token::TokenFacts,
    watched::{Direction, Watched, WatchedFacts},
};

/// How many collections, and how many ids of each, the facts show.
const SHOWN_MAX: usize = 5;

/// The facts of `erc1155_transfer`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    watched: Option<WatchedFacts>,
    /// The one transfer of one id, where there is one only.
    transfer: Option<One>,
    /// How many transfers of an id; a batch has one for each.
    transfers_count: usize,
    /// How many different collections.
    collections_count: usize,
    /// Those with the most transfers, most first.
    collections: Vec<Collection>,
    /// What is not among `collections`.
    other_collections: OtherCollections,
    counterparties: Addresses,
}

#[derive(Debug, Serialize)]
struct One {
    #[serde(flatten)]
    movement: Movement,
    token_id: String,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Collection {
    #[serde(flatten)]
    token: TokenFacts,
    /// Over all ids.
    #[serde(flatten)]
    totals: Totals<String>,
    /// How many different ids moved.
    ids_count: usize,
    /// Those of which most moved, most first.
    ids: Vec<IdTotals>,
    /// What is not among `ids`.
    other_ids: OtherIds,
}

#[derive(Debug, Serialize)]
struct IdTotals {
    id: String,
    #[serde(flatten)]
    totals: Totals<String>,
}

#[derive(Debug, Serialize)]
struct OtherIds {
    ids: usize,
    transfers: u64,
}

/// What moved in one collection.
#[derive(Debug, Default)]
struct Moves {
    all: Sums,
    by_id: HashMap<U256, Sums>,
}

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(
        events: &[&StoredEvent],
        watched: &Watched,
        tokens: &HashMap<Address, TokenRow>,
    ) -> Option<Self> {
        let moved = Moved::<Moves>::of(events, watched)?;
        let collections = moved.shown(SHOWN_MAX, tokens, Collection::of);
        let one = |(transfer, movement): (&Transfer, _)| One {
            movement,
            token_id: transfer.id.unwrap_or_default().to_string(),
            amount: transfer.amount.to_string(),
        };
        Some(Self {
            transfer: moved.only(watched).map(one),
            transfers_count: moved.transfers.len(),
            common: moved.common,
            watched: moved.watched,
            collections_count: collections.contracts,
            other_collections: OtherCollections::of(&collections),
            collections: collections.first,
            counterparties: moved.counterparties,
        })
    }
}

impl AddUp for Moves {
    fn add(&mut self, transfer: &Transfer, direction: Direction) {
        self.all.add(transfer, direction);
        self.by_id.entry(transfer.id.unwrap_or_default()).or_default().add(transfer, direction);
    }

    fn count(&self) -> u64 {
        self.all.count
    }
}

impl Collection {
    fn of(token: TokenFacts, moves: &Moves, watched: bool) -> Self {
        let mut top = Top::new(SHOWN_MAX);
        for (id, sums) in &moves.by_id {
            top.offer((Reverse(sums.total), *id));
        }
        let ids: Vec<_> = top
            .into_sorted()
            .into_iter()
            .filter_map(|(_, id)| {
                let totals = totals(moves.by_id.get(&id)?, watched);
                Some(IdTotals { id: id.to_string(), totals })
            })
            .collect();
        let shown_transfers: u64 = ids.iter().map(|id| id.totals.count).sum();
        Self {
            token,
            totals: totals(&moves.all, watched),
            ids_count: moves.by_id.len(),
            other_ids: OtherIds {
                ids: moves.by_id.len() - ids.len(),
                transfers: moves.all.count - shown_transfers,
            },
            ids,
        }
    }
}

/// In units: the standard knows no decimals.
fn totals(sums: &Sums, watched: bool) -> Totals<String> {
    sums.totals(watched, Sum::digits, Sum::less_digits)
}
