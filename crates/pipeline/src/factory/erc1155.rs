//! The figures of ERC-1155 transfers, single and in batches: how many of which ids of which collection moved, in and
//! out of the watched addresses. A pure function of the events and of what their collections are called.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::{Address, U256};
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    common::Common,
    movement::{self, Movement, Sums},
    tally::{Addresses, Tally, Top},
    token::TokenFacts,
    watched::{Watched, WatchedFacts},
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
    totals: Totals,
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
    totals: Totals,
}

/// In units: the standard knows no decimals.
#[derive(Debug, Serialize)]
struct Totals {
    /// How many transfers.
    count: u64,
    total: String,
    /// Into and out of the watched addresses; `null` where none is watched.
    #[serde(rename = "in")]
    incoming: Option<String>,
    out: Option<String>,
    net: Option<String>,
    /// What came from the zero address, and what went to it; `null` where nothing did.
    minted: Option<String>,
    burned: Option<String>,
}

#[derive(Debug, Serialize)]
struct OtherCollections {
    collections: usize,
    transfers: u64,
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
        let common = Common::of(events)?;
        let transfers = movement::all(events);
        // A batch may be empty: its collection is told of all the same.
        let mut moves: HashMap<Address, Moves> =
            events.iter().map(|stored| (stored.event.address, Moves::default())).collect();
        let mut counterparties = Tally::default();
        for (transfer, _) in &transfers {
            let moves = moves.entry(transfer.token).or_default();
            let direction = watched.direction(transfer);
            moves.all.add(transfer, direction);
            moves.by_id.entry(transfer.id.unwrap_or_default()).or_default().add(transfer, direction);
            watched.count_others(transfer, &mut counterparties);
        }
        let watched_facts = watched.facts();
        let mut top = Top::new(SHOWN_MAX);
        for (address, moves) in &moves {
            top.offer((Reverse(moves.all.count), *address));
        }
        let shown: Vec<_> = top
            .into_sorted()
            .into_iter()
            .filter_map(|(_, address)| {
                let token = TokenFacts::of(address, tokens);
                Some(Collection::of(token, moves.get(&address)?, watched_facts.is_some()))
            })
            .collect();
        let one = if let [(transfer, _)] = &transfers[..] {
            let token_id = transfer.id.unwrap_or_default().to_string();
            let amount = transfer.amount.to_string();
            Some(One { movement: Movement::of(transfer, watched), token_id, amount })
        } else {
            None
        };
        let shown_transfers: u64 = shown.iter().map(|collection| collection.totals.count).sum();
        Some(Self {
            common,
            watched: watched_facts,
            transfer: one,
            transfers_count: transfers.len(),
            collections_count: moves.len(),
            other_collections: OtherCollections {
                collections: moves.len() - shown.len(),
                transfers: transfers.len() as u64 - shown_transfers,
            },
            collections: shown,
            counterparties: counterparties.facts(),
        })
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
                let totals = Totals::of(moves.by_id.get(&id)?, watched);
                Some(IdTotals { id: id.to_string(), totals })
            })
            .collect();
        let shown_transfers: u64 = ids.iter().map(|id| id.totals.count).sum();
        Self {
            token,
            totals: Totals::of(&moves.all, watched),
            ids_count: moves.by_id.len(),
            other_ids: OtherIds {
                ids: moves.by_id.len() - ids.len(),
                transfers: moves.all.count - shown_transfers,
            },
            ids,
        }
    }
}

impl Totals {
    fn of(sums: &Sums, watched: bool) -> Self {
        Self {
            count: sums.count,
            total: sums.total.digits(),
            incoming: watched.then(|| sums.incoming.digits()),
            out: watched.then(|| sums.outgoing.digits()),
            net: watched.then(|| sums.incoming.less_digits(sums.outgoing)),
            minted: (!sums.minted.is_zero()).then(|| sums.minted.digits()),
            burned: (!sums.burned.is_zero()).then(|| sums.burned.digits()),
        }
    }
}
