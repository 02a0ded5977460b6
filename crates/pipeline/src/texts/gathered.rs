//! What the events of a notification were gathered for, and how many of them waited longer than their watch asks for. Facts
//! that every kind can have; must not know windows or budgets.

use std::collections::BTreeMap;

use domain::{Event, Held, Suspicion, Value, Watch, grouping};
use serde_json::{Value as Json, json};
use store::StoredEvent;

use super::{clean, filters, readable};

/// The most characters of a name that comes from an ABI.
const NAME_CHARS_MAX: usize = 80;

/// The most characters of a title, with what is added to it.
const TITLE_CHARS_MAX: usize = 300;

/// What events share, and what kept them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gathered {
    /// The values that all of them have, by the names of the watch's `group_by`.
    pub group: Vec<(String, Value)>,
    /// What was held back of them.
    pub held_back: Option<HeldBack>,
    /// How many of them look like spam, by why.
    pub suspicions: BTreeMap<Suspicion, u64>,
}

/// Events that waited longer than their watch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    /// How many.
    pub count: u64,
    /// Why; where there were several reasons, the budget.
    pub reason: Held,
}

impl Gathered {
    /// Of a watch's events.
    pub fn of(watch: &Watch, events: &[StoredEvent], held: impl IntoIterator<Item = Held>) -> Self {
        let names = &watch.telling.group_by;
        let values = |event: &Event| grouping::values(names, event);
        let group = match events {
            // A watch that was changed since may gather for something else now.
            [first, rest @ ..] if !names.is_empty() => {
                let group = values(&first.event);
                let shared = rest.iter().all(|stored| values(&stored.event) == group);
                if shared { group } else { Vec::new() }
            }
            _ => Vec::new(),
        };
        let mut held_back: Option<HeldBack> = None;
        for reason in held {
            let held = held_back.get_or_insert(HeldBack { count: 0, reason });
            held.count += 1;
            held.reason = held.reason.max(reason);
        }
        Self { group, held_back, suspicions: BTreeMap::new() }
    }

    /// The same, with why some of the events look like spam.
    #[must_use]
    pub fn suspected(mut self, suspicions: impl IntoIterator<Item = Suspicion>) -> Self {
        for suspicion in suspicions {
            *self.suspicions.entry(suspicion).or_default() += 1;
        }
        self
    }

    /// Adds the facts that there are.
    pub(super) fn add_to(&self, facts: &mut Json) {
        if !self.group.is_empty() {
            let shared = |(name, value): &(String, Value)| json!({ "name": shown(name), "value": readable::text(value) });
            facts["group"] = self.group.iter().map(shared).collect();
        }
        if let Some(HeldBack { count, reason }) = self.held_back {
            facts["held_back"] = json!({ "count": count, "reason": reason.as_str() });
        }
        if !self.suspicions.is_empty() {
            let counted =
                |(reason, count): (&Suspicion, &u64)| json!({ "reason": reason.as_str(), "count": count });
            facts["suspicions"] = self.suspicions.iter().map(counted).collect();
        }
    }

    /// The title with what the events were gathered for, and that they look like spam.
    pub(super) fn entitle(&self, title: String, locale: &str) -> String {
        let title = match (self.suspicions.is_empty(), locale.starts_with("ru")) {
            (true, _) => title,
            (_, true) => clean::shortened(&format!("Похоже на спам: {title}"), TITLE_CHARS_MAX),
            _ => clean::shortened(&format!("Looks like spam: {title}"), TITLE_CHARS_MAX),
        };
        if self.group.is_empty() {
            return title;
        }
        let shared = self
            .group
            .iter()
            .map(|(name, value)| format!("{} {}", shown(name), filters::short(&readable::text(value))));
        let shared = shared.collect::<Vec<_>>().join(", ");
        clean::shortened(&format!("{title} [{shared}]"), TITLE_CHARS_MAX)
    }

    /// One for trying a template.
    pub(super) fn sample(variant: u8) -> Self {
        let group = vec![("address".to_owned(), Value::String("sample".to_owned()))];
        let reason = if variant.is_multiple_of(2) { Held::Budget } else { Held::QuietHours };
        match variant % 3 {
            0 => Self::default(),
            1 => Self { group, ..Self::default() }.suspected(Suspicion::ALL),
            _ => {
                let held_back = Some(HeldBack { count: u64::from(variant), reason });
                Self { group, held_back, ..Self::default() }
            }
        }
    }
}

fn shown(name: &str) -> String {
    clean::line(name, NAME_CHARS_MAX).unwrap_or_else(|| "?".to_owned())
}
