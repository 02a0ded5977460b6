//! What can be wrong with an ABI that somebody configured, in one sentence with the file and the mend.

use crate::signature::SignatureError;

/// An ABI that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AbiError {
    /// The file cannot be opened or read.
    #[error("the ABI file '{file}' cannot be read: {detail}; correct the path or the file's permissions")]
    Unreadable {
        /// Path, as given.
        file: String,
        /// What the operating system said.
        detail: String,
    },
    /// The file is longer than [`MAX_ABI_BYTES`](crate::MAX_ABI_BYTES).
    #[error("the ABI file '{file}' is longer than {max} bytes; give the contract's ABI alone")]
    TooLong {
        /// Path, as given.
        file: String,
        /// The limit.
        max: u64,
    },
    /// The text is not JSON.
    #[error(
        "the ABI file '{file}' is not JSON ({detail}); give the ABI as a JSON array, or a Hardhat or Foundry artifact"
    )]
    NotJson {
        /// Path, as given.
        file: String,
        /// Where it stops being JSON.
        detail: String,
    },
    /// It is JSON, but no ABI.
    #[error(
        "the file '{file}' is JSON but holds no ABI: {detail}; give the ABI as a JSON array, or a Hardhat or Foundry artifact, which has it under \"abi\""
    )]
    NoAbi {
        /// Path, as given.
        file: String,
        /// What it is.
        detail: String,
    },
    /// An event in it is malformed.
    #[error(
        "the ABI file '{file}' has an event that cannot be read, '{event}': {detail}; compile the contract again or correct the entry"
    )]
    BadEvent {
        /// Path, as given.
        file: String,
        /// The event's name, or its place in the array.
        event: String,
        /// What is wrong.
        detail: String,
    },
    /// It declares no event.
    #[error("the ABI in '{file}' declares no event; give the ABI of the contract that emits the events")]
    NoEvents {
        /// Path, as given.
        file: String,
    },
    /// An event was asked for that the ABI lacks.
    #[error("event '{event}' is not in the ABI; {mend}")]
    UnknownEvent {
        /// As asked for.
        event: String,
        /// The one that was meant, where one is near, and those that there are.
        mend: String,
    },
    /// A human-readable signature is malformed.
    #[error("{0}")]
    Signature(#[from] SignatureError),
}
