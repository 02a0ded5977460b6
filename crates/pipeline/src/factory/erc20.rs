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
    movement::{self, Movement, Sums},
    tally::{Addresses, Tally, Top},
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
    count: u64,
    total: Amount,
    /// Into and out of the watched addresses; `null` where none is watched.
    #[serde(rename = "in")]
    incoming: Option<Amount>,
    out: Option<Amount>,
    net: Option<Amount>,
    /// What came from the zero address, and what went to it; `null` where nothing did.
    minted: Option<Amount>,
    burned: Option<Amount>,
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
        let common = Common::of(events)?;
        let transfers = movement::all(events);
        let mut sums: HashMap<Address, Sums> = HashMap::new();
        let (mut by_token, mut counterparties) = (Tally::default(), Tally::default());
        for (transfer, _) in &transfers {
            sums.entry(transfer.token).or_default().add(transfer, watched.direction(transfer));
            by_token.add(transfer.token);
            watched.count_others(transfer, &mut counterparties);
        }
        let watched_facts = watched.facts();
        let shown: Vec<_> = by_token
            .top(SHOWN_MAX)
            .into_iter()
            .filter_map(|(address, _)| {
                let token = TokenFacts::of(address, tokens);
                Some(TokenTotals::of(token, sums.get(&address)?, watched_facts.is_some()))
            })
            .collect();
        let one = if let [(one, _)] = &transfers[..] { Some(Movement::of(one, watched)) } else { None };
        let shown_transfers: u64 = shown.iter().map(|token| token.count).sum();
        let largest = largest(&transfers, watched, tokens);
        Some(Self {
            common,
            watched: watched_facts,
            transfer: one,
            tokens_count: by_token.distinct(),
            other_tokens: Others {
                tokens: by_token.distinct() - shown.len(),
                transfers: transfers.len() as u64 - shown_transfers,
            },
            tokens: shown,
            other_transfers: transfers.len() - largest.len(),
            largest,
            counterparties: counterparties.facts(),
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
        let unless_zero = |sum: Sum| (!sum.is_zero()).then(|| sum.amount(decimals));
        Self {
            token,
            count: sums.count,
            total: sums.total.amount(decimals),
            incoming: watched.then(|| sums.incoming.amount(decimals)),
            out: watched.then(|| sums.outgoing.amount(decimals)),
            net: watched.then(|| sums.incoming.less(sums.outgoing, decimals)),
            minted: unless_zero(sums.minted),
            burned: unless_zero(sums.burned),
        }
    }
}
