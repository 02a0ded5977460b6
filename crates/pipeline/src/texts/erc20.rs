//! The figures of ERC-20 transfers: totals in, out and net for the watched addresses, token by token, and the largest
//! transfers. A pure function of the events and of what their tokens are called.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::{Address, B256, hex};
use domain::Transfer;
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    amount::{Amount, Size, Sum},
    common::Common,
    moved::Moved,
    movement::{Movement, Sums, Totals},
    tally::{Addresses, Top},
    token::{TokenFacts, decimals},
    watched::{Watched, WatchedFacts},
};

/// How many tokens, and how many of the largest transfers, the facts show.
const SHOWN_MAX: usize = 5;

/// The facts of `erc20_transfer`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    watched: Option<WatchedFacts>,
    /// The one transfer, where there is one only.
    transfer: Option<Movement>,
    /// How many different tokens.
    tokens_count: usize,
    /// Those with the most transfers, most first.
    tokens: Vec<TokenTotals>,
    /// What is not among `tokens`.
    other_tokens: Others,
    /// The transfers of most whole tokens, most first, then those of tokens that do not say their decimals.
    largest: Vec<Large>,
    /// How many are not among `largest`.
    other_transfers: usize,
    counterparties: Addresses,
}

#[derive(Debug, Serialize)]
struct TokenTotals {
    #[serde(flatten)]
    token: TokenFacts,
    #[serde(flatten)]
    totals: Totals<Amount>,
}

#[derive(Debug, Serialize)]
struct Large {
    #[serde(flatten)]
    movement: Movement,
    sum: Amount,
    token: TokenFacts,
    transaction: String,
}

#[derive(Debug, Serialize)]
struct Others {
    tokens: usize,
    transfers: u64,
}

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(
        events: &[&StoredEvent],
        watched: &Watched,
        tokens: &HashMap<Address, TokenRow>,
    ) -> Option<Self> {
        let moved = Moved::<Sums>::of(events, watched)?;
        let tokens_shown = moved.shown(SHOWN_MAX, tokens, TokenTotals::of);
        let largest = largest(&moved.transfers, watched, tokens);
        Some(Self {
            transfer: moved.only(watched).map(|(_, movement)| movement),
            other_transfers: moved.transfers.len() - largest.len(),
            common: moved.common,
            watched: moved.watched,
            tokens_count: tokens_shown.contracts,
            other_tokens: Others { tokens: tokens_shown.others, transfers: tokens_shown.other_transfers },
            tokens: tokens_shown.first,
            largest,
            counterparties: moved.counterparties,
        })
    }
}

fn largest(
    transfers: &[(Transfer, B256)],
    watched: &Watched,
    tokens: &HashMap<Address, TokenRow>,
) -> Vec<Large> {
    // Equals stay in the order of the chain.
    let mut top: Top<(Reverse<Size>, usize)> = Top::new(SHOWN_MAX);
    for (position, (transfer, _)) in transfers.iter().enumerate() {
        let size = Sum::from(transfer.amount).size(decimals(&transfer.token, tokens));
        top.offer((Reverse(size), position));
    }
    let shown = top.into_sorted().into_iter().filter_map(|(_, position)| transfers.get(position));
    shown
        .map(|(transfer, hash)| {
            let token = TokenFacts::of(transfer.token, tokens);
            Large {
                movement: Movement::of(transfer, watched),
                sum: Sum::from(transfer.amount).amount(token.decimals),
                token,
                transaction: hex::encode_prefixed(hash),
            }
        })
        .collect()
}

impl TokenTotals {
    fn of(token: TokenFacts, sums: &Sums, watched: bool) -> Self {
        let decimals = token.decimals;
        let totals = sums.totals(watched, |sum| sum.amount(decimals), |sum, other| sum.less(other, decimals));
        Self { token, totals }
    }
}
