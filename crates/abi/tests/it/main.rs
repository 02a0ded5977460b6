//! ABIs as people write them, logs as contracts emit them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping it")]

// The name that every other crate gives it.
extern crate abi as abi;

mod clashes;
mod decoding;
mod decoding_law;
mod files;
mod logs;
mod metadata;
mod opaque;
mod signatures;
mod standards;
