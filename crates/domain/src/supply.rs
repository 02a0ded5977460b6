//! Events by which a token says that it made or destroyed some of itself. Owns which of them are known, and the rule of
//! which of them count beside the `Transfer`s of their transaction; must not know where events come from.
//!
//! Wrapped ether (WETH9) makes and destroys without a `Transfer`: `Deposit` and `Withdrawal` are all that it says. Other
//! tokens emit the same events beside a `Transfer` from or to the zero address, and would be counted twice. An ABI does not
//! tell the two apart, so the chain does: what the transaction has beside the event decides.
//!
//! - No `Transfer` of the token that makes (or destroys) in this transaction: the event is the only word, and counts.
//! - One of the same amount: it tells of the same, and the event does not count.
//! - One of another amount: a vault's event can speak of another asset, so it does not count, and is called unclear. In
//!   WETH9 that cannot happen to a deposit, since nobody can send from the zero address; a withdrawal is unclear only beside
//!   a burn by the same account.

use alloy_primitives::Address;

use crate::{Content, Event, EventSchema, ParamType, Standard, Transfer, Value};

/// What an event says of a token's supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Some was made.
    Made,
    /// Some was destroyed.
    Destroyed,
}

/// Whether a change is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing else tells of it: it counts.
    Alone,
    /// A `Transfer` tells of it: it does not count.
    Told,
    /// Whether a `Transfer` tells of it cannot be said: it does not count.
    Unclear,
}

/// Names, in lower case, that events have which make or destroy units.
const WORDS: [&str; 10] =
    ["mint", "burn", "deposit", "withdraw", "issue", "redeem", "rebase", "wrap", "destroy", "wipe"];
/// Of roles and settings around them.
const ASIDE: [&str; 4] = ["minter", "burner", "issuer", "fee"];

impl Change {
    /// The change that events of this schema tell of, where it is known: WETH9's.
    pub fn of_schema(schema: &EventSchema) -> Option<Self> {
        let [who, amount] = schema.params.as_slice() else { return None };
        let fits = !schema.anonymous
            && (who.ty == ParamType::Address && who.indexed)
            && (amount.ty == ParamType::Uint(256) && !amount.indexed);
        match schema.name.as_str() {
            "Deposit" if fits => Some(Self::Made),
            "Withdrawal" if fits => Some(Self::Destroyed),
            _ => None,
        }
    }

    /// The event as a transfer from or to the zero address.
    pub fn as_transfer(event: &Event) -> Option<Transfer> {
        let Content::Decoded { schema, params } = &event.content else { return None };
        let change = Self::of_schema(schema)?;
        let (Some(Value::Address(who)), Some(Value::Uint(amount))) = (params.at(0), params.at(1)) else {
            return None;
        };
        let (from, to) = match change {
            Self::Made => (Address::ZERO, *who),
            Self::Destroyed => (*who, Address::ZERO),
        };
        Some(Transfer { token: event.address, from, to, id: None, amount: *amount })
    }
}

/// Whether events of this schema may make or destroy units by their name, and are none that is known.
pub fn may_change(schema: &EventSchema) -> bool {
    let name = schema.name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let amount = |ty: &ParamType| matches!(ty, ParamType::Uint(_) | ParamType::Int(_) | ParamType::Opaque(_));
    has(&WORDS)
        && !has(&ASIDE)
        && schema.params.iter().any(|param| amount(&param.ty))
        && Standard::of_schema(schema).is_none()
        && Change::of_schema(schema).is_none()
}

/// Whether `change`, which [`Change::as_transfer`] gave, counts beside the other transfers of its transaction.
pub fn standing(change: &Transfer, beside: &[Transfer]) -> Standing {
    let made = change.from == Address::ZERO;
    let same_side = |other: &&Transfer| {
        let zero = if made { other.from } else { other.to };
        other.token == change.token && zero == Address::ZERO && !other.amount.is_zero()
    };
    let mut others = beside.iter().filter(same_side).peekable();
    if others.clone().any(|other| other.amount == change.amount) {
        Standing::Told
    } else if if made { others.peek().is_some() } else { others.any(|other| other.from == change.from) } {
        Standing::Unclear
    } else {
        Standing::Alone
    }
}
