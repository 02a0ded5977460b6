//! What a task needs to read a piece of the past beside the room: a client that stays with its URL, the filters, and
//! what decoding depends on, as all that was when the plan was made. Must not change anything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use abi::Decoder;
use domain::{
    ChainClient, ChainError, ChainId, ChainName, Children, Clock, Content, ContractName, Event, LogFilter,
    LogQuery, Origin, RawLog,
    event::{Contradiction, logical_ids, put_in_order},
};
use jiff::SignedDuration;
use store::{ContractCursor, EventRows, Store};
use tokio::{runtime::Handle, sync::Mutex, task::JoinError};

use crate::RoomError;

// A piece with more than this many times the wanted events is committed in parts.
const PART_MAX: usize = 2;

// How many headers are asked for in one batch when logs come without timestamps.
const HEADERS_BATCH: usize = 256;

// The length of a log in an answer, in bytes of JSON: a usual one, what each has, and a topic.
const LOG_BYTES: usize = 640;
const LOG_FRAME: usize = 360;
const TOPIC: usize = 69;

/// Whose logs they are and from where on: what turns logs into events.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) chain: ChainId,
    pub(super) decoder: &'a Decoder,
    pub(super) cursors: &'a [ContractCursor],
    pub(super) children: &'a Children,
}

impl Reading<'_> {
    /// The events of our contracts, from their start block on. The logs are complete for each block that they are of.
    pub(super) fn events(
        &self,
        logs: &[RawLog],
        origin: Origin,
        timestamp: impl Fn(&RawLog) -> Option<u64>,
    ) -> Vec<Event> {
        let cursors: HashMap<_, _> = self.cursors.iter().map(|cursor| (&cursor.name, cursor)).collect();
        let logical = logical_ids(self.chain, logs);
        let mut events = Vec::with_capacity(logs.len());
        for (log, logical) in logs.iter().zip(logical) {
            let decoded = self.decoder.decode_among(self.chain, log, self.children);
            let Some(decoded) = decoded else { continue };
            let cursor = cursors.get(&decoded.contract);
            if cursor.is_some_and(|cursor| log.block.number < cursor.start_block) {
                continue;
            }
            // A reorg can bring blocks of the past once more: they stay the past.
            let past = cursor.is_some_and(|cursor| log.block.number < cursor.live_from);
            let origin = if past { Origin::Backfill } else { origin };
            let time = timestamp(log).or(log.block_timestamp).unwrap_or_default();
            events.push(abi::to_event(self.chain, log, time, origin, logical, decoded));
        }
        events
    }
}

/// What is read ahead, and how.
#[derive(Debug)]
pub(super) struct Source {
    /// Where from, redacted.
    pub(super) url: String,
    /// Stays with that URL.
    pub(super) client: Arc<dyn ChainClient>,
    pub(super) filters: Vec<LogFilter>,
    /// Whose events are kept.
    pub(super) names: Vec<ContractName>,
    pub(super) chain: ChainId,
    pub(super) name: ChainName,
    pub(super) decoder: Arc<Decoder>,
    pub(super) cursors: Vec<ContractCursor>,
    pub(super) children: Children,
    /// For the times that are measured.
    pub(super) clock: Arc<dyn Clock>,
    /// Makes rows of the events, where they are stored only.
    pub(super) rows: Option<Store>,
    /// How many events a commit should have.
    pub(super) logs_wanted: usize,
    /// Held while a piece is decoded: the logs and what becomes of them are held together then, which is much.
    pub(super) decoding: Mutex<()>,
}

/// A piece that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// In order, and at least one.
    pub(super) parts: VecDeque<Part>,
    /// How many logs the node gave, in logs of the usual length.
    pub(super) logs: u64,
}

/// As much of a piece as one commit takes: the events of whole blocks, in order.
#[derive(Debug)]
pub(super) struct Part {
    /// The last block that was read.
    pub(super) to: u64,
    pub(super) content: Past,
    pub(super) counts: Counts,
}

/// Events of the past.
#[derive(Debug)]
pub(super) enum Past {
    /// Of which somebody is told.
    Events(Vec<Event>),
    /// The rows of events that are stored only: they take less memory than the events.
    Rows(EventRows),
}

/// How many events were decoded, and how many logs of whom were not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) undecoded: BTreeMap<ContractName, u64>,
}

impl Counts {
    /// Counts events.
    pub(super) fn of(events: &[Event]) -> Self {
        let mut counts = Self { events: events.len() as u64, ..Self::default() };
        for event in events.iter().filter(|event| matches!(event.content, Content::Undecoded { .. })) {
            *counts.undecoded.entry(event.contract.clone()).or_default() += 1;
        }
        counts
    }
}

/// Measures a part of reading the past.
pub(super) fn measured(chain: &ChainName, part: &'static str, time: SignedDuration) {
    metrics::histogram!("chainbell_backfill_seconds", "chain" => chain.to_string(), "part" => part)
        .record(time.as_secs_f64());
}

/// How many logs of the usual length these are as long as, so that a limit on logs is one on bytes too.
pub(super) fn weight(logs: &[RawLog]) -> u64 {
    let length = |log: &RawLog| LOG_FRAME + log.topics.len() * TOPIC + log.data.len() * 2;
    let bytes: usize = logs.iter().map(length).sum();
    logs.len().max(bytes.div_ceil(LOG_BYTES)) as u64
}

/// The error of a task that did not come to its end: a panic goes on, and else the process is ending.
pub(super) fn torn(error: JoinError, url: &str) -> ChainError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => ChainError::Unavailable {
            url: url.to_owned(),
            method: "eth_getLogs",
            detail: "the answer is not waited for any more".to_owned(),
        },
    }
}

impl Source {
    /// Reads and decodes a range, all of it from one URL.
    ///
    /// # Errors
    /// The node's, and the store's where a name is looked up.
    pub(super) async fn read(self: Arc<Self>, from: u64, to: u64) -> Result<Read, RoomError> {
        let client = self.client.as_ref();
        let logs = logs_from(client, LogQuery::Range { from, to }, &self.filters).await?;
        let times = timestamps(client, &logs).await?;
        // A long list takes long enough to decode that others would wait for this thread.
        let source = Arc::clone(&self);
        let _decoding = source.decoding.lock().await;
        let url = self.url.clone();
        let runtime = Handle::current();
        let decode = move || {
            let began = self.clock.now();
            let parts = cut(self.decode(&logs, &times), to, self.logs_wanted);
            let read = Read { logs: weight(&logs), parts: VecDeque::with_capacity(parts.len()) };
            drop((logs, times));
            let read = runtime.block_on(self.prepare(parts, read))?;
            measured(&self.name, "decode", self.clock.now().duration_since(began));
            Ok(read)
        };
        tokio::task::spawn_blocking(decode).await.unwrap_or_else(|error| Err(torn(error, &url).into()))
    }

    fn decode(&self, logs: &[RawLog], times: &HashMap<u64, u64>) -> Vec<Event> {
        let Self { chain, decoder, cursors, children, .. } = self;
        let reading = Reading { chain: *chain, decoder, cursors, children };
        let mut events = reading.events(logs, Origin::Backfill, |log| times.get(&log.block.number).copied());
        // Another contract's log that a merged filter brought belongs to that contract's own piece.
        events.retain(|event| self.names.contains(&event.contract));
        events
    }

    async fn prepare(&self, parts: Vec<(u64, Vec<Event>)>, mut read: Read) -> Result<Read, RoomError> {
        for (to, events) in parts {
            let counts = Counts::of(&events);
            let content = match &self.rows {
                Some(store) => Past::Rows(store.event_rows(self.chain, &events).await?),
                None => Past::Events(events),
            };
            read.parts.push_back(Part { to, content, counts });
        }
        Ok(read)
    }
}

/// Cuts the events of blocks up to `to` into parts of about `wanted`, each with its last block, where they are too many for
/// one commit. A block is never torn: the cursor counts blocks.
fn cut(events: Vec<Event>, to: u64, wanted: usize) -> Vec<(u64, Vec<Event>)> {
    let (mut parts, mut rest) = (Vec::new(), events);
    while rest.len() > wanted.saturating_mul(PART_MAX) {
        let last = rest[wanted].block.number;
        let end = rest.partition_point(|event| event.block.number <= last);
        if end == rest.len() {
            break;
        }
        let later = rest.split_off(end);
        parts.push((last, std::mem::replace(&mut rest, later)));
    }
    parts.push((to, rest));
    parts
}

/// The logs of all filters from one client, merged in order; a log that two filters bring counts once.
pub(super) async fn logs_from(
    client: &dyn ChainClient,
    query: LogQuery,
    filters: &[LogFilter],
) -> Result<Vec<RawLog>, ChainError> {
    let mut logs = Vec::new();
    // A refusal of a single block's logs is met with narrower filters, since there is no smaller range.
    let single =
        matches!(query, LogQuery::Block(_)) || matches!(query, LogQuery::Range { from, to } if from == to);
    let mut asked: Vec<LogFilter> = filters.iter().rev().cloned().collect();
    let mut parts = asked.len();
    while let Some(filter) = asked.pop() {
        match client.logs(query, &filter).await {
            Ok(part) if logs.is_empty() => logs = part,
            Ok(part) => logs.extend(part),
            Err(error @ ChainError::RangeTooLarge { .. }) => match filter.halves().filter(|_| single) {
                Some(halves) => {
                    parts += 1;
                    asked.extend(halves);
                }
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    if parts > 1 {
        let contradicts = |how: Contradiction| ChainError::Incoherent {
            url: client.url(),
            detail: format!("its answers to two filters contradict each other: {how}"),
        };
        put_in_order(&mut logs).map_err(contradicts)?;
    }
    Ok(logs)
}

/// Timestamps of logs that came without one, by block number.
pub(super) async fn timestamps(
    client: &dyn ChainClient,
    logs: &[RawLog],
) -> Result<HashMap<u64, u64>, ChainError> {
    let missing: BTreeSet<_> =
        logs.iter().filter(|log| log.block_timestamp.is_none()).map(|log| log.block.number).collect();
    let missing: Vec<_> = missing.into_iter().collect();
    let mut times = HashMap::with_capacity(missing.len());
    for numbers in missing.chunks(HEADERS_BATCH) {
        for (number, header) in numbers.iter().zip(client.headers_by_number(numbers).await?) {
            let unknown = || ChainError::UnknownBlock { url: client.url(), block: number.to_string() };
            times.insert(*number, header.ok_or_else(unknown)?.timestamp);
        }
    }
    Ok(times)
}
