//! From blocks to events: logs by hash, checked against witnesses and bloom, decoded.

use std::collections::HashMap;

use domain::{
    ChainError, Event, Header, LogFilter, LogQuery, Origin, RawLog, contract::bloom_may_match,
    event::logical_ids,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::Ingest;
use crate::RoomError;

impl Ingest {
    /// Headers of a run of blocks, each the parent of the next; shorter when the node's chain changed in between.
    pub(super) async fn linked_headers(&self, from: u64, to: u64) -> Result<Vec<Header>, RoomError> {
        let numbers: Vec<_> = (from..=to).collect();
        let mut linked: Vec<Header> = Vec::with_capacity(numbers.len());
        for header in self.deps.client.headers_by_number(&numbers).await? {
            let Some(header) = header else { break };
            if linked.last().is_some_and(|last| last.block.hash != header.parent) {
                break;
            }
            linked.push(header);
        }
        Ok(linked)
    }

    /// The events of blocks, in order, asked for by hash.
    pub(super) async fn events_of(&self, headers: &[Header]) -> Result<Vec<Event>, RoomError> {
        let asked: Vec<_> = headers.iter().map(|header| self.logs_of(header, &self.filters)).collect();
        let blocks: Vec<Vec<RawLog>> =
            stream::iter(asked).buffered(self.config.parallel.max(1)).try_collect().await?;
        let mut events = Vec::new();
        for (header, logs) in headers.iter().zip(blocks) {
            events.extend(self.decode(&logs, Origin::Live, |_| Some(header.timestamp)));
        }
        Ok(events)
    }

    /// One block's logs by its hash. Asked again where the first answer is doubtful, and a fault where a log that
    /// was announced stays missing.
    pub(super) async fn logs_of(
        &self,
        header: &Header,
        filters: &[LogFilter],
    ) -> Result<Vec<RawLog>, RoomError> {
        let query = LogQuery::Block(header.block);
        let logs = self.logs(query, filters).await?;
        let doubtful = logs.is_empty()
            && header.bloom.is_some_and(|bloom| filters.iter().any(|filter| bloom_may_match(&bloom, filter)));
        // An empty answer under a bloom that may match can come from a node that has not indexed the block yet. A
        // bloom has false positives, so a second empty answer is believed.
        let logs = if doubtful || self.witnesses.miss(header.block, &logs) {
            self.logs(query, filters).await?
        } else {
            logs
        };
        if self.witnesses.miss(header.block, &logs) {
            metrics::counter!("chainbell_provider_faults_total", "chain" => self.config.name.to_string())
                .increment(1);
            let detail = format!("block {} lacks a log that the subscription announced", header.block);
            return Err(ChainError::Incoherent { url: "rpc".to_owned(), detail }.into());
        }
        Ok(logs)
    }

    /// The logs of all filters, merged in order; a log that two filters bring counts once.
    pub(super) async fn logs(
        &self,
        query: LogQuery,
        filters: &[LogFilter],
    ) -> Result<Vec<RawLog>, RoomError> {
        let mut logs = Vec::new();
        for filter in filters {
            logs.extend(self.deps.client.logs(query, filter).await?);
        }
        if filters.len() > 1 {
            logs.sort_by_key(|log| (log.block.number, log.log_index));
            logs.dedup_by_key(|log| (log.block.number, log.log_index));
        }
        Ok(logs)
    }

    /// Decodes logs of our contracts, from their start block on.
    pub(super) fn decode(
        &self,
        logs: &[RawLog],
        origin: Origin,
        timestamp: impl Fn(&RawLog) -> Option<u64>,
    ) -> Vec<Event> {
        let cursors: HashMap<_, _> = self.cursors.iter().map(|cursor| (&cursor.name, cursor)).collect();
        let logical = logical_ids(self.config.chain, logs);
        let mut events = Vec::with_capacity(logs.len());
        for (log, logical) in logs.iter().zip(logical) {
            let Some(decoded) = self.deps.decoder.decode(self.config.chain, log) else { continue };
            let cursor = cursors.get(&decoded.contract);
            if cursor.is_some_and(|cursor| log.block.number < cursor.start_block) {
                continue;
            }
            // A reorg can bring blocks of the past once more: they stay the past.
            let past = cursor.is_some_and(|cursor| log.block.number < cursor.live_from);
            let origin = if past { Origin::Backfill } else { origin };
            let time = timestamp(log).or(log.block_timestamp).unwrap_or_default();
            let event = abi::to_event(self.config.chain, log, time, origin, logical, decoded);
            if matches!(event.content, domain::Content::Undecoded { .. }) {
                metrics::counter!("chainbell_events_undecoded_total", "contract" => event.contract.to_string())
                    .increment(1);
            }
            events.push(event);
        }
        let chain = self.config.name.to_string();
        metrics::counter!("chainbell_events_total", "chain" => chain).increment(events.len() as u64);
        events
    }
}
