//! Which watches an event concerns. Owns the index that makes the answer cost what the event's own candidates
//! cost, and the check that a watch makes sense; must not know hits, windows or where watches are stored.
//!
//! A watch is on a contract and one of its events. An event belongs to every contract that covers its address and
//! has an event of its layout, not only to the one whose name it bears: a watch on an address-less "any ERC-20"
//! sees the transfers of the tokens that are also named. For each (contract, layout) a group holds its watches by
//! the keys that their filters promise ([`Filter::cover`]), and the few that promise none in a list.
//!
//! [`Filter::cover`]: crate::filter::Filter::cover

mod group;
mod interner;
mod problem;
mod select;

use std::{collections::HashMap, sync::Arc};

pub use problem::{FitsNotAll, WatchProblem};
pub use select::validate;

use crate::{
    Catalog, ContractName, Event, Watch, WatchId, event::Content, filter::Filter, schema::EventSchema,
};
use group::Group;
use interner::Interner;

/// All watches that are not paused, compiled, by what they look at.
#[derive(Debug)]
pub struct WatchIndex {
    catalog: Arc<Catalog>,
    groups: Vec<Group>,
    /// The groups of a contract, one for each layout that is watched.
    by_contract: HashMap<ContractName, Vec<usize>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_id: HashMap<WatchId, u32>,
    interner: Interner,
}

/// A watch and where it stands.
#[derive(Debug)]
struct Slot {
    watch: Arc<Watch>,
    placements: Box<[Placement]>,
}

/// One group that a watch is in, and its filter for that group's layout.
#[derive(Debug)]
struct Placement {
    group: u32,
    filter: Option<Arc<Filter>>,
}

impl WatchIndex {
    /// Compiles and indexes `watches`. Those that make no sense are left out and named with their problem; a watch
    /// replaces an earlier one of the same id.
    pub fn build(
        catalog: &Arc<Catalog>,
        watches: impl IntoIterator<Item = Watch>,
    ) -> (Self, Vec<(WatchId, WatchProblem)>) {
        let mut index = Self {
            catalog: Arc::clone(catalog),
            groups: Vec::new(),
            by_contract: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            interner: Interner::default(),
        };
        let mut problems = Vec::new();
        for watch in watches {
            let id = watch.id.clone();
            if let Err(problem) = index.insert(watch) {
                problems.push((id, problem));
            }
        }
        (index, problems)
    }

    /// Adds a watch, or puts it in the place of the one with its id. A paused watch only removes that one.
    ///
    /// # Errors
    /// [`WatchProblem`] when the watch makes no sense; the one with its id is gone then too, since it was edited.
    pub fn insert(&mut self, watch: Watch) -> Result<(), WatchProblem> {
        self.remove(&watch.id);
        if watch.paused {
            return Ok(());
        }
        let catalog = Arc::clone(&self.catalog);
        let (contract, schemas) = select::events(&catalog, &watch)?;
        let interner = &mut self.interner;
        let compiled = select::compile(&watch, &schemas, |source, schema| interner.compile(source, schema))?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let mut placements = Vec::with_capacity(compiled.len());
        for (schema, filter) in compiled {
            let group = self.group(&contract.name, &schema);
            let placed = |placement: &Placement| placement.group as usize == group;
            // An ABI can declare one layout twice under other names; the first declaration counts.
            if !placements.iter().any(placed) {
                self.groups[group].add(slot, filter.as_deref());
                placements.push(Placement { group: u32::try_from(group).unwrap_or(u32::MAX), filter });
            }
        }
        self.by_id.insert(watch.id.clone(), slot);
        self.slots[slot as usize] = Some(Slot { watch: Arc::new(watch), placements: placements.into() });
        Ok(())
    }

    /// Takes a watch out; whether it was in.
    pub fn remove(&mut self, id: &WatchId) -> bool {
        let Some(slot) = self.by_id.remove(id) else { return false };
        if let Some(removed) = self.slots[slot as usize].take() {
            for Placement { group, filter } in removed.placements {
                self.groups[group as usize].remove(slot, filter.as_deref());
                if let Some(filter) = filter {
                    self.interner.release(filter);
                }
            }
        }
        self.free.push(slot);
        true
    }

    /// The watch of that id, if it is in.
    pub fn get(&self, id: &WatchId) -> Option<&Arc<Watch>> {
        let slot = self.by_id.get(id)?;
        self.slots[*slot as usize].as_ref().map(|slot| &slot.watch)
    }

    /// How many watches are in.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no watch is in.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The contracts that the watches are checked against.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The watches that `event` satisfies, each once. None for an undecoded event.
    pub fn matches(&self, event: &Event) -> Vec<Arc<Watch>> {
        let mut matched = Vec::new();
        self.for_candidates(event, |slot, placement| {
            if placement.filter.as_ref().is_none_or(|filter| filter.matches(event)) {
                matched.push(Arc::clone(&slot.watch));
            }
        });
        matched
    }

    /// How many watches' filters are evaluated to find those that `event` satisfies.
    pub fn candidates(&self, event: &Event) -> usize {
        let mut count = 0;
        self.for_candidates(event, |_, _| count += 1);
        count
    }

    /// Why a watch does or does not concern an event: the filter that applies to it, or nothing where the watch is
    /// not about such events at all.
    pub fn filter_for(&self, id: &WatchId, event: &Event) -> Option<Option<&Filter>> {
        let slot = self.slots[*self.by_id.get(id)? as usize].as_ref()?;
        let groups = self.groups_of(event);
        let placement =
            slot.placements.iter().find(|placement| groups.contains(&(placement.group as usize)))?;
        Some(placement.filter.as_deref())
    }

    fn for_candidates<'i>(&'i self, event: &Event, mut visit: impl FnMut(&'i Slot, &'i Placement)) {
        for group in self.groups_of(event) {
            for candidate in self.groups[group].candidates(event) {
                let Some(slot) = self.slots[candidate as usize].as_ref() else { continue };
                if let Some(placement) = slot.placements.iter().find(|at| at.group as usize == group) {
                    visit(slot, placement);
                }
            }
        }
    }

    /// The groups whose contract covers the event's address, or has it as a child, and whose layout is the event's. A watch is in one of
    /// them at most: it has one contract, and a contract has one group of a layout.
    fn groups_of(&self, event: &Event) -> Vec<usize> {
        let Content::Decoded { schema, .. } = &event.content else { return Vec::new() };
        let (chain, catalog) = (event.chain, &self.catalog);
        let parent = catalog.get(&event.contract).filter(|contract| contract.factory.is_some());
        let covering = catalog.naming(chain, event.address).chain(catalog.anywhere(chain)).chain(parent);
        let groups = covering
            .filter_map(|contract| self.by_contract.get(&contract.name))
            .flatten()
            .copied()
            .filter(|group| self.groups[*group].has_layout(schema));
        let mut groups: Vec<_> = groups.collect();
        // A contract that lists an address twice covers it twice.
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    fn group(&mut self, contract: &ContractName, schema: &Arc<EventSchema>) -> usize {
        let of_contract = self.by_contract.entry(contract.clone()).or_default();
        let known = of_contract.iter().copied().find(|group| self.groups[*group].has_layout(schema));
        known.unwrap_or_else(|| {
            self.groups.push(Group::new(Arc::clone(schema)));
            of_contract.push(self.groups.len() - 1);
            self.groups.len() - 1
        })
    }
}
