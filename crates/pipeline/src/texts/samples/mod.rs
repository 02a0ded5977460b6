//! Events that never were, for trying every template once at start: a user's slip of the pen is found then, and not
//! when the first transfer comes.

mod approvals;
mod events;
mod others;
mod pools;
mod transfers;

use std::collections::HashMap;

use alloy_primitives::Address;
use domain::{ChainName, DeliverAt, Recipient, Strategy, Watch, ids::BadName};
use store::{StoredEvent, TokenRow};

use super::{Told, kind::Kind};

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
const SOMEONE: Address = Address::repeat_byte(0x22);

impl Sample {
    /// A sample of `kind` that takes another path through a template for each `variant`.
    pub(super) fn new(kind: Kind, variant: u8, locale: &str) -> Result<Self, BadName> {
        let filter = format!("from == {ME} or to == {ME}");
        let is_transfer = matches!(kind, Kind::Erc20 | Kind::Erc721 | Kind::Erc1155);
        let watched = is_transfer && variant.is_multiple_of(2);
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
        let events = match kind {
            Kind::Erc20 | Kind::Erc721 => transfers::alike(&watch.contract, kind, variant),
            Kind::Erc1155 => transfers::of_several(&watch.contract, variant),
            Kind::Approval => approvals::new(&watch.contract, variant),
            Kind::Swap => pools::swaps(&watch.contract, variant),
            Kind::Liquidity => pools::changes(&watch.contract, variant),
            Kind::ContractEvent => others::new(&watch.contract, variant),
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
    TokenRow {
        name: Some("Bell".to_owned()),
        symbol: Some("BELL".to_owned()),
        decimals: Some(18),
        ..TokenRow::default()
    }
}
