//! How a command fails: one sentence, and whose fault it is.

use std::process::ExitCode;

use domain::{BrokerError, ChainError, DebounceError};
use store::StoreError;

use crate::config::ConfigError;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong usage or configuration: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The world does not do what it should: exit status 1.
    #[error("{0}")]
    World(String),
    /// All is done but what was set aside: exit status 3.
    #[error("{0}")]
    SetAside(String),
}

impl Failure {
    /// Wrong usage or configuration.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }

    /// The world's fault.
    pub fn world(sentence: impl Into<String>) -> Self {
        Self::World(sentence.into())
    }

    /// The exit status.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::World(_) => ExitCode::from(1),
            Self::SetAside(_) => ExitCode::from(3),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Config { .. } | StoreError::OtherChain { .. } => Self::Usage(error.to_string()),
            error => Self::World(error.to_string()),
        }
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Misconfigured { .. } => Self::Usage(error.to_string()),
            error => Self::World(error.to_string()),
        }
    }
}

impl From<DebounceError> for Failure {
    fn from(error: DebounceError) -> Self {
        Self::World(error.to_string())
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        Self::World(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::World(error.to_string())
    }
}
