//! The figures of ERC-20 transfers: totals in, out and net for the watched addresses, token by token. A pure
//! function of the events and of what their tokens are called.

use std::collections::HashMap;

use alloy_primitives::Address;
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    amount::{Amount, Sum},
    common::Common,
    tally::{Addresses, Tally, checksummed},
    token::TokenFacts,
    transfer::Transfer,
    watched::{Direction, Watched, WatchedFacts},
};

/// How many tokens the facts show.
const TOKENS_SHOWN_MAX: usize = 5;

/// The facts of `erc20_transfer`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    watched: Option<WatchedFacts>,
    /// The one transfer, where there is one only.
    transfer: Option<One>,
    /// How many different tokens.
    tokens_count: usize,
    /// Those with the most transfers, most first.
    tokens: Vec<TokenTotals>,
    /// What is not among `tokens`.
    other_tokens: Others,
    counterparties: Addresses,
}

#[derive(Debug, Serialize)]
struct One {
    from: String,
    to: String,
    /// Whether the token was made by it: it comes from the zero address.
    minted: bool,
    /// Whether the token was destroyed by it: it goes to the zero address.
    burned: bool,
    direction: Direction,
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
}

#[derive(Debug, Serialize)]
struct Others {
    tokens: usize,
    transfers: u64,
}

#[derive(Debug, Default)]
struct Sums {
    total: Sum,
    incoming: Sum,
    outgoing: Sum,
}

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(
        events: &[&StoredEvent],
        watched: &Watched,
        tokens: &HashMap<Address, TokenRow>,
    ) -> Option<Self> {
        let common = Common::of(events)?;
        let transfers: Vec<_> = events.iter().filter_map(|stored| Transfer::of(&stored.event)).collect();
        let mut sums: HashMap<Address, Sums> = HashMap::new();
        let (mut by_token, mut counterparties) = (Tally::default(), Tally::default());
        for transfer in &transfers {
            let direction = watched.direction(transfer);
            let sums = sums.entry(transfer.token).or_default();
            sums.total.add(transfer.value);
            if direction.comes_in() {
                sums.incoming.add(transfer.value);
            }
            if direction.goes_out() {
                sums.outgoing.add(transfer.value);
            }
            by_token.add(transfer.token);
            watched.count_others(transfer, &mut counterparties);
        }
        let watched_facts = watched.facts();
        let shown: Vec<_> = by_token
            .top(TOKENS_SHOWN_MAX)
            .into_iter()
            .filter_map(|(address, count)| {
                let token = TokenFacts::of(address, tokens);
                Some(TokenTotals::of(token, count, sums.get(&address)?, watched_facts.is_some()))
            })
            .collect();
        let one = if let [transfer] = &transfers[..] { Some(One::of(transfer, watched)) } else { None };
        let shown_transfers: u64 = shown.iter().map(|token| token.count).sum();
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
            counterparties: counterparties.facts(),
        })
    }
}

impl One {
    fn of(transfer: &Transfer, watched: &Watched) -> Self {
        Self {
            from: checksummed(&transfer.from),
            to: checksummed(&transfer.to),
            minted: transfer.from.is_zero(),
            burned: transfer.to.is_zero(),
            direction: watched.direction(transfer),
        }
    }
}

impl TokenTotals {
    fn of(token: TokenFacts, count: u64, sums: &Sums, watched: bool) -> Self {
        let decimals = token.decimals;
        Self {
            token,
            count,
            total: sums.total.amount(decimals),
            incoming: watched.then(|| sums.incoming.amount(decimals)),
            out: watched.then(|| sums.outgoing.amount(decimals)),
            net: watched.then(|| sums.incoming.less(sums.outgoing, decimals)),
        }
    }
}
