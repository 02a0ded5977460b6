//! What can go wrong with a development node, said so that the person running it knows the mend.

use alloy_primitives::B256;

/// A fault of the development node or of a request to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no `anvil` to start.
    #[error(
        "no anvil at `{binary}`: run `scripts/services start anvil`, or point CHAINBELL_ANVIL at Foundry's anvil"
    )]
    AnvilMissing {
        /// The path or the name that was tried.
        binary: String,
    },

    /// Anvil was started and did not come up.
    #[error("anvil did not start: {why}")]
    NotStarted {
        /// What it printed, or that it was silent until the time was up.
        why: String,
    },

    /// The node did not answer, or what it answered is no JSON-RPC.
    #[error("the development node did not answer {method}")]
    Unanswered {
        /// The JSON-RPC method.
        method: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },

    /// The node answered with an error object.
    #[error("the development node refused {method}: {message} (code {code})")]
    Refused {
        /// The JSON-RPC method.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// The node's own words.
        message: String,
    },

    /// The node's answer has another shape than expected.
    #[error("the development node's answer to {method} is not what was expected: {why}")]
    Unexpected {
        /// The JSON-RPC method.
        method: String,
        /// What is wrong with it.
        why: String,
    },

    /// A transaction was mined and reverted.
    #[error("transaction {0} was reverted")]
    Reverted(B256),

    /// The new branch of a reorg was to hold a transaction again, and the node left it out without a word.
    #[error("transaction {0} does not fit the new branch: does an earlier one of its sender lack there?")]
    LeftOut(B256),

    /// Something that was waited for did not happen in time.
    #[error("waited {seconds} s in vain for {what}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
    },
}
