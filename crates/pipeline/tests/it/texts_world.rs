//! Events of tokens and of other contracts, and the little that a text needs beside them.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use alloy_primitives::{Address, B256, Bytes, I256, U256, address};
use domain::{
    BlockRef, ChainId, ChainName, Content, DeliverAt, Event, EventId, EventParam, EventSchema, Fields,
    Finality, HitId, LogicalId, Notification, NotificationId, NotificationState, Origin, ParamType,
    Recipient, Strategy, Value, Watch, schema::Field,
};
use pipeline::texts::{Amendment, Before, TemplateError, Text, Texts, Told};
use store::{StoredEvent, TokenRow};

pub(crate) const ME: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
pub(crate) const ALICE: Address = address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
pub(crate) const BOB: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
pub(crate) const BELL: Address = address!("5FbDB2315678afecb367f032d93F642f64180aa3");
pub(crate) const CHAIN: ChainId = ChainId(31337);

/// Trying every template at their start takes longer than most tests.
static TEXTS: LazyLock<Texts> = LazyLock::new(|| Texts::new(None).unwrap());

/// Everything that a text is made of, with the parts that a test wants to differ public.
pub(crate) struct World {
    pub(crate) watch: Watch,
    pub(crate) recipient: Recipient,
    pub(crate) chain: ChainName,
    pub(crate) tokens: HashMap<Address, TokenRow>,
}

impl World {
    pub(crate) fn new(locale: &str) -> Self {
        Self {
            watch: Watch {
                id: "bells".parse().unwrap(),
                recipient: "treasury".parse().unwrap(),
                contract: "bell".parse().unwrap(),
                event: "Transfer".into(),
                filter: None,
                strategy: Strategy::Immediate,
                telling: domain::Telling::default(),
                deliver_at: DeliverAt::Seen,
                paused: false,
                from_file: false,
            },
            recipient: Recipient {
                id: "treasury".parse().unwrap(),
                locale: locale.into(),
                timezone: "Europe/Berlin".into(),
                quiet_hours: None,
                at_most: None,
                from_file: false,
            },
            chain: "anvil".parse().unwrap(),
            tokens: HashMap::from([(BELL, token("BELL", 18))]),
        }
    }

    /// Watching transfers to and from [`ME`].
    pub(crate) fn watching_me(locale: &str) -> Self {
        let mut world = Self::new(locale);
        world.watch.filter = Some(format!("$0 == {ME} or $1 == {ME}"));
        world
    }

    /// Watching transfers of whichever standard to and from [`ME`], by the names that all of them have.
    pub(crate) fn watching_units() -> Self {
        let mut world = Self::new("en");
        world.watch.filter = Some(format!("from == {ME} or to == {ME}"));
        world
    }

    pub(crate) fn with_token(mut self, row: TokenRow) -> Self {
        self.tokens.insert(BELL, row);
        self
    }

    pub(crate) fn render(&self, events: &[StoredEvent]) -> Text {
        self.try_render(events).unwrap()
    }

    pub(crate) fn try_render(&self, events: &[StoredEvent]) -> Result<Text, TemplateError> {
        self.render_by(&TEXTS, events)
    }

    /// What is said when all of `events`, told as `text`, are gone.
    pub(crate) fn retract(&self, text: &Text, count: usize) -> (String, String) {
        let first = self.notification(text, count);
        TEXTS.retracted(&self.amendment(&first)).unwrap()
    }

    /// What is said when only `events` are left of what `text` told of.
    pub(crate) fn correct(&self, text: &Text, count: usize, events: &[StoredEvent]) -> Text {
        let first = self.notification(text, count);
        TEXTS.corrected(&self.amendment(&first), &self.render(events), events.len() as u64).unwrap()
    }

    fn amendment<'a>(&'a self, first: &'a Notification) -> Amendment<'a> {
        let before = Before::of(first);
        Amendment { first, before, recipient: &self.recipient, chain: &self.chain }
    }

    fn notification(&self, text: &Text, count: usize) -> Notification {
        Notification {
            id: NotificationId::derive(HitId::derive(
                LogicalId::derive(CHAIN, B256::ZERO, B256::ZERO, 0),
                &self.watch.id,
            )),
            recipient: self.recipient.id.clone(),
            watch: self.watch.id.clone(),
            chain: CHAIN,
            kind: text.kind.to_owned(),
            title: text.title.clone(),
            body: text.body.clone(),
            count: count as u64,
            window: None,
            facts: text.facts.clone(),
            events: Vec::new(),
            finality: "seen".to_owned(),
            state: NotificationState::Active,
            revision: 1,
            corrects: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    pub(crate) fn render_by(&self, texts: &Texts, events: &[StoredEvent]) -> Result<Text, TemplateError> {
        let (watch, recipient, chain, tokens) = (&self.watch, &self.recipient, &self.chain, &self.tokens);
        texts.render(&Told { watch, recipient, chain, events, tokens })
    }
}

pub(crate) fn token(symbol: &str, decimals: u8) -> TokenRow {
    TokenRow {
        name: Some("Bell Token".into()),
        symbol: Some(symbol.into()),
        decimals: Some(decimals),
        ..TokenRow::default()
    }
}

pub(crate) fn nameless() -> TokenRow {
    TokenRow::default()
}

pub(crate) fn param(name: &str, ty: ParamType, indexed: bool) -> EventParam {
    EventParam { name: name.into(), ty, indexed }
}

/// `Transfer` with the first `indexed` parameters indexed, the last called `last`.
pub(crate) fn transfer_schema(indexed: usize, last: &str) -> Arc<EventSchema> {
    Arc::new(EventSchema {
        name: "Transfer".into(),
        params: vec![
            param("from", ParamType::Address, indexed > 0),
            param("to", ParamType::Address, indexed > 1),
            param(last, ParamType::Uint(256), indexed > 2),
        ],
        anonymous: false,
    })
}

/// An ERC-20 transfer of `BELL`, the `index`th event of its chain.
pub(crate) fn erc20(index: u64, from: Address, to: Address, value: U256) -> StoredEvent {
    transfer(transfer_schema(2, "value"), BELL, index, (from, to, value))
}

/// An ERC-721 transfer in the collection at `BELL`.
pub(crate) fn erc721(index: u64, from: Address, to: Address, id: u64) -> StoredEvent {
    transfer(transfer_schema(3, "tokenId"), BELL, index, (from, to, U256::from(id)))
}

pub(crate) fn transfer(
    schema: Arc<EventSchema>,
    token: Address,
    index: u64,
    (from, to, value): (Address, Address, U256),
) -> StoredEvent {
    let values = [Value::Address(from), Value::Address(to), Value::Uint(value)];
    event(schema, token, index, values)
}

pub(crate) fn event<const N: usize>(
    schema: Arc<EventSchema>,
    address: Address,
    index: u64,
    values: [Value; N],
) -> StoredEvent {
    let names: Vec<_> = schema.params.iter().map(|param| param.name.clone()).collect();
    let params = Fields::named(names.iter().map(String::as_str).zip(values));
    stored(Content::Decoded { schema, params }, address, index)
}

/// Events are a minute apart, each in a block and a transaction of its own.
pub(crate) fn stored(content: Content, address: Address, index: u64) -> StoredEvent {
    let block = BlockRef::new(100 + index, B256::repeat_byte(1));
    let tx_hash = B256::from(U256::from(0xabc0 + index));
    let event = Event {
        id: EventId::derive(CHAIN, block.hash, index),
        logical: LogicalId::derive(CHAIN, tx_hash, B256::ZERO, index),
        chain: CHAIN,
        block,
        block_timestamp: 1_700_000_000 + 60 * index,
        tx_hash,
        tx_index: 0,
        log_index: index,
        address,
        contract: "bell".parse().unwrap(),
        content,
        origin: Origin::Live,
    };
    StoredEvent { event, finality: Finality::Seen, turn: 1, published: true }
}

/// `whole` tokens of 18 decimals, and `tenths` of one.
pub(crate) fn bells(whole: u64, tenths: u64) -> U256 {
    U256::from(whole * 10 + tenths) * U256::from(10).pow(U256::from(17))
}

/// An event that is no transfer, with a struct, an array, a text and long bytes.
pub(crate) fn order_filled(index: u64, maker: Address) -> StoredEvent {
    let order = vec![
        Field { name: "amount".into(), ty: ParamType::Uint(256) },
        Field { name: "legs".into(), ty: ParamType::Array(Box::new(ParamType::Int(256))) },
    ];
    let schema = EventSchema {
        name: "OrderFilled".into(),
        params: vec![
            param("maker", ParamType::Address, true),
            param("order", ParamType::Tuple(order), false),
            param("note", ParamType::String, false),
            param("proof", ParamType::Bytes, false),
        ],
        anonymous: false,
    };
    let legs = (1..10).map(|leg| Value::Int(I256::try_from(-leg).unwrap())).collect();
    let order = Fields::named([("amount", Value::Uint(U256::ONE << 128)), ("legs", Value::Array(legs))]);
    let values = [
        Value::Address(maker),
        Value::Tuple(order),
        Value::String("hello\n\u{202e}world".into()),
        Value::Bytes(Bytes::from(vec![0xab; 100])),
    ];
    event(Arc::new(schema), BELL, index, values)
}
