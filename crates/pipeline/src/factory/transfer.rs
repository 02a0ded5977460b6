//! Which kind of event an event is, by its shape alone, and the transfer that it tells of. Must not know what a
//! token is called.

use alloy_primitives::{Address, U256};
use domain::{Content, Event, EventSchema, Standard, Value};
use store::StoredEvent;

/// Which factory serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Erc20,
    Erc721,
    ContractEvent,
}

/// A transfer of a token, read by position: names differ from ABI to ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) token: Address,
    pub(super) from: Address,
    pub(super) to: Address,
    /// The amount (ERC-20) or the token's id (ERC-721).
    pub(super) value: U256,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Erc20, Self::Erc721, Self::ContractEvent];

    /// The word in a notification and in template file names.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Erc20 => "erc20_transfer",
            Self::Erc721 => "erc721_transfer",
            Self::ContractEvent => "contract_event",
        }
    }

    pub(super) fn of_event(event: &Event) -> Self {
        match &event.content {
            Content::Decoded { schema, .. } => Self::of_schema(schema),
            Content::Undecoded { .. } => Self::ContractEvent,
        }
    }

    /// The kind that all events share; a mixture is told as contract events.
    pub(super) fn of(events: &[&StoredEvent]) -> Self {
        let mut kinds = events.iter().map(|stored| Self::of_event(&stored.event));
        let first = kinds.next().unwrap_or(Self::ContractEvent);
        if kinds.all(|kind| kind == first) { first } else { Self::ContractEvent }
    }

    fn of_schema(schema: &EventSchema) -> Self {
        match Standard::of_schema(schema) {
            Some(Standard::Erc20) => Self::Erc20,
            Some(Standard::Erc721) => Self::Erc721,
            Some(Standard::Erc1155) | None => Self::ContractEvent,
        }
    }
}

impl Transfer {
    pub(super) fn of(event: &Event) -> Option<Self> {
        let Content::Decoded { params, .. } = &event.content else { return None };
        match (params.at(0), params.at(1), params.at(2)) {
            (Some(Value::Address(from)), Some(Value::Address(to)), Some(Value::Uint(value))) => {
                Some(Self { token: event.address, from: *from, to: *to, value: *value })
            }
            _ => None,
        }
    }
}
