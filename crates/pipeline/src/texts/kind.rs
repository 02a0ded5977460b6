//! Which kind of text an event gets, by the event's shape alone. Must not know what a token is called or who watches it.

use domain::{Content, Event, EventSchema, Standard};
use store::StoredEvent;

use super::{approval, pool};

/// A kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Erc20,
    Erc721,
    Erc1155,
    Approval,
    Swap,
    Liquidity,
    ContractEvent,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Erc20,
        Self::Erc721,
        Self::Erc1155,
        Self::Approval,
        Self::Swap,
        Self::Liquidity,
        Self::ContractEvent,
    ];

    /// The word in a notification and in template file names.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Erc20 => "erc20_transfer",
            Self::Erc721 => "erc721_transfer",
            Self::Erc1155 => "erc1155_transfer",
            Self::Approval => "approval",
            Self::Swap => "swap",
            Self::Liquidity => "liquidity",
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

    /// Whether the emitting contract is a token, whose symbol and decimals the text wants.
    pub(super) const fn is_of_a_token(self) -> bool {
        matches!(self, Self::Erc20 | Self::Erc721 | Self::Erc1155 | Self::Approval)
    }

    fn of_schema(schema: &EventSchema) -> Self {
        match Standard::of_schema(schema) {
            Some(Standard::Erc20) => return Self::Erc20,
            Some(Standard::Erc721) => return Self::Erc721,
            Some(Standard::Erc1155) => return Self::Erc1155,
            None => {}
        }
        if approval::Shape::of_schema(schema).is_some() {
            return Self::Approval;
        }
        match pool::Shape::of_schema(schema) {
            Some(shape) if shape.is_swap() => Self::Swap,
            Some(_) => Self::Liquidity,
            None => Self::ContractEvent,
        }
    }
}
