//! The nodes of a chain as they are: Anvil over each transport, and a scripted node for what no real one can be made to
//! do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping it")]

mod batches;
mod conformance;
mod envelopes;
mod heads;
mod history;
mod lies;
mod lifecycle;
mod limits;
mod probing;
mod prompt;
mod providers;
mod ranges;
mod rates;
mod receipts;
mod traps;
mod urls;
mod wakes;
mod world;
