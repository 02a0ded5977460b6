//! The broker and the timer index as the configuration describes them. Owns the way from a section to its server.

use std::{path::PathBuf, sync::Arc};

use broker::{Broker, BrokerConfig, ConsumerConfig, NatsFiles};
use debounce::{RedisConfig, RedisFiles};
use domain::{
    Clock, Debouncer,
    message::{STREAM_CHAIN, STREAM_NOTIFY},
};
use store::Store;

use crate::{config::Config, failure::Failure};

/// The durable consumer of the room `matching`.
pub const MATCHING: &str = "matching";
/// The durable consumer of the room `deliver`.
pub const DELIVER: &str = "deliver";

/// Every durable consumer, with its stream and its limits.
pub fn consumers() -> [(&'static str, &'static str, ConsumerConfig); 2] {
    [(STREAM_CHAIN, MATCHING, ConsumerConfig::default()), (STREAM_NOTIFY, DELIVER, ConsumerConfig::default())]
}

/// Connects to the broker of `[broker]`.
///
/// # Errors
/// One sentence that names the redacted URL and the mend.
pub async fn broker(config: &Config, clock: Arc<dyn Clock>) -> Result<Broker, Failure> {
    let section = &config.raw.broker;
    let beside = |path: &Option<PathBuf>| path.as_ref().map(|path| config.folder.join(path));
    let files = NatsFiles {
        credentials: beside(&section.credentials),
        nkey: beside(&section.nkey),
        ca: beside(&section.ca),
        certificate: beside(&section.certificate),
        key: beside(&section.key),
    };
    let broker = BrokerConfig { url: section.url.to_string(), prefix: section.prefix.clone(), files };
    Ok(Broker::connect(&broker, clock).await?)
}

/// The timer index of `[debounce]`, as an operator describes it.
pub fn timers(config: &Config) -> RedisConfig {
    let section = &config.raw.debounce;
    let beside = |path: &Option<PathBuf>| path.as_ref().map(|path| config.folder.join(path));
    RedisConfig {
        url: section.url.to_string(),
        prefix: section.prefix.clone(),
        files: RedisFiles {
            ca: beside(&section.ca),
            certificate: beside(&section.certificate),
            key: beside(&section.key),
        },
    }
}

/// Connects to the timer index of `[debounce]`.
///
/// # Errors
/// One sentence that names the redacted URL and the mend.
pub async fn debouncer(config: &Config, store: Store) -> Result<Arc<dyn Debouncer>, Failure> {
    Ok(debounce::connect(&timers(config), store).await?)
}
