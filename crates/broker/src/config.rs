//! Where a broker is and how to log in there. Owns the shape of it; must not know where it was read from.

use std::{fmt, path::PathBuf};

use domain::redact_url;

/// A broker, as an operator describes it.
#[derive(Clone, Default)]
pub struct BrokerConfig {
    /// `memory:`, or the URL of a NATS server; several are separated by commas. Secret.
    pub url: String,
    /// Stands before every stream and subject, to keep two deployments on one server apart; it may be empty.
    pub prefix: String,
    /// The files that a login or TLS needs.
    pub files: NatsFiles,
}

/// The files that a login or TLS needs. Each is read anew at every connection, so that what was renewed is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsFiles {
    /// A credentials file: a user's JWT and its seed.
    pub credentials: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey: Option<PathBuf>,
    /// Certificates of the authorities that are trusted, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate, with its chain.
    pub certificate: Option<PathBuf>,
    /// The private key of [`certificate`](Self::certificate).
    pub key: Option<PathBuf>,
}

impl BrokerConfig {
    /// A broker that asks for no files.
    pub fn new(url: &str, prefix: &str) -> Self {
        Self { url: url.to_owned(), prefix: prefix.to_owned(), files: NatsFiles::default() }
    }

    /// The URL without its secrets.
    pub fn shown(&self) -> String {
        let parts: Vec<_> = self.url.split(',').map(redact_url).collect();
        parts.join(",")
    }
}

impl fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConfig")
            .field("url", &self.shown())
            .field("prefix", &self.prefix)
            .field("files", &self.files)
            .finish()
    }
}
