//! The figures of events that are no transfers, or of several kinds: their names, the addresses they speak of, and
//! a single one's parameters in readable form. A pure function of the events.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::Address;
use domain::{Content, Event, Value};
use serde::Serialize;
use store::StoredEvent;

use super::{
    clean,
    common::Common,
    readable,
    tally::{Addresses, Tally},
};

/// How many names of events, and how many parameters of addresses, the facts show.
const SHOWN_MAX: usize = 5;

/// How many parameters of a single event the facts show.
const PARAMS_SHOWN_MAX: usize = 24;

/// The most characters of a name that comes from an ABI.
const NAME_CHARS_MAX: usize = 80;

/// The facts of `contract_event`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    /// How many different names of events.
    names_count: usize,
    /// Those that occurred most, most first.
    names: Vec<Named>,
    /// The single event's parameters in ABI order; `null` where there are several events.
    params: Option<Vec<Param>>,
    /// How many of its parameters are not shown.
    other_params: usize,
    /// The addresses in each parameter of type `address`, by its name, first names first.
    addresses: Vec<ParamAddresses>,
}

#[derive(Debug, Serialize)]
struct Named {
    /// `null`: no ABI's event fitted.
    name: Option<String>,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Param {
    name: String,
    /// Readable and bounded, not exact: long bytes and texts are shortened.
    value: String,
}

#[derive(Debug, Serialize)]
struct ParamAddresses {
    name: String,
    #[serde(flatten)]
    addresses: Addresses,
}

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(events: &[&StoredEvent]) -> Option<Self> {
        let common = Common::of(events)?;
        let mut names: Tally<Option<&str>> = Tally::default();
        for stored in events {
            names.add(stored.event.name());
        }
        let shown = names.top(SHOWN_MAX).into_iter();
        let single = if let [stored] = events { Some(&stored.event) } else { None };
        Some(Self {
            common,
            names_count: names.distinct(),
            names: shown.map(|(name, count)| Named { name: name.map(name_text), count }).collect(),
            params: single.map(params),
            other_params: single.map_or(0, |event| params_count(event).saturating_sub(PARAMS_SHOWN_MAX)),
            addresses: addresses(events),
        })
    }
}

fn params(event: &Event) -> Vec<Param> {
    let Content::Decoded { params, .. } = &event.content else { return Vec::new() };
    let shown = params.0.iter().take(PARAMS_SHOWN_MAX);
    shown.map(|(name, value)| Param { name: name_text(name), value: readable::text(value) }).collect()
}

fn params_count(event: &Event) -> usize {
    match &event.content {
        Content::Decoded { params, .. } => params.0.len(),
        Content::Undecoded { .. } => 0,
    }
}

// Grouped by name, not by position: the same name means the same thing in a contract's several events.
fn addresses(events: &[&StoredEvent]) -> Vec<ParamAddresses> {
    let mut tallies: HashMap<&str, Tally<Address>> = HashMap::new();
    for stored in events {
        let Content::Decoded { params, .. } = &stored.event.content else { continue };
        for (name, value) in &params.0 {
            if let Value::Address(address) = value {
                tallies.entry(name).or_default().add(*address);
            }
        }
    }
    let ordered: BTreeMap<_, _> = tallies.into_iter().collect();
    let shown = ordered.into_iter().take(SHOWN_MAX);
    shown.map(|(name, tally)| ParamAddresses { name: name_text(name), addresses: tally.facts() }).collect()
}

fn name_text(name: &str) -> String {
    clean::line(name, NAME_CHARS_MAX).unwrap_or_else(|| "?".to_owned())
}
