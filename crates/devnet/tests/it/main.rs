//! The development network against the real Anvil.

mod abis;
mod contracts;
mod reorgs;
mod sending;
mod starting;

use devnet::{Devnet, Options};

/// A node that mines each transaction at once.
async fn devnet() -> anyhow::Result<Devnet> {
    Ok(Devnet::start(Options::default()).await?)
}
