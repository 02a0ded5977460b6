//! Owns the way of a transaction into the pool and into a block: which nonce it gets, and the wait for its
//! receipt.
//!
//! Three traps of Anvil shape it. It works on a batch in no order, and gives concurrent transactions of one
//! account the same nonce: so nonces are counted here. Under automine, transactions that arrive out of order
//! can stay in its queue for good: so automine rests while a batch goes in. And automine that is turned on
//! while transactions wait makes a block for each of them, most of them empty: so they are mined first.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, U64};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::error::Error;
use crate::node::Devnet;
use crate::rpc::wait_for;
use crate::wire::{Call, Receipt};

/// The next nonce of each account that has sent something. Locked while transactions go in.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<Address, u64>>);

impl Nonces {
    /// After the chain went back, the node knows better.
    pub(crate) async fn forget(&self) {
        self.0.lock().await.clear();
    }
}

impl Devnet {
    /// Sends a transaction and waits until it is in a block.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] when it fails, [`Error::TimedOut`] when nobody mines it, and as
    /// [`rpc`](Self::rpc).
    pub async fn send(&self, call: Call) -> Result<Receipt, Error> {
        let hash = self.submit(&[call]).await?[0];
        let receipt = wait_for(&format!("transaction {hash} to be mined"), || self.receipt(hash)).await?;
        if receipt.succeeded() { Ok(receipt) } else { Err(Error::Reverted(hash)) }
    }

    /// Sends many transactions, in order and in as few blocks as they fit into, and waits until all are in
    /// blocks. The receipts are in the order of the calls.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_all(&self, calls: &[Call]) -> Result<Vec<Receipt>, Error> {
        let hashes = self.submit(calls).await?;
        let Some(last) = hashes.last() else { return Ok(Vec::new()) };
        // One account's transactions are mined in order, so that most are there when the last one is.
        wait_for(&format!("transaction {last} to be mined"), || self.receipt(*last)).await?;
        let receipts = wait_for("all transactions to be mined", || async {
            let calls = hashes.iter().map(|hash| json!([hash])).collect();
            let found: Vec<Option<Receipt>> = self.rpc.batch("eth_getTransactionReceipt", calls).await?;
            Ok(found.into_iter().collect::<Option<Vec<_>>>())
        })
        .await?;
        match receipts.iter().find(|receipt| !receipt.succeeded()) {
            Some(failed) => Err(Error::Reverted(failed.transaction_hash)),
            None => Ok(receipts),
        }
    }

    /// Puts transactions into the pool, in order, and does not wait for a block. Under automine they are
    /// mined at once, in as few blocks as they fit into.
    ///
    /// # Errors
    ///
    /// As [`rpc`](Self::rpc).
    pub async fn submit(&self, calls: &[Call]) -> Result<Vec<B256>, Error> {
        let mut nonces = self.nonces.0.lock().await;
        let result = self.submit_numbered(&mut nonces, calls).await;
        if result.is_err() {
            nonces.clear();
        }
        result
    }

    async fn submit_numbered(
        &self,
        nonces: &mut HashMap<Address, u64>,
        calls: &[Call],
    ) -> Result<Vec<B256>, Error> {
        let mut transactions = Vec::with_capacity(calls.len());
        for call in calls {
            let nonce = match nonces.get(&call.from) {
                Some(nonce) => *nonce,
                None => self.pending_nonce(call.from).await?,
            };
            nonces.insert(call.from, nonce + 1);
            transactions.push(json!([call.to_json(Some(nonce))]));
        }
        if let [transaction] = &transactions[..] {
            return Ok(vec![self.rpc("eth_sendTransaction", transaction.clone()).await?]);
        }
        let automine: bool = self.rpc("anvil_getAutomine", json!([])).await?;
        if !automine {
            return self.rpc.batch("eth_sendTransaction", transactions).await;
        }
        self.set_automine(false).await?;
        let hashes = self.rpc.batch("eth_sendTransaction", transactions).await;
        let mined = self.mine_waiting().await;
        self.set_automine(true).await?;
        mined.and(hashes)
    }

    async fn pending_nonce(&self, account: Address) -> Result<u64, Error> {
        let count: U64 = self.rpc("eth_getTransactionCount", json!([account, "pending"])).await?;
        Ok(count.to())
    }

    /// Makes blocks until no transaction waits for one.
    async fn mine_waiting(&self) -> Result<(), Error> {
        wait_for("the pool to be mined", || async {
            let pool: Value = self.rpc("txpool_status", json!([])).await?;
            if pool["pending"] == "0x0" {
                return Ok(Some(()));
            }
            self.rpc::<Value>("evm_mine", json!([])).await?;
            Ok(None)
        })
        .await
    }
}
