//! Events that never were, for trying every template once at start: a user's slip of the pen is found then, and not
//! when the first transfer comes.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256, U256};
use domain::{
    BlockRef, ChainId, ChainName, Content, ContractName, DeliverAt, Event, EventId, EventParam, EventSchema,
    Fields, Finality, LogicalId, Origin, ParamType, Recipient, Strategy, Value, Watch, ids::BadName,
};
use store::{StoredEvent, TokenRow};

use super::{Told, transfer::Kind};

/// How many different samples of each kind there are.
pub(super) const VARIANTS: u8 = 12;

/// One notification's worth of sample events.
#[derive(Debug)]
pub(super) struct Sample {
    watch: Watch,
    recipient: Recipient,
    chain: ChainName,
    events: Vec<StoredEvent>,
    tokens: HashMap<Address, TokenRow>,
}

const ME: Address = Address::repeat_byte(0x11);
const CHAIN: ChainId = ChainId(1);

impl Sample {
    /// A sample of `kind` that takes another path through a template for each `variant`.
    pub(super) fn new(kind: Kind, variant: u8, locale: &str) -> Result<Self, BadName> {
        let filter = format!("from == {ME} or to == {ME}");
        let watched = kind != Kind::ContractEvent && variant.is_multiple_of(2);
        let watch = Watch {
            id: "sample-watch".parse()?,
            recipient: "sample".parse()?,
            contract: "sample-contract".parse()?,
            event: "Transfer".to_owned(),
            filter: watched.then_some(filter),
            strategy: Strategy::Immediate,
            telling: domain::Telling::default(),
            deliver_at: DeliverAt::Seen,
            paused: false,
            from_file: false,
        };
        let recipient = Recipient {
            id: watch.recipient.clone(),
            locale: locale.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            quiet_hours: None,
            at_most: None,
            from_file: false,
        };
        let events: Vec<_> = match kind {
            Kind::ContractEvent => others(&watch.contract, variant),
            _ => transfers(&watch.contract, kind, variant),
        };
        let named = !variant.is_multiple_of(3);
        let tokens = events.iter().filter(|_| named).map(|stored| (stored.event.address, token())).collect();
        Ok(Self { watch, recipient, chain: "sample-chain".parse()?, events, tokens })
    }

    pub(super) fn told(&self) -> Told<'_> {
        Told {
            watch: &self.watch,
            recipient: &self.recipient,
            chain: &self.chain,
            events: &self.events,
            tokens: &self.tokens,
        }
    }
}

fn token() -> TokenRow {
    TokenRow { name: Some("Bell".to_owned()), symbol: Some("BELL".to_owned()), decimals: Some(18) }
}

// One transfer in each direction, then several: of one token, of a few, of more than are shown.
fn transfers(contract: &ContractName, kind: Kind, variant: u8) -> Vec<StoredEvent> {
    let someone = Address::repeat_byte(0x22);
    let ends = [(someone, ME), (ME, someone), (ME, ME), (Address::ZERO, ME), (ME, Address::ZERO)];
    let (count, tokens) = match variant / 2 {
        0..=2 => (1, 1),
        3 => (5, 1),
        4 => (21, 3),
        _ => (40, 8),
    };
    let schema = Arc::new(EventSchema {
        name: "Transfer".to_owned(),
        params: vec![
            param("from", ParamType::Address, true),
            param("to", ParamType::Address, true),
            param("value", ParamType::Uint(256), kind == Kind::Erc721),
        ],
        anonymous: false,
    });
    (0..count)
        .map(|index: u8| {
            let (mut from, mut to) = ends[usize::from(variant + index) % ends.len()];
            if count > 1 && index % 7 == 6 {
                (from, to) = (Address::with_last_byte(index), ME);
            }
            let params = Fields::named([
                ("from", Value::Address(from)),
                ("to", Value::Address(to)),
                ("value", Value::Uint(U256::from(index) + U256::from(10).pow(U256::from(18)))),
            ]);
            let content = Content::Decoded { schema: Arc::clone(&schema), params };
            event(contract, content, Address::with_last_byte(index % tokens), u64::from(index))
        })
        .collect()
}

fn others(contract: &ContractName, variant: u8) -> Vec<StoredEvent> {
    let count = if variant < 6 { 1 } else { variant };
    let params = vec![param("by", ParamType::Address, true), param("size", ParamType::Uint(256), false)];
    (0..count)
        .map(|index| {
            let fields = Fields::named([
                ("by", Value::Address(Address::with_last_byte(index))),
                ("size", Value::Uint(U256::from(index))),
            ]);
            let name = if variant % 4 == 3 { format!("Sample{index}") } else { "Sample".to_owned() };
            let schema = Arc::new(EventSchema { name, params: params.clone(), anonymous: false });
            let content = if variant % 4 == 1 && index == 0 {
                Content::Undecoded { topics: Vec::new(), data: [].into(), reason: "a sample".to_owned() }
            } else {
                Content::Decoded { schema, params: fields }
            };
            event(contract, content, Address::with_last_byte(index % (1 + variant % 3)), u64::from(index))
        })
        .collect()
}

fn param(name: &str, ty: ParamType, indexed: bool) -> EventParam {
    EventParam { name: name.to_owned(), ty, indexed }
}

fn event(contract: &ContractName, content: Content, address: Address, index: u64) -> StoredEvent {
    let block = BlockRef::new(18_600_000 + index, B256::ZERO);
    let tx_hash = B256::from(U256::from(index));
    let event = Event {
        id: EventId::derive(CHAIN, block.hash, index),
        logical: LogicalId::derive(CHAIN, tx_hash, B256::ZERO, index),
        chain: CHAIN,
        block,
        // Far enough apart that a large sample spans more than a day.
        block_timestamp: 1_700_000_000 + index * 3600,
        tx_hash,
        tx_index: 0,
        log_index: index,
        address,
        contract: contract.clone(),
        content,
        origin: Origin::Live,
    };
    StoredEvent { event, finality: Finality::Seen, turn: 1, published: true }
}
