//! The wiring: which part is connected to which. Read from top to bottom, it is the architecture.
//!
//! ```text
//! node → ingest → store → relay → broker(CHAIN) → matching → store (+ debouncer)
//!      finality ↗
//!                                                   confirm ↗        ↓
//! recipient ← channel ← deliver ← broker(NOTIFY) ← relay ← store ← digest
//! ```

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use abi::Decoder;
use api::Api;
use broker::{Broker, ConsumerConfig};
use chain::Node;
use domain::{
    ChainClient, ChainId, Channel, Clock, Debouncer, Publisher,
    message::{STREAM_CHAIN, STREAM_NOTIFY},
    retry::RetrySchedule,
};
use metrics_exporter_prometheus::PrometheusHandle;
use pipeline::{
    Bell, Health,
    amend::{Amend, AmendConfig, AmendDeps},
    auditor::{Auditor, AuditorConfig},
    confirm::{Confirm, ConfirmConfig, ConfirmDeps},
    deliver::{Deliver, DeliverConfig, DeliverDeps},
    digest::{Digest, DigestConfig, DigestDeps},
    finality::{Finality, FinalityConfig},
    hit_audit::{HitAudit, HitAuditor, HitAuditorConfig},
    ingest::{Ingest, IngestConfig, IngestDeps, Lease},
    matching::{Matching, MatchingConfig, MatchingDeps},
    notify::Notifier,
    relay::{Relay, RelayConfig},
    texts::Texts,
    tokens::Tokens,
    watches::Watches,
};
use store::{OwnLengths, Store, StoreClock};
use uuid::Uuid;

use crate::{
    commands::audit_hits,
    config::{Chain, Config, raw::Audit},
    failure::Failure,
    gauges,
    nodes::patient_node,
    past,
    roles::{Role, Roles},
    servers, stores,
    supervise::{MakeRoom, Supervisor},
    timekeeper,
};

/// The channels, by name.
pub type Channels = Arc<HashMap<&'static str, Arc<dyn Channel>>>;

/// The parts that talk to the outside, connected.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The store.
    pub store: Store,
    /// The store's time.
    pub clock: Arc<dyn Clock>,
    /// The broker.
    pub broker: Broker,
    /// The timer index.
    pub debouncer: Arc<dyn Debouncer>,
    /// The nodes.
    pub nodes: HashMap<ChainId, Arc<Node>>,
    /// The channels.
    pub channels: Channels,
    /// How the rooms fare.
    pub health: Health,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("store", &self.store)
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Connects everything that `roles` need.
    ///
    /// # Errors
    /// One sentence that names what cannot be reached, and the mend.
    pub async fn connect(config: Arc<Config>, roles: &Roles) -> Result<Self, Failure> {
        let store = stores::of_process(&config).await?;
        crate::sync::chains_agree(&config, &store).await?;
        let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
        let broker = servers::broker(&config, Arc::clone(&clock)).await?;
        for concern in broker.concerns(&servers::consumers()).await? {
            tracing::warn!(broker.url = broker.url(), "{concern}");
        }
        let debouncer = servers::debouncer(&config, store.clone()).await?;
        let mut nodes = HashMap::new();
        if roles.need_nodes() {
            for chain in &config.chains {
                nodes.insert(chain.id, Arc::new(patient_node(chain, &clock).await?));
            }
        }
        let channels = channels(&config, Arc::clone(&clock))?;
        Ok(Self { config, store, clock, broker, debouncer, nodes, channels, health: Health::new() })
    }

    /// Makes the store agree with the file: its recipients, targets and watches.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn sync_file(&self) -> Result<(), Failure> {
        crate::sync::file_into_store(&self.config, &self.store).await?;
        Ok(())
    }

    /// Starts the rooms of `roles`, the last of the pipeline first, so that nothing waits for a room to come.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn start(
        &self,
        roles: &Roles,
        until: Option<u64>,
        metrics: PrometheusHandle,
    ) -> Result<Supervisor, Failure> {
        let mut supervisor = Supervisor::new(Arc::clone(&self.clock), self.health.clone());
        let lengths = OwnLengths { delivery_lease: self.delivery_lease() };
        timekeeper::start(&mut supervisor, self.store.clone(), Arc::clone(&self.clock), lengths).await;
        let relay = Bell::new();
        let owner = format!("{}-{}", std::process::id(), Uuid::new_v4().simple());
        let notifier = Arc::new(self.notifier()?);
        if roles.has(Role::Deliver) {
            self.start_deliver(&mut supervisor, &owner).await?;
        }
        if roles.has(Role::Digest) {
            self.start_digest(&mut supervisor, &notifier, &relay);
        }
        if roles.has(Role::Matching) {
            self.start_matching(&mut supervisor, &notifier, &relay, &owner).await?;
        }
        if roles.has(Role::Relay) {
            self.start_relay(&mut supervisor, &owner, &relay);
        }
        if roles.has(Role::Ingest) {
            self.start_ingest(&mut supervisor, &relay, until, &owner);
        }
        if roles.has(Role::Api) {
            self.start_api(&mut supervisor, metrics).await?;
        }
        gauges::start(
            &mut supervisor,
            self.store.clone(),
            Arc::clone(&self.debouncer),
            Arc::clone(&self.clock),
        );
        Ok(supervisor)
    }

    // Longer than any channel takes.
    fn delivery_lease(&self) -> Duration {
        self.config.raw.channels.deadline.0 * 4
    }

    fn notifier(&self) -> Result<Notifier, Failure> {
        let overrides: Option<PathBuf> =
            self.config.raw.channels.templates.as_ref().map(|t| self.config.folder.join(t));
        let texts = Texts::new(overrides.as_deref())
            .map_err(|error| Failure::usage(format!("channels.templates: {error}")))?;
        let clients =
            self.nodes.iter().map(|(id, node)| (*id, Arc::clone(node) as Arc<dyn ChainClient>)).collect();
        let tokens = Tokens::new(self.store.clone(), clients, Arc::clone(&self.clock))
            .renewed_after(self.config.raw.run.token_refresh.0);
        Ok(Notifier::new(
            self.store.clone(),
            texts,
            tokens,
            Arc::clone(&self.clock),
            self.config.chain_names(),
        ))
    }

    async fn start_deliver(&self, supervisor: &mut Supervisor, owner: &str) -> Result<(), Failure> {
        let consumer =
            self.broker.consumer(STREAM_NOTIFY, servers::DELIVER, ConsumerConfig::default()).await?;
        let deps = DeliverDeps {
            store: self.store.clone(),
            consumer,
            channels: Arc::clone(&self.channels),
            clock: Arc::clone(&self.clock),
            owner: owner.to_owned(),
        };
        let delays = self.config.raw.channels.retry.iter().map(|span| span.0).collect();
        let retry = RetrySchedule { delays, ..RetrySchedule::default() };
        let config = DeliverConfig {
            retry,
            grace: self.config.raw.run.sweep_grace.0,
            lease: self.delivery_lease(),
            ..DeliverConfig::default()
        };
        supervisor.room("deliver", Arc::new(move || Box::new(Deliver::new(deps.clone(), config.clone()))));
        Ok(())
    }

    fn start_digest(&self, supervisor: &mut Supervisor, notifier: &Arc<Notifier>, relay: &Bell) {
        let deps = DigestDeps {
            store: self.store.clone(),
            debouncer: Arc::clone(&self.debouncer),
            notifier: Arc::clone(notifier),
            clock: Arc::clone(&self.clock),
            relay: relay.clone(),
        };
        let section = &self.config.raw.run;
        let config = DigestConfig {
            grace: section.sweep_grace.0,
            lease: section.lease.0 * 6,
            ..DigestConfig::default()
        };
        supervisor.room("digest", Arc::new(move || Box::new(Digest::new(deps.clone(), config))));
        let deps = ConfirmDeps {
            store: self.store.clone(),
            debouncer: Arc::clone(&self.debouncer),
            notifier: Arc::clone(notifier),
            clock: Arc::clone(&self.clock),
            relay: relay.clone(),
        };
        let amend = AmendDeps {
            store: self.store.clone(),
            notifier: Arc::clone(notifier),
            clock: Arc::clone(&self.clock),
            relay: relay.clone(),
        };
        let settling = self.config.chains.iter().map(|chain| (chain.id, chain.keys.settle_blocks));
        let settling: Vec<_> = settling.collect();
        let make = move || {
            Box::new(Amend::new(amend.clone(), settling.clone(), AmendConfig::default()))
                as Box<dyn pipeline::Room>
        };
        supervisor.room("amend", Arc::new(make));
        let chains: Vec<_> = self.config.chains.iter().map(|chain| chain.id).collect();
        let config = ConfirmConfig::default();
        supervisor
            .room("confirm", Arc::new(move || Box::new(Confirm::new(deps.clone(), chains.clone(), config))));
    }

    async fn start_matching(
        &self,
        supervisor: &mut Supervisor,
        notifier: &Arc<Notifier>,
        relay: &Bell,
        owner: &str,
    ) -> Result<(), Failure> {
        let consumer =
            self.broker.consumer(STREAM_CHAIN, servers::MATCHING, ConsumerConfig::default()).await?;
        let deps = MatchingDeps {
            store: self.store.clone(),
            consumer,
            debouncer: Arc::clone(&self.debouncer),
            notifier: Arc::clone(notifier),
            clock: Arc::clone(&self.clock),
            relay: relay.clone(),
        };
        let past = self.config.chains.iter().filter(|chain| chain.keys.notify_backfill);
        let config = MatchingConfig {
            grace: self.config.raw.run.sweep_grace.0,
            notify_backfill: past.map(|chain| chain.id).collect(),
            ..MatchingConfig::default()
        };
        let catalog = Arc::clone(&self.config.catalog);
        let make = move || {
            let watches = Watches::new(
                deps.store.clone(),
                Arc::clone(&deps.clock),
                &catalog,
                pipeline::watches::REFRESH,
            );
            Box::new(Matching::new(deps.clone(), watches, config.clone())) as Box<dyn pipeline::Room>
        };
        supervisor.room("matching", Arc::new(make));
        if self.config.raw.run.audit_hits {
            self.start_hit_auditor(supervisor, owner);
        }
        Ok(())
    }

    fn start_hit_auditor(&self, supervisor: &mut Supervisor, owner: &str) {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let (catalog, limits) = (Arc::clone(&self.config.catalog), audit_hits::limits(&self.config));
        let chains: Vec<_> = self.config.chains.iter().map(|chain| chain.id).collect();
        let (owner, config) = (owner.to_owned(), HitAuditorConfig::default());
        let make = move || {
            let audit = HitAudit::new(store.clone(), Arc::clone(&clock), &catalog, limits.clone());
            let (store, clock) = (store.clone(), Arc::clone(&clock));
            Box::new(HitAuditor::new(audit, store, clock, chains.clone(), owner.clone(), config))
                as Box<dyn pipeline::Room>
        };
        supervisor.room("audit:hits", Arc::new(make));
    }

    fn start_relay(&self, supervisor: &mut Supervisor, owner: &str, relay: &Bell) {
        let publisher: Arc<dyn Publisher> = self.broker.publisher();
        let mut lanes: Vec<_> =
            self.config.chains.iter().map(|chain| Store::lane_of_chain(&chain.name)).collect();
        lanes.push(Store::notify_lane().to_owned());
        let (store, clock, bell, owner) =
            (self.store.clone(), Arc::clone(&self.clock), relay.clone(), owner.to_owned());
        let config = RelayConfig { lease: self.config.raw.run.lease.0 * 2, ..RelayConfig::default() };
        let make = move || {
            let who = (owner.clone(), bell.clone());
            let (publisher, clock) = (Arc::clone(&publisher), Arc::clone(&clock));
            let room = Relay::new(store.clone(), publisher, clock, lanes.clone(), who, config);
            Box::new(room) as Box<dyn pipeline::Room>
        };
        supervisor.room("relay", Arc::new(make));
    }

    fn start_ingest(&self, supervisor: &mut Supervisor, relay: &Bell, until: Option<u64>, owner: &str) {
        let chains =
            self.config.chains.iter().map(|chain| (chain.id, chain.name.clone())).collect::<Vec<_>>();
        past::start(supervisor, self.store.clone(), chains.clone(), Arc::clone(&self.clock));
        let (store, clock, bell) = (self.store.clone(), Arc::clone(&self.clock), relay.clone());
        let committed = Bell::new();
        let blocks = committed.clone();
        let make = move || {
            let (clock, config) = (Arc::clone(&clock), FinalityConfig::default());
            let (bell, blocks) = (bell.clone(), blocks.clone());
            Box::new(Finality::new(store.clone(), chains.clone(), clock, bell, blocks, config))
                as Box<dyn pipeline::Room>
        };
        supervisor.room("finality", Arc::new(make));
        let decoder = Arc::new(Decoder::new(Arc::clone(&self.config.catalog)));
        for chain in &self.config.chains {
            let Some(node) = self.nodes.get(&chain.id) else { continue };
            let deps = IngestDeps {
                client: Arc::clone(node) as Arc<dyn ChainClient>,
                store: self.store.clone(),
                catalog: Arc::clone(&self.config.catalog),
                decoder: Arc::clone(&decoder),
                clock: Arc::clone(&self.clock),
                relay: relay.clone(),
                committed: committed.clone(),
            };
            let lease = Lease { owner: owner.to_owned(), term: self.config.raw.run.lease.0 };
            let config = IngestConfig { lease: Some(lease), ..ingest_config(chain, until) };
            let name = format!("ingest:{}", chain.name);
            let audit = self.auditor(chain, node, &deps);
            supervisor.room(&name, Arc::new(move || Box::new(Ingest::new(deps.clone(), config.clone()))));
            if let Some(make) = audit {
                supervisor.room(&format!("audit:{}", chain.name), make);
            }
        }
    }

    // It has a client and a cursor of its own: what it asks must not disturb a decision about the head.
    fn auditor(&self, chain: &Chain, node: &Node, deps: &IngestDeps) -> Option<MakeRoom> {
        let repair = match chain.keys.audit {
            Audit::Off => return None,
            Audit::Report => false,
            Audit::Repair => true,
        };
        let client = Arc::new(node.sibling()) as Arc<dyn ChainClient>;
        let deps = IngestDeps { client, ..deps.clone() };
        let (store, clock, id) = (self.store.clone(), Arc::clone(&self.clock), chain.id);
        let ingest = ingest_config(chain, None);
        let config = AuditorConfig { repair, ..AuditorConfig::default() };
        Some(Arc::new(move || {
            let ingest = Ingest::new(deps.clone(), ingest.clone());
            Box::new(Auditor::new(ingest, id, store.clone(), Arc::clone(&clock), config))
        }))
    }

    async fn start_api(&self, supervisor: &mut Supervisor, metrics: PrometheusHandle) -> Result<(), Failure> {
        let health = self.health.clone();
        let faults: api::Faults = Arc::new(move || health.faults());
        let health = self.health.clone();
        let standing_by: api::StandingBy = Arc::new(move || health.standing_by());
        let api = Api { store: self.store.clone(), metrics, faults, standing_by };
        let server = api::bind(&self.config.raw.api.listen, api)
            .await
            .map_err(|error| Failure::world(error.to_string()))?;
        tracing::info!(api.listen = %server.address(), "answering /healthz, /readyz and /metrics");
        supervisor.task("api", |stop| async move {
            if let Err(error) = server.serve(stop).await {
                tracing::error!("the HTTP server ended: {error}");
            }
        });
        Ok(())
    }
}

/// The channels that a configuration allows.
///
/// # Errors
/// One sentence when the HTTP client cannot be made.
pub fn channels(config: &Config, clock: Arc<dyn Clock>) -> Result<Channels, Failure> {
    Ok(Arc::new(channels::all(config.raw.channels.webhook(), clock).map_err(Failure::world)?))
}

/// The settings of a chain's ingest.
pub fn ingest_config(chain: &Chain, until: Option<u64>) -> IngestConfig {
    IngestConfig {
        finality: chain.finality,
        max_reorg_depth: chain.keys.max_reorg_depth,
        range_max: chain.keys.range_max.max(1),
        poll: chain.keys.poll.0,
        notify_backfill: chain.keys.notify_backfill,
        trust_bloom: chain.keys.trust_bloom,
        until,
        ..IngestConfig::new(chain.id, chain.name.clone())
    }
}
