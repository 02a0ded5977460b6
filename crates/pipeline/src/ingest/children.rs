//! The children of factory contracts: read from the store at the start, found in what is decoded, and committed with it.

use domain::{ChainId, ChainName, Children, ContractName, children::born};
use store::{BackfillCommit, Child, ContractCursor, EventQuery, Publish, Store};

use super::Ingest;
use crate::RoomError;

// How many rows are read at once.
const PAGE: u32 = 10_000;

// With more children than this, a piece of the past is asked for by topics alone.
const ADDRESSES_MAX: usize = 500;

/// The children of every factory on a chain, as far as they are known.
///
/// # Errors
/// See [`store::StoreError`].
pub async fn known_children(
    store: &Store,
    chain: ChainId,
    catalog: &domain::Catalog,
) -> Result<Children, RoomError> {
    let mut children = Children::default();
    for contract in catalog.of_chain(chain).filter(|contract| contract.factory.is_some()) {
        let mut after = None;
        loop {
            let page = store.children(chain, &contract.name, after, PAGE).await?;
            for child in &page {
                children.insert(&child.contract, child.address, child.block.number);
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => after = Some((last.block.number, last.address)),
                _ => break,
            }
        }
    }
    Ok(children)
}

impl Ingest {
    /// Whether the past of a factory remains to be read. Until it is, nobody knows whose logs the live ones are, so the
    /// live chain waits: what is late is not lost.
    pub(super) fn factories_behind(&self) -> bool {
        // What lies above our tip, after a reorg, is read live.
        let tip = self.chain.as_ref().map_or(0, |chain| chain.tip().number);
        let behind =
            |cursor: &ContractCursor| cursor.next_block < cursor.live_from.min(tip.saturating_add(1));
        self.cursors.iter().any(|cursor| behind(cursor) && self.is_factory(&cursor.name))
    }

    pub(super) fn is_factory(&self, name: &ContractName) -> bool {
        let mut contracts = self.deps.catalog.of_chain(self.config.chain);
        contracts.any(|contract| contract.factory.as_ref().is_some_and(|rule| rule.contract == *name))
    }

    /// Children that decoded events tell of and that were not known. They are known from here on; a commit that fails
    /// makes everything be read from the store again.
    pub(super) fn new_children(&mut self, events: &[domain::Event]) -> Vec<Child> {
        let mut new = Vec::new();
        for event in events {
            for (contract, address) in born(&self.deps.catalog, self.config.chain, event) {
                new.push(Child { contract: contract.clone(), address, block: event.block });
            }
        }
        for child in &new {
            self.children.insert(&child.contract, child.address, child.block.number);
        }
        new
    }

    /// Reads the children from the store, and finds those of contracts that are new beside a factory that is not: its
    /// events are held.
    pub(super) async fn meet_children(&mut self) -> Result<(), RoomError> {
        let (store, chain) = (&self.deps.store, self.config.chain);
        self.children = known_children(store, chain, &self.deps.catalog).await?;
        for cursor in self.cursors.iter().filter(|cursor| is_untouched(cursor)) {
            let contract = self.deps.catalog.get(&cursor.name).filter(|contract| contract.factory.is_some());
            let Some(rule) = contract.and_then(|contract| contract.factory.as_ref()) else { continue };
            let mut after = None;
            loop {
                let contract = Some(rule.contract.clone());
                let query = EventQuery { chain, from: 0, to: u64::MAX, contract, after, limit: PAGE };
                let page = store.events(&query).await?;
                let held = page.iter().flat_map(|stored| {
                    let of = born(&self.deps.catalog, chain, &stored.event);
                    of.filter(|(name, _)| **name == cursor.name).map(|(name, address)| Child {
                        contract: name.clone(),
                        address,
                        block: stored.event.block,
                    })
                });
                let held: Vec<_> = held.collect();
                self.keep_children(&self.config.name, &held).await?;
                for child in &held {
                    self.children.insert(&child.contract, child.address, child.block.number);
                }
                match page.last() {
                    Some(last) if page.len() == PAGE as usize => {
                        after = Some((last.event.block.number, last.event.log_index));
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }

    async fn keep_children(&self, name: &ChainName, children: &[Child]) -> Result<(), RoomError> {
        if children.is_empty() {
            return Ok(());
        }
        let lease = self.fence_name();
        let commit = BackfillCommit {
            chain: self.config.chain,
            name,
            contracts: &[],
            block: None,
            events: &[],
            children,
            publish: Publish::No,
            fence: self.fence(&lease),
            now: self.deps.clock.now(),
        };
        self.deps.store.commit_backfill(&commit).await?;
        Ok(())
    }

    /// The filters of a piece of the past. Few children are asked for by address; one that has none yet needs no question.
    pub(super) fn filters_of_past<'a>(
        &self,
        names: impl Iterator<Item = &'a ContractName>,
    ) -> Vec<domain::LogFilter> {
        let contracts = names.filter_map(|name| self.deps.catalog.get(name)).filter_map(|contract| {
            if contract.factory.is_none() {
                return Some(std::sync::Arc::clone(contract));
            }
            let addresses: Vec<_> =
                self.children.addresses_of(&contract.name).take(ADDRESSES_MAX + 1).collect();
            match addresses.len() {
                0 => None,
                many if many > ADDRESSES_MAX => Some(std::sync::Arc::clone(contract)),
                _ => Some(std::sync::Arc::new(domain::Contract { addresses, ..contract.as_ref().clone() })),
            }
        });
        let contracts: Vec<_> = contracts.collect();
        domain::Catalog::filters(&contracts)
    }
}

// Met for the first time, or to be read anew.
const fn is_untouched(cursor: &ContractCursor) -> bool {
    cursor.next_block == cursor.start_block
}
