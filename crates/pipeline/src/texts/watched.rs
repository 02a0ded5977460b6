//! The addresses that a watch is about: those that its filter demands of a transfer's ends. They decide what is
//! incoming and what is outgoing. Must not know amounts.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use alloy_primitives::Address;
use domain::{Content, EventSchema, Standard, Transfer, Watch, filter::Filter, spam};
use serde::Serialize;
use store::StoredEvent;

use super::tally::{self, Tally};

/// How many watched addresses the facts show.
const SHOWN_MAX: usize = 5;

/// The addresses; empty where the filter names none.
#[derive(Debug, Default)]
pub(super) struct Watched(BTreeSet<Address>);

/// Where a transfer goes, seen from the watched addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    In,
    Out,
    /// From one watched address to another, or to itself.
    Internal,
    /// Neither end is watched.
    Other,
}

/// The watched addresses in the facts.
#[derive(Debug, Serialize)]
pub(super) struct WatchedFacts {
    count: usize,
    addresses: Vec<String>,
}

impl Watched {
    /// Reads the watch's filter against the schema of each event. A filter that does not fit a schema says nothing
    /// about its events.
    pub(super) fn of(watch: &Watch, events: &[&StoredEvent]) -> Self {
        let Some(source) = &watch.filter else { return Self::default() };
        let mut schemas: HashMap<*const EventSchema, &Arc<EventSchema>> = HashMap::new();
        for stored in events {
            if let Content::Decoded { schema, .. } = &stored.event.content {
                schemas.insert(Arc::as_ptr(schema), schema);
            }
        }
        let mut distinct: Vec<&Arc<EventSchema>> = Vec::with_capacity(schemas.len());
        for schema in schemas.into_values() {
            if !distinct.contains(&schema) {
                distinct.push(schema);
            }
        }
        Self(distinct.into_iter().flat_map(|schema| demanded(source, schema)).collect())
    }

    pub(super) fn direction(&self, transfer: &Transfer) -> Direction {
        match (self.0.contains(&transfer.from), self.0.contains(&transfer.to)) {
            (false, true) => Direction::In,
            (true, false) => Direction::Out,
            (true, true) => Direction::Internal,
            (false, false) => Direction::Other,
        }
    }

    /// The ends that are not watched.
    pub(super) fn count_others(&self, transfer: &Transfer, tally: &mut Tally<Address>) {
        let ends = BTreeSet::from([transfer.from, transfer.to]);
        ends.difference(&self.0).for_each(|address| tally.add(*address));
    }

    /// `None` where nothing is watched.
    pub(super) fn facts(&self) -> Option<WatchedFacts> {
        let addresses = self.0.iter().take(SHOWN_MAX).map(tally::checksummed).collect();
        (!self.0.is_empty()).then_some(WatchedFacts { count: self.0.len(), addresses })
    }
}

/// The addresses that the filter demands of a transfer's ends. The zero address is where tokens are made and destroyed: it
/// owns nothing, so nothing is its income.
fn demanded(source: &str, schema: &EventSchema) -> BTreeSet<Address> {
    let filter = Filter::compile_held(source, schema).ok();
    let filter = filter.zip(Standard::of_schema(schema));
    filter.map_or_else(BTreeSet::new, |(filter, standard)| spam::named(&filter, standard))
}

impl Direction {
    pub(super) const fn comes_in(self) -> bool {
        matches!(self, Self::In | Self::Internal)
    }

    pub(super) const fn goes_out(self) -> bool {
        matches!(self, Self::Out | Self::Internal)
    }
}
