//! Names, symbols and decimals of tokens: asked of the contract once, kept in the store. A token's answer is hostile
//! text; `abi` cleans it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use abi::metadata::{MetadataCall, decode_decimals, decode_text, raw_text};
use alloy_primitives::{Address, Bytes};
use domain::{ChainClient, ChainError, ChainId, Clock, spam};
use moka::sync::Cache;
use store::{Store, StoreError, TokenRow};

const CACHED_MAX: u64 = 10_000;
const TRIES_MAX: usize = 3;

/// Answers what tokens are called.
pub struct Tokens {
    store: Store,
    clients: HashMap<ChainId, Arc<dyn ChainClient>>,
    clock: Arc<dyn Clock>,
    cache: Cache<(ChainId, Address), TokenRow>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("cached", &self.cache.entry_count()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Asks the nodes in `clients`; a token of another chain stays nameless.
    pub fn new(store: Store, clients: HashMap<ChainId, Arc<dyn ChainClient>>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clients, clock, cache: Cache::new(CACHED_MAX) }
    }

    /// What these tokens say of themselves. A node that does not answer now leaves a token nameless this once.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn of(
        &self,
        chain: ChainId,
        addresses: &HashSet<Address>,
    ) -> Result<HashMap<Address, TokenRow>, StoreError> {
        let mut known = HashMap::with_capacity(addresses.len());
        for address in addresses {
            known.insert(*address, self.one(chain, *address).await?);
        }
        Ok(known)
    }

    async fn one(&self, chain: ChainId, address: Address) -> Result<TokenRow, StoreError> {
        if let Some(row) = self.cache.get(&(chain, address)) {
            return Ok(row);
        }
        let row = match self.store.token(chain, address).await? {
            Some(row) => row,
            None => {
                let Some(client) = self.clients.get(&chain) else { return Ok(TokenRow::default()) };
                let Some(row) = ask_all(client.as_ref(), address).await else {
                    return Ok(TokenRow::default());
                };
                self.store.put_token(chain, address, &row, self.clock.now()).await?;
                row
            }
        };
        self.cache.insert((chain, address), row.clone());
        Ok(row)
    }
}

// `None` when the node did not answer: the question is asked again for the next notification.
async fn ask_all(client: &dyn ChainClient, address: Address) -> Option<TokenRow> {
    let name = ask(client, address, MetadataCall::Name).await?;
    let symbol = ask(client, address, MetadataCall::Symbol).await?;
    let decimals = ask(client, address, MetadataCall::Decimals).await?;
    let hides = [&name, &symbol].into_iter().flatten();
    let hides = hides.filter_map(|answer| raw_text(answer)).any(|text| spam::hides(&text));
    Some(TokenRow {
        hides,
        name: name.and_then(|answer| decode_text(&answer)),
        symbol: symbol.and_then(|answer| decode_text(&answer)),
        decimals: decimals.and_then(|answer| decode_decimals(&answer)),
    })
}

// `Some(None)` is the token's own fault: it reverts, or is no token.
async fn ask(client: &dyn ChainClient, address: Address, what: MetadataCall) -> Option<Option<Bytes>> {
    for _ in 0..TRIES_MAX {
        match client.call(address, what.input()).await {
            Ok(answer) => return Some(Some(answer)),
            Err(ChainError::Reverted { .. } | ChainError::Unsupported { .. }) => return Some(None),
            Err(error) => tracing::debug!(token = %address, "asked for {what:?}: {error}"),
        }
    }
    tracing::warn!(token = %address, "the node does not say what the token is called; its amounts are shown raw");
    None
}
