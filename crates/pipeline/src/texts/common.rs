//! The facts that every kind has: how many events, of which contract, where and when. Must not know what they say.

use std::collections::{BTreeSet, HashSet};

use alloy_primitives::hex;
use domain::Event;
use serde::Serialize;
use store::StoredEvent;

use super::tally::checksummed;

/// How many transactions, and how many addresses of a contract, the facts show.
const SHOWN_MAX: usize = 5;

/// What every kind's facts begin with.
#[derive(Debug, Serialize)]
pub(super) struct Common {
    count: usize,
    contract: Contract,
    first: Place,
    last: Place,
    transactions: Transactions,
}

/// The watched contract, which can live at many addresses.
#[derive(Debug, Serialize)]
struct Contract {
    name: String,
    /// At how many addresses events were emitted.
    count: usize,
    /// The first few of them, in ascending order.
    addresses: Vec<String>,
}

/// Where an event is.
#[derive(Debug, Serialize)]
struct Place {
    block: u64,
    /// Seconds since the Unix epoch.
    time: u64,
}

#[derive(Debug, Serialize)]
struct Transactions {
    /// How many different ones.
    count: usize,
    /// The hashes of the newest, newest first.
    newest: Vec<String>,
}

impl Common {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(events: &[&StoredEvent]) -> Option<Self> {
        let (first, last) = (&events.first()?.event, &events.last()?.event);
        let addresses: BTreeSet<_> = events.iter().map(|stored| stored.event.address).collect();
        let mut seen = HashSet::with_capacity(events.len());
        let newest: Vec<_> = events
            .iter()
            .rev()
            .filter(|stored| seen.insert(stored.event.tx_hash))
            .map(|stored| hex::encode_prefixed(stored.event.tx_hash))
            .collect();
        Some(Self {
            count: events.len(),
            contract: Contract {
                name: first.contract.to_string(),
                count: addresses.len(),
                addresses: addresses.iter().take(SHOWN_MAX).map(checksummed).collect(),
            },
            first: Place::of(first),
            last: Place::of(last),
            transactions: Transactions {
                count: newest.len(),
                newest: newest.into_iter().take(SHOWN_MAX).collect(),
            },
        })
    }
}

impl Place {
    fn of(event: &Event) -> Self {
        Self { block: event.block.number, time: event.block_timestamp }
    }
}

/// The events in the order of the chain, whatever order they were given in.
pub(super) fn in_chain_order(events: &[StoredEvent]) -> Vec<&StoredEvent> {
    let mut ordered: Vec<_> = events.iter().collect();
    ordered.sort_by_key(|stored| (stored.event.block.number, stored.event.log_index, stored.event.id));
    ordered
}
