//! The factories: hits of one watch become a text and the figures behind it. One per kind of event, resolved by the
//! shape of the events. Owns wording, figures and locales; must not know stores, windows or channels.
//!
//! A notification's facts are computed from its events only, so the same events always give the same facts.

use std::{collections::HashMap, path::Path};

use alloy_primitives::Address;
use domain::{ChainName, Recipient, Watch};
use serde_json::Value as Json;
use store::{StoredEvent, TokenRow};

/// What a factory works on.
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

/// What a factory made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Which factory.
    pub kind: &'static str,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The figures, for machines.
    pub facts: Json,
}

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("template {name}: {detail}")]
pub struct TemplateError {
    /// Its path below the template folder.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
}

/// All factories and their templates.
#[derive(Debug)]
pub struct Factories {}

impl Factories {
    /// The built-in templates, each overridden by the file of its name below `overrides`, where there is one.
    ///
    /// # Errors
    /// [`TemplateError`] for a file that is no template.
    pub fn new(_overrides: Option<&Path>) -> Result<Self, TemplateError> {
        Ok(Self {})
    }

    /// Whether the event's contract should be asked for its symbol and decimals.
    pub fn wants_token(_event: &StoredEvent) -> bool {
        false
    }

    /// The text about `told`'s events in its recipient's language.
    ///
    /// # Errors
    /// [`TemplateError`] when a template of the user's fails at these events.
    pub fn render(&self, told: &Told<'_>) -> Result<Text, TemplateError> {
        Ok(Text {
            kind: "contract_event",
            title: told.watch.id.to_string(),
            body: String::new(),
            facts: Json::Null,
        })
    }
}
