//! Owns the running node as its users see it: accounts, blocks, mining and the cheats. Sending is in
//! `sending`; the contracts are in `contracts`.

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;
use crate::options::Options;
use crate::process::Process;
use crate::reorg::Reorg;
use crate::rpc::Rpc;
use crate::sending::Nonces;
use crate::wire::{Block, Call, Receipt};

/// A running Anvil. It is killed when this is dropped, if it was started here.
#[derive(Debug)]
pub struct Devnet {
    // None for a node that somebody else has started.
    #[expect(dead_code, reason = "held, because its end is the node's")]
    process: Option<Process>,
    http_url: String,
    ws_url: String,
    ipc: Option<PathBuf>,
    accounts: Vec<Address>,
    pub(crate) rpc: Rpc,
    pub(crate) nonces: Nonces,
}

impl Devnet {
    /// Starts Anvil and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`Error::AnvilMissing`] when there is none, [`Error::NotStarted`] with its own words when it does
    /// not come up.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let process = Process::start(&options).await?;
        let address = process.address();
        let attached = Self::attach(format!("http://{address}"), format!("ws://{address}")).await?;
        Ok(Self { process: Some(process), ipc: options.ipc, ..attached })
    }

    /// Uses an Anvil that somebody else has started, and will end.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn attach(http_url: String, ws_url: String) -> Result<Self, Error> {
        let rpc = Rpc::new(http_url.clone())?;
        let accounts = rpc.call("eth_accounts", json!([])).await?;
        Ok(Self { process: None, http_url, ws_url, ipc: None, accounts, rpc, nonces: Nonces::default() })
    }

    /// The node's URL for HTTP.
    pub fn http_url(&self) -> String {
        self.http_url.clone()
    }

    /// The node's URL for WebSocket. Anvil serves it at `/` only.
    pub fn ws_url(&self) -> String {
        self.ws_url.clone()
    }

    /// The IPC socket, where [`Options::ipc`] asked for one.
    pub fn ipc(&self) -> Option<&Path> {
        self.ipc.as_deref()
    }

    /// The unlocked accounts.
    pub fn accounts(&self) -> &[Address] {
        &self.accounts
    }

    /// The unlocked account at `index`.
    ///
    /// # Panics
    ///
    /// If there are not so many: see [`Options::accounts`].
    pub fn account(&self, index: usize) -> Address {
        self.accounts[index]
    }

    /// Any other call of the node.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the node's words, [`Error::Unanswered`] when it is gone.
    pub async fn rpc<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, Error> {
        self.rpc.call(method, params).await
    }

    // ------------------------------------------------------------------------------------ reading

    /// The newest block.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn head(&self) -> Result<Block, Error> {
        self.rpc("eth_getBlockByNumber", json!(["latest", false])).await
    }

    /// The canonical block at a height.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc); [`Error::Unexpected`] when there is none.
    pub async fn block(&self, number: u64) -> Result<Block, Error> {
        self.rpc("eth_getBlockByNumber", json!([U64::from(number), false])).await
    }

    /// What became of a transaction; `None` while it is on no canonical block.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, Error> {
        self.rpc("eth_getTransactionReceipt", json!([transaction])).await
    }

    /// A transaction as it was signed, so that [`Reorg::remine`] can mine it elsewhere under the same hash.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc); [`Error::Unexpected`] when the node does not know it (any more).
    pub async fn raw_transaction(&self, transaction: B256) -> Result<Bytes, Error> {
        self.rpc("eth_getRawTransactionByHash", json!([transaction])).await
    }

    /// The logs of a contract between two heights, both included, as the node gives them.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn logs(&self, address: Address, from: u64, to: u64) -> Result<Vec<Value>, Error> {
        let filter = json!([{
            "address": address,
            "fromBlock": U64::from(from),
            "toBlock": U64::from(to),
        }]);
        self.rpc("eth_getLogs", filter).await
    }

    /// What a call would answer at the head, without a transaction.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc); a revert is [`Error::Refused`].
    pub async fn read(&self, call: &Call) -> Result<Bytes, Error> {
        self.rpc("eth_call", json!([{ "from": call.from, "to": call.to, "data": call.data }, "latest"])).await
    }

    // ------------------------------------------------------------------------------------- mining

    /// Makes `count` blocks; the first takes what is waiting. The node's work grows with the square of it:
    /// thousands take long.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn mine(&self, count: u64) -> Result<(), Error> {
        self.rpc::<Value>("anvil_mine", json!([U64::from(count)])).await.map(drop)
    }

    /// Whether each transaction makes a block at once. Turning it off leaves mining by hand.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn set_automine(&self, on: bool) -> Result<(), Error> {
        self.rpc::<Value>("evm_setAutomine", json!([on])).await.map(drop)
    }

    /// Makes a block every `seconds`, and no longer one for each transaction. 0 ends it.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn set_interval_mining(&self, seconds: u64) -> Result<(), Error> {
        self.rpc::<Value>("evm_setIntervalMining", json!([seconds])).await.map(drop)
    }

    // ------------------------------------------------------------------------------------- cheats

    /// Replaces the newest blocks. Subscribers get the new heads and the new logs, and nothing about the
    /// old ones; the node may cross its own `finalized`. Transactions that fell out do not wait to be
    /// mined again.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc); [`Error::Refused`] when the chain is not so deep, [`Error::LeftOut`] when a
    /// transaction does not fit the new branch.
    pub async fn reorg(&self, reorg: Reorg) -> Result<(), Error> {
        let result = self.rpc::<Value>("anvil_reorg", reorg.to_params()).await;
        self.nonces.forget().await;
        result?;
        for hash in reorg.remined {
            if self.receipt(hash).await?.is_none() {
                return Err(Error::LeftOut(hash));
            }
        }
        Ok(())
    }

    /// Takes the newest `depth` blocks away and puts none in their place.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn rollback(&self, depth: u64) -> Result<(), Error> {
        let result = self.rpc::<Value>("anvil_rollback", json!([depth])).await.map(drop);
        self.nonces.forget().await;
        result
    }

    /// Remembers the state of the chain; see [`revert`](Self::revert).
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn snapshot(&self) -> Result<U256, Error> {
        self.rpc("evm_snapshot", json!([])).await
    }

    /// Goes back to a snapshot, which is used up by it.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc); [`Error::Unexpected`] when there is no such snapshot.
    pub async fn revert(&self, snapshot: U256) -> Result<(), Error> {
        let done: bool = self.rpc("evm_revert", json!([snapshot])).await?;
        self.nonces.forget().await;
        if done {
            return Ok(());
        }
        Err(Error::Unexpected { method: "evm_revert".to_owned(), why: format!("no snapshot {snapshot}") })
    }
}
