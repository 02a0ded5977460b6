//! What of a batch looks like spam. Reads what the pure rules of `domain::spam` need: the addresses that a watch's filter
//! names, whom it knows, and what a token says of itself. Must not know how a hit is told.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use alloy_primitives::Address;
use domain::{
    ChainId, Spam, Standard, Suspicion, Transfer, Watch, WatchId,
    filter::Filter,
    matching::WatchIndex,
    spam::{self, Said},
    transfers,
};
use moka::sync::Cache;
use store::{Store, StoreError, StoredEvent, TokenRow};

use crate::notify::Notifier;

/// How many addresses of filters are kept in memory.
const NAMED_MAX: u64 = 200_000;

type Parties = Arc<BTreeSet<Address>>;

/// What a watch is told of an event.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Why it looks like spam.
    pub(crate) suspicion: Option<Suspicion>,
    /// Whom the watch knows from now on.
    pub(crate) parties: Vec<Address>,
}

/// Judges matched events.
#[derive(Debug)]
pub(crate) struct Suspect {
    // What filters name, by their text and the place of a transfer's ends.
    named: Cache<(Arc<str>, Standard), Parties>,
}

/// A transfer under a watch that does not tell everything alike.
struct Case<'m> {
    stored: &'m StoredEvent,
    watch: &'m Watch,
    transfers: Vec<Transfer>,
    named: Parties,
}

impl Suspect {
    pub(crate) fn new() -> Self {
        let weigh =
            |_: &(Arc<str>, Standard), named: &Parties| u32::try_from(named.len() + 1).unwrap_or(u32::MAX);
        Self { named: Cache::builder().max_capacity(NAMED_MAX).weigher(weigh).build() }
    }

    /// One for each match, in their order, which is that of the chain.
    pub(crate) async fn judge(
        &self,
        matched: &[(&StoredEvent, Arc<Watch>)],
        index: &WatchIndex,
        (store, notifier): (&Store, &Notifier),
    ) -> Result<Vec<Judged>, StoreError> {
        let cases: Vec<_> = matched.iter().map(|(stored, watch)| self.case(stored, watch, index)).collect();
        let asked: Vec<_> = cases.iter().flatten().flat_map(Case::asks).collect();
        if cases.iter().all(Option::is_none) {
            return Ok(cases.into_iter().map(|_| Judged::default()).collect());
        }
        let mut known: HashMap<WatchId, BTreeSet<Address>> = HashMap::new();
        for (watch, party) in store.known_parties(&asked).await? {
            known.entry(watch).or_default().insert(party);
        }
        let tokens = tokens(&cases, notifier).await?;
        let judged = cases.into_iter().map(|case| match case {
            Some(case) => case.judged(known.entry(case.watch.id.clone()).or_default(), &tokens),
            None => Judged::default(),
        });
        Ok(judged.collect())
    }

    fn case<'m>(&self, stored: &'m StoredEvent, watch: &'m Watch, index: &WatchIndex) -> Option<Case<'m>> {
        if watch.telling.spam == Spam::Tell {
            return None;
        }
        let standard = Standard::of(&stored.event)?;
        let named = match index.filter_for(&watch.id, &stored.event).flatten() {
            Some(filter) => self.named(filter, standard),
            None => Parties::default(),
        };
        Some(Case { stored, watch, transfers: transfers(&stored.event), named })
    }

    fn named(&self, filter: &Filter, standard: Standard) -> Parties {
        self.named.get_with((filter.source().into(), standard), || Arc::new(spam::named(filter, standard)))
    }
}

impl Case<'_> {
    fn parties(&self) -> BTreeSet<Address> {
        spam::counterparties(&self.transfers, &self.named)
    }

    fn asks(&self) -> Vec<(WatchId, Address)> {
        self.parties().into_iter().map(|party| (self.watch.id.clone(), party)).collect()
    }

    /// Whom this introduces is known to what follows in the batch.
    fn judged(
        &self,
        known: &mut BTreeSet<Address>,
        tokens: &HashMap<(ChainId, Address), TokenRow>,
    ) -> Judged {
        let event = &self.stored.event;
        let said = tokens.get(&(event.chain, event.address)).map_or_else(Said::default, |row| Said {
            name: row.name.as_deref(),
            symbol: row.symbol.as_deref(),
            hides: row.hides,
        });
        let suspicion = spam::suspicion(event, &self.transfers, &self.named, known, said);
        if suspicion.is_some() || !spam::introduces(&self.transfers) {
            return Judged { suspicion, parties: Vec::new() };
        }
        let parties = self.parties().into_iter().filter(|party| known.insert(*party)).collect();
        Judged { suspicion, parties }
    }
}

async fn tokens(
    cases: &[Option<Case<'_>>],
    notifier: &Notifier,
) -> Result<HashMap<(ChainId, Address), TokenRow>, StoreError> {
    let mut asked: HashMap<ChainId, HashSet<Address>> = HashMap::new();
    for case in cases.iter().flatten() {
        asked.entry(case.stored.event.chain).or_default().insert(case.stored.event.address);
    }
    let mut tokens = HashMap::new();
    for (chain, addresses) in asked {
        let rows = notifier.tokens().of(chain, &addresses).await?;
        tokens.extend(rows.into_iter().map(|(address, row)| ((chain, address), row)));
    }
    Ok(tokens)
}
