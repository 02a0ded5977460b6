//! Owns the examination of one URL for `doctor`: what serves there, and what it can do. Some dozens of questions, one
//! after the other.

mod history;
mod limits;

use std::{sync::Arc, time::Duration};

use alloy_primitives::Address;
use domain::{ChainId, ChainName, Clock, Header, LogFilter, LogQuery, Proof, UrlLimits};
use serde_json::{Value as Json, json, value::RawValue};

use crate::{
    NodeConfig,
    endpoint::Endpoint,
    error::ConnectError,
    fault::Fault,
    link::{Link, too_slow},
    pool::Pool,
    questions::{BY_NUMBER, CHAIN_ID, LOGS, log_params},
    upstream::chain_id,
    wire::{self, WireHeader, WireLog},
};

pub use history::History;
pub use limits::Limit;

/// Whether a node can do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It cannot, or says so; with its words.
    No(String),
}

/// What a node's receipts of a block are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipts {
    /// They prove a block's logs.
    Prove,
    /// They can be had and prove nothing, for this reason.
    Word(String),
    /// They cannot be had, or are wrong.
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
    /// How far the newest block's timestamp is in the future.
    pub latest_ahead: Duration,
    /// How many questions may be in one message.
    pub batches: Limit,
    /// `eth_subscribe` to heads and to logs.
    pub subscriptions: Ability,
    /// The tag `safe`.
    pub safe: Ability,
    /// The tag `finalized`.
    pub finalized: Ability,
    /// `eth_getLogs` by block hash, which following the head depends on.
    pub logs_by_hash: Ability,
    /// How far back there are logs.
    pub history: History,
    /// How many blocks a range may span.
    pub range_limit: Limit,
    /// How many logs an answer may hold.
    pub result_limit: Limit,
    /// `eth_getBlockReceipts`, and what they prove.
    pub receipts: Receipts,
    /// How much it takes at once, for the store to keep.
    pub limits: UrlLimits,
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
    let chain = "probe".parse().expect("five small letters are a chain's name");
    // What is expected is not looked at here.
    let config = NodeConfig { request_timeout, ..NodeConfig::new(chain, ChainId(0), Vec::new()) };
    let failed = |fault: Fault| fault.into_connect_error(&endpoint, &config.chain, config.expected);
    let link = Link::open(&endpoint, &config, &clock).await.map_err(failed)?;
    let examination = Examination {
        link,
        timeout: request_timeout,
        endpoint: &endpoint,
        given: url,
        chain: &config.chain,
        clock: &clock,
    };
    Box::pin(examination.run(clock.as_ref())).await.map_err(failed)
}

struct Examination<'a> {
    link: Link,
    timeout: Duration,
    endpoint: &'a Endpoint,
    // The URL with its secrets.
    given: &'a str,
    chain: &'a ChainName,
    clock: &'a Arc<dyn Clock>,
}

impl Examination<'_> {
    async fn run(&self, clock: &dyn Clock) -> Result<Probe, Fault> {
        let chain_id = chain_id(&self.ask(CHAIN_ID, json!([])).await?)?;
        let latest = self.header("latest").await?;
        let version = self.ask("web3_clientVersion", json!([])).await.ok();
        let made_at = i64::try_from(latest.timestamp).unwrap_or(i64::MAX);
        let age = clock.now().as_second().saturating_sub(made_at);
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let (batches, receipts) = self.batches_and_receipts(chain_id, &latest).await;
        let history = self.history(&latest).await;
        let oldest = if let History::Since { has, .. } = history { has } else { 0 };
        let range_limit = self.range_limit(&latest, oldest).await;
        Ok(Probe {
            limits: UrlLimits {
                key: self.endpoint.key(),
                url: self.endpoint.redacted().to_owned(),
                range: range_limit.learned(),
                batch: batches.learned(),
            },
            url: self.endpoint.redacted().to_owned(),
            chain_id,
            client_version: version.and_then(|version| wire::read(&version).ok()),
            latest,
            latest_age: seconds(age),
            latest_ahead: seconds(age.saturating_neg()),
            batches,
            subscriptions: self.ability(self.subscribe().await),
            safe: self.ability(self.header("safe").await),
            finalized: self.ability(self.header("finalized").await),
            logs_by_hash: self.ability(self.logs_by_hash(&latest).await),
            history,
            range_limit,
            result_limit: self.result_limit(&latest).await,
            receipts,
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
            let subscribed = tokio::time::timeout(self.timeout, self.link.subscribe(params)).await;
            let (subscription, _) = subscribed.map_err(|_elapsed| too_slow(self.timeout))??;
            self.link.unsubscribe(&subscription);
        }
        Ok(())
    }

    async fn logs_by_hash(&self, latest: &Header) -> Result<(), Fault> {
        let nothing = LogFilter { addresses: vec![Address::ZERO], topics0: Vec::new() };
        self.logs(LogQuery::Block(latest.block), &nothing).await.map(drop)
    }

    /// How many logs there are.
    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<u64, Fault> {
        let answer = self.ask(LOGS, json!([log_params(Some(query), filter)])).await?;
        let logs: Option<Vec<WireLog>> = wire::read(&answer).map_err(Fault::Incoherent)?;
        Ok(logs.map_or(0, |logs| u64::try_from(logs.len()).unwrap_or(u64::MAX)))
    }

    /// As the rooms will ask for them.
    async fn batches_and_receipts(&self, chain_id: ChainId, latest: &Header) -> (Limit, Receipts) {
        let config = NodeConfig {
            request_timeout: self.timeout,
            ..NodeConfig::new(self.chain.clone(), chain_id, vec![self.given.to_owned()])
        };
        let pool = match Pool::new(config, Arc::clone(self.clock)) {
            Ok(pool) => pool,
            Err(error) => return (Limit::Nothing(error.to_string()), Receipts::No(error.to_string())),
        };
        let upstream = &pool.upstreams[0];
        let batches = self.batch_limit(upstream, latest).await;
        let receipts = match Box::pin(upstream.receipts(latest.block)).await {
            Ok(Some(receipts)) => match receipts.proof {
                Proof::Root => Receipts::Prove,
                Proof::Word(why) => Receipts::Word(why),
            },
            Ok(None) => Receipts::No("it gives none for its newest block".to_owned()),
            Err(fault) => Receipts::No(self.endpoint.clean(&fault.detail())),
        };
        (batches, receipts)
    }

    fn ability<T>(&self, tried: Result<T, Fault>) -> Ability {
        match tried {
            Ok(_) => Ability::Yes,
            Err(fault) => Ability::No(self.endpoint.clean(&fault.detail())),
        }
    }
}
