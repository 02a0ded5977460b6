//! From blocks to events: logs by hash, checked against witnesses and bloom, decoded.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::{ChainError, Event, Header, LogFilter, LogQuery, Origin, RawLog, contract::bloom_may_match};
use futures::{StreamExt as _, stream};
use store::Child;

use super::{
    Ingest,
    source::{Counts, Reading, logs_from},
};
use crate::RoomError;

impl Ingest {
    /// The events of the first of these blocks, in order, asked for by hash, and the children that they tell of; with the
    /// number of blocks that were read. What was answered of the blocks behind one that was not is kept for the next step.
    ///
    /// # Errors
    /// Why the first block could not be read.
    pub(super) async fn events_of(
        &mut self,
        headers: &[Header],
    ) -> Result<(usize, Vec<Event>, Vec<Child>), RoomError> {
        // Behind a question that failed, those that are under way are waited for, and no more are asked.
        let failed = AtomicBool::new(false);
        let asked: Vec<_> = headers.iter().map(|header| self.kept_or_asked(header, &failed)).collect();
        let answers: Vec<_> = stream::iter(asked).buffered(self.config.parallel.max(1)).collect().await;
        let (mut read, mut behind, mut error) = (Vec::new(), Vec::new(), None);
        for (header, answer) in headers.iter().zip(answers) {
            match answer {
                Some(Ok(logs)) if error.is_none() => read.push((header, logs)),
                Some(Ok(logs)) => behind.push((header.block.hash, logs)),
                Some(Err(why)) => error = error.or(Some(why)),
                None => {}
            }
        }
        self.kept.keep_logs(behind.into_iter());
        if let (Some(error), true) = (error, read.is_empty()) {
            if matches!(&error, RoomError::Chain(ChainError::Incoherent { .. })) {
                // Whoever contradicts itself is not believed in the rest either.
                self.kept.clear();
            }
            return Err(error);
        }
        let (mut events, mut children) = (Vec::new(), Vec::new());
        for (header, logs) in &read {
            let (of_block, born) = self.decode(logs, Origin::Live, |_| Some(header.timestamp));
            events.extend(of_block);
            children.extend(born);
        }
        Ok((read.len(), events, children))
    }

    // `None` where it was not asked, because another question had failed.
    async fn kept_or_asked(
        &self,
        header: &Header,
        failed: &AtomicBool,
    ) -> Option<Result<Vec<RawLog>, RoomError>> {
        let kept = self.kept.logs(header.block);
        if let Some(logs) = kept.filter(|logs| !self.witnesses.miss(header.block, logs)) {
            return Some(Ok(logs.clone()));
        }
        if failed.load(Ordering::Relaxed) {
            return None;
        }
        let answer = self.logs_of(header, &self.filters).await;
        failed.fetch_or(answer.is_err(), Ordering::Relaxed);
        Some(answer)
    }

    /// One block's logs by its hash. Asked again where the first answer is doubtful, then elsewhere; a fault where a log
    /// that was announced stays missing.
    pub(super) async fn logs_of(
        &self,
        header: &Header,
        filters: &[LogFilter],
    ) -> Result<Vec<RawLog>, RoomError> {
        let may_match =
            header.bloom.map(|bloom| filters.iter().any(|filter| bloom_may_match(&bloom, filter)));
        // Some chains' blooms are stale or zero, so that a bloom alone spares no question unless the operator says so.
        if self.config.trust_bloom && may_match == Some(false) {
            return Ok(Vec::new());
        }
        let query = LogQuery::Block(header.block);
        // An empty answer under a bloom that may match can come from a node that has not indexed the block yet. A
        // bloom has false positives, so an empty answer that others give too is believed.
        let doubtful = |logs: &[RawLog]| {
            (logs.is_empty() && may_match == Some(true)) || self.witnesses.miss(header.block, logs)
        };
        let url = self.deps.client.url();
        let mut logs = self.logs(query, filters).await?;
        if doubtful(&logs) {
            logs = self.logs(query, filters).await?;
        }
        if doubtful(&logs) {
            self.settle_doubt(&url, header, filters, &logs).await?;
        }
        if self.witnesses.miss(header.block, &logs) {
            metrics::counter!("chainbell_provider_faults_total", "chain" => self.config.name.to_string())
                .increment(1);
            let detail = format!("block {} lacks a log that the subscription announced", header.block);
            return Err(ChainError::Incoherent { url: self.deps.client.url(), detail }.into());
        }
        Ok(logs)
    }

    /// The logs of all filters from the node in use.
    pub(super) async fn logs(
        &self,
        query: LogQuery,
        filters: &[LogFilter],
    ) -> Result<Vec<RawLog>, RoomError> {
        Ok(logs_from(self.deps.client.as_ref(), query, filters).await?)
    }

    /// Decodes logs of our contracts, from their start block on, and finds the children that they tell of.
    pub(super) fn decode(
        &mut self,
        logs: &[RawLog],
        origin: Origin,
        timestamp: impl Fn(&RawLog) -> Option<u64>,
    ) -> (Vec<Event>, Vec<Child>) {
        let events = self.events_in(logs, origin, &timestamp);
        let children = self.new_children(&events);
        // A child can speak in the block of its creation, even before its factory does.
        let events = if children.is_empty() { events } else { self.events_in(logs, origin, &timestamp) };
        self.count(&Counts::of(&events));
        (events, children)
    }

    /// Adds to the counts of what was decoded.
    pub(super) fn count(&self, counts: &Counts) {
        for (contract, count) in &counts.undecoded {
            metrics::counter!("chainbell_events_undecoded_total", "contract" => contract.to_string())
                .increment(*count);
        }
        let chain = self.config.name.to_string();
        metrics::counter!("chainbell_events_total", "chain" => chain).increment(counts.events);
    }

    fn events_in(
        &self,
        logs: &[RawLog],
        origin: Origin,
        timestamp: &impl Fn(&RawLog) -> Option<u64>,
    ) -> Vec<Event> {
        let (cursors, children) = (self.cursors.as_slice(), &self.children);
        let reading = Reading { chain: self.config.chain, decoder: &self.deps.decoder, cursors, children };
        reading.events(logs, origin, timestamp)
    }
}
