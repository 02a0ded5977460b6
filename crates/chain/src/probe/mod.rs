//! Owns the examination of one URL for `doctor`: what serves there, and what it can do.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use domain::{ChainId, Clock, Header, LogFilter, LogQuery};
use serde_json::{Value as Json, json, value::RawValue};

use crate::{
    NodeConfig,
    endpoint::Endpoint,
    error::ConnectError,
    fault::Fault,
    link::{Link, too_slow},
    questions::{BY_NUMBER, CHAIN_ID, LOGS, log_params},
    session::SUBSCRIBE,
    upstream::chain_id,
    wire::{self, WireHeader, WireLog},
};

/// Whether a node can do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It cannot, or says so; with its words.
    No(String),
}

/// What was found at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Redacted URL.
    pub url: String,
    /// `eth_chainId`.
    pub chain_id: ChainId,
    /// `web3_clientVersion`, where it tells.
    pub client_version: Option<String>,
    /// The newest block.
    pub latest: Header,
    /// How old the newest block is by its timestamp; nothing for one from the future.
    pub latest_age: Duration,
    /// `eth_subscribe` to heads and to logs.
    pub subscriptions: Ability,
    /// The tag `safe`.
    pub safe: Ability,
    /// The tag `finalized`.
    pub finalized: Ability,
    /// `eth_getLogs` by block hash, which following the head depends on.
    pub logs_by_hash: Ability,
}

/// Examines one URL.
///
/// # Errors
/// [`ConnectError`] when there is no node; what a node cannot do is part of the answer.
pub async fn probe(
    url: &str,
    request_timeout: Duration,
    clock: Arc<dyn Clock>,
) -> Result<Probe, ConnectError> {
    let endpoint = Endpoint::parse(url)?;
    let chain = "probe".parse().expect("it is a chain name");
    // What is expected is not looked at here.
    let config = NodeConfig { request_timeout, ..NodeConfig::new(chain, ChainId(0), Vec::new()) };
    let failed = |fault: Fault| fault.into_connect_error(&endpoint, &config.chain, config.expected);
    let link = Link::open(&endpoint, &config, &clock).await.map_err(failed)?;
    let examination = Examination { link, timeout: request_timeout, endpoint: &endpoint };
    examination.run(clock.as_ref()).await.map_err(failed)
}

struct Examination<'a> {
    link: Link,
    timeout: Duration,
    endpoint: &'a Endpoint,
}

impl Examination<'_> {
    async fn run(&self, clock: &dyn Clock) -> Result<Probe, Fault> {
        let chain_id = chain_id(&self.ask(CHAIN_ID, json!([])).await?)?;
        let latest = self.header("latest").await?;
        let version = self.ask("web3_clientVersion", json!([])).await.ok();
        let made_at = i64::try_from(latest.timestamp).unwrap_or(i64::MAX);
        let age = clock.now().as_second().saturating_sub(made_at);
        Ok(Probe {
            url: self.endpoint.redacted().to_owned(),
            chain_id,
            client_version: version.and_then(|version| wire::read(&version).ok()),
            latest,
            latest_age: Duration::from_secs(u64::try_from(age).unwrap_or_default()),
            subscriptions: self.ability(self.subscribe().await),
            safe: self.ability(self.header("safe").await),
            finalized: self.ability(self.header("finalized").await),
            logs_by_hash: self.ability(self.logs_by_hash(&latest).await),
        })
    }

    async fn ask(&self, method: &'static str, params: Json) -> Result<Box<RawValue>, Fault> {
        let answer = tokio::time::timeout(self.timeout, self.link.request(method, params)).await;
        answer.unwrap_or_else(|_elapsed| Err(too_slow(self.timeout)))
    }

    async fn header(&self, tag: &str) -> Result<Header, Fault> {
        let answer = self.ask(BY_NUMBER, json!([tag, false])).await?;
        let header: Option<WireHeader> = wire::read(&answer).map_err(Fault::Incoherent)?;
        let header = header.ok_or_else(|| Fault::Incoherent(format!("it has no {tag} block")))?;
        header.into_header().map_err(Fault::Incoherent)
    }

    async fn subscribe(&self) -> Result<(), Fault> {
        if !self.endpoint.can_subscribe() {
            return Err(Fault::Unsupported(
                "HTTP carries none: the head is asked for at an interval".to_owned(),
            ));
        }
        // No contract lies at the zero address: the subscription stays silent.
        let nothing = LogFilter { addresses: vec![Address::ZERO], topics0: Vec::new() };
        for params in [json!(["newHeads"]), json!(["logs", log_params(None, &nothing)])] {
            let id = self.ask(SUBSCRIBE, params).await?;
            let id: B256 = wire::read(&id).map_err(Fault::Incoherent)?;
            self.link.unsubscribe(id);
        }
        Ok(())
    }

    async fn logs_by_hash(&self, latest: &Header) -> Result<(), Fault> {
        let nothing = LogFilter { addresses: vec![Address::ZERO], topics0: Vec::new() };
        let params = json!([log_params(Some(LogQuery::Block(latest.block)), &nothing)]);
        let answer = self.ask(LOGS, params).await?;
        wire::read::<Option<Vec<WireLog>>>(&answer).map(drop).map_err(Fault::Incoherent)
    }

    fn ability<T>(&self, tried: Result<T, Fault>) -> Ability {
        match tried {
            Ok(_) => Ability::Yes,
            Err(fault) => Ability::No(self.endpoint.clean(&fault.detail())),
        }
    }
}
