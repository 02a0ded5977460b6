//! The figures of liquidity put into pools and taken out of them. A pure function of the events. The pools' tokens are
//! `token0` and `token1`: the events do not name them.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::Address;
use serde::Serialize;
use store::StoredEvent;

use super::{
    common::Common,
    pool::{self, Flows, PoolFacts},
    tally::{Top, checksummed},
};

/// How many pools the facts show.
const SHOWN_MAX: usize = 5;

/// The facts of `liquidity`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    /// How many events put liquidity in.
    added: u64,
    /// How many events took liquidity out.
    removed: u64,
    /// The one event, where there is one only.
    change: Option<Change>,
    pools_count: usize,
    /// Those with the most events, most first; `in` is what was put in, `out` what was taken out.
    pools: Vec<PoolFacts>,
    other_pools: Others,
}

#[derive(Debug, Serialize)]
struct Change {
    /// `added` or `removed`.
    action: &'static str,
    /// The account that called, and of V3 the position's owner.
    provider: Option<String>,
    /// In the tokens' smallest units.
    token0: String,
    token1: String,
}

#[derive(Debug, Serialize)]
struct Others {
    pools: usize,
    changes: u64,
}

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(events: &[&StoredEvent]) -> Option<Self> {
        let common = Common::of(events)?;
        let mut pools: HashMap<Address, Flows> = HashMap::new();
        let (mut added, mut removed) = (0, 0);
        for stored in events {
            let Some((shape, moved)) = pool::read(&stored.event) else { continue };
            pools.entry(stored.event.address).or_default().add(&moved);
            *(if shape.is_mint() { &mut added } else { &mut removed }) += 1;
        }
        let mut top = Top::new(SHOWN_MAX);
        for (address, flows) in &pools {
            top.offer((Reverse(flows.events), *address));
        }
        let shown: Vec<_> = top
            .into_sorted()
            .iter()
            .filter_map(|(_, address)| Some(pools.get(address)?.facts(address)))
            .collect();
        let shown_changes: u64 = shown.iter().map(|pool| pool.count).sum();
        Some(Self {
            common,
            added,
            removed,
            change: if let [stored] = events { Change::of(stored) } else { None },
            pools_count: pools.len(),
            other_pools: Others {
                pools: pools.len() - shown.len(),
                changes: added + removed - shown_changes,
            },
            pools: shown,
        })
    }
}

impl Change {
    fn of(stored: &StoredEvent) -> Option<Self> {
        let (shape, moved) = pool::read(&stored.event)?;
        let provider = pool::provider(&stored.event).as_ref().map(checksummed);
        let (action, token0, token1) = if shape.is_mint() {
            ("added", moved.in0, moved.in1)
        } else {
            ("removed", moved.out0, moved.out1)
        };
        Some(Self { action, provider, token0: token0.to_string(), token1: token1.to_string() })
    }
}
