//! The chain of a run: traffic and forks on a local Anvil, and the record of every log that any branch of it ever had.
//! Owns what the truth is in the end; must not know who reads the chain.

use std::collections::{BTreeSet, HashMap};

use alloy_primitives::{Address, B256, U256};
use devnet::{Call, Devnet, Error, Mining, Options, Reorg, Token};
use domain::{ChainId, EventId};
use serde_json::Value as Json;

use super::plan::{Dice, Pay};

/// The accounts that send, each rarely: a transaction can be mined again on another branch only where its sender's
/// earlier ones are.
const SENDERS: std::ops::Range<usize> = 8..72;

/// How many blocks Anvil's `safe` is below its head; `finalized` is twice as many.
pub(super) const EPOCH: u64 = 16;

/// A log of a transaction, wherever it is mined: the transaction, and which of its logs.
pub(super) type Lasting = (B256, u64);

/// A transfer, read from the node's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) lasting: Lasting,
    pub(super) to: Address,
    pub(super) value: U256,
}

/// The chain.
#[derive(Debug)]
pub(super) struct Chain {
    net: Devnet,
    token: Token,
    next_sender: usize,
    /// Blocks at and below are the past: no fork reaches them, and nobody is told of them.
    past: u64,
    /// Every log that was ever in a block, by its event's id.
    ever: HashMap<EventId, Transfer>,
    pub(super) transactions: u64,
}

impl Chain {
    /// Starts it, with the contract and a balance for everybody who sends.
    pub(super) async fn start() -> Result<Self, Error> {
        let options = Options {
            accounts: u16::try_from(SENDERS.end).unwrap_or(u16::MAX),
            slots_in_an_epoch: EPOCH,
            mining: Mining::Auto,
            own_process_group: true,
            ..Options::default()
        };
        let net = Devnet::start(options).await?;
        let token = net.token().await?;
        let grants: Vec<_> =
            SENDERS.map(|index| (net.account(index), U256::from(10_000_000_000_000_u64))).collect();
        net.send(token.burst(net.account(0), &grants)).await?;
        net.set_automine(false).await?;
        net.mine(3).await?;
        let past = net.head().await?.number;
        let (ever, next_sender) = (HashMap::new(), SENDERS.start);
        Ok(Self { net, token, next_sender, past, ever, transactions: 0 })
    }

    /// The node's address, `host:port`.
    pub(super) fn node(&self) -> String {
        self.net.http_url().trim_start_matches("http://").to_owned()
    }

    pub(super) fn token(&self) -> Address {
        self.token.address
    }

    pub(super) fn account(&self, index: usize) -> Address {
        self.net.account(index)
    }

    pub(super) async fn head(&self) -> Result<devnet::Block, Error> {
        self.net.head().await
    }

    /// What is there now is the past.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.past = self.net.head().await?.number;
        Ok(())
    }

    fn call(&mut self, pay: &Pay) -> Call {
        let from = self.net.account(self.next_sender);
        self.next_sender =
            if self.next_sender + 1 == SENDERS.end { SENDERS.start } else { self.next_sender + 1 };
        self.transactions += 1;
        match pay {
            Pay::One { to, value } => self.token.transfer(from, self.account(*to), U256::from(*value)),
            Pay::Burst(payments) => {
                let payments: Vec<_> =
                    payments.iter().map(|(to, value)| (self.account(*to), U256::from(*value))).collect();
                self.token.burst(from, &payments)
            }
            Pay::Same { to, value, times } => {
                self.token.transfer_many(from, self.account(*to), U256::from(*value), *times)
            }
        }
    }

    /// A block with these transactions.
    pub(super) async fn block(&mut self, payments: &[Pay]) -> Result<(), Error> {
        let calls: Vec<_> = payments.iter().map(|pay| self.call(pay)).collect();
        self.net.submit(&calls).await?;
        self.net.mine(1).await?;
        let head = self.net.head().await?.number;
        self.remember(head, head).await
    }

    /// Empty blocks.
    pub(super) async fn blocks(&self, count: u64) -> Result<(), Error> {
        self.net.mine(count).await
    }

    async fn depth(&self, wanted: u64) -> Result<(u64, u64), Error> {
        let head = self.net.head().await?.number;
        Ok((head, wanted.min(head.saturating_sub(self.past))))
    }

    /// Replaces the newest blocks; says whether there were any to replace.
    pub(super) async fn fork(
        &mut self,
        depth: u64,
        again_percent: u64,
        news: &[Pay],
        dice: &mut Dice,
    ) -> Result<bool, Error> {
        let (head, depth) = self.depth(depth).await?;
        if depth == 0 {
            return Ok(false);
        }
        let mut reorg = Reorg::new(depth);
        let mut left_out = BTreeSet::new();
        for number in head - depth + 1..=head {
            for transaction in self.net.block(number).await?.transactions {
                let sender = self.sender(transaction).await?;
                // What its sender sent later cannot be mined without it.
                if left_out.contains(&sender) || !dice.chance(again_percent) {
                    left_out.insert(sender);
                    continue;
                }
                let raw = self.net.raw_transaction(transaction).await?;
                // Not before where it was, so that one sender's stay in order.
                let offset = dice.between(number - (head - depth) - 1, depth - 1);
                if offset != number - (head - depth) - 1 {
                    left_out.insert(sender);
                }
                reorg = reorg.remine(raw, offset);
            }
        }
        for pay in news {
            let call = self.call(pay);
            if !left_out.contains(&call.from) {
                reorg = reorg.send(&call, dice.below(depth));
            }
        }
        match self.net.reorg(reorg).await {
            // One that does not fit is one that fell out: what the chain says in the end counts.
            Ok(()) | Err(Error::LeftOut(_)) => {}
            Err(error) => return Err(error),
        }
        self.remember(head - depth + 1, head).await?;
        Ok(true)
    }

    async fn sender(&self, transaction: B256) -> Result<Address, Error> {
        let found: Json = self.net.rpc("eth_getTransactionByHash", serde_json::json!([transaction])).await?;
        field(&found, "from")
    }

    /// Takes the newest blocks away; says whether there were any.
    pub(super) async fn shrink(&self, depth: u64) -> Result<bool, Error> {
        let (_, depth) = self.depth(depth).await?;
        if depth > 0 {
            self.net.rollback(depth).await?;
        }
        Ok(depth > 0)
    }

    async fn remember(&mut self, from: u64, to: u64) -> Result<(), Error> {
        for (id, transfer) in self.logs(from, to).await? {
            self.ever.insert(id, transfer);
        }
        Ok(())
    }

    // Plainly: what `eth_getLogs` says, by position in topics and data.
    async fn logs(&self, from: u64, to: u64) -> Result<Vec<(EventId, Transfer)>, Error> {
        let mut before: HashMap<B256, u64> = HashMap::new();
        let mut logs = Vec::new();
        for log in self.net.logs(self.token.address, from, to).await? {
            let transaction: B256 = field(&log, "transactionHash")?;
            // Every log of these transactions is the token's, so that they can be counted here.
            let which = before.entry(transaction).or_default();
            let lasting = (transaction, *which);
            *which += 1;
            let (block, index): (B256, U256) = (field(&log, "blockHash")?, field(&log, "logIndex")?);
            let id = EventId::derive(ChainId(CHAIN_ID), block, index.to());
            let topic: B256 = field(&log["topics"], 2)?;
            let value: U256 = field(&log, "data")?;
            logs.push((id, Transfer { lasting, to: Address::from_word(topic), value }));
        }
        Ok(logs)
    }

    /// Every transfer of the final chain that is no past.
    pub(super) async fn truth(&self) -> Result<Vec<Transfer>, Error> {
        let head = self.net.head().await?.number;
        Ok(self.logs(self.past + 1, head).await?.into_iter().map(|(_, transfer)| transfer).collect())
    }

    /// The transfer under an event's id, on whatever branch it was.
    pub(super) fn ever(&self, id: EventId) -> Option<&Transfer> {
        self.ever.get(&id)
    }
}

/// Anvil's.
pub(super) const CHAIN_ID: u64 = 31_337;

fn field<T: serde::de::DeserializeOwned>(
    json: &Json,
    key: impl serde_json::value::Index + std::fmt::Debug,
) -> Result<T, Error> {
    let found = json.get(&key).cloned().unwrap_or_default();
    serde_json::from_value(found).map_err(|error| Error::Unexpected {
        method: "eth_getLogs".to_owned(),
        why: format!("{key:?}: {error}"),
    })
}
