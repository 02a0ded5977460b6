//! A URL that may hold a password: nothing that is printed of it holds one.

use std::{fmt, ops::Deref};

use serde::Deserialize;

/// A URL of `[store]`, `[broker]` or `[debounce]`. Its `Debug` is redacted.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl From<&str> for SecretUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl Deref for SecretUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.split(',').map(domain::redact_url).collect();
        write!(f, "{:?}", parts.join(","))
    }
}
