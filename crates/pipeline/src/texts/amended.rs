//! What is said when the chain takes back what was told, or gives it back: the text around the text. Owns no figures;
//! those belong to the kind of text that the events have.

use domain::{
    ChainId, ChainName, Finality, HitId, Notification, NotificationId, NotificationState, Recipient,
};
use jiff::Timestamp;
use minijinja::value::Serde;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    TemplateError, Text, Texts, Told,
    sources::{CORRECTED_FILE, RETRACTED_FILE},
};

/// What was told before.
#[derive(Debug, Clone)]
pub struct Before<'a> {
    /// One line.
    pub title: &'a str,
    /// How many events.
    pub count: u64,
    /// The figures.
    pub facts: &'a Json,
}

impl<'a> Before<'a> {
    /// As a notification told it.
    pub fn of(notification: &'a Notification) -> Self {
        Self { title: &notification.title, count: notification.count, facts: &notification.facts }
    }
}

/// What is to be said anew.
#[derive(Debug, Clone)]
pub struct Amendment<'a> {
    /// The kind, recipient and watch that the first text was about.
    pub first: &'a Notification,
    /// What was told last.
    pub before: Before<'a>,
    /// Who reads it.
    pub recipient: &'a Recipient,
    /// The chain's name.
    pub chain: &'a ChainName,
}

impl Texts {
    /// The text around `now`, which tells how many events are left.
    ///
    /// # Errors
    /// [`TemplateError`] when a template of the user's fails.
    pub fn corrected(
        &self,
        amendment: &Amendment<'_>,
        now: &Text,
        count: u64,
    ) -> Result<Text, TemplateError> {
        let mut context = context(amendment);
        context["now"] = json!({ "title": now.title, "body": now.body, "count": count, "facts": now.facts });
        let (title, body) = self.say(CORRECTED_FILE, amendment, context)?;
        Ok(Text { kind: now.kind, title, body, facts: now.facts.clone() })
    }

    /// The title and the body that take a notification back.
    ///
    /// # Errors
    /// [`TemplateError`] when a template of the user's fails.
    pub fn retracted(&self, amendment: &Amendment<'_>) -> Result<(String, String), TemplateError> {
        self.say(RETRACTED_FILE, amendment, context(amendment))
    }

    fn say(
        &self,
        file: &str,
        amendment: &Amendment<'_>,
        context: Json,
    ) -> Result<(String, String), TemplateError> {
        let context = minijinja::Value::from(Serde(context));
        self.templates.render(file, &amendment.recipient.locale, context)
    }

    /// Makes sure that the names which a user's templates use are there.
    pub(super) fn check_amendment_names(&self) -> Result<(), TemplateError> {
        const NAMES: [&str; 6] = ["before", "kind", "watch", "recipient", "chain", "timezone"];
        let known: Vec<_> = NAMES.map(str::to_owned).to_vec();
        self.templates.check_names(RETRACTED_FILE, &known)?;
        self.templates.check_names(CORRECTED_FILE, &[known, vec!["now".to_owned()]].concat())
    }

    /// Makes sure that a user's templates can be used: what was told of a sample is corrected by another's text, and
    /// taken back.
    pub(super) fn check_amendment(
        &self,
        told: &Told<'_>,
        (text, told_before): &(Text, u64),
        (now, count): &(Text, u64),
    ) -> Result<(), TemplateError> {
        let first = sample(told, text, *told_before);
        let amendment = Amendment {
            first: &first,
            before: Before::of(&first),
            recipient: told.recipient,
            chain: told.chain,
        };
        self.corrected(&amendment, now, *count)?;
        self.retracted(&amendment).map(drop)
    }
}

/// A notification that never was.
fn sample(told: &Told<'_>, text: &Text, count: u64) -> Notification {
    Notification {
        id: NotificationId::derive(HitId(Uuid::nil())),
        recipient: told.recipient.id.clone(),
        watch: told.watch.id.clone(),
        chain: ChainId(1),
        kind: text.kind.to_owned(),
        title: text.title.clone(),
        body: text.body.clone(),
        count,
        window: None,
        facts: text.facts.clone(),
        events: Vec::new(),
        finality: Finality::Seen.to_string(),
        state: NotificationState::Active,
        revision: 1,
        corrects: None,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

fn context(amendment: &Amendment<'_>) -> Json {
    let Amendment { first, before, recipient, chain } = amendment;
    json!({
        "before": { "title": before.title, "count": before.count, "facts": before.facts },
        "kind": first.kind, "watch": first.watch, "recipient": first.recipient, "chain": chain,
        "timezone": recipient.timezone,
    })
}
