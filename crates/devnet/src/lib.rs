#![doc = include_str!("../README.md")]

mod contracts;
mod error;
mod node;
mod options;
mod process;
mod reorg;
mod rpc;
mod sending;
mod wire;

pub use contracts::{Artifact, Collectible, Exchange, Leg, Order, SimpleToken, Token};
pub use error::Error;
pub use node::Devnet;
pub use options::{Mining, Options};
pub use reorg::Reorg;
pub use wire::{Block, Call, Receipt};
