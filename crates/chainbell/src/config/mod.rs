//! The configuration: one typed struct per section, read from TOML and the environment, checked before anything
//! starts. Owns every key and every sentence about a wrong one; must not know what the sections are used for.
//!
//! `config/chainbell.toml` documents each key with its default, and a test keeps the two together.

mod bounds;
mod contracts;
mod duration;
mod error;
pub mod people;
pub mod raw;
mod secret;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{Catalog, ChainId, ChainName, ContractName, Recipient, Target, Watch, matching};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use pipeline::ingest::FinalityRule;

pub use duration::{Span, written};
pub use error::ConfigError;
pub use raw::{
    Api, Broker, Channels, Debounce, Finality, Raw, RecipientTable, RunSection, Store, TargetTable,
    WatchTable,
};
pub use secret::SecretUrl;

/// Where a configuration is looked for when none is named.
pub const DEFAULT_PATH: &str = "chainbell.toml";

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The sections as they were written, defaults filled in.
    pub raw: Raw,
    /// The chains.
    pub chains: Vec<Chain>,
    /// The contracts with their events.
    pub catalog: Arc<Catalog>,
    /// The file's recipients.
    pub recipients: Vec<Recipient>,
    /// Their targets.
    pub targets: Vec<Target>,
    /// The file's watches.
    pub watches: Vec<Watch>,
    /// What is to be said of it though it can be used.
    pub notes: Vec<String>,
    /// Events of contracts' ABIs that may make or destroy tokens and are not read, by their signatures.
    pub unread: HashMap<ContractName, Vec<String>>,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
}

/// One chain, checked.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Chain id.
    pub id: ChainId,
    /// Name.
    pub name: ChainName,
    /// URLs of its nodes, in order. Secret.
    pub rpc: Vec<String>,
    /// How it becomes final.
    pub finality: FinalityRule,
    /// The rest of its keys.
    pub keys: raw::ChainTable,
}

impl Config {
    /// Reads and checks the configuration at `path`, or at [`DEFAULT_PATH`].
    ///
    /// # Errors
    /// One sentence that names the key and the mend.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let path = path.map_or_else(|| PathBuf::from(DEFAULT_PATH), Path::to_path_buf);
        let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::File {
            path: path.display().to_string(),
            detail: match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "there is no such file: write one (config/chainbell.toml shows every key) or pass --config FILE"
                        .to_owned()
                }
                _ => error.to_string(),
            },
        })?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Self::parse(&path.display().to_string(), &text, &folder)
    }

    /// Checks a configuration's text; `file` is its name in errors, `folder` where relative paths start.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let figment = Figment::from(Toml::string(text)).merge(Env::prefixed("CHAINBELL__").split("__"));
        let raw: Raw = figment.extract().map_err(|error| ConfigError::from_figment(file, error))?;
        Self::check(raw, folder)
    }

    fn check(raw: Raw, folder: &Path) -> Result<Self, ConfigError> {
        bounds::check(&raw)?;
        let chains = check_chains(&raw)?;
        let names: BTreeMap<_, _> = chains.iter().map(|chain| (chain.name.clone(), chain.id)).collect();
        let contracts::Read { catalog, notes, unread } = contracts::catalog(&raw, &names, folder)?;
        let catalog = Arc::new(catalog);
        let (recipients, targets) = people::recipients(&raw)?;
        let watches = people::watches(&raw, &recipients)?;
        for watch in &watches {
            matching::validate(&catalog, watch)
                .map_err(|problem| ConfigError::key(&format!("watch '{}'", watch.id), problem.to_string()))?;
        }
        let folder = folder.to_path_buf();
        Ok(Self { raw, chains, catalog, recipients, targets, watches, notes, unread, folder })
    }

    /// The chain of a name.
    ///
    /// # Errors
    /// [`ConfigError`] that lists the chains there are.
    pub fn chain(&self, name: &str) -> Result<&Chain, ConfigError> {
        self.chains.iter().find(|chain| chain.name.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = self.chains.iter().map(|chain| chain.name.as_str()).collect();
            let mend = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            ConfigError::key("--chain", format!("there is no chain '{name}'; the chains are: {mend}"))
        })
    }

    /// The names of all chains by id.
    pub fn chain_names(&self) -> HashMap<ChainId, ChainName> {
        self.chains.iter().map(|chain| (chain.id, chain.name.clone())).collect()
    }
}

fn check_chains(raw: &Raw) -> Result<Vec<Chain>, ConfigError> {
    let mut chains: Vec<Chain> = Vec::with_capacity(raw.chain.len());
    for table in &raw.chain {
        let at = |key: &str| format!("chain '{}': {key}", table.name);
        let name: ChainName = table
            .name
            .parse()
            .map_err(|error: domain::ids::BadName| ConfigError::key("chain.name", error.to_string()))?;
        if chains.iter().any(|chain| chain.name == name) {
            return Err(ConfigError::key(&at("name"), "two chains have this name: rename one".to_owned()));
        }
        if let Some(other) = chains.iter().find(|chain| chain.id.0 == table.chain_id) {
            let detail =
                format!("'{}' has the chain id {} too: remove one of them", other.name, table.chain_id);
            return Err(ConfigError::key(&at("chain_id"), detail));
        }
        if table.rpc.is_empty() {
            return Err(ConfigError::key(&at("rpc"), "it names no URL: give at least one".to_owned()));
        }
        chains.push(Chain {
            id: ChainId(table.chain_id),
            name,
            rpc: table.rpc.clone(),
            finality: match &table.finality {
                Finality::Tags => FinalityRule::Tags,
                Finality::Depth(depth) => FinalityRule::Depth(*depth),
            },
            keys: table.clone(),
        });
    }
    Ok(chains)
}
