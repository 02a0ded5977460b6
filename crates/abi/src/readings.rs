//! What the layouts of one or of several contracts make of a log, and which reading holds. Owns the rule that nothing is
//! guessed: a log that two events read differently is none of them.
//!
//! A reading that uses all of the log's data goes before one that leaves some over, since that is what a compiler's code
//! emits.

use domain::{Content, EventSchema, Fields, RawLog};

use crate::layout::{Layout, Layouts, joined};

/// One reading, and whose event it is.
struct Fit<'l, O> {
    owner: O,
    layout: &'l Layout,
    fields: Fields,
    exact: bool,
}

/// The readings of a log.
pub(crate) struct Readings<'l, O> {
    fits: Vec<Fit<'l, O>>,
    misfits: Vec<(O, String)>,
    unindexed: Vec<(O, &'l Layout)>,
    old_tokens: bool,
}

/// What a log is.
pub(crate) enum Settled<O> {
    /// An event of this owner.
    Event(O, Content),
    /// Several events read it, each differently; why, under the first owner.
    Several(O, String),
    /// It bears the topic 0 of an event and does not have its layout; why, under the first owner.
    Misfit(O, String),
    /// None of the events.
    Foreign,
}

impl<'l, O: Copy> Readings<'l, O> {
    /// No reading yet. `old_tokens` also reads a log without indexed arguments by a layout that has some.
    pub(crate) const fn new(old_tokens: bool) -> Self {
        Self { fits: Vec::new(), misfits: Vec::new(), unindexed: Vec::new(), old_tokens }
    }

    /// Reads the log by the layouts of one owner.
    pub(crate) fn add(&mut self, owner: O, layouts: &'l Layouts, log: &RawLog) {
        for layout in layouts.of_topic0(log) {
            // The first declaration of a layout gives the names.
            if self.fits.iter().any(|fit| fit.layout.schema.reads_alike(&layout.schema)) {
                continue;
            }
            match layout.read(log) {
                Ok((fields, exact)) => self.fits.push(Fit { owner, layout, fields, exact }),
                Err(reason) => {
                    self.misfits.push((owner, layout.explain(&reason)));
                    self.unindexed.push((owner, layout));
                }
            }
        }
    }

    /// Which reading holds.
    pub(crate) fn settle(mut self, log: &RawLog) -> Settled<O> {
        if self.fits.is_empty() {
            self.read_unindexed(log);
        }
        if self.fits.iter().any(|fit| fit.exact) {
            self.fits.retain(|fit| fit.exact);
        }
        match (self.fits.len(), self.fits.pop()) {
            (1, Some(Fit { owner, layout, fields, .. })) => Settled::Event(owner, layout.content(fields)),
            (_, Some(last)) => {
                let owner = self.fits.first().map_or(last.owner, |first| first.owner);
                let schemas = self.fits.iter().chain([&last]).map(|fit| fit.layout.schema.as_ref());
                Settled::Several(owner, several(schemas))
            }
            (_, None) => match self.misfits.first() {
                Some((owner, _)) => {
                    let reasons: Vec<_> = self.misfits.iter().map(|(_, reason)| reason.clone()).collect();
                    Settled::Misfit(*owner, joined(&reasons))
                }
                None => Settled::Foreign,
            },
        }
    }

    // Tokens older than the habit emit `Transfer`s without topics, and a standard's ABI is all that people have of them.
    // Where two standards read one differently, an amount and an id, it is neither.
    fn read_unindexed(&mut self, log: &RawLog) {
        for (owner, layout) in self.unindexed.iter().filter(|_| self.old_tokens) {
            let alike = |fit: &Fit<'_, O>| fit.layout.schema.keys() == layout.schema.keys();
            if self.fits.iter().any(alike) {
                continue;
            }
            if let Some(fields) = layout.read_unindexed(log) {
                self.fits.push(Fit { owner: *owner, layout, fields, exact: true });
            }
        }
    }
}

fn several<'s>(schemas: impl Iterator<Item = &'s EventSchema>) -> String {
    let names: Vec<_> = schemas.map(|schema| format!("'{}'", schema.declaration())).collect();
    format!("several events read the log, each differently: {}", names.join(", "))
}
