//! From hits to a notification with its deliveries and messages. Shared by the rooms that tell people something;
//! must not know when they do.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use domain::{
    ChainId, ChainName, Clock, Delivery, DeliveryId, DeliveryState, EventId, Finality, HitId, Notification,
    NotificationId, NotificationState, Recipient, RecipientId, Strategy, Target, Watch, WindowAdd, WindowKey,
    message::send_message,
    notification::{MAX_EVENTS, Span},
};
use serde_json::json;
use store::{Bundle, HitRow, Store, StoreError, StoredEvent};

use crate::{
    RoomError,
    factory::{Factories, Told},
    tokens::Tokens,
};

/// Makes notifications.
#[derive(Debug)]
pub struct Notifier {
    store: Store,
    factories: Factories,
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

impl Notifier {
    /// A maker of notifications about `chains`.
    pub fn new(
        store: Store,
        factories: Factories,
        tokens: Tokens,
        clock: Arc<dyn Clock>,
        chains: HashMap<ChainId, ChainName>,
    ) -> Self {
        Self { store, factories, tokens, clock, chains }
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

    /// The notification about `events`, oldest first and not empty, which are the hits whose least id is
    /// `least_hit`.
    ///
    /// # Errors
    /// See [`StoreError`]. A template of the user's that fails is replaced by the plainest text, and logged.
    pub async fn bundle(
        &self,
        watch: &Watch,
        audience: &Audience,
        events: &[StoredEvent],
        least_hit: HitId,
    ) -> Result<Bundle, RoomError> {
        let now = self.clock.now();
        let chain = events.first().map_or(ChainId(0), |stored| stored.event.chain);
        let wanting = events.iter().filter(|stored| Factories::wants_token(stored));
        let addresses: HashSet<_> = wanting.map(|stored| stored.event.address).collect();
        let tokens = self.tokens.of(chain, &addresses).await?;
        let stranger;
        let recipient = match audience.recipients.get(&watch.recipient) {
            Some(recipient) => recipient,
            None => {
                stranger = unknown_recipient(&watch.recipient);
                &stranger
            }
        };
        let unnamed;
        let chain_name = match self.chains.get(&chain) {
            Some(name) => name,
            None => {
                unnamed = chain
                    .to_string()
                    .parse::<ChainName>()
                    .map_err(|error| StoreError::Corrupt { what: "chain", detail: error.to_string() })?;
                &unnamed
            }
        };
        let told = Told { watch, recipient, chain: chain_name, events, tokens: &tokens };
        let text = self.factories.render(&told);
        let (kind, title, body, facts) = match text {
            Ok(text) => (text.kind, text.title, text.body, text.facts),
            Err(error) => {
                tracing::error!(watch = %watch.id, "{error}; the notification says only how many events there were");
                ("contract_event", format!("{}: {}", watch.id, events.len()), String::new(), json!({}))
            }
        };
        let id = NotificationId::derive(least_hit);
        let notification = Notification {
            id,
            recipient: watch.recipient.clone(),
            watch: watch.id.clone(),
            chain,
            kind: kind.to_owned(),
            title,
            body,
            count: events.len() as u64,
            window: matches!(watch.strategy, Strategy::Digest(_)).then(|| span(events)),
            facts,
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

/// The windows that hits join, one per recipient and watch.
pub(crate) fn window_adds(hits: &[(HitId, &RecipientId, &Watch)], now: jiff::Timestamp) -> Vec<WindowAdd> {
    let mut adds: HashMap<WindowKey, WindowAdd> = HashMap::new();
    for (hit, recipient, watch) in hits {
        let Strategy::Digest(rule) = watch.strategy else { continue };
        let key = WindowKey::new(recipient, &watch.id);
        let add = adds.entry(key.clone()).or_insert_with(|| WindowAdd { key, rule, hits: Vec::new(), now });
        add.hits.push(*hit);
    }
    adds.into_values().collect()
}

/// Events in chain order with the hits that brought them; hits whose event is not canonical are left out.
pub(crate) fn in_chain_order(hits: Vec<HitRow>, events: Vec<StoredEvent>) -> (Vec<HitId>, Vec<StoredEvent>) {
    let by_id: HashMap<EventId, HitId> = hits.iter().map(|row| (row.hit.event, row.hit.id)).collect();
    events
        .into_iter()
        .filter(StoredEvent::is_canonical)
        .filter_map(|stored| by_id.get(&stored.event.id).map(|hit| (*hit, stored)))
        .unzip()
}

fn unknown_recipient(id: &RecipientId) -> Recipient {
    Recipient { id: id.clone(), locale: "en".to_owned(), timezone: "UTC".to_owned(), from_file: false }
}

fn span(events: &[StoredEvent]) -> Span {
    let times = || events.iter().map(|stored| stored.event.block_timestamp);
    Span { from: times().min().unwrap_or_default(), to: times().max().unwrap_or_default() }
}

fn newest(events: &[StoredEvent]) -> Vec<EventId> {
    let from = events.len().saturating_sub(MAX_EVENTS);
    events[from..].iter().map(|stored| stored.event.id).collect()
}
