//! The sections as they are written. Every struct refuses unknown keys; every default is here and in
//! `config/chainbell.toml`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use super::{SecretUrl, Span};

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// `[store]`
    pub store: Store,
    /// `[broker]`
    pub broker: Broker,
    /// `[debounce]`
    pub debounce: Debounce,
    /// `[api]`
    pub api: Api,
    /// `[channels]`
    pub channels: Channels,
    /// `[run]`
    pub run: RunSection,
    /// `[[chain]]`
    pub chain: Vec<ChainTable>,
    /// `[[contract]]`
    pub contract: Vec<ContractTable>,
    /// `[[recipient]]`
    pub recipient: Vec<RecipientTable>,
    /// `[[watch]]`
    pub watch: Vec<WatchTable>,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite://…` or `postgres://…`.
    pub url: SecretUrl,
    /// How many connections to PostgreSQL one process has at most.
    pub connections: Option<std::num::NonZeroU32>,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: SecretUrl::from("sqlite://chainbell.db"), connections: None }
    }
}

/// `[broker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// `memory:`, `nats://…` or `tls://…`.
    pub url: SecretUrl,
    /// Before every stream and subject.
    pub prefix: String,
    /// A file with the JWT and the seed of a NATS user.
    pub credentials: Option<PathBuf>,
    /// A file with the seed of a NATS user.
    pub nkey: Option<PathBuf>,
    /// Certificates of the authorities that are trusted.
    pub ca: Option<PathBuf>,
    /// Our own certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: SecretUrl::from("memory:"),
            prefix: String::new(),
            credentials: None,
            nkey: None,
            ca: None,
            certificate: None,
            key: None,
        }
    }
}

/// `[debounce]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Debounce {
    /// `store:`, `redis://…` or `rediss://…`.
    pub url: SecretUrl,
    /// Before every key.
    pub prefix: String,
    /// Certificates of the authorities that are trusted.
    pub ca: Option<PathBuf>,
    /// Our own certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Default for Debounce {
    fn default() -> Self {
        Self { url: SecretUrl::from("store:"), prefix: String::new(), ca: None, certificate: None, key: None }
    }
}

/// `[api]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port.
    pub listen: String,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8650".to_owned() }
    }
}

/// `[channels]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Channels {
    /// Whether webhooks may go to private addresses and over plain `http`.
    pub allow_private: bool,
    /// One deadline over a whole webhook.
    pub deadline: Span,
    /// A folder of templates that override the built-in ones.
    pub templates: Option<PathBuf>,
    /// When failed deliveries are tried again.
    pub retry: Vec<Span>,
}

impl Default for Channels {
    fn default() -> Self {
        let retry = domain::retry::RetrySchedule::default().delays.into_iter().map(Span::new).collect();
        Self { allow_private: false, deadline: Span::new(Duration::from_secs(15)), templates: None, retry }
    }
}

impl Channels {
    /// What of it holds for webhooks.
    pub fn webhook(&self) -> channels::WebhookConfig {
        channels::WebhookConfig {
            deadline: self.deadline.0,
            allow_private: self.allow_private,
            ..channels::WebhookConfig::default()
        }
    }
}

/// `[run]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSection {
    /// How long a shutdown may take.
    pub grace: Span,
    /// How long an unmatched event, an overdue hit or an untold delivery waits before the sweep takes it.
    pub sweep_grace: Span,
    /// After how long without a sign of life another process reads a chain.
    pub lease: Span,
    /// Whether the audit of hits is audited in the background.
    pub audit_hits: bool,
    /// After how long tokens are asked for their names and decimals again.
    pub token_refresh: Span,
}

impl Default for RunSection {
    fn default() -> Self {
        Self {
            grace: Span::new(Duration::from_secs(20)),
            sweep_grace: Span::new(Duration::from_secs(10)),
            lease: Span::new(Duration::from_secs(5)),
            audit_hits: true,
            token_refresh: Span::new(pipeline::tokens::RENEW),
        }
    }
}

/// `[[chain]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainTable {
    /// Name.
    pub name: String,
    /// EIP-155 id.
    pub chain_id: u64,
    /// URLs of nodes.
    pub rpc: Vec<String>,
    /// How it becomes final.
    #[serde(default)]
    pub finality: Finality,
    /// The deepest reorg that is followed.
    #[serde(default = "max_reorg_depth")]
    pub max_reorg_depth: u32,
    /// Whether events of the past notify.
    #[serde(default)]
    pub notify_backfill: bool,
    /// How often to look when nothing wakes us.
    #[serde(default = "poll")]
    pub poll: Span,
    /// How many blocks a range of the past spans at most.
    #[serde(default = "range_max")]
    pub range_max: u64,
    /// How many calls are under way at once.
    #[serde(default = "calls_max")]
    pub calls_max: usize,
    /// Whether a bloom that excludes our logs is believed.
    #[serde(default)]
    pub trust_bloom: bool,
    /// How many blocks a told event may be gone before it is taken back.
    #[serde(default = "settle_blocks")]
    pub settle_blocks: u64,
    /// What becomes of blocks once they are final.
    #[serde(default)]
    pub audit: Audit,
}

/// `audit`: whether final blocks are read a second time, and what becomes of differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audit {
    /// Differences are mended.
    #[default]
    Repair,
    /// Differences are told.
    Report,
    /// Nothing is read twice.
    Off,
}

const fn max_reorg_depth() -> u32 {
    256
}

const fn poll() -> Span {
    Span::new(Duration::from_secs(4))
}

const fn range_max() -> u64 {
    10_000
}

const fn settle_blocks() -> u64 {
    2
}

const fn calls_max() -> usize {
    16
}

/// `finality`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Finality {
    /// `"tags"`
    #[default]
    Tags,
    /// `{ depth = 64 }`
    Depth(u64),
}

impl<'de> Deserialize<'de> for Finality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Table(BTreeMap<String, u64>),
        }
        const MEND: &str = "write \"tags\" or { depth = 64 }";
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(MEND))? {
            Written::Word(word) if word == "tags" => Ok(Self::Tags),
            Written::Table(table) if table.len() == 1 => {
                table.get("depth").copied().map(Self::Depth).ok_or_else(|| D::Error::custom(MEND))
            }
            _ => Err(D::Error::custom(MEND)),
        }
    }
}

/// `[[contract]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractTable {
    /// Name.
    pub name: String,
    /// Chain.
    pub chain: String,
    /// One, several, or anywhere.
    #[serde(default)]
    pub address: Option<OneOrMany>,
    /// The factory whose children it is.
    #[serde(default)]
    pub factory: Option<FactoryTable>,
    /// Path of a JSON ABI.
    #[serde(default)]
    pub abi: Option<String>,
    /// Names of events to keep, or whole declarations where there is no `abi`.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// A number, or `"latest"`.
    #[serde(default)]
    pub start_block: Option<NumberOrWord>,
}

/// `factory`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactoryTable {
    /// The contract that creates them.
    pub contract: String,
    /// Its event.
    pub event: String,
    /// The event's parameter that is the child's address.
    pub parameter: String,
}

/// One text or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A number or a word.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum NumberOrWord {
    /// A number.
    Number(u64),
    /// A word.
    Word(String),
}

/// `[[recipient]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientTable {
    /// Id.
    pub id: String,
    /// Language.
    #[serde(default = "locale")]
    pub locale: String,
    /// Time zone.
    #[serde(default = "timezone")]
    pub timezone: String,
    /// From when to when it is left alone.
    #[serde(default)]
    pub quiet_hours: Option<String>,
    /// How often it is told.
    #[serde(default)]
    pub at_most: Option<String>,
    /// Where to deliver.
    #[serde(default)]
    pub target: Vec<TargetTable>,
}

fn locale() -> String {
    "en".to_owned()
}

fn timezone() -> String {
    "UTC".to_owned()
}

/// `[[recipient.target]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetTable {
    /// Name.
    pub name: String,
    /// URL.
    pub url: String,
    /// Signing secrets, newest first.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// `[[watch]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchTable {
    /// Id.
    pub id: String,
    /// Recipient.
    pub recipient: String,
    /// Contract.
    pub contract: String,
    /// Event.
    pub event: String,
    /// Filter.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// `immediate` or `digest`.
    #[serde(default)]
    pub strategy: Option<String>,
    /// From the first hit on.
    #[serde(default)]
    pub window: Option<Span>,
    /// At the longest.
    #[serde(default)]
    pub max_wait: Option<Span>,
    /// This many hits close it at once.
    #[serde(default)]
    pub max_count: Option<u32>,
    /// Whether each hit starts `window` anew.
    #[serde(default)]
    pub slide: bool,
    /// Whether the first hit is told at once.
    #[serde(default)]
    pub leading: bool,
    /// When it is told, in place of a window.
    #[serde(default)]
    pub schedule: Option<String>,
    /// What each window gathers for.
    #[serde(default)]
    pub group_by: Option<OneOrMany>,
    /// Whether it passes quiet hours and budgets.
    #[serde(default)]
    pub critical: bool,
    /// What becomes of what looks like spam.
    #[serde(default)]
    pub spam: Option<String>,
    /// Confidence.
    #[serde(default)]
    pub deliver_at: Option<NumberOrWord>,
    /// Whether it makes no hits.
    #[serde(default)]
    pub paused: bool,
}
