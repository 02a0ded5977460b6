//! A log becomes a decoded event: ABI files and signatures in, [`domain::Content`] out.
//!
//! Owns the byte layout of logs (Solidity ABI specification, "Events" and "Formal Specification of the Encoding")
//! and the choice of the layout that a log has. Must not know nodes, stores or what anybody does with an event.
//! The bytes are read here and not by a general decoder, because a notification needs what those do not give: a
//! reason in words when a log does not fit, dirty words refused and never masked, and a bound on what a hostile log
//! can make us allocate. The tests hold the reading against `alloy-dyn-abi`, value by value.

mod codec;
mod decoder;
mod error;
mod file;
mod layout;
pub mod metadata;
mod readings;
mod select;
mod signature;
mod types;

pub use decoder::{Decoded, Decoder, to_event};
pub use error::AbiError;
pub use file::{AbiFile, MAX_ABI_BYTES, raw_note};
pub use layout::{Layouts, clash};
pub use select::select;
pub use signature::{SignatureError, parse_signature};
