//! The texts: hits of one watch become a text and the figures behind it. One per kind of event, resolved by the
//! shape of the events. Owns wording, figures and locales; must not know stores, windows or channels.
//!
//! A notification's facts are computed from its events only, so the same events always give the same facts. The text
//! is a template over those facts: what a template can say, a webhook's receiver can compute too.

mod amended;
mod amount;
mod approval;
mod clean;
mod common;
mod contract_event;
mod erc1155;
mod erc20;
mod erc721;
mod filters;
mod gathered;
mod kind;
mod liquidity;
mod locale;
mod moved;
mod movement;
mod pool;
mod readable;
mod samples;
mod sources;
mod swap;
mod tally;
mod templates;
mod token;
mod watched;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    path::Path,
};

use alloy_primitives::Address;
use domain::{ChainName, Recipient, Watch};
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::{Value as Json, json};
use store::{StoredEvent, TokenRow};

pub use amended::{Amendment, Before};
pub use gathered::{Gathered, HeldBack};
pub(crate) use token::told as tokens_told;

use kind::Kind;
use samples::Sample;
use templates::Templates;
use watched::Watched;

/// What a text is made of.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The watch that the events satisfied.
    pub watch: &'a Watch,
    /// Who reads the text.
    pub recipient: &'a Recipient,
    /// The chain's name.
    pub chain: &'a ChainName,
    /// The events, oldest first; never empty.
    pub events: &'a [StoredEvent],
    /// What the tokens among their contracts say of themselves.
    pub tokens: &'a HashMap<Address, TokenRow>,
}

/// A text with the figures behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Which kind of text.
    pub kind: &'static str,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The figures, for machines. Amounts and token ids are decimal strings, which stay exact; counts, block numbers
    /// and times (seconds since the Unix epoch) are numbers.
    pub facts: Json,
}

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("template {name}: {detail}")]
pub struct TemplateError {
    /// The user's file, or the path of a built-in one below the template folder.
    pub name: String,
    /// What is wrong with it, and in which line.
    pub detail: String,
}

impl TemplateError {
    fn new(name: impl AsRef<Path>, detail: impl Into<String>) -> Self {
        Self { name: name.as_ref().display().to_string(), detail: detail.into() }
    }
}

/// The makers of all kinds of text, with their templates.
pub struct Texts {
    templates: Templates,
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("languages", &self.templates.languages().collect::<Vec<_>>()).finish()
    }
}

impl Texts {
    /// The built-in templates, each overridden by the file of its name below `overrides`, where there is one:
    /// `<locale>/<kind>.txt`, and `<locale>/shared.txt` for what they include. Every template is rendered with sample
    /// events, so that one which cannot be used is found here.
    ///
    /// # Errors
    /// [`TemplateError`] for a folder that cannot be read, and for a file that is no template, with its line.
    pub fn new(overrides: Option<&Path>) -> Result<Self, TemplateError> {
        let texts = Self { templates: Templates::new(overrides)? };
        texts.check()?;
        Ok(texts)
    }

    /// Whether the event's contract should be asked for its symbol and decimals.
    pub fn wants_token(event: &StoredEvent) -> bool {
        Kind::of_event(&event.event).is_of_a_token()
    }

    /// The text about `told`'s events in its recipient's language.
    ///
    /// # Errors
    /// [`TemplateError`] when a template of the user's fails at these events, or when there are none.
    pub fn render(&self, told: &Told<'_>) -> Result<Text, TemplateError> {
        self.render_gathered(told, &Gathered::default())
    }

    /// The text about `told`'s events, which were gathered for what they share, and some of them held back.
    ///
    /// # Errors
    /// As [`Texts::render`].
    pub fn render_gathered(&self, told: &Told<'_>, gathered: &Gathered) -> Result<Text, TemplateError> {
        let events = common::in_chain_order(told.events);
        let kind = Kind::of(&events);
        let bad = |detail: String| TemplateError::new(sources::file_of(kind), detail);
        let mut facts = facts(kind, told, &events)
            .map_err(|error| bad(format!("its facts are no JSON: {error}")))?
            .ok_or_else(|| bad("there are no events to tell of".to_owned()))?;
        gathered.add_to(&mut facts);
        let context = minijinja::Value::from(Serde(context(told, kind, &facts)));
        let file = sources::file_of(kind);
        let (title, body) = self.templates.render(&file, &told.recipient.locale, context)?;
        Ok(Text { kind: kind.as_str(), title: gathered.entitle(title, &told.recipient.locale), body, facts })
    }

    fn check(&self) -> Result<(), TemplateError> {
        self.check_amendment_names()?;
        for kind in Kind::ALL {
            for language in self.templates.languages() {
                self.check_kind(kind, language)?;
            }
        }
        Ok(())
    }

    /// Renders every sample of a kind, and each as the correction of another.
    fn check_kind(&self, kind: Kind, language: &str) -> Result<(), TemplateError> {
        let bad = |error: domain::ids::BadName| TemplateError::new("samples", error.to_string());
        let mut texts: Vec<(Text, u64)> = Vec::with_capacity(usize::from(samples::VARIANTS));
        for variant in 0..samples::VARIANTS {
            let sample = Sample::new(kind, variant, language).map_err(bad)?;
            let told = sample.told();
            if texts.is_empty() {
                let known: Vec<_> = context_names(&told, kind).into_iter().collect();
                self.templates.check_names(&sources::file_of(kind), &known)?;
            }
            let text = self.render_gathered(&told, &Gathered::sample(variant))?;
            texts.push((text, told.events.len() as u64));
        }
        let sample = Sample::new(kind, 0, language).map_err(bad)?;
        let nows = texts.iter().cycle().skip(1);
        texts.iter().zip(nows).try_for_each(|(before, now)| self.check_amendment(&sample.told(), before, now))
    }
}

/// The figures; `None` where there are no events.
fn facts(kind: Kind, told: &Told<'_>, events: &[&StoredEvent]) -> serde_json::Result<Option<Json>> {
    let (watched, tokens) = (|| Watched::of(told.watch, events), told.tokens);
    match kind {
        Kind::Erc20 => json_of(erc20::Facts::of(events, &watched(), tokens)),
        Kind::Erc721 => json_of(erc721::Facts::of(events, &watched(), tokens)),
        Kind::Erc1155 => json_of(erc1155::Facts::of(events, &watched(), tokens)),
        Kind::Approval => json_of(approval::Facts::of(events, tokens)),
        Kind::Swap => json_of(swap::Facts::of(events)),
        Kind::Liquidity => json_of(liquidity::Facts::of(events)),
        Kind::ContractEvent => json_of(contract_event::Facts::of(events)),
    }
}

fn json_of(facts: Option<impl Serialize>) -> serde_json::Result<Option<Json>> {
    facts.map(serde_json::to_value).transpose()
}

/// What a template sees: the facts, and who is told by what.
fn context(told: &Told<'_>, kind: Kind, facts: &Json) -> Json {
    let mut context = facts.clone();
    context["kind"] = json!(kind.as_str());
    context["watch"] = json!(told.watch.id);
    context["recipient"] = json!(told.recipient.id);
    context["chain"] = json!(told.chain);
    context["timezone"] = json!(told.recipient.timezone);
    for (name, nothing) in [("group", json!([])), ("held_back", Json::Null), ("suspicions", json!([]))] {
        if facts.get(name).is_none() {
            context[name] = nothing;
        }
    }
    context
}

fn context_names(told: &Told<'_>, kind: Kind) -> BTreeSet<String> {
    let events = common::in_chain_order(told.events);
    let facts = facts(kind, told, &events).ok().flatten().unwrap_or_default();
    let context = context(told, kind, &facts);
    context.as_object().into_iter().flat_map(|names| names.keys().cloned()).collect()
}
