//! Owns the errors of connecting: each names the redacted URL, and what to mend.

use domain::{ChainId, ChainName};

/// Why a chain's nodes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The chain has no URL.
    #[error("chain '{chain}' has no node: give at least one URL in its 'rpc'")]
    NoUrl {
        /// The operator's name of the chain.
        chain: ChainName,
    },
    /// The URL cannot be one of a node.
    #[error("the node URL {url} is not usable: {why}")]
    BadUrl {
        /// Redacted URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing answers there.
    #[error("no node answers at {url}: {detail}; is it running, and is the URL right?")]
    Unreachable {
        /// Redacted URL.
        url: String,
        /// What happened.
        detail: String,
    },
    /// Something answers, and it is no node.
    #[error("what answers at {url} does not speak JSON-RPC: {detail}; check the port and the path")]
    NotJsonRpc {
        /// Redacted URL.
        url: String,
        /// What it said.
        detail: String,
    },
    /// The node does not want us.
    #[error(
        "the node at {url} refuses us: {detail}; check the key in the URL, and the plan that it belongs to"
    )]
    Refused {
        /// Redacted URL.
        url: String,
        /// What it said.
        detail: String,
    },
    /// The node serves another chain.
    #[error(
        "the node at {url} serves chain {served}, but chain '{chain}' is configured as {expected}: correct 'chain_id' or the URL"
    )]
    WrongChain {
        /// Redacted URL.
        url: String,
        /// The id that the node gave.
        served: ChainId,
        /// The operator's name of the chain.
        chain: ChainName,
        /// The id that was configured.
        expected: ChainId,
    },
}

impl ConnectError {
    /// Whether the configuration is at fault, rather than the world: trying again will not help.
    pub const fn is_misconfigured(&self) -> bool {
        matches!(self, Self::NoUrl { .. } | Self::BadUrl { .. } | Self::WrongChain { .. })
    }
}
