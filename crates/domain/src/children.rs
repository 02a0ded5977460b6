//! Contracts that other contracts create: which addresses they have, and since when. Owns the set and its rewinding;
//! must not know where it is stored or how a log is decoded.

use std::collections::HashMap;

use alloy_primitives::Address;

use crate::{ChainId, Content, ContractName, Event, Value, contract::Catalog};

/// Where the addresses of a contract come from: an event of its factory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FactoryRule {
    /// The factory, a contract of the same chain.
    pub contract: ContractName,
    /// Its event that tells of a child.
    pub event: String,
    /// The event's parameter that is the child's address.
    pub parameter: String,
}

/// The children that are known on one chain: an address, whose it is, and the block since which it is.
#[derive(Debug, Clone, Default)]
pub struct Children {
    // Nearly every address is one contract's child, once.
    by_address: HashMap<Address, Vec<(ContractName, u64)>>,
}

impl Children {
    /// Adds a child. One that was created twice is a child since its first creation.
    pub fn insert(&mut self, contract: &ContractName, address: Address, block: u64) {
        let known = self.by_address.entry(address).or_default();
        if !known.iter().any(|(name, since)| name == contract && *since == block) {
            known.push((contract.clone(), block));
            known.shrink_to_fit();
        }
    }

    /// The contracts whose child `address` is in block `number`. The block of its creation counts as a whole, because a
    /// child can speak before its factory tells of it.
    pub fn contracts_of(&self, address: Address, number: u64) -> impl Iterator<Item = &ContractName> {
        let known = self.by_address.get(&address).map_or(&[][..], Vec::as_slice);
        let mut last = None;
        known.iter().filter(move |(_, since)| *since <= number).map(|(name, _)| name).filter(move |name| {
            let repeated = last == Some(*name);
            last = Some(*name);
            !repeated
        })
    }

    /// Forgets the children that were created above a block: it is the common ancestor of a reorg.
    pub fn rewind(&mut self, ancestor: u64) {
        self.by_address.retain(|_, known| {
            known.retain(|(_, since)| *since <= ancestor);
            !known.is_empty()
        });
    }

    /// The addresses of one contract's children, in no order.
    pub fn addresses_of<'a>(&'a self, contract: &'a ContractName) -> impl Iterator<Item = Address> + 'a {
        let of = move |known: &[(ContractName, u64)]| known.iter().any(|(name, _)| name == contract);
        self.by_address.iter().filter(move |(_, known)| of(known)).map(|(address, _)| *address)
    }

    /// How many addresses are known.
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}

/// The children that an event tells of: the contract that has the factory rule, and the address.
pub fn born<'a>(
    catalog: &'a Catalog,
    chain: ChainId,
    event: &'a Event,
) -> impl Iterator<Item = (&'a ContractName, Address)> {
    catalog.of_chain(chain).filter_map(move |contract| {
        let rule = contract.factory.as_ref()?;
        let Content::Decoded { schema, params } = &event.content else { return None };
        let of_factory = rule.contract == event.contract;
        if !of_factory || rule.event != schema.name {
            return None;
        }
        match params.get(&rule.parameter)? {
            Value::Address(address) => Some((&contract.name, *address)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ContractName {
        text.parse().unwrap()
    }

    fn of(children: &Children, address: u8, number: u64) -> Vec<String> {
        let of = children.contracts_of(Address::repeat_byte(address), number);
        of.map(ToString::to_string).collect()
    }

    #[test]
    fn a_child_is_one_from_the_block_of_its_creation_on() {
        let mut children = Children::default();
        children.insert(&name("pools"), Address::repeat_byte(1), 10);
        children.insert(&name("pools"), Address::repeat_byte(1), 10);
        assert!(of(&children, 1, 9).is_empty());
        assert_eq!(of(&children, 1, 10), ["pools"]);
        assert_eq!(of(&children, 1, 11), ["pools"]);
        assert!(of(&children, 2, 11).is_empty());
    }

    #[test]
    fn a_reorg_takes_back_the_children_of_its_blocks_and_no_others() {
        let mut children = Children::default();
        children.insert(&name("pools"), Address::repeat_byte(1), 10);
        children.insert(&name("pools"), Address::repeat_byte(2), 12);
        // Created on both branches: by CREATE2 at the same address.
        children.insert(&name("pools"), Address::repeat_byte(1), 12);
        children.rewind(11);
        assert_eq!((of(&children, 1, 12), of(&children, 2, 12)), (vec!["pools".to_owned()], Vec::new()));
        children.rewind(9);
        assert!(children.is_empty());
    }

    #[test]
    fn one_address_can_be_the_child_of_two_contracts() {
        let mut children = Children::default();
        children.insert(&name("pools"), Address::repeat_byte(1), 10);
        children.insert(&name("vaults"), Address::repeat_byte(1), 11);
        assert_eq!(of(&children, 1, 12), ["pools", "vaults"]);
        assert_eq!(children.addresses_of(&name("vaults")).count(), 1);
        assert_eq!(children.len(), 1);
    }
}
