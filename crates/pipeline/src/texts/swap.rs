//! The figures of swaps: what went into and out of each pool, and the trades, each of which is all swaps of one
//! transaction. A pure function of the events. The pools' tokens are `token0` and `token1`: a swap does not name them.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::{Address, B256, hex};
use serde::Serialize;
use store::StoredEvent;

use super::{
    amount::Sum,
    common::Common,
    pool::{self, Flows, Moved, PoolFacts},
    tally::Top,
};

/// How many trades, and how many pools of each, the facts show.
const SHOWN_MAX: usize = 5;

/// The facts of `swap`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    /// How many transactions: the swaps of one are one trade.
    trades_count: usize,
    /// Those that moved most of a pool's `token0`, most first.
    trades: Vec<Trade>,
    /// How many are not among `trades`.
    other_trades: usize,
    /// All swaps by pool.
    #[serde(flatten)]
    pools: Crossed,
}

/// All swaps of one transaction.
#[derive(Debug, Serialize)]
struct Trade {
    transaction: String,
    count: u64,
    #[serde(flatten)]
    pools: Crossed,
}

/// The pools that swaps went through.
#[derive(Debug, Serialize)]
struct Crossed {
    pools_count: usize,
    /// Those with the most swaps, most first; of a trade the first in the order of the chain.
    pools: Vec<PoolFacts>,
    other_pools: Others,
}

#[derive(Debug, Serialize)]
struct Others {
    pools: usize,
    swaps: u64,
}

/// The pools of one transaction, in the order in which it went through them.
#[derive(Debug, Default)]
struct Route(Vec<(Address, Flows)>);

/// Orders trades: the greatest first, equals in the order of the chain.
type Rank = (Reverse<Sum>, usize, B256);

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(events: &[&StoredEvent]) -> Option<Self> {
        let common = Common::of(events)?;
        let mut pools: HashMap<Address, Flows> = HashMap::new();
        let mut trades: HashMap<B256, (usize, Route)> = HashMap::new();
        for (position, stored) in events.iter().enumerate() {
            let Some((_, moved)) = pool::read(&stored.event) else { continue };
            pools.entry(stored.event.address).or_default().add(&moved);
            let (_, route) =
                trades.entry(stored.event.tx_hash).or_insert_with(|| (position, Route::default()));
            route.add(stored.event.address, &moved);
        }
        let mut largest: Top<Rank> = Top::new(SHOWN_MAX);
        for (hash, (position, route)) in &trades {
            largest.offer((Reverse(route.size()), *position, *hash));
        }
        let largest = largest.into_sorted();
        let shown =
            largest.iter().filter_map(|(_, _, hash)| trades.get(hash).map(|(_, route)| route.facts(hash)));
        Some(Self {
            common,
            trades_count: trades.len(),
            trades: shown.collect(),
            other_trades: trades.len() - largest.len(),
            pools: Crossed::busiest(&pools),
        })
    }
}

impl Route {
    fn add(&mut self, pool: Address, moved: &Moved) {
        // A block's gas bounds how many pools a transaction can go through.
        let known = self.0.iter_mut().find(|(address, _)| *address == pool);
        match known {
            Some((_, flows)) => flows.add(moved),
            None => {
                let mut flows = Flows::default();
                flows.add(moved);
                self.0.push((pool, flows));
            }
        }
    }

    /// Amounts of different tokens have no common measure without their decimals; the raw one at least is the same
    /// every time, and within one pool it is right.
    fn size(&self) -> Sum {
        self.0.iter().map(|(_, flows)| flows.volume0()).max().unwrap_or_default()
    }

    fn facts(&self, hash: &B256) -> Trade {
        let shown: Vec<_> = self.0.iter().take(SHOWN_MAX).collect();
        let count = self.0.iter().map(|(_, flows)| flows.events).sum();
        Trade {
            transaction: hex::encode_prefixed(hash),
            count,
            pools: Crossed::of(shown.iter().map(|(address, flows)| (address, flows)), self.0.len(), count),
        }
    }
}

impl Crossed {
    fn busiest(pools: &HashMap<Address, Flows>) -> Self {
        let mut top = Top::new(SHOWN_MAX);
        for (address, flows) in pools {
            top.offer((Reverse(flows.events), *address));
        }
        let top = top.into_sorted();
        let shown = top.iter().filter_map(|(_, address)| pools.get_key_value(address));
        Self::of(shown, pools.len(), pools.values().map(|flows| flows.events).sum())
    }

    fn of<'a>(shown: impl Iterator<Item = (&'a Address, &'a Flows)>, count: usize, swaps: u64) -> Self {
        let pools: Vec<_> = shown.map(|(address, flows)| flows.facts(address)).collect();
        let shown_swaps: u64 = pools.iter().map(|pool| pool.count).sum();
        let other_pools = Others { pools: count - pools.len(), swaps: swaps - shown_swaps };
        Self { pools_count: count, pools, other_pools }
    }
}
