//! The watches on one event of one contract, by the values that their filters ask for.

use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use crate::{
    Event,
    event::Content,
    filter::{CoverKey, CoverPlace, Filter},
    schema::EventSchema,
    value::Value,
};

#[derive(Debug)]
pub(super) struct Group {
    schema: Arc<EventSchema>,
    /// The places that keys look at, with the number of keys that do.
    places: BTreeMap<CoverPlace, usize>,
    /// Slots by the hash of (place, value). Two values under one hash only make a candidate too many.
    keyed: HashMap<u64, Bucket>,
    /// Slots whose filters promise no value, ascending.
    residual: Vec<u32>,
    hasher: RandomState,
}

/// Slots, ascending. Most keys have one watch.
#[derive(Debug)]
enum Bucket {
    One(u32),
    Many(Vec<u32>),
}

impl Bucket {
    fn slots(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }
}

impl Group {
    pub(super) fn new(schema: Arc<EventSchema>) -> Self {
        Self {
            schema,
            places: BTreeMap::new(),
            keyed: HashMap::new(),
            residual: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn has_layout(&self, schema: &Arc<EventSchema>) -> bool {
        Arc::ptr_eq(&self.schema, schema) || self.schema.same_layout(schema)
    }

    pub(super) fn add(&mut self, slot: u32, filter: Option<&Filter>) {
        let Some(keys) = filter.and_then(Filter::cover) else {
            insert_sorted(&mut self.residual, slot);
            return;
        };
        for CoverKey { place, value } in keys {
            *self.places.entry(place).or_default() += 1;
            let hash = self.hash(place, &value);
            self.keyed
                .entry(hash)
                .and_modify(|bucket| match bucket {
                    Bucket::One(only) if *only == slot => {}
                    Bucket::One(only) => {
                        let mut slots = vec![*only];
                        insert_sorted(&mut slots, slot);
                        *bucket = Bucket::Many(slots);
                    }
                    Bucket::Many(slots) => insert_sorted(slots, slot),
                })
                .or_insert(Bucket::One(slot));
        }
    }

    /// Undoes [`Group::add`], which is told the same filter.
    pub(super) fn remove(&mut self, slot: u32, filter: Option<&Filter>) {
        let Some(keys) = filter.and_then(Filter::cover) else {
            remove_sorted(&mut self.residual, slot);
            return;
        };
        for CoverKey { place, value } in keys {
            if let Some(count) = self.places.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    self.places.remove(&place);
                }
            }
            let hash = self.hash(place, &value);
            let emptied = match self.keyed.get_mut(&hash) {
                Some(Bucket::One(only)) => *only == slot,
                Some(Bucket::Many(slots)) => {
                    remove_sorted(slots, slot);
                    slots.is_empty()
                }
                None => false,
            };
            if emptied {
                self.keyed.remove(&hash);
            }
        }
    }

    /// The slots whose filters `event` may satisfy, each once.
    pub(super) fn candidates(&self, event: &Event) -> Vec<u32> {
        let Content::Decoded { params, .. } = &event.content else { return Vec::new() };
        let mut found = Vec::new();
        for place in self.places.keys() {
            let hash = match place {
                CoverPlace::Address => self.hash(*place, &Value::Address(event.address)),
                CoverPlace::Param(position) => match params.at(*position as usize) {
                    Some(value) => self.hash(*place, value),
                    None => continue,
                },
            };
            found.extend(self.keyed.get(&hash).map_or(&[][..], Bucket::slots));
        }
        found.extend_from_slice(&self.residual);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn hash(&self, place: CoverPlace, value: &Value) -> u64 {
        self.hasher.hash_one((place, value))
    }
}

// Building adds in ascending order, so that this is a push nearly always.
fn insert_sorted(slots: &mut Vec<u32>, slot: u32) {
    if slots.last().is_none_or(|last| *last < slot) {
        slots.push(slot);
    } else if let Err(position) = slots.binary_search(&slot) {
        slots.insert(position, slot);
    }
}

fn remove_sorted(slots: &mut Vec<u32>, slot: u32) {
    if let Ok(position) = slots.binary_search(&slot) {
        slots.remove(position);
    }
}
