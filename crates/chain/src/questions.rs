//! Owns the questions that are put to one URL: which method and parameters, and whether the answer is one.

use alloy_primitives::{Address, B256, Bytes};
use domain::{BlockRef, ChainId, Header, Heads, LogFilter, LogQuery, RawLog};
use futures::future::try_join_all;
use serde_json::{Value as Json, json, value::RawValue};

use crate::{
    coherence,
    fault::Fault,
    upstream::{Upstream, chain_id},
    wire::{self, Hex, WireHeader, WireLog, WireReceipt},
};

pub(crate) const CHAIN_ID: &str = "eth_chainId";
pub(crate) const BY_NUMBER: &str = "eth_getBlockByNumber";
pub(crate) const BY_HASH: &str = "eth_getBlockByHash";
pub(crate) const LOGS: &str = "eth_getLogs";
pub(crate) const RECEIPT: &str = "eth_getTransactionReceipt";
pub(crate) const CALL: &str = "eth_call";

/// Answers from this length on, in bytes, are read on a thread of their own.
const LONG_ANSWER: usize = 256 << 10;

impl Upstream {
    pub(crate) async fn chain_id(&self) -> Result<ChainId, Fault> {
        chain_id(&self.request(CHAIN_ID, json!([])).await?)
    }

    /// The newest block.
    pub(crate) async fn latest(&self) -> Result<Header, Fault> {
        let answer = self.request(BY_NUMBER, json!(["latest", false])).await?;
        header(&answer)?.ok_or_else(|| Fault::Incoherent("it has no latest block".to_owned()))
    }

    /// `safe` and `finalized` in one batch, beside a head that is known.
    pub(crate) async fn tags(&self, latest: &Header) -> Result<Heads, Fault> {
        let tags = ["safe", "finalized"].map(|tag| json!([tag, false]));
        let answers = self.requests(BY_NUMBER, &tags).await?;
        let [safe, finalized] = <[_; 2]>::try_from(answers)
            .map_err(|answers| Fault::Incoherent(format!("{} answers to 2 questions", answers.len())))?;
        Ok(Heads { latest: *latest, safe: tagged(safe)?, finalized: tagged(finalized)? })
    }

    /// `latest`, `safe` and `finalized` in one batch.
    pub(crate) async fn heads(&self) -> Result<Heads, Fault> {
        let tags = ["latest", "safe", "finalized"].map(|tag| json!([tag, false]));
        let answers = self.requests(BY_NUMBER, &tags).await?;
        let [latest, safe, finalized] = <[_; 3]>::try_from(answers)
            .map_err(|answers| Fault::Incoherent(format!("{} answers to 3 questions", answers.len())))?;
        let latest =
            header(&latest?)?.ok_or_else(|| Fault::Incoherent("it has no latest block".to_owned()))?;
        Ok(Heads { latest, safe: tagged(safe)?, finalized: tagged(finalized)? })
    }

    /// Nothing for a height that has no block, in whatever words the node says so.
    pub(crate) async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, Fault> {
        let mut headers = vec![None; numbers.len()];
        let mut missing: Vec<usize> = (0..numbers.len()).collect();
        // How many rounds that bring nothing are still allowed.
        let mut patience = self.shared.config.prompt.attempts.max(1);
        let mut refused = Vec::new();
        while !missing.is_empty() {
            let params: Vec<_> = missing.iter().map(|at| json!([hex(numbers[*at]), false])).collect();
            let answers = self.requests(BY_NUMBER, &params).await?;
            let (mut failed, mut refuses, asked) = (None, true, std::mem::take(&mut missing));
            for (at, answer) in asked.iter().zip(answers) {
                match unknown_is_none(answer) {
                    Ok(answer) => headers[*at] = numbered(numbers[*at], answer.as_deref())?,
                    Err(fault) => {
                        missing.push(*at);
                        refuses &= matches!(fault, Fault::Refused(_));
                        failed = Some(fault);
                    }
                }
            }
            // What was answered is kept, and only the rest is asked for again.
            patience -= usize::from(missing.len() == asked.len());
            match failed {
                Some(fault) if patience == 0 || !fault.is_worth_another_turn() => {
                    if refuses && (headers.iter().any(Option::is_some) || self.latest().await.is_ok()) {
                        // These heights alone, again and again: it has no blocks there.
                        return Ok(headers);
                    }
                    self.note_all(&refused);
                    return Err(fault);
                }
                Some(fault) => refused.push(fault),
                None => {}
            }
        }
        self.note_all(&refused);
        Ok(headers)
    }

    fn note_all(&self, faults: &[Fault]) {
        for fault in faults {
            self.note_in_passing(BY_NUMBER, fault);
        }
    }

    pub(crate) async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, Fault> {
        let answer = unknown_is_none(self.request(BY_HASH, json!([hash, false])).await)?;
        let header = answer.map(|answer| header(&answer)).transpose()?.flatten();
        match header {
            Some(header) if header.block.hash != hash => {
                Err(Fault::Incoherent(format!("asked for block {hash}, it gave {}", header.block.hash)))
            }
            header => Ok(header),
        }
    }

    /// A list of addresses that is too long for one call becomes several, all of this URL.
    pub(crate) async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, Fault> {
        if matches!(query, LogQuery::Range { from, to } if from > to) {
            return Ok(Vec::new());
        }
        self.check_range(query)?;
        let parts = split(filter, self.shared.config.max_addresses);
        let answers = try_join_all(parts.iter().map(|part| self.logs_of_part(query, part))).await?;
        let mut answers = answers.into_iter();
        let mut logs = answers.next().unwrap_or_default();
        logs.extend(answers.flatten());
        coherence::check(&query, filter, &mut logs).map_err(Fault::Incoherent)?;
        Ok(logs)
    }

    /// The logs of a filter that fits into one question.
    pub(crate) async fn ask_for_logs(
        &self,
        query: LogQuery,
        filter: &LogFilter,
    ) -> Result<Vec<RawLog>, Fault> {
        let answer = match self.request(LOGS, json!([log_params(Some(query), filter)])).await {
            // A suggestion of as many blocks as were asked for, or more, helps nobody.
            Err(Fault::RangeTooLarge { detail, suggested_blocks, lasting }) => {
                let suggested_blocks = suggested_blocks.filter(|suggested| *suggested < blocks(query));
                return Err(Fault::RangeTooLarge { detail, suggested_blocks, lasting });
            }
            answer => answer?,
        };
        // A long answer takes long enough to read that others would wait for this thread.
        let logs = if answer.get().len() < LONG_ANSWER {
            wire::read_logs(&answer)
        } else {
            // One after the other, because the text and the logs are held together meanwhile, which is much.
            let _reading = self.shared.reading.lock().await;
            let read = tokio::task::spawn_blocking(move || wire::read_logs(&answer)).await;
            read.unwrap_or_else(|_panicked| Err("an answer that cannot be read".to_owned()))
        };
        logs.map_err(Fault::Incoherent)
    }

    pub(crate) async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, Fault> {
        let answer = self.request(RECEIPT, json!([tx_hash])).await?;
        let receipt: Option<WireReceipt> = wire::read(&answer).map_err(Fault::Incoherent)?;
        let Some(receipt) = receipt else { return Ok(None) };
        let incoherent = |said: String| Fault::Incoherent(said);
        // Before anything is concluded from what it lacks: an empty object is no receipt, and says nothing.
        if receipt.transaction_hash != Some(tx_hash) {
            return Err(incoherent(format!("asked for the receipt of {tx_hash}, it gave another's")));
        }
        // A receipt of no block is of a transaction that waits for one.
        if receipt.block_hash.is_none() && receipt.block_number.is_none() {
            return Ok(None);
        }
        let lacks = |what: &str| incoherent(format!("a receipt without {what}"));
        let number = receipt.block_number.ok_or_else(|| lacks("blockNumber"))?.0;
        let block = BlockRef::new(number, receipt.block_hash.ok_or_else(|| lacks("blockHash"))?);
        let mut logs = complete(receipt.logs.ok_or_else(|| lacks("logs"))?)?;
        coherence::check_transaction(tx_hash, &mut logs).map_err(incoherent)?;
        match logs.iter().find(|log| log.block != block) {
            Some(log) => Err(incoherent(format!("a receipt of block {block} holds a log of {}", log.block))),
            None => Ok(Some(logs)),
        }
    }

    pub(crate) async fn eth_call(&self, to: Address, input: &Bytes) -> Result<Bytes, Fault> {
        // Old nodes know the input only as `data`.
        let answer = self.request(CALL, json!([{ "to": to, "data": input }, "latest"])).await?;
        wire::read::<Hex>(&answer).map(|bytes| bytes.0).map_err(Fault::Incoherent)
    }
}

/// How many blocks a question spans.
pub(crate) const fn blocks(query: LogQuery) -> u64 {
    match query {
        LogQuery::Block(_) => 1,
        LogQuery::Range { from, to } => to.saturating_sub(from).saturating_add(1),
    }
}

/// The parameter object of `eth_getLogs`; without a query, that of a subscription.
pub(crate) fn log_params(query: Option<LogQuery>, filter: &LogFilter) -> Json {
    let mut params = match query {
        None => json!({}),
        Some(LogQuery::Block(block)) => json!({ "blockHash": block.hash }),
        Some(LogQuery::Range { from, to }) => json!({ "fromBlock": hex(from), "toBlock": hex(to) }),
    };
    if !filter.addresses.is_empty() {
        params["address"] = json!(filter.addresses);
    }
    if !filter.topics0.is_empty() {
        params["topics"] = json!([filter.topics0]);
    }
    params
}

/// The filter in parts of at most so many addresses, none of them twice.
pub(crate) fn split(filter: &LogFilter, max_addresses: usize) -> Vec<LogFilter> {
    let mut addresses = filter.addresses.clone();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return vec![filter.clone()];
    }
    let part = |part: &[Address]| LogFilter { addresses: part.to_vec(), topics0: filter.topics0.clone() };
    addresses.chunks(max_addresses.max(1)).map(part).collect()
}

fn complete(logs: Vec<WireLog>) -> Result<Vec<RawLog>, Fault> {
    logs.into_iter().map(WireLog::into_log).collect::<Result<_, _>>().map_err(Fault::Incoherent)
}

/// The header in an answer to a question for the block of this number.
fn numbered(number: u64, answer: Option<&RawValue>) -> Result<Option<Header>, Fault> {
    let header = answer.map(header).transpose()?.flatten();
    match header.filter(|header| header.block.number != number) {
        Some(other) => Err(Fault::Incoherent(format!("asked for block {number}, it gave {}", other.block))),
        None => Ok(header),
    }
}

pub(crate) fn header(answer: &RawValue) -> Result<Option<Header>, Fault> {
    let header: Option<WireHeader> = wire::read(answer).map_err(Fault::Incoherent)?;
    header.map(WireHeader::into_header).transpose().map_err(Fault::Incoherent)
}

/// A tag that the node refuses is one that the chain does not have. A limit or a broken connection says nothing about
/// the tag.
fn tagged(answer: Result<Box<RawValue>, Fault>) -> Result<Option<BlockRef>, Fault> {
    match answer {
        Ok(answer) => Ok(header(&answer)?.map(|header| header.block)),
        Err(Fault::UnknownBlock | Fault::Unsupported(_) | Fault::Refused(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

pub(crate) fn unknown_is_none(answer: Result<Box<RawValue>, Fault>) -> Result<Option<Box<RawValue>>, Fault> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Fault::UnknownBlock) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn hex(number: u64) -> String {
    format!("0x{number:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_addresses_is_split_and_no_address_asked_for_twice() {
        let address = |n: u8| Address::with_last_byte(n);
        let filter =
            LogFilter { addresses: [5, 1, 2, 3, 4, 1, 5].map(address).to_vec(), topics0: vec![B256::ZERO] };
        let parts = split(&filter, 2);
        assert_eq!(parts.iter().map(|part| part.addresses.len()).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(parts.iter().all(|part| part.topics0 == filter.topics0));
        assert_eq!(split(&LogFilter::default(), 2), [LogFilter::default()]);
    }
}
