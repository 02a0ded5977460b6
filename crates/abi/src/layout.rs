//! The layouts that a log of one contract can have, and which of them it has. Topic 0 alone does not decide:
//! ERC-20's and ERC-721's `Transfer` share it and differ in the number of topics.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use alloy_primitives::{B256, hex};
use domain::{Content, EventSchema, Fields, RawLog, Value};

use crate::{
    codec::{self, Codec, Reader, Word},
    readings::{Readings, Settled},
};

/// How many misfitting layouts a reason names.
const MAX_REASONS: usize = 3;

/// One event's layout, prepared for reading.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: Arc<EventSchema>,
    keys: Vec<String>,
    params: Vec<Place>,
    topic_count: usize,
    head: usize,
    /// Whether data lies behind the head.
    dynamic: bool,
    /// Why its logs are not decoded.
    opaque: Option<String>,
}

/// Where a parameter is.
#[derive(Debug)]
enum Place {
    /// In a topic: the value where it has one word, else its hash.
    Topic(Option<Word>),
    Data(Codec),
}

/// What a log is to a contract.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// One of its events.
    Event(Content),
    /// It bears the topic 0 of an event, and yet does not have its layout; why.
    Misfit(String),
    /// None of its events.
    Foreign,
}

/// The events of one contract by topic 0.
#[derive(Debug)]
pub struct Layouts {
    by_topic0: HashMap<B256, Vec<Layout>>,
    anonymous: Vec<Layout>,
}

impl Layouts {
    /// Prepares `events`. A log that two of them read differently is undecoded.
    pub fn new<'e>(events: impl IntoIterator<Item = &'e Arc<EventSchema>>) -> Self {
        let mut layouts = Self { by_topic0: HashMap::new(), anonymous: Vec::new() };
        for schema in events {
            let layout = Layout::new(Arc::clone(schema));
            if schema.anonymous {
                layouts.anonymous.push(layout);
            } else {
                match layouts.by_topic0.entry(schema.topic0()) {
                    Entry::Occupied(mut known) => known.get_mut().push(layout),
                    Entry::Vacant(new) => drop(new.insert(vec![layout])),
                }
            }
        }
        layouts
    }

    /// What the log says by these events alone; one that is none of them is undecoded too.
    pub fn decode(&self, log: &RawLog) -> Content {
        let reason = match self.by_topic0(log, true) {
            Verdict::Event(content) => return content,
            Verdict::Misfit(reason) => reason,
            Verdict::Foreign => match self.by_shape(log) {
                Verdict::Event(content) => return content,
                Verdict::Misfit(reason) => reason,
                Verdict::Foreign => match log.topics.first() {
                    Some(topic0) => {
                        format!("no event of the ABI has topic 0 {}", hex::encode_prefixed(topic0))
                    }
                    None => "the log has no topics, and no anonymous event of the ABI fits it".to_owned(),
                },
            },
        };
        undecoded(log, reason)
    }

    /// Judges by topic 0 and shape. `old_tokens` also reads a log without indexed arguments by a layout that has
    /// some: tokens older than the habit emit such `Transfer`s, and a standard's ABI is all that people have of
    /// them. It is for contracts whose address somebody named.
    pub(crate) fn by_topic0(&self, log: &RawLog, old_tokens: bool) -> Verdict {
        let mut readings = Readings::new(old_tokens);
        readings.add((), self, log);
        match readings.settle(log) {
            Settled::Event((), content) => Verdict::Event(content),
            Settled::Several((), reason) | Settled::Misfit((), reason) => Verdict::Misfit(reason),
            Settled::Foreign => Verdict::Foreign,
        }
    }

    pub(crate) fn of_topic0(&self, log: &RawLog) -> &[Layout] {
        let layouts = log.topics.first().and_then(|topic0| self.by_topic0.get(topic0));
        layouts.map_or(&[], Vec::as_slice)
    }

    /// Judges a log that bears no known topic 0 by the anonymous events: exactly one must fit, and wholly, since
    /// nothing else speaks for it.
    pub(crate) fn by_shape(&self, log: &RawLog) -> Verdict {
        let fitting: Vec<_> = self
            .anonymous
            .iter()
            .filter_map(|layout| {
                layout.read(log).ok().filter(|(_, exact)| *exact).map(|(params, _)| (layout, params))
            })
            .collect();
        match fitting.len() {
            0 => Verdict::Foreign,
            1 => fitting
                .into_iter()
                .next()
                .map_or(Verdict::Foreign, |(layout, params)| Verdict::Event(layout.content(params))),
            _ => {
                let names: Vec<_> = fitting.iter().map(|(layout, _)| layout.schema.signature()).collect();
                Verdict::Misfit(format!("several anonymous events fit the log: {}", names.join(", ")))
            }
        }
    }

    pub(crate) fn has_anonymous(&self) -> bool {
        !self.anonymous.is_empty()
    }
}

/// The log as it is, with the reason why it is no event.
pub(crate) fn undecoded(log: &RawLog, reason: String) -> Content {
    Content::Undecoded { topics: log.topics.clone(), data: log.data.clone(), reason }
}

/// Two of `events` that a log can fit and that say something else of it: no log tells which of the two it is. Events that
/// anonymous logs fit are judged log by log.
pub fn clash<'e>(events: &[&'e Arc<EventSchema>]) -> Option<[&'e Arc<EventSchema>; 2]> {
    let signed = events.iter().filter(|event| !event.anonymous);
    let layouts: Vec<_> =
        signed.map(|event| (*event, event.topic0(), Layout::new(Arc::clone(event)))).collect();
    layouts.iter().enumerate().find_map(|(at, (one, topic0, layout))| {
        let later = layouts[at + 1..].iter();
        let mut clashing = later.filter(|(_, other, two)| other == topic0 && layout.clashes(two));
        clashing.next().map(|(two, ..)| [*one, *two])
    })
}

pub(crate) fn joined(reasons: &[String]) -> String {
    let shown = reasons[..reasons.len().min(MAX_REASONS)].join("; ");
    match reasons.len().saturating_sub(MAX_REASONS) {
        0 => shown,
        more => format!("{shown}; {more} more layouts do not fit"),
    }
}

impl Layout {
    fn new(schema: Arc<EventSchema>) -> Self {
        let place = |param: &domain::EventParam| {
            if param.indexed { Place::Topic(Word::of(&param.ty)) } else { Place::Data(Codec::new(&param.ty)) }
        };
        let params: Vec<_> = schema.params.iter().map(place).collect();
        let head = params.iter().fold(0_usize, |sum, place| match place {
            Place::Topic(_) => sum,
            Place::Data(codec) => sum.saturating_add(codec.head()),
        });
        let dynamic = params.iter().any(|place| matches!(place, Place::Data(codec) if codec.is_dynamic()));
        let opaque = schema.params.iter().zip(schema.keys()).find_map(|(param, key)| {
            let ty = param.ty.opaque()?;
            Some(format!("its parameter '{key}' has the type '{ty}', which is not decoded"))
        });
        let topic_count = schema.topic_count();
        Self { keys: schema.keys(), topic_count, schema, params, head, dynamic, opaque }
    }

    /// Whether a log can have the layout of both and say something else by each.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        let overlap = match (self.dynamic, other.dynamic) {
            (false, false) => self.head == other.head,
            (true, true) => true,
            // The least data of a dynamic layout is its head and the length of one value.
            (true, false) => other.head >= self.head.saturating_add(32),
            (false, true) => self.head >= other.head.saturating_add(32),
        };
        self.opaque.is_none()
            && other.opaque.is_none()
            && self.topic_count == other.topic_count
            && overlap
            && !self.schema.reads_alike(&other.schema)
    }

    /// The parameters, and whether they are all that the log holds.
    pub(crate) fn read(&self, log: &RawLog) -> Result<(Fields, bool), String> {
        if let Some(reason) = &self.opaque {
            return Err(reason.clone());
        }
        if log.topics.len() != self.topic_count {
            let (given, wanted) = (log.topics.len(), self.topic_count);
            return Err(format!("the log has {given} topics, and the event {wanted}"));
        }
        if log.data.len() < self.head {
            let (given, wanted) = (log.data.len(), self.head);
            return Err(format!("the log has {given} bytes of data, and the event at least {wanted}"));
        }
        let mut topics = log.topics.iter().skip(usize::from(!self.schema.anonymous));
        let mut reader = Reader::new(&log.data);
        let mut at = 0;
        self.fields(|place| match place {
            // The topics were counted above.
            Place::Topic(word) => topics
                .next()
                .map_or_else(|| Err("its topic is missing".to_owned()), |topic| codec::topic(*word, topic)),
            Place::Data(codec) => {
                let value = reader.value(codec, 0, at);
                at += codec.head();
                value
            }
        })
        .map(|fields| (fields, reader.is_exhausted()))
    }

    /// The parameters of a log that has topic 0 only and all of them in its data, each a word.
    pub(crate) fn read_unindexed(&self, log: &RawLog) -> Option<Fields> {
        if self.opaque.is_some()
            || self.topic_count == 1
            || log.topics.len() != 1
            || log.data.len() != 32 * self.params.len()
        {
            return None;
        }
        let mut words = log.data.chunks_exact(32).filter_map(<[u8]>::first_chunk);
        let mut values = Vec::with_capacity(self.params.len());
        for (key, param) in self.keys.iter().zip(&self.schema.params) {
            values.push((key.clone(), Word::of(&param.ty)?.value(words.next()?).ok()?));
        }
        Some(Fields(values))
    }

    fn fields(&self, mut value: impl FnMut(&Place) -> Result<Value, String>) -> Result<Fields, String> {
        let mut fields = Vec::with_capacity(self.params.len());
        for (key, place) in self.keys.iter().zip(&self.params) {
            let value = value(place).map_err(|reason| format!("in parameter '{key}', {reason}"))?;
            fields.push((key.clone(), value));
        }
        Ok(Fields(fields))
    }

    pub(crate) fn content(&self, params: Fields) -> Content {
        Content::Decoded { schema: Arc::clone(&self.schema), params }
    }

    pub(crate) fn explain(&self, reason: &str) -> String {
        let signature = self.schema.signature();
        if self.opaque.is_some() {
            return format!("it is stored raw as {signature}: {reason}");
        }
        format!("it is no {signature}: {reason}")
    }
}
