//! Recipients and their targets. A target's URL is a secret: webhook paths, bot tokens and passwords live in it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{RecipientId, TargetName, budget::Budget, quiet::QuietHours, redact_url};

/// A person or system that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Identity.
    pub id: RecipientId,
    /// BCP 47 language tag, `en` or `ru`.
    pub locale: String,
    /// IANA time zone name.
    pub timezone: String,
    /// When only what is critical is told, by the clocks of that zone.
    pub quiet_hours: Option<QuietHours>,
    /// How many notifications there are at most, corrections and what is critical aside.
    pub at_most: Option<Budget>,
    /// Whether it came from the configuration file, which then owns it.
    pub from_file: bool,
}

/// A recipient's address on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Whose.
    pub recipient: RecipientId,
    /// Name, unique within the recipient.
    pub name: TargetName,
    /// Where to deliver.
    pub url: TargetUrl,
    /// Signing secrets of a webhook, newest first (`whsec_…`). Several during rotation.
    pub secrets: Vec<Secret>,
    /// Whether it came from the configuration file, which then owns it.
    pub from_file: bool,
}

/// The URL of a target: `stdout:`, `https://…`. Shows itself redacted.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetUrl(String);

impl TargetUrl {
    /// Takes the text as it is; the channel checks it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, secrets included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part before the colon: which channel it belongs to.
    pub fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The name of the channel that serves this URL: `webhook` for `http` and `https`, else the scheme.
    pub fn channel(&self) -> &str {
        match self.scheme() {
            "http" | "https" => "webhook",
            scheme => scheme,
        }
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_url(&self.0))
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redact_url(&self.0))
    }
}

/// A signing secret. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is; the channel checks it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
