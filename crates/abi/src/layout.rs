//! The layouts that a log of one contract can have, and which of them it has. Topic 0 alone does not decide:
//! ERC-20's and ERC-721's `Transfer` share it and differ in the number of topics.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use alloy_primitives::{B256, hex};
use domain::{Content, EventSchema, Fields, RawLog, Value};

use crate::codec::{self, Codec, Reader, Word};

/// How many misfitting layouts a reason names.
const MAX_REASONS: usize = 3;

/// One event's layout, prepared for reading.
#[derive(Debug)]
struct Layout {
    schema: Arc<EventSchema>,
    keys: Vec<String>,
    params: Vec<Place>,
    topic_count: usize,
    head: usize,
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
    /// Prepares `events`. Where two layouts fit the same log, the earlier one is taken.
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
        let Some(layouts) = log.topics.first().and_then(|topic0| self.by_topic0.get(topic0)) else {
            return Verdict::Foreign;
        };
        let mut reasons = Vec::new();
        for layout in layouts {
            match layout.read(log) {
                Ok((params, _)) => return Verdict::Event(layout.content(params)),
                Err(reason) => reasons.push(layout.explain(&reason)),
            }
        }
        let unindexed = layouts.iter().filter(|_| old_tokens).find_map(|layout| layout.read_unindexed(log));
        unindexed.map_or_else(|| Verdict::Misfit(joined(&reasons)), Verdict::Event)
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

fn joined(reasons: &[String]) -> String {
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
        Self { keys: schema.keys(), topic_count: schema.topic_count(), schema, params, head }
    }

    /// The parameters, and whether they are all that the log holds.
    fn read(&self, log: &RawLog) -> Result<(Fields, bool), String> {
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
    fn read_unindexed(&self, log: &RawLog) -> Option<Content> {
        if self.topic_count == 1 || log.topics.len() != 1 || log.data.len() != 32 * self.params.len() {
            return None;
        }
        let mut words = log.data.chunks_exact(32).filter_map(<[u8]>::first_chunk);
        let mut values = Vec::with_capacity(self.params.len());
        for (key, param) in self.keys.iter().zip(&self.schema.params) {
            values.push((key.clone(), Word::of(&param.ty)?.value(words.next()?).ok()?));
        }
        Some(self.content(Fields(values)))
    }

    fn fields(&self, mut value: impl FnMut(&Place) -> Result<Value, String>) -> Result<Fields, String> {
        let mut fields = Vec::with_capacity(self.params.len());
        for (key, place) in self.keys.iter().zip(&self.params) {
            let value = value(place).map_err(|reason| format!("in parameter '{key}', {reason}"))?;
            fields.push((key.clone(), value));
        }
        Ok(Fields(fields))
    }

    fn content(&self, params: Fields) -> Content {
        Content::Decoded { schema: Arc::clone(&self.schema), params }
    }

    fn explain(&self, reason: &str) -> String {
        format!("it is no {}: {reason}", self.schema.signature())
    }
}
