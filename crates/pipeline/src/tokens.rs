//! Names, symbols and decimals of tokens: asked of the contract, kept in the store. Owns when a token is asked again. A
//! token's answer is hostile text; `abi` cleans it.
//!
//! No answer is no fact: a token that says nothing (`0x`, a revert, a node that is away or lags) is asked again, with
//! growing pauses that the store remembers. A fact that was said stays until the token says another: facts are renewed
//! after a while, since a contract can be upgraded, and a question without an answer takes none of them away.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use abi::metadata::{MetadataCall, decode_decimals, decode_text, raw_text};
use alloy_primitives::{Address, Bytes};
use domain::{ChainClient, ChainError, ChainId, Clock, spam};
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use store::{KnownToken, Store, StoreError, TokenRow};

const CACHED_MAX: u64 = 10_000;
const TRIES_MAX: usize = 3;

/// After how long facts are renewed, unless the operator says otherwise.
pub const RENEW: Duration = Duration::from_secs(24 * 60 * 60);

/// How long memory is believed before the store is read again, where another process may have renewed a fact.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// How long the first, second, … question without a full answer is followed by none; the last holds for all that follow.
/// None is longer than the time after which facts are renewed.
const PAUSES: [Duration; 7] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// Answers what tokens are called.
pub struct Tokens {
    store: Store,
    clients: HashMap<ChainId, Arc<dyn ChainClient>>,
    clock: Arc<dyn Clock>,
    renew: Duration,
    cache: Cache<(ChainId, Address), Cached>,
}

#[derive(Debug, Clone)]
struct Cached {
    known: KnownToken,
    looked: Timestamp,
}

/// What came of asking a token at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// What was known; `None` when it was never asked.
    pub before: Option<TokenRow>,
    /// What is known now.
    pub now: TokenRow,
    /// The questions that had no usable answer.
    pub unanswered: Vec<&'static str>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("cached", &self.cache.entry_count()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Asks the nodes in `clients`; a token of another chain stays nameless.
    pub fn new(store: Store, clients: HashMap<ChainId, Arc<dyn ChainClient>>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clients, clock, renew: RENEW, cache: Cache::new(CACHED_MAX) }
    }

    /// Renews facts after `renew`.
    #[must_use]
    pub fn renewed_after(self, renew: Duration) -> Self {
        Self { renew, ..self }
    }

    /// What these tokens say of themselves. One that does not answer now is nameless for the moment, or what it was.
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

    /// Asks a token now, whatever is known of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn refresh(&self, chain: ChainId, address: Address) -> Result<Refreshed, StoreError> {
        let before = self.store.known_token(chain, address).await?;
        let Some(client) = self.clients.get(&chain) else {
            let now = before.as_ref().map(|known| known.facts.clone()).unwrap_or_default();
            let unanswered = vec!["name", "symbol", "decimals"];
            return Ok(Refreshed { before: before.map(|known| known.facts), now, unanswered });
        };
        let said = Said::ask(client.as_ref(), address).await;
        let unanswered = said.unanswered();
        let known = self.keep(chain, address, before.as_ref(), said).await?;
        Ok(Refreshed { before: before.map(|known| known.facts), now: known.facts, unanswered })
    }

    async fn one(&self, chain: ChainId, address: Address) -> Result<TokenRow, StoreError> {
        let now = self.clock.now();
        if let Some(Cached { known, looked }) = self.cache.get(&(chain, address)) {
            let age = now.duration_since(looked);
            if (SignedDuration::ZERO..LOOK_AGAIN).contains(&age) && !is_due(&known, self.renew, now) {
                return Ok(known.facts);
            }
        }
        let held = self.store.known_token(chain, address).await?;
        let due = held.as_ref().is_none_or(|held| is_due(held, self.renew, now));
        let known = match (self.clients.get(&chain), held) {
            (Some(client), held) if due => {
                let said = Said::ask(client.as_ref(), address).await;
                self.keep(chain, address, held.as_ref(), said).await?
            }
            (_, Some(held)) => held,
            (_, None) => return Ok(TokenRow::default()),
        };
        let facts = known.facts.clone();
        self.cache.insert((chain, address), Cached { known, looked: now });
        Ok(facts)
    }

    async fn keep(
        &self,
        chain: ChainId,
        address: Address,
        before: Option<&KnownToken>,
        said: Said,
    ) -> Result<KnownToken, StoreError> {
        let whole = said.unanswered().is_empty();
        let misses = if whole { 0 } else { before.map_or(0, |before| before.misses).saturating_add(1) };
        if misses == 1 {
            tracing::info!(token = %address, "the token does not answer {}: it is asked again", said.unanswered().join(", "));
        }
        let facts = said.over(before.map(|before| &before.facts));
        if let Some(before) = before.filter(|before| before.facts != facts) {
            tracing::info!(token = %address, "the token says {facts:?}; it said {:?}", before.facts);
        }
        let known = KnownToken { facts, asked_at: self.clock.now(), misses };
        match self.store.note_token(chain, address, &known).await {
            // What a token says of itself is no reason to stop telling of it.
            Err(error) if error.is_about_data() => {
                tracing::warn!(token = %address, "what it says of itself cannot be kept: {error}");
            }
            noted => noted?,
        }
        self.cache.invalidate(&(chain, address));
        Ok(known)
    }
}

// A row of before misses were counted has none, and yet may lack a fact. A time that is yet to come was written under a
// clock that was ahead.
fn is_due(known: &KnownToken, renew: Duration, now: Timestamp) -> bool {
    let TokenRow { name, symbol, decimals, .. } = &known.facts;
    let lacks = name.is_none() || symbol.is_none() || decimals.is_none();
    let pause = match known.misses {
        0 if lacks => Duration::ZERO,
        0 => renew,
        misses => {
            let at = usize::try_from(misses - 1).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
            PAUSES[at].min(renew)
        }
    };
    let age = now.duration_since(known.asked_at);
    age.is_negative() || age >= SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)
}

/// What a token said just now.
#[derive(Debug, Default)]
struct Said {
    name: Option<String>,
    symbol: Option<String>,
    decimals: Option<u8>,
    hides: bool,
}

impl Said {
    // A node that is away is not asked the rest.
    async fn ask(client: &dyn ChainClient, address: Address) -> Self {
        let mut said = Self::default();
        for what in [MetadataCall::Name, MetadataCall::Symbol, MetadataCall::Decimals] {
            let Some(answer) = ask(client, address, what).await else { break };
            let Some(answer) = answer else { continue };
            let text = || decode_text(&answer);
            match what {
                MetadataCall::Name => said.name = text(),
                MetadataCall::Symbol => said.symbol = text(),
                MetadataCall::Decimals => said.decimals = decode_decimals(&answer),
            }
            let is_text = what != MetadataCall::Decimals;
            said.hides |= is_text && raw_text(&answer).is_some_and(|text| spam::hides(&text));
        }
        said
    }

    fn unanswered(&self) -> Vec<&'static str> {
        let answers = [
            ("name", self.name.is_some()),
            ("symbol", self.symbol.is_some()),
            ("decimals", self.decimals.is_some()),
        ];
        answers.into_iter().filter(|(_, said)| !said).map(|(what, _)| what).collect()
    }

    fn over(self, before: Option<&TokenRow>) -> TokenRow {
        let before = before.cloned().unwrap_or_default();
        let renewed = self.name.is_some() && self.symbol.is_some();
        TokenRow {
            hides: self.hides || (before.hides && !renewed),
            name: self.name.or(before.name),
            symbol: self.symbol.or(before.symbol),
            decimals: self.decimals.or(before.decimals),
        }
    }
}

// `None` when the node did not answer, `Some(None)` when the token did not: it reverts, is not set up, or is no token.
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
