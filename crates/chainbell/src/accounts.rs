//! One address on one chain: the fold of what is held, with what the fold leaves out and why. Owns which of a token's
//! events are said to be left out; the sums are `domain::account`'s, and the words the command's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::{Address, B256};
use domain::{
    ChainId, Content, ContractName, EventSchema, ParamType, Standard, Transfer,
    account::{Account, Passed},
    supply::{self, Change, Standing},
    transfers,
};
use store::{Store, StoreError, StoredEvent};

use crate::config::Config;

const PAGE: u32 = 5_000;

/// An event that may change the balance and is not counted, and why.
pub type LeftOut = (String, &'static str);

/// What passed through one address, and for each token what is left out.
pub type Ledger = Vec<(Address, Passed, BTreeSet<LeftOut>)>;

const NOT_READ: &str =
    "it is in the ABI and not among the events that are read: add it to the contract's events";
const NAMES_NOBODY: &str = "it names no account, and what it does to balances is not known";
const NO_TRANSFER: &str =
    "it names the address, no transfer stands beside it, and what it means is not known";
const UNCLEAR: &str = "a transfer of another amount stands beside it, so it may be counted there already";

/// Folds what is held of `address` up to block `at`.
///
/// # Errors
/// See [`StoreError`].
pub async fn ledger(
    config: &Config,
    store: &Store,
    (chain, address): (ChainId, Address),
    at: u64,
) -> Result<Ledger, StoreError> {
    let mut fold = Fold { config, chain, account: Account::new(address), left_out: BTreeMap::new() };
    let mut after = None;
    loop {
        let page = store.movements_naming(chain, address, at, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.event.block.number, last.event.log_index));
        let blocks: BTreeSet<_> = page.iter().filter(|stored| !is_transfer(stored)).map(block).collect();
        let mut beside: HashMap<B256, Vec<Transfer>> = HashMap::new();
        for stored in store.supply_transfers(chain, blocks).await? {
            beside.entry(stored.event.tx_hash).or_default().extend(transfers(&stored.event));
        }
        for stored in &page {
            fold.add(stored, beside.get(&stored.event.tx_hash).map_or(&[], Vec::as_slice));
        }
    }
    Ok(fold.end())
}

const fn block(stored: &StoredEvent) -> u64 {
    stored.event.block.number
}

fn is_transfer(stored: &StoredEvent) -> bool {
    Standard::of(&stored.event).is_some()
}

struct Fold<'c> {
    config: &'c Config,
    chain: ChainId,
    account: Account,
    left_out: BTreeMap<Address, BTreeSet<LeftOut>>,
}

impl Fold<'_> {
    fn add(&mut self, stored: &StoredEvent, beside: &[Transfer]) {
        let event = &stored.event;
        if let Some(standard) = Standard::of(event) {
            for transfer in transfers(event) {
                self.account.add(standard, &transfer);
            }
            return;
        }
        // A pool or a vault that is no token itself has such events too.
        let Content::Decoded { schema, .. } = &event.content else { return };
        if !self.is_token(event.address, &event.contract) {
            return;
        }
        let reason =
            match Change::as_transfer(event).map(|change| (change, supply::standing(&change, beside))) {
                Some((change, Standing::Alone)) => return self.account.add(Standard::Erc20, &change),
                Some((_, Standing::Told)) => return,
                Some((_, Standing::Unclear)) => UNCLEAR,
                None if beside.iter().any(|transfer| transfer.token == event.address) => return,
                None => NO_TRANSFER,
            };
        self.left_out.entry(event.address).or_default().insert((schema.signature(), reason));
    }

    fn end(self) -> Ledger {
        let mut left_out = self.left_out.clone();
        let mut rows: BTreeMap<_, _> =
            self.account.tokens().map(|(token, passed)| (token, passed.clone())).collect();
        for token in left_out.keys() {
            rows.entry(*token).or_insert_with(|| Passed::nothing(Standard::Erc20));
        }
        let rows = rows.into_iter().map(|(token, passed)| {
            let mut without = left_out.remove(&token).unwrap_or_default();
            if passed.standard == Standard::Erc20 {
                without.extend(self.never_counted(token));
            }
            (token, passed, without)
        });
        rows.collect()
    }

    /// What the ABIs of the token's contracts have and no event of an account shows.
    fn never_counted(&self, token: Address) -> Vec<LeftOut> {
        let catalog = &self.config.catalog;
        let mut without = Vec::new();
        for contract in catalog.naming(self.chain, token).chain(catalog.anywhere(self.chain)) {
            let silent = |schema: &&std::sync::Arc<EventSchema>| {
                supply::may_change(schema) && (schema.opaque().is_some() || !names_an_account(schema))
            };
            without.extend(
                contract.events.iter().filter(silent).map(|schema| (schema.signature(), NAMES_NOBODY)),
            );
        }
        for contract in catalog.naming(self.chain, token) {
            let unread = self.config.unread.get(&contract.name).into_iter().flatten();
            let read = |signature: &str| {
                let mut others = catalog.naming(self.chain, token).chain(catalog.anywhere(self.chain));
                others.any(|other| other.events.iter().any(|schema| schema.signature() == signature))
            };
            without.extend(unread.filter(|signature| !read(signature)).map(|one| (one.clone(), NOT_READ)));
        }
        without
    }

    /// Whether the transfers of the contract at `address` are read.
    fn is_token(&self, address: Address, contract: &ContractName) -> bool {
        let catalog = &self.config.catalog;
        let covering = catalog.naming(self.chain, address).chain(catalog.anywhere(self.chain));
        let transfers = |events: &[std::sync::Arc<EventSchema>]| {
            events.iter().any(|schema| Standard::of_schema(schema) == Some(Standard::Erc20))
        };
        covering.chain(catalog.get(contract)).any(|contract| transfers(&contract.events))
    }
}

fn names_an_account(schema: &EventSchema) -> bool {
    schema.params.iter().any(|param| param.ty == ParamType::Address)
}
