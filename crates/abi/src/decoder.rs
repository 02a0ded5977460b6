//! Whose log it is and what it says. Owns the choice among the contracts that cover an address; the choice among
//! the layouts of one contract is `layout`'s.

use std::{collections::HashMap, sync::Arc};

use domain::{Catalog, ChainId, Children, Content, ContractName, Event, EventId, LogicalId, Origin, RawLog};

use crate::{
    layout::{Layouts, Verdict, undecoded},
    readings::{Readings, Settled},
};

/// What a log says, and under which contract's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The contract that claims it.
    pub contract: ContractName,
    /// Its event, or why it is none.
    pub content: Content,
}

/// Decodes the logs of a catalog's contracts.
#[derive(Debug)]
pub struct Decoder {
    catalog: Arc<Catalog>,
    layouts: HashMap<ContractName, Layouts>,
}

impl Decoder {
    /// Prepares every event of every contract.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let prepared =
            |contract: &Arc<domain::Contract>| (contract.name.clone(), Layouts::new(&contract.events));
        let layouts = catalog.contracts().iter().map(prepared).collect();
        Self { catalog, layouts }
    }

    /// The contracts that it decodes for.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What the log says, or `None` where it is no configured contract's event: node filters overlap.
    ///
    /// The first contract that reads it claims it, those that name its address before those that take any. A log
    /// that bears the topic 0 of an event and yet fits none is undecoded, under the first contract that has the
    /// event, and so is one that several events read differently. Anonymous events count only for contracts that name the address, and only where no topic 0 fits.
    pub fn decode(&self, chain: ChainId, log: &RawLog) -> Option<Decoded> {
        self.decode_among(chain, log, &Children::default())
    }

    /// As [`Decoder::decode`], where the contracts of factories cover the addresses of `children`, after those that name
    /// the address.
    pub fn decode_among(&self, chain: ChainId, log: &RawLog, children: &Children) -> Option<Decoded> {
        let naming = self.catalog.naming(chain, log.address).map(|contract| &contract.name);
        let born = children.contracts_of(log.address, log.block.number);
        let named = self.settle(log, true, naming.chain(born));
        let settled = match named {
            Settled::Foreign => self.settle_anywhere(chain, log),
            Settled::Misfit(name, reason) => match self.settle_anywhere(chain, log) {
                Settled::Foreign | Settled::Misfit(..) => Settled::Misfit(name, reason),
                settled => settled,
            },
            settled => settled,
        };
        let (contract, content) = match settled {
            Settled::Event(name, content) => (name, content),
            Settled::Several(name, reason) | Settled::Misfit(name, reason) => (name, undecoded(log, reason)),
            Settled::Foreign => return self.decode_anonymous(chain, log),
        };
        Some(Decoded { contract: contract.clone(), content })
    }

    fn settle<'a>(
        &'a self,
        log: &RawLog,
        named: bool,
        contracts: impl Iterator<Item = &'a ContractName>,
    ) -> Settled<&'a ContractName> {
        let mut readings = Readings::new(named);
        for name in contracts {
            if let Some(layouts) = self.layouts.get(name) {
                readings.add(name, layouts, log);
            }
        }
        readings.settle(log)
    }

    fn settle_anywhere(&self, chain: ChainId, log: &RawLog) -> Settled<&ContractName> {
        self.settle(log, false, self.catalog.anywhere(chain).map(|contract| &contract.name))
    }

    fn decode_anonymous(&self, chain: ChainId, log: &RawLog) -> Option<Decoded> {
        self.catalog
            .naming(chain, log.address)
            .filter_map(|contract| self.layouts.get(&contract.name).map(|layouts| (contract, layouts)))
            .filter(|(_, layouts)| layouts.has_anonymous())
            .find_map(|(contract, layouts)| {
                let content = match layouts.by_shape(log) {
                    Verdict::Event(content) => content,
                    Verdict::Misfit(reason) => undecoded(log, reason),
                    Verdict::Foreign => return None,
                };
                Some(Decoded { contract: contract.name.clone(), content })
            })
    }
}

/// The event that a decoded log is. `timestamp` is its block's, in seconds since the Unix epoch.
pub fn to_event(
    chain: ChainId,
    log: &RawLog,
    timestamp: u64,
    origin: Origin,
    logical: LogicalId,
    decoded: Decoded,
) -> Event {
    Event {
        id: EventId::derive(chain, log.block.hash, log.log_index),
        logical,
        chain,
        block: log.block,
        block_timestamp: timestamp,
        tx_hash: log.tx_hash,
        tx_index: log.tx_index,
        log_index: log.log_index,
        address: log.address,
        contract: decoded.contract,
        content: decoded.content,
        origin,
    }
}
