//! A local Anvil, the sample contracts of `tests/contracts` deployed on it, and the cheats that stage a
//! reorg. The demo and the tests make their traffic with it.
//!
//! It must not know how chainbell follows a chain: it speaks to the node with a JSON-RPC client of its
//! own, so that a fault in ours cannot hide in both places.
//!
//! ```no_run
//! # async fn example() -> Result<(), devnet::Error> {
//! use devnet::{Devnet, Options, Reorg};
//! use alloy_primitives::U256;
//!
//! let devnet = Devnet::start(Options::default()).await?;
//! let [alice, bob] = [devnet.account(0), devnet.account(1)];
//! let token = devnet.token().await?;
//! let paid = devnet.send(token.transfer(alice, bob, U256::from(5_000_000))).await?;
//!
//! // The same transaction, one block higher on another branch.
//! let raw = devnet.raw_transaction(paid.transaction_hash).await?;
//! devnet.mine(2).await?;
//! devnet.reorg(Reorg::new(3).remine(raw, 1)).await?;
//! # Ok(())
//! # }
//! ```

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
