//! Owns the reading of a block by its receipts: the question in the forms that nodes want it, the check that the answer
//! fits together, and what it proves.

use std::sync::atomic::Ordering;

use alloy_primitives::{B256, Bloom, Bytes, U256};
use domain::{BlockReceipts, BlockRef, Proof, RawLog};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    fault::Fault,
    proof::{Outcome, SealedLog, SealedReceipt, Verdict, judge},
    questions::{self, BY_HASH},
    upstream::Upstream,
    wire::{self, Quantity, WireLog, lenient_bloom},
};

pub(crate) const BLOCK_RECEIPTS: &str = "eth_getBlockReceipts";

/// The forms of the question: the object of EIP-1898, the hash alone, and the number, whose answer may be another
/// block's.
const FORMS: u8 = 3;

/// A receipt, with what its hash is made of.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlockReceipt {
    #[serde(rename = "type")]
    kind: Option<Quantity>,
    status: Option<Quantity>,
    root: Option<Bytes>,
    cumulative_gas_used: Option<U256>,
    #[serde(default, deserialize_with = "lenient_bloom")]
    logs_bloom: Option<Bloom>,
    block_hash: Option<B256>,
    block_number: Option<Quantity>,
    transaction_hash: Option<B256>,
    transaction_index: Option<Quantity>,
    logs: Option<Vec<WireLog>>,
}

/// The part of a header that lists the transactions.
#[derive(Debug, Deserialize)]
struct WireTransactions {
    #[serde(default)]
    transactions: Option<Vec<B256>>,
}

/// A receipt that fits its block.
struct Receipt {
    tx_hash: B256,
    logs: Vec<RawLog>,
    // Nothing where it lacks what its hash is made of, with the reason.
    sealed: Result<SealedReceipt, String>,
}

impl Upstream {
    /// A block as its receipts tell it; `None` where the node does not know it.
    pub(crate) async fn receipts(&self, block: BlockRef) -> Result<Option<BlockReceipts>, Fault> {
        let header =
            async { questions::unknown_is_none(self.request(BY_HASH, json!([block.hash, false])).await) };
        let (header, receipts) = futures::try_join!(header, self.receipts_of(block))?;
        let (Some(raw), Some(receipts)) = (header, receipts) else { return Ok(None) };
        let Some(header) = questions::header(&raw)? else { return Ok(None) };
        if header.block != block {
            return Err(Fault::Incoherent(format!("asked for block {block}, it gave {}", header.block)));
        }
        // Before they are compared one by one: behind a gap each stands in another's place.
        check_number(&raw, receipts.len()).map_err(Fault::Unproved)?;
        let receipts = fit(block, receipts).map_err(Fault::Incoherent)?;
        check_transactions(&raw, &receipts).map_err(Fault::Incoherent)?;
        let proof = prove(&raw, block, &receipts)?;
        let logs = receipts.into_iter().flat_map(|receipt| receipt.logs).collect();
        Ok(Some(BlockReceipts { header, logs, proof }))
    }

    /// Asks in the form that this node is known to take, else in one after the other.
    async fn receipts_of(&self, block: BlockRef) -> Result<Option<Vec<WireBlockReceipt>>, Fault> {
        let first = self.receipts_form.load(Ordering::Relaxed);
        let mut refused = None;
        for form in first..FORMS {
            let asked = match form {
                0 => json!({ "blockHash": block.hash }),
                1 => json!(block.hash),
                _ => json!(format!("0x{:x}", block.number)),
            };
            match self.request(BLOCK_RECEIPTS, json!([asked])).await {
                Ok(answer) => {
                    self.receipts_form.store(form, Ordering::Relaxed);
                    return read(&answer, block, form);
                }
                Err(Fault::UnknownBlock) => return Ok(None),
                // A form that the node does not take.
                Err(Fault::Refused(why)) => refused = Some(Fault::Refused(why)),
                Err(fault) => return Err(fault),
            }
        }
        Err(refused.unwrap_or_else(|| Fault::Refused("it takes no form of the question".to_owned())))
    }
}

fn read(answer: &RawValue, block: BlockRef, form: u8) -> Result<Option<Vec<WireBlockReceipt>>, Fault> {
    let receipts: Option<Vec<WireBlockReceipt>> = wire::read(answer).map_err(Fault::Incoherent)?;
    // By number, another block may have taken the place: this one the node does not know.
    let another = |receipts: &Vec<WireBlockReceipt>| {
        form == FORMS - 1 && receipts.iter().any(|receipt| receipt.block_hash != Some(block.hash))
    };
    Ok(receipts.filter(|receipts| !another(receipts)))
}

/// Checks that the receipts are the block's, one after the other, and their logs theirs. What is there twice counts once.
fn fit(block: BlockRef, mut wire: Vec<WireBlockReceipt>) -> Result<Vec<Receipt>, String> {
    wire.dedup();
    let mut receipts = Vec::with_capacity(wire.len());
    let mut next_index = 0;
    for (position, wire) in (0_u64..).zip(wire) {
        let lacks = |what| move || format!("receipt {position} of block {block} lacks {what}");
        let place =
            wire.block_number.zip(wire.block_hash).map(|(number, hash)| BlockRef::new(number.0, hash));
        if place.ok_or_else(lacks("its block"))? != block {
            return Err(format!("receipt {position} of block {block} is of another block"));
        }
        let tx_hash = wire.transaction_hash.ok_or_else(lacks("transactionHash"))?;
        if wire.transaction_index.ok_or_else(lacks("transactionIndex"))?.0 != position {
            return Err(format!("receipt {position} of block {block} is of another transaction"));
        }
        let sealed = seal(&wire);
        let mut logs: Vec<RawLog> = Vec::new();
        for log in wire.logs.ok_or_else(lacks("logs"))? {
            let log = log.into_log()?;
            if logs.last().is_some_and(|before| log.is_copy_of(before)) {
                continue;
            }
            if log.block != block || log.tx_hash != tx_hash || log.tx_index != position || log.removed {
                return Err(format!("receipt {position} of block {block} holds a log of elsewhere"));
            }
            if log.log_index < next_index {
                return Err(format!(
                    "log {} of block {block} is out of order, or there twice",
                    log.log_index
                ));
            }
            next_index = log.log_index + 1;
            logs.push(log);
        }
        let sealed =
            sealed.map(|sealed| SealedReceipt { logs: logs.iter().map(sealed_log).collect(), ..sealed });
        receipts.push(Receipt { tx_hash, logs, sealed });
    }
    Ok(receipts)
}

fn sealed_log(log: &RawLog) -> SealedLog {
    SealedLog { address: log.address, topics: log.topics.clone(), data: log.data.clone() }
}

fn seal(wire: &WireBlockReceipt) -> Result<SealedReceipt, String> {
    let state_root = wire.root.as_ref().and_then(|root| B256::try_from(root.as_ref()).ok());
    let outcome = match (wire.status, state_root) {
        (Some(status), _) => Outcome::Status(status.0 == 1),
        (None, Some(root)) => Outcome::StateRoot(root),
        (None, None) => return Err("a receipt says neither status nor root".to_owned()),
    };
    Ok(SealedReceipt {
        kind: wire.kind.map_or(0, |kind| kind.0),
        outcome,
        cumulative_gas_used: wire.cumulative_gas_used.ok_or("a receipt lacks cumulativeGasUsed")?,
        bloom: wire.logs_bloom,
        logs: Vec::new(),
    })
}

/// Some nodes leave out the receipts of transactions that their chain makes by itself. That is so for good, and no lie.
fn check_number(header: &RawValue, given: usize) -> Result<(), String> {
    match wire::read(header) {
        Ok(WireTransactions { transactions: Some(listed) }) if given < listed.len() => {
            Err(format!("{given} receipts for {} transactions", listed.len()))
        }
        _ => Ok(()),
    }
}

/// Where the header lists its transactions, the receipts are theirs in their order. One more is left alone: some chains
/// show the logs of their bridge so.
fn check_transactions(header: &RawValue, receipts: &[Receipt]) -> Result<(), String> {
    let Ok(WireTransactions { transactions: Some(listed) }) = wire::read(header) else { return Ok(()) };
    match listed.iter().zip(receipts).find(|(hash, receipt)| **hash != receipt.tx_hash) {
        Some((hash, _)) => Err(format!("the receipt of transaction {hash} is not in its place")),
        None => Ok(()),
    }
}

fn prove(header: &RawValue, block: BlockRef, receipts: &[Receipt]) -> Result<Proof, Fault> {
    let sealed: Result<Vec<_>, _> = receipts.iter().map(|receipt| receipt.sealed.clone()).collect();
    let verdict = sealed.map_or_else(Verdict::Unproved, |sealed| judge(header, block.hash, &sealed));
    match verdict {
        Verdict::Proved => Ok(Proof::Root),
        Verdict::Refuted(how) => Err(Fault::Lie(how)),
        Verdict::Unproved(why) => Ok(Proof::Word(match gap(receipts) {
            Some(index) => format!("{why}; log {index} is missing from the count"),
            None => why,
        })),
    }
}

/// The first log index that no log has: on most chains they are counted through.
fn gap(receipts: &[Receipt]) -> Option<u64> {
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    (0..).zip(logs).find(|(index, log)| log.log_index != *index).map(|(index, _)| index)
}
