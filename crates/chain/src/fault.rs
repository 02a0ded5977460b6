//! Owns what can go wrong with one request, before it is known which URL and question it belongs to.

use std::time::Duration;

use domain::{ChainError, ChainId, ChainName};

use crate::{endpoint::Endpoint, error::ConnectError};

/// What went wrong, by what the caller should do. The texts are the node's own, not yet cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing useful came back.
    Unavailable(String),
    /// Nothing came back: there is no connection, or no answer in time.
    Silent(String),
    /// The node answered with an error that says nothing to act on.
    Refused(String),
    /// The other side is no node.
    NotJsonRpc(String),
    /// The other side does not want us.
    Denied(String),
    /// The connection serves another chain.
    WrongChain(ChainId),
    RateLimited {
        detail: String,
        retry_after: Option<Duration>,
    },
    RangeTooLarge {
        detail: String,
        suggested_blocks: Option<u64>,
        /// Whether it is the number of blocks, which is the same for all of them, and not what is in these.
        lasting: bool,
    },
    /// The provider asked for a wait that is not over: nothing was sent.
    Held(Duration),
    UnknownBlock,
    /// The node let go of blocks as old as these; newer ones it has.
    Pruned(String),
    Incoherent(String),
    /// An answer that is proved wrong.
    Lie(String),
    /// Receipts that are not the whole block.
    Unproved(String),
    Unsupported(String),
    Reverted(String),
}

impl Fault {
    /// Whether another URL may do better, so that this one goes to the end of the line.
    pub(crate) const fn demotes(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Silent(_)
                | Self::Refused(_)
                | Self::NotJsonRpc(_)
                | Self::Denied(_)
                | Self::WrongChain(_)
                | Self::RateLimited { .. }
                | Self::Held(_)
                | Self::Incoherent(_)
                | Self::Lie(_)
        )
    }

    /// Whether the same question may be answered when it is put once more, here or elsewhere.
    pub(crate) const fn is_worth_another_turn(&self) -> bool {
        self.demotes() || matches!(self, Self::UnknownBlock)
    }

    /// One word for the metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_)
            | Self::Silent(_)
            | Self::Refused(_)
            | Self::NotJsonRpc(_)
            | Self::Denied(_) => "unavailable",
            Self::RateLimited { .. } | Self::Held(_) => "rate_limited",
            Self::RangeTooLarge { .. } => "range_too_large",
            Self::UnknownBlock => "unknown_block",
            Self::Pruned(_) => "pruned",
            Self::Incoherent(_) | Self::WrongChain(_) => "incoherent",
            Self::Lie(_) => "lie",
            Self::Unproved(_) => "unproved",
            Self::Unsupported(_) => "unsupported",
            Self::Reverted(_) => "reverted",
        }
    }

    /// The fault in words.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Unavailable(detail)
            | Self::Silent(detail)
            | Self::Refused(detail)
            | Self::NotJsonRpc(detail)
            | Self::Denied(detail)
            | Self::RateLimited { detail, .. }
            | Self::RangeTooLarge { detail, .. }
            | Self::Pruned(detail)
            | Self::Incoherent(detail)
            | Self::Lie(detail)
            | Self::Unproved(detail)
            | Self::Unsupported(detail)
            | Self::Reverted(detail) => detail.clone(),
            Self::UnknownBlock => "unknown block".to_owned(),
            Self::Held(left) => format!("it asked for a wait, of which {:.1} s are left", left.as_secs_f64()),
            Self::WrongChain(served) => format!("it serves chain {served}"),
        }
    }

    /// The error for the rooms. `asked` says which block, range or transaction the question was about.
    pub(crate) fn into_error(self, at: &Endpoint, method: &'static str, asked: &str) -> ChainError {
        let url = at.redacted().to_owned();
        let detail = at.clean(&self.detail());
        match self {
            Self::Unavailable(_) | Self::Silent(_) | Self::Refused(_) => {
                ChainError::Unavailable { url, method, detail }
            }
            Self::NotJsonRpc(_) => {
                ChainError::Unavailable { url, method, detail: format!("that is no JSON-RPC: {detail}") }
            }
            Self::Denied(_) => ChainError::Unavailable {
                url,
                method,
                detail: format!("it refuses us ({detail}): check the key in the URL"),
            },
            Self::RateLimited { retry_after, .. } => ChainError::RateLimited { url, detail, retry_after },
            Self::Held(left) => ChainError::RateLimited { url, detail, retry_after: Some(left) },
            Self::RangeTooLarge { suggested_blocks, .. } => {
                ChainError::RangeTooLarge { url, detail, suggested_blocks }
            }
            Self::UnknownBlock => ChainError::UnknownBlock { url, block: asked.to_owned() },
            Self::Pruned(_) => ChainError::Pruned { url, block: asked.to_owned(), detail },
            Self::Incoherent(_) | Self::Lie(_) | Self::WrongChain(_) => {
                ChainError::Incoherent { url, detail }
            }
            Self::Unproved(_) => ChainError::Unproved { url, block: asked.to_owned(), detail },
            Self::Unsupported(_) => ChainError::Unsupported { url, method, detail },
            Self::Reverted(_) => ChainError::Reverted { detail },
        }
    }

    /// The error for the operator who has just configured the URL.
    pub(crate) fn into_connect_error(
        self,
        at: &Endpoint,
        chain: &ChainName,
        expected: ChainId,
    ) -> ConnectError {
        let url = at.redacted().to_owned();
        let detail = at.clean(&self.detail());
        match self {
            Self::WrongChain(served) => {
                ConnectError::WrongChain { url, served, chain: chain.clone(), expected }
            }
            Self::NotJsonRpc(_) | Self::Incoherent(_) | Self::Lie(_) | Self::Unsupported(_) => {
                ConnectError::NotJsonRpc { url, detail }
            }
            Self::Refused(_) | Self::Denied(_) | Self::RateLimited { .. } | Self::Held(_) => {
                ConnectError::Refused { url, detail }
            }
            Self::Unavailable(_)
            | Self::Silent(_)
            | Self::RangeTooLarge { .. }
            | Self::UnknownBlock
            | Self::Pruned(_)
            | Self::Unproved(_)
            | Self::Reverted(_) => ConnectError::Unreachable { url, detail },
        }
    }
}
