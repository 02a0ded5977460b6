//! A connection to Redis: who logs in, which certificates are trusted, and what kind of server answers. Owns the files of
//! TLS and the refusal of servers that can never work.

use std::{fmt, path::PathBuf, time::Duration};

use domain::{DebounceError, redact_url};
use redis::{
    Client, ClientTlsConfig, RedisError, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::faults;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A timer index, as an operator describes it.
#[derive(Clone, Default)]
pub struct RedisConfig {
    /// `store:` or `redis://…`. Secret.
    pub url: String,
    /// Stands before every key, to keep two deployments on one server apart; it may be empty.
    pub prefix: String,
    /// The files that TLS needs.
    pub files: RedisFiles,
}

/// The files that TLS needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisFiles {
    /// Certificates of the authorities that are trusted, in place of the public ones.
    pub ca: Option<PathBuf>,
    /// Our own certificate, with its chain.
    pub certificate: Option<PathBuf>,
    /// The private key of [`certificate`](Self::certificate).
    pub key: Option<PathBuf>,
}

impl RedisConfig {
    /// An index that asks for no files.
    pub fn new(url: &str, prefix: &str) -> Self {
        Self { url: url.to_owned(), prefix: prefix.to_owned(), files: RedisFiles::default() }
    }

    /// The URL without its secrets.
    pub fn shown(&self) -> String {
        redact_url(&self.url)
    }

    pub(crate) fn failed(&self, action: &'static str, detail: impl Into<String>) -> DebounceError {
        DebounceError { url: self.shown(), action, detail: detail.into() }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &self.shown())
            .field("prefix", &self.prefix)
            .field("files", &self.files)
            .finish()
    }
}

/// Connects, and refuses a server on which the keys of one script are never together.
pub(crate) async fn connect(
    config: &RedisConfig,
    keys: &[String],
) -> Result<ConnectionManager, DebounceError> {
    let failed =
        |error: RedisError| config.failed("connect", faults::sentence(&error, Some("check debounce.url")));
    let client = client(config).await?.map_err(failed)?;
    let manager = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(2);
    let mut connection = client.get_connection_manager_with_config(manager).await.map_err(failed)?;
    // A script that does nothing, over the keys of those that do something: a cluster refuses it by its code. What a
    // server refuses for another reason is said by the first script that matters.
    let mut script = redis::cmd("EVAL");
    script.arg("return 1").arg(keys.len()).arg(keys);
    match script.query_async::<i64>(&mut connection).await {
        Err(error) if faults::is_final(&error) => Err(failed(error)),
        _ => Ok(connection),
    }
}

async fn client(config: &RedisConfig) -> Result<Result<Client, RedisError>, DebounceError> {
    let files = &config.files;
    if files == &RedisFiles::default() {
        return Ok(Client::open(config.url.as_str()));
    }
    if !config.url.starts_with("rediss://") {
        return Err(config.failed(
            "open",
            "debounce.ca, certificate and key are for TLS: debounce.url must begin with rediss://",
        ));
    }
    let client_tls = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => Some(ClientTlsConfig {
            client_cert: read(config, "debounce.certificate", certificate).await?,
            client_key: read(config, "debounce.key", key).await?,
        }),
        (None, None) => None,
        _ => {
            return Err(
                config.failed("open", "debounce.certificate and debounce.key come together: name both files")
            );
        }
    };
    let root_cert = match &files.ca {
        Some(ca) => Some(read(config, "debounce.ca", ca).await?),
        None => None,
    };
    Ok(Client::build_with_tls(config.url.as_str(), TlsCertificates { client_tls, root_cert }))
}

async fn read(config: &RedisConfig, key: &str, path: &PathBuf) -> Result<Vec<u8>, DebounceError> {
    let bytes = tokio::fs::read(path).await.map_err(|error| {
        config.failed("open", format!("{key}: {} cannot be read ({error})", path.display()))
    })?;
    if bytes.windows(10).any(|window| window == b"-----BEGIN") {
        return Ok(bytes);
    }
    Err(config.failed("open", format!("{key}: {} holds nothing in PEM", path.display())))
}
