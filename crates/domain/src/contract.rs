//! Watched contracts and the question which of them a log belongs to. Must not know ABIs' encoding.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256};

use crate::{ChainId, ContractName, children::FactoryRule, outside::LogFilter, schema::EventSchema};

/// From where a contract is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartBlock {
    /// From this block on.
    Number(u64),
    /// From the head at the moment when chainbell first meets the contract.
    Latest,
}

/// One `[[contract]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Name, unique over all chains.
    pub name: ContractName,
    /// Chain.
    pub chain: ChainId,
    /// Where it lives; empty: wherever a log of its events is emitted, or where its factory put it.
    pub addresses: Vec<Address>,
    /// The factory whose children it is, instead of addresses.
    pub factory: Option<FactoryRule>,
    /// The events to keep.
    pub events: Vec<Arc<EventSchema>>,
    /// From where to read.
    pub start: StartBlock,
}

impl Contract {
    /// Whether logs of `address` can be this contract's. A factory's child can have any address.
    pub fn covers(&self, address: Address) -> bool {
        self.addresses.is_empty() || self.addresses.contains(&address)
    }

    fn fingerprint(&self) -> String {
        let mut addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        let mut events: Vec<_> = self.events.iter().map(|event| event.declaration()).collect();
        addresses.sort_unstable();
        events.sort_unstable();
        let factory = self.factory.as_ref().map(|rule| (&rule.contract, &rule.event, &rule.parameter));
        let text = format!("{addresses:?} {events:?} {factory:?}");
        alloy_primitives::keccak256(text).to_string()
    }
}

/// All contracts of one configuration, indexed by chain, address and topic 0.
#[derive(Debug, Default)]
pub struct Catalog {
    contracts: Vec<Arc<Contract>>,
    by_name: HashMap<ContractName, usize>,
    by_address: HashMap<(ChainId, Address), Vec<usize>>,
    anywhere: HashMap<ChainId, Vec<usize>>,
}

impl Catalog {
    /// Indexes `contracts`. Their order matters: the first that has an address claims its logs.
    pub fn new(contracts: Vec<Contract>) -> Self {
        let mut catalog = Self::default();
        for contract in contracts {
            let index = catalog.contracts.len();
            for address in &contract.addresses {
                catalog.by_address.entry((contract.chain, *address)).or_default().push(index);
            }
            if contract.addresses.is_empty() && contract.factory.is_none() {
                catalog.anywhere.entry(contract.chain).or_default().push(index);
            }
            catalog.by_name.insert(contract.name.clone(), index);
            catalog.contracts.push(Arc::new(contract));
        }
        catalog
    }

    /// Every contract, in the order of the configuration.
    pub fn contracts(&self) -> &[Arc<Contract>] {
        &self.contracts
    }

    /// The contracts of one chain.
    pub fn of_chain(&self, chain: ChainId) -> impl Iterator<Item = &Arc<Contract>> {
        self.contracts.iter().filter(move |contract| contract.chain == chain)
    }

    /// The contract of that name.
    pub fn get(&self, name: &ContractName) -> Option<&Arc<Contract>> {
        self.by_name.get(name).map(|index| &self.contracts[*index])
    }

    /// What is read for a contract, as text that changes when, and only when, something else is to be read: its addresses,
    /// its events, its factory and what is read for that. Where it is read from is not part of it.
    pub fn fingerprint(&self, contract: &Contract) -> String {
        let own = contract.fingerprint();
        match contract.factory.as_ref().and_then(|rule| self.get(&rule.contract)) {
            Some(factory) => alloy_primitives::keccak256(own + &factory.fingerprint()).to_string(),
            None => own,
        }
    }

    /// The contracts that name an address.
    pub fn naming(&self, chain: ChainId, address: Address) -> impl Iterator<Item = &Arc<Contract>> {
        let named = self.by_address.get(&(chain, address)).into_iter().flatten();
        named.map(|index| &self.contracts[*index])
    }

    /// The contracts that take any address, the children of factories aside.
    pub fn anywhere(&self, chain: ChainId) -> impl Iterator<Item = &Arc<Contract>> {
        let anywhere = self.anywhere.get(&chain).into_iter().flatten();
        anywhere.map(|index| &self.contracts[*index])
    }

    /// The fewest `eth_getLogs` filters that bring every log of `contracts` and little else.
    ///
    /// Contracts with addresses share one filter over their addresses and topics; those without share one over
    /// topics, and so do the children of factories, however many they are; one with an anonymous event needs all logs of
    /// its addresses, and without an address has none.
    pub fn filters<'a>(contracts: impl IntoIterator<Item = &'a Arc<Contract>>) -> Vec<LogFilter> {
        let (mut named, mut anywhere, mut anonymous) =
            (LogFilter::default(), LogFilter::default(), LogFilter::default());
        for contract in contracts {
            let signed = contract.events.iter().filter(|event| !event.anonymous);
            let topics = signed.map(|event| event.topic0());
            if contract.addresses.is_empty() {
                anywhere.topics0.extend(topics);
            } else if contract.events.iter().any(|event| event.anonymous) {
                anonymous.addresses.extend(&contract.addresses);
            } else {
                named.addresses.extend(&contract.addresses);
                named.topics0.extend(topics);
            }
        }
        // A log that two filters bring is dropped by its log index later; this only keeps them small.
        named.addresses.retain(|address| !anonymous.addresses.contains(address));
        let mut filters = Vec::new();
        // A filter without addresses means "any address", so an empty one must not get through.
        let useful =
            [!anonymous.addresses.is_empty(), !named.addresses.is_empty(), !anywhere.topics0.is_empty()];
        for (mut filter, useful) in [anonymous, named, anywhere].into_iter().zip(useful) {
            if useful {
                dedup(&mut filter.addresses);
                dedup(&mut filter.topics0);
                filters.push(filter);
            }
        }
        filters
    }
}

fn dedup<T: Ord>(items: &mut Vec<T>) {
    items.sort_unstable();
    items.dedup();
}

/// Whether a bloom may contain a log of `filter` (Yellow Paper, 4.3.1). `false` is what the bloom claims, which a
/// node can get wrong.
pub fn bloom_may_match(bloom: &alloy_primitives::Bloom, filter: &LogFilter) -> bool {
    use alloy_primitives::BloomInput;
    let has = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
    let address =
        filter.addresses.is_empty() || filter.addresses.iter().any(|address| has(address.as_slice()));
    let topic = filter.topics0.is_empty() || filter.topics0.iter().any(|topic: &B256| has(topic.as_slice()));
    address && topic
}
