#![doc = include_str!("../README.md")]

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
