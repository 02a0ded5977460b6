//! The figures of ERC-721 transfers: which tokens of which collection moved, in and out of the watched addresses. A
//! pure function of the events and of what their collections are called.

use std::collections::{HashMap, HashSet};

use alloy_primitives::{Address, U256};
use domain::Transfer;
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    common::Common,
    moved::{AddUp, Moved},
    movement::{Movement, OtherCollections},
    tally::Addresses,
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
    other_collections: OtherCollections,
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

#[derive(Debug, Default)]
struct Moves {
    count: u64,
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
        let moved = Moved::<Moves>::of(events, watched)?;
        let collections = moved.shown(SHOWN_MAX, tokens, Collection::of);
        let one = |(transfer, movement): (&Transfer, _)| One {
            movement,
            token_id: transfer.id.unwrap_or_default().to_string(),
        };
        Some(Self {
            transfer: moved.only(watched).map(one),
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
        let id = transfer.id.unwrap_or_default();
        if self.ids.insert(id) && self.first_ids.len() < SHOWN_MAX {
            self.first_ids.push(id);
        }
        self.count += 1;
        self.incoming += i64::from(direction.comes_in());
        self.outgoing += i64::from(direction.goes_out());
        self.minted += i64::from(transfer.from.is_zero());
        self.burned += i64::from(transfer.to.is_zero());
    }

    fn count(&self) -> u64 {
        self.count
    }
}

impl Collection {
    fn of(token: TokenFacts, moves: &Moves, watched: bool) -> Self {
        Self {
            token,
            count: moves.count,
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
