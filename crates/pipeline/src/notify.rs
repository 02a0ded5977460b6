//! From hits to a notification with its deliveries and messages. Shared by the rooms that tell people something;
//! must not know when they do.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use alloy_primitives::Address;
use domain::{
    ChainId, ChainName, Clock, Delivery, DeliveryId, DeliveryState, EventId, Finality, Held, HitId,
    Notification, NotificationId, NotificationState, Recipient, RecipientId, Suspicion, Target, Watch,
    message::send_message,
    notification::{MAX_EVENTS, Span},
    timing::Attention,
};
use serde_json::json;
use store::{Bundle, Doubtful, HitRow, Store, StoreError, StoredEvent, TokenRow};

use crate::{
    RoomError,
    texts::{Amendment, Before, Gathered, Text, Texts, Told, tokens_told},
    tokens::Tokens,
};

/// Makes notifications.
#[derive(Debug)]
pub struct Notifier {
    store: Store,
    texts: Texts,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    chains: HashMap<ChainId, ChainName>,
}

/// The recipients of a batch and their targets, read at once.
#[derive(Debug, Default)]
pub struct Audience {
    recipients: HashMap<RecipientId, Recipient>,
    targets: HashMap<RecipientId, Vec<Target>>,
}

/// What is special about hits that are told together: why they waited longer than their watch asks for, and why they look
/// like spam.
#[derive(Debug, Default)]
pub struct Why {
    held: Vec<Held>,
    suspicions: Vec<Suspicion>,
}

impl FromIterator<(Option<Held>, Option<Suspicion>)> for Why {
    fn from_iter<I: IntoIterator<Item = (Option<Held>, Option<Suspicion>)>>(hits: I) -> Self {
        let mut why = Self::default();
        for (held, suspicion) in hits {
            why.held.extend(held);
            why.suspicions.extend(suspicion);
        }
        why
    }
}

impl Audience {
    /// When a recipient may be told. One that is gone may be told at any time: nobody hears it.
    pub fn attention(&self, id: &RecipientId) -> Attention {
        match self.recipients.get(id) {
            Some(recipient) => Attention::of(recipient),
            None => Attention::of(&unknown_recipient(id)),
        }
    }
}

impl Notifier {
    /// A maker of notifications about `chains`.
    pub fn new(
        store: Store,
        texts: Texts,
        tokens: Tokens,
        clock: Arc<dyn Clock>,
        chains: HashMap<ChainId, ChainName>,
    ) -> Self {
        Self { store, texts, tokens, clock, chains }
    }

    /// What tokens say of themselves.
    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Reads recipients and their targets.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audience(&self, ids: impl IntoIterator<Item = RecipientId>) -> Result<Audience, StoreError> {
        let ids: BTreeSet<_> = ids.into_iter().collect();
        let ids: Vec<_> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Audience::default());
        }
        let recipients = self.store.recipients_by_id(&ids).await?;
        let mut targets: HashMap<_, Vec<_>> = HashMap::new();
        for target in self.store.targets_of(&ids).await? {
            targets.entry(target.recipient.clone()).or_default().push(target);
        }
        let recipients = recipients.into_iter().map(|recipient| (recipient.id.clone(), recipient)).collect();
        Ok(Audience { recipients, targets })
    }

    /// The notification that tells of one hit at once.
    ///
    /// # Errors
    /// See [`StoreError`]. A template of the user's that fails is replaced by the plainest text, and logged.
    pub async fn bundle(
        &self,
        watch: &Watch,
        audience: &Audience,
        events: &[StoredEvent],
        hit: HitId,
    ) -> Result<Bundle, RoomError> {
        let gathered = Gathered::of(watch, events, []);
        self.make(watch, audience, (events, hit), (gathered, HashMap::new()), None).await
    }

    /// The notification of a window about `events`, oldest first and not empty, which are the hits whose least id is
    /// `least_hit`; `why` says what is special about some of them.
    ///
    /// # Errors
    /// As [`Notifier::bundle`].
    pub async fn digest(
        &self,
        watch: &Watch,
        audience: &Audience,
        (events, least_hit): (&[StoredEvent], HitId),
        why: Why,
    ) -> Result<Bundle, RoomError> {
        self.gather(watch, audience, (events, least_hit), why, HashMap::new()).await
    }

    // `said` is what tokens are called whatever they say now.
    async fn gather(
        &self,
        watch: &Watch,
        audience: &Audience,
        (events, least_hit): (&[StoredEvent], HitId),
        why: Why,
        said: HashMap<Address, TokenRow>,
    ) -> Result<Bundle, RoomError> {
        let gathered = Gathered::of(watch, events, why.held).suspected(why.suspicions);
        self.make(watch, audience, (events, least_hit), (gathered, said), Some(span(events))).await
    }

    async fn make(
        &self,
        watch: &Watch,
        audience: &Audience,
        (events, least_hit): (&[StoredEvent], HitId),
        (gathered, said): (Gathered, HashMap<Address, TokenRow>),
        window: Option<Span>,
    ) -> Result<Bundle, RoomError> {
        let now = self.clock.now();
        let chain = events.first().map_or(ChainId(0), |stored| stored.event.chain);
        let wanting = events.iter().filter(|stored| Texts::wants_token(stored));
        let mut addresses: HashSet<_> = wanting.map(|stored| stored.event.address).collect();
        addresses.retain(|address| !said.contains_key(address));
        let mut tokens = self.tokens.of(chain, &addresses).await?;
        tokens.extend(said);
        let stranger;
        let recipient = match audience.recipients.get(&watch.recipient) {
            Some(recipient) => recipient,
            None => {
                stranger = unknown_recipient(&watch.recipient);
                &stranger
            }
        };
        let chain_name = self.chain_name(chain)?;
        let told = Told { watch, recipient, chain: &chain_name, events, tokens: &tokens };
        let text = self.texts.render_gathered(&told, &gathered);
        let text = text.unwrap_or_else(|error| {
            tracing::error!(watch = %watch.id, "{error}; the notification says only how many events there were");
            let title = format!("{}: {}", watch.id, events.len());
            Text { kind: "contract_event", title, body: String::new(), facts: json!({}) }
        });
        let id = NotificationId::derive(least_hit);
        let notification = Notification {
            id,
            recipient: watch.recipient.clone(),
            watch: watch.id.clone(),
            chain,
            kind: text.kind.to_owned(),
            title: text.title,
            body: text.body,
            count: events.len() as u64,
            window,
            facts: text.facts,
            events: newest(events),
            finality: events.iter().map(|stored| stored.finality).min().unwrap_or(Finality::Seen).to_string(),
            state: NotificationState::Active,
            revision: 1,
            corrects: None,
            created_at: now,
        };
        let targets = audience.targets.get(&watch.recipient).map_or(&[][..], Vec::as_slice);
        Ok(self.with_deliveries(notification, targets))
    }

    /// The correction of `doubtful` by the events that are left of it, oldest first: told anew, or taken back where there
    /// are none. A target that nothing of it may have reached hears of what is left, and not of what it never heard of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn correction(
        &self,
        doubtful: &Doubtful,
        watch: &Watch,
        events: &[StoredEvent],
    ) -> Result<Bundle, RoomError> {
        let audience = self.audience([doubtful.first.recipient.clone()]).await?;
        let stranger = unknown_recipient(&doubtful.first.recipient);
        let recipient = audience.recipients.get(&doubtful.first.recipient).unwrap_or(&stranger);
        let chain = self.chain_name(doubtful.first.chain)?;
        let before = Before::of(&doubtful.last);
        let amendment = Amendment { first: &doubtful.first, before, recipient, chain: &chain };
        let mut notification = if events.is_empty() {
            let (title, body) = self.texts.retracted(&amendment).unwrap_or_else(|error| {
                tracing::error!(watch = %watch.id, "{error}; the plain title is used");
                (format!("{}: 0", watch.id), String::new())
            });
            let none = Notification { title, body, count: 0, facts: json!({}), ..doubtful.first.clone() };
            Notification { events: Vec::new(), state: NotificationState::Retracted, ..none }
        } else {
            // Its least hit is of no interest: the id is the correction's.
            let inside = doubtful.hits.iter().filter(|hit| hit.told.gone_since.is_none());
            let told = (events, HitId(doubtful.first.id.0));
            let why = inside.map(|hit| (hit.held, hit.suspicion)).collect();
            // What was told of the tokens holds for what is left: the first word on each, and then the last.
            let mut said = tokens_told(&doubtful.last.facts);
            said.extend(tokens_told(&doubtful.first.facts));
            let now = self.gather(watch, &audience, told, why, said).await?.notification;
            let text =
                Text { kind: "", title: now.title.clone(), body: now.body.clone(), facts: now.facts.clone() };
            let text = self.texts.corrected(&amendment, &text, now.count).unwrap_or(text);
            Notification { title: text.title, body: text.body, window: doubtful.first.window, ..now }
        };
        notification.revision = doubtful.last.revision + 1;
        notification.id = doubtful.first.id.correction(notification.revision);
        notification.corrects = Some(doubtful.first.id);
        notification.created_at = self.clock.now();
        let targets = audience.targets.get(&doubtful.first.recipient).map_or(&[][..], Vec::as_slice);
        let heard = |target: &&Target| !events.is_empty() || doubtful.reached.contains(&target.name);
        let targets: Vec<_> = targets.iter().filter(heard).cloned().collect();
        Ok(self.with_deliveries(notification, &targets))
    }

    fn chain_name(&self, chain: ChainId) -> Result<ChainName, StoreError> {
        if let Some(name) = self.chains.get(&chain) {
            return Ok(name.clone());
        }
        let name = chain.to_string().parse::<ChainName>();
        name.map_err(|error| StoreError::Corrupt { what: "chain", detail: error.to_string() })
    }

    fn with_deliveries(&self, notification: Notification, targets: &[Target]) -> Bundle {
        let now = self.clock.now();
        let (id, revision) = (notification.id, notification.revision);
        let deliveries: Vec<_> = targets
            .iter()
            .map(|target| Delivery {
                id: DeliveryId::derive(id, revision, &target.recipient, &target.name),
                notification: id,
                recipient: target.recipient.clone(),
                target: target.name.clone(),
                channel: target.url.channel().to_owned(),
                state: DeliveryState::Queued,
                attempts: 0,
                tries: 0,
                next_attempt_at: now,
                reason: None,
            })
            .collect();
        let channels: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.channel.as_str()).collect();
        let messages = channels
            .into_iter()
            .map(|channel| {
                let data = json!({
                    "notification_id": id, "revision": revision, "channel": channel,
                    "recipient": notification.recipient, "watch": notification.watch,
                });
                send_message(id, revision, channel, now, data)
            })
            .collect();
        Bundle { notification, deliveries, messages }
    }
}

/// Events in chain order with the hits that brought them; hits whose event is not canonical are left out.
pub(crate) fn in_chain_order(hits: &[HitRow], events: Vec<StoredEvent>) -> (Vec<HitId>, Vec<StoredEvent>) {
    let by_id: HashMap<EventId, HitId> = hits.iter().map(|row| (row.hit.event, row.hit.id)).collect();
    events
        .into_iter()
        .filter(StoredEvent::is_canonical)
        .filter_map(|stored| by_id.get(&stored.event.id).map(|hit| (*hit, stored)))
        .unzip()
}

fn unknown_recipient(id: &RecipientId) -> Recipient {
    Recipient {
        id: id.clone(),
        locale: "en".to_owned(),
        timezone: "UTC".to_owned(),
        quiet_hours: None,
        at_most: None,
        from_file: false,
    }
}

fn span(events: &[StoredEvent]) -> Span {
    let times = || events.iter().map(|stored| stored.event.block_timestamp);
    Span { from: times().min().unwrap_or_default(), to: times().max().unwrap_or_default() }
}

fn newest(events: &[StoredEvent]) -> Vec<EventId> {
    let from = events.len().saturating_sub(MAX_EVENTS);
    events[from..].iter().map(|stored| stored.event.id).collect()
}
