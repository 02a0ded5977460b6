//! The figures of ERC-721 transfers: which tokens of which collection moved, in and out of the watched addresses. A
//! pure function of the events and of what their collections are called.

use std::collections::{HashMap, HashSet};

use alloy_primitives::{Address, U256};
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    common::Common,
    movement::{self, Movement},
    tally::{Addresses, Tally},
    token::TokenFacts,
    watched::{Direction, Watched, WatchedFacts},
};

/// How many collections, and how many token ids of each, the facts show.
const SHOWN_MAX: usize = 5;

/// The facts of `erc721_transfer`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    watched: Option<WatchedFacts>,
    /// The one transfer, where there is one only.
    transfer: Option<One>,
    /// How many different collections.
    collections_count: usize,
    /// Those with the most transfers, most first.
    collections: Vec<Collection>,
    /// What is not among `collections`.
    other_collections: Others,
    counterparties: Addresses,
}

#[derive(Debug, Serialize)]
struct One {
    #[serde(flatten)]
    movement: Movement,
    token_id: String,
}

#[derive(Debug, Serialize)]
struct Collection {
    #[serde(flatten)]
    token: TokenFacts,
    count: u64,
    /// How many different tokens moved.
    token_ids_count: usize,
    /// The first of them, in the order of the chain.
    token_ids: Vec<String>,
    /// Transfers into and out of the watched addresses; `null` where none is watched.
    #[serde(rename = "in")]
    incoming: Option<i64>,
    out: Option<i64>,
    net: Option<i64>,
    /// Transfers from the zero address, and to it.
    minted: i64,
    burned: i64,
}

#[derive(Debug, Serialize)]
struct Others {
    collections: usize,
    transfers: u64,
}

#[derive(Debug, Default)]
struct Moves {
    first_ids: Vec<U256>,
    ids: HashSet<U256>,
    incoming: i64,
    outgoing: i64,
    minted: i64,
    burned: i64,
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
        let mut moves: HashMap<Address, Moves> = HashMap::new();
        let (mut by_collection, mut counterparties) = (Tally::default(), Tally::default());
        for (transfer, _) in &transfers {
            let moves = moves.entry(transfer.token).or_default();
            moves.add(transfer.id.unwrap_or_default(), watched.direction(transfer));
            moves.minted += i64::from(transfer.from.is_zero());
            moves.burned += i64::from(transfer.to.is_zero());
            by_collection.add(transfer.token);
            watched.count_others(transfer, &mut counterparties);
        }
        let watched_facts = watched.facts();
        let shown: Vec<_> = by_collection
            .top(SHOWN_MAX)
            .into_iter()
            .filter_map(|(address, count)| {
                let token = TokenFacts::of(address, tokens);
                Some(Collection::of(token, count, moves.get(&address)?, watched_facts.is_some()))
            })
            .collect();
        let one = if let [(transfer, _)] = &transfers[..] {
            let token_id = transfer.id.unwrap_or_default().to_string();
            Some(One { movement: Movement::of(transfer, watched), token_id })
        } else {
            None
        };
        let shown_transfers: u64 = shown.iter().map(|collection| collection.count).sum();
        Some(Self {
            common,
            watched: watched_facts,
            transfer: one,
            collections_count: by_collection.distinct(),
            other_collections: Others {
                collections: by_collection.distinct() - shown.len(),
                transfers: transfers.len() as u64 - shown_transfers,
            },
            collections: shown,
            counterparties: counterparties.facts(),
        })
    }
}

impl Moves {
    fn add(&mut self, id: U256, direction: Direction) {
        if self.ids.insert(id) && self.first_ids.len() < SHOWN_MAX {
            self.first_ids.push(id);
        }
        self.incoming += i64::from(direction.comes_in());
        self.outgoing += i64::from(direction.goes_out());
    }
}

impl Collection {
    fn of(token: TokenFacts, count: u64, moves: &Moves, watched: bool) -> Self {
        Self {
            token,
            count,
            token_ids_count: moves.ids.len(),
            token_ids: moves.first_ids.iter().map(ToString::to_string).collect(),
            incoming: watched.then_some(moves.incoming),
            out: watched.then_some(moves.outgoing),
            net: watched.then(|| moves.incoming - moves.outgoing),
            minted: moves.minted,
            burned: moves.burned,
        }
    }
}
