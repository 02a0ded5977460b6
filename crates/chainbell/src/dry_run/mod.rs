//! What a watch would have sent: the real rooms over a store of their own, at the times of the blocks. Owns the rehearsal
//! (which events, which clock, which rooms); must not know how the outcome is printed. Nothing is delivered: there is no
//! room that delivers, and nobody has a target.

mod clock;
mod outcome;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use broker::{ConsumerConfig, MemoryBroker};
use debounce::StoreDebouncer;
use domain::{
    BlockRef, Catalog, ChainId, ChainName, Clock, ContractName, Debouncer, Event, Header, HitId, Origin,
    Recipient, Standard, Strategy, Suspicion, Watch, matching::WatchIndex, message::STREAM_CHAIN,
};
use jiff::Timestamp;
use pipeline::{
    Bell, Room as _,
    digest::{Digest, DigestConfig, DigestDeps},
    matching::{Matching, MatchingConfig, MatchingDeps},
    notify::Notifier,
    texts::Texts,
    tokens::Tokens,
    watches::Watches,
};
use store::{
    BackfillCommit, ChainCommit, ContractCursor, EventKey, EventQuery, NotificationQuery, Publish, Store,
};

use crate::{config::Config, failure::Failure};

pub use clock::VirtualClock;
pub use outcome::{Outcome, Played, Sample, Suspected};

const PAGE: u32 = 5_000;

// Windows that are put off again and again would go on for ever.
const CLOSINGS_MAX: usize = 1_000_000;

/// What is rehearsed.
#[derive(Debug)]
pub struct Rehearsal {
    /// The watch.
    pub watch: Watch,
    /// Whom it would tell.
    pub recipient: Recipient,
    /// Of which chain.
    pub chain: ChainId,
    /// That chain's name.
    pub name: ChainName,
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// After how many events it ends.
    pub events_max: usize,
}

/// The rooms and what they share.
struct Stage {
    store: Store,
    clock: Arc<VirtualClock>,
    debouncer: Arc<dyn Debouncer>,
    matching: Matching,
    digest: Digest,
}

/// Rehearses a watch over the events that `real` holds, in a store below `folder` that is of no use afterwards.
///
/// # Errors
/// See [`Failure`].
pub async fn rehearse(
    config: &Config,
    real: &Store,
    rehearsal: &Rehearsal,
    folder: &Path,
) -> Result<Outcome, Failure> {
    let events = matched(config, real, rehearsal).await?;
    let cut = events.len() == rehearsal.events_max;
    let mut stage = Stage::set(config, rehearsal, &events, folder).await?;
    let tokens_unknown = stage.copy_tokens(real, rehearsal.chain, &events).await?;
    let (mut at, mut blocks) = (0, 0);
    while at < events.len() {
        let block = events[at].block;
        let end = at + events[at..].iter().take_while(|event| event.block == block).count();
        stage.play(rehearsal, &events[at..end]).await?;
        (at, blocks) = (end, blocks + 1);
    }
    stage.pass(Timestamp::MAX).await?;
    let query = NotificationQuery { recipient: None, watch: None, limit: u32::MAX >> 1 };
    let told = stage.store.notifications(&query).await?;
    let suspected = stage.suspected(&rehearsal.watch, &events).await?;
    stage.store.close().await;
    let played = Played { events: events.len() as u64, blocks, cut, suspected, tokens_unknown };
    Ok(Outcome::of(rehearsal, played, told))
}

/// The events that satisfy the watch, oldest first, as if they were news.
async fn matched(config: &Config, real: &Store, rehearsal: &Rehearsal) -> Result<Vec<Event>, Failure> {
    let (index, problems) = WatchIndex::build(&config.catalog, [rehearsal.watch.clone()]);
    if let Some((_, problem)) = problems.into_iter().next() {
        return Err(Failure::usage(problem.to_string()));
    }
    let mut query = EventQuery {
        chain: rehearsal.chain,
        from: rehearsal.from,
        to: rehearsal.to,
        contract: None,
        after: None,
        limit: PAGE,
    };
    let mut matched = Vec::new();
    loop {
        let page = real.events(&query).await?;
        let Some(last) = page.last() else { return Ok(matched) };
        query.after = Some((last.event.block.number, last.event.log_index));
        for stored in page {
            if index.matches(&stored.event).is_empty() {
                continue;
            }
            matched.push(Event { origin: Origin::Live, ..stored.event });
            if matched.len() == rehearsal.events_max {
                return Ok(matched);
            }
        }
    }
}

impl Stage {
    async fn set(
        config: &Config,
        rehearsal: &Rehearsal,
        events: &[Event],
        folder: &Path,
    ) -> Result<Self, Failure> {
        let store = Store::open(&format!("sqlite://{}", folder.join("rehearsal.db").display())).await?;
        let begin = events.first().map_or(Timestamp::UNIX_EPOCH, time_of);
        let clock = Arc::new(VirtualClock::new(begin));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        store.register_chain(rehearsal.chain, &rehearsal.name, begin).await?;
        settle(&store, rehearsal, events).await?;
        store.put_recipients(std::slice::from_ref(&rehearsal.recipient)).await?;
        store.put_watches(std::slice::from_ref(&rehearsal.watch)).await?;
        let debouncer: Arc<dyn Debouncer> = Arc::new(StoreDebouncer::new(store.clone()));
        let overrides = config.raw.channels.templates.as_ref().map(|folder| config.folder.join(folder));
        let texts = Texts::new(overrides.as_deref())
            .map_err(|error| Failure::usage(format!("channels.templates: {error}")))?;
        let tokens = Tokens::new(store.clone(), HashMap::new(), Arc::clone(&shared));
        let names = config.chain_names();
        let notifier = Notifier::new(store.clone(), texts, tokens, Arc::clone(&shared), names);
        let notifier = Arc::new(notifier);
        let broker = MemoryBroker::new(Arc::clone(&shared));
        let consumer = broker.consumer(STREAM_CHAIN, "rehearsal", ConsumerConfig::default());
        let deps = MatchingDeps {
            store: store.clone(),
            consumer,
            debouncer: Arc::clone(&debouncer),
            notifier: Arc::clone(&notifier),
            clock: Arc::clone(&shared),
            relay: Bell::default(),
        };
        let watches = Watches::new(store.clone(), Arc::clone(&shared), &config.catalog, Duration::ZERO);
        let matching = Matching::new(deps, watches, MatchingConfig::default());
        let deps = DigestDeps {
            store: store.clone(),
            debouncer: Arc::clone(&debouncer),
            notifier,
            clock: shared,
            relay: Bell::default(),
        };
        let digest = Digest::new(deps, DigestConfig::default());
        Ok(Self { store, clock, debouncer, matching, digest })
    }

    /// What tokens say of themselves was asked when they were told of first; nobody is asked here. Returns of how many
    /// nothing is known.
    async fn copy_tokens(&self, real: &Store, chain: ChainId, events: &[Event]) -> Result<u64, Failure> {
        let mut tokens: Vec<_> =
            events.iter().filter(|event| Standard::of(event).is_some()).map(|event| event.address).collect();
        tokens.sort_unstable();
        tokens.dedup();
        let mut unknown = 0;
        for token in tokens {
            let said = real.token(chain, token).await?;
            unknown += u64::from(said.is_none());
            self.store.put_token(chain, token, &said.unwrap_or_default(), self.clock.now()).await?;
        }
        Ok(unknown)
    }

    /// How many of the events matching found to look like spam, by why.
    async fn suspected(&self, watch: &Watch, events: &[Event]) -> Result<BTreeMap<Suspicion, u64>, Failure> {
        let ids: Vec<_> = events.iter().map(|event| HitId::derive(event.logical, &watch.id)).collect();
        let mut suspected = BTreeMap::new();
        for page in ids.chunks(PAGE as usize) {
            for suspicion in self.store.hits(page).await?.into_iter().filter_map(|row| row.suspicion) {
                *suspected.entry(suspicion).or_default() += 1;
            }
        }
        Ok(suspected)
    }

    /// Plays one block at its time, after everything that was due before.
    async fn play(&mut self, rehearsal: &Rehearsal, events: &[Event]) -> Result<(), Failure> {
        let Some(first) = events.first() else { return Ok(()) };
        let at = time_of(first);
        self.pass(at).await?;
        self.clock.set(at);
        let commit = BackfillCommit {
            chain: rehearsal.chain,
            name: &rehearsal.name,
            contracts: &[],
            block: None,
            events,
            children: &[],
            publish: Publish::Yes,
            fence: None,
            now: at,
        };
        self.store.commit_backfill(&commit).await?;
        let keys: Vec<_> = events.iter().map(EventKey::of).collect();
        self.matching.handle(&keys).await.map_err(|error| Failure::world(error.to_string()))
    }

    /// Lets time pass, and closes each window when it is due.
    async fn pass(&mut self, until: Timestamp) -> Result<(), Failure> {
        let failed = |error: String| Failure::world(error);
        for _ in 0..CLOSINGS_MAX {
            let (open, due) = self.debouncer.outlook().await.map_err(|error| failed(error.to_string()))?;
            let Some(due) = due.filter(|due| open > 0 && *due <= until) else { return Ok(()) };
            self.clock.set(due.max(self.clock.now()));
            self.digest.step().await.map_err(|error| failed(error.to_string()))?;
        }
        Err(Failure::world("its windows do not come to an end".to_owned()))
    }
}

/// The chain as if everything were final: how sure an event must be delays it, and changes nothing else.
async fn settle(store: &Store, rehearsal: &Rehearsal, events: &[Event]) -> Result<(), Failure> {
    let highest = events.last().map_or(0, |event| event.block.number);
    let now = events.first().map_or(Timestamp::UNIX_EPOCH, time_of);
    let mut names: Vec<&ContractName> = events.iter().map(|event| &event.contract).collect();
    names.sort_unstable();
    names.dedup();
    let cursor = |name: &ContractName| ContractCursor {
        name: name.clone(),
        start_block: 0,
        next_block: highest + 1,
        live_from: highest + 1,
        fingerprint: String::new(),
    };
    let cursors: Vec<_> = names.into_iter().map(cursor).collect();
    store.settle_contracts(rehearsal.chain, &cursors, highest).await?;
    let tip =
        events.last().map_or_else(|| BlockRef::new(0, alloy_primitives::B256::ZERO), |event| event.block);
    let header = Header { block: tip, parent: alloy_primitives::B256::ZERO, timestamp: 0, bloom: None };
    let commit = ChainCommit {
        chain: rehearsal.chain,
        name: &rehearsal.name,
        expected_tip: None,
        ancestor: None,
        headers: &[header],
        events: &[],
        children: &[],
        publish: Publish::No,
        tip,
        fence: None,
        now,
    };
    store.commit_chain(&commit).await?;
    store.note_heads(rehearsal.chain, highest, Some(highest), Some(highest), now).await?;
    Ok(())
}

fn time_of(event: &Event) -> Timestamp {
    i64::try_from(event.block_timestamp)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The chain that a watch looks at.
///
/// # Errors
/// [`Failure`] when its contract is not in the configuration.
pub fn chain_of(catalog: &Catalog, watch: &Watch) -> Result<ChainId, Failure> {
    domain::matching::validate(catalog, watch).map_err(|problem| Failure::usage(problem.to_string()))?;
    let contract = catalog.get(&watch.contract).map(|contract| contract.chain);
    contract.ok_or_else(|| Failure::usage(format!("there is no contract '{}'", watch.contract)))
}

/// Whether the watch gathers.
pub const fn gathers(watch: &Watch) -> bool {
    matches!(watch.strategy, Strategy::Digest(_))
}
