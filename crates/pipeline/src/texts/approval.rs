//! The figures of approvals: who may move whose tokens now, as the last event about it said. Owns what counts as
//! unlimited and as revoked. A pure function of the events and of what their tokens are called.
//!
//! What an approval allows shrinks as it is used, which no approval event tells: the facts are what was said, not what
//! is left.

use std::{cmp::Reverse, collections::HashMap};

use alloy_primitives::{Address, U256};
use domain::{Content, Event, EventSchema, ParamType, Value};
use serde::Serialize;
use store::{StoredEvent, TokenRow};

use super::{
    amount::{Amount, Size, Sum},
    common::Common,
    tally::{Top, checksummed},
    token::{TokenFacts, decimals},
};

/// How many approvals the facts show.
const SHOWN_MAX: usize = 5;

/// Which event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `Approval(owner, spender, value)` of EIP-20.
    Amount,
    /// `Approval(owner, approved, tokenId)` of EIP-721.
    Token,
    /// `ApprovalForAll(owner, operator, approved)` of EIP-721 and EIP-1155.
    All,
}

/// What an approval is about: a later one about the same replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    All { token: Address, owner: Address, operator: Address },
    Amount { token: Address, owner: Address, spender: Address },
    // Only one account at a time can be approved for one token.
    Token { token: Address, id: U256 },
}

/// What it says, that which endangers most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grant {
    /// Every token of the collection, those that come later too.
    All,
    /// Any amount.
    Unlimited,
    /// Up to an amount.
    Limited,
    /// One token of a collection.
    Token,
    /// Nothing any more.
    Revoked,
}

/// One approval event.
#[derive(Debug, Clone, Copy)]
struct Approval {
    subject: Subject,
    grant: Grant,
    owner: Address,
    /// The zero address where the approval of one token was revoked.
    spender: Address,
    /// The amount; 0 where it is about no amount.
    value: U256,
}

/// The facts of `approval`.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(flatten)]
    common: Common,
    /// The one approval, where there is one only.
    approval: Option<Said>,
    /// How many there are that no later one replaced.
    standing_count: usize,
    /// Those that endanger most, first: for all tokens, unlimited, by amount, for one token, revoked.
    standing: Vec<Said>,
    /// How many are not among `standing`.
    other_standing: usize,
    /// How many of the standing ones say what.
    totals: Totals,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    all: u64,
    unlimited: u64,
    limited: u64,
    token: u64,
    revoked: u64,
}

#[derive(Debug, Serialize)]
struct Said {
    grant: Grant,
    /// What it is, or was, about: `amount`, `token` or `all`.
    of: &'static str,
    owner: String,
    spender: String,
    token: TokenFacts,
    /// `null` where it is about no amount.
    value: Option<Amount>,
    /// `null` where it is not about one token.
    token_id: Option<String>,
}

impl Shape {
    pub(super) fn of_schema(schema: &EventSchema) -> Option<Self> {
        use ParamType::{Address as A, Bool, Uint as U};
        if schema.anonymous {
            return None;
        }
        let types: Vec<_> = schema.params.iter().map(|param| &param.ty).collect();
        match (schema.name.as_str(), &types[..], &schema.params[..]) {
            ("ApprovalForAll", [A, A, Bool], _) => Some(Self::All),
            // As with transfers, the standards differ in whether the last parameter is a topic.
            ("Approval", [A, A, U(256)], [_, _, last]) => {
                let names_an_id = last.name.trim_matches('_').eq_ignore_ascii_case("tokenId");
                Some(if last.indexed || names_an_id { Self::Token } else { Self::Amount })
            }
            _ => None,
        }
    }
}

/// Whether nobody could ever use it up: 2^255 and more, and the largest number that tokens with 96-bit amounts can store.
fn is_unlimited(value: U256) -> bool {
    value.bit(255) || value == (U256::ONE << 96) - U256::ONE
}

impl Approval {
    fn of(event: &Event) -> Option<Self> {
        let Content::Decoded { schema, params } = &event.content else { return None };
        let token = event.address;
        let (Some(Value::Address(owner)), Some(Value::Address(spender))) = (params.at(0), params.at(1))
        else {
            return None;
        };
        let (owner, spender) = (*owner, *spender);
        let (subject, grant, value) = match (Shape::of_schema(schema)?, params.at(2)?) {
            (Shape::Amount, Value::Uint(value)) => {
                let grant = match *value {
                    U256::ZERO => Grant::Revoked,
                    value if is_unlimited(value) => Grant::Unlimited,
                    _ => Grant::Limited,
                };
                (Subject::Amount { token, owner, spender }, grant, *value)
            }
            (Shape::Token, Value::Uint(id)) => {
                let grant = if spender.is_zero() { Grant::Revoked } else { Grant::Token };
                (Subject::Token { token, id: *id }, grant, U256::ZERO)
            }
            (Shape::All, Value::Bool(approved)) => {
                let grant = if *approved { Grant::All } else { Grant::Revoked };
                (Subject::All { token, owner, operator: spender }, grant, U256::ZERO)
            }
            _ => return None,
        };
        Some(Self { subject, grant, owner, spender, value })
    }

    const fn token(&self) -> Address {
        match self.subject {
            Subject::All { token, .. } | Subject::Amount { token, .. } | Subject::Token { token, .. } => {
                token
            }
        }
    }

    fn facts(&self, tokens: &HashMap<Address, TokenRow>) -> Said {
        let token = TokenFacts::of(self.token(), tokens);
        let (of, value, token_id) = match self.subject {
            Subject::All { .. } => ("all", None, None),
            Subject::Amount { .. } => ("amount", Some(Sum::from(self.value).amount(token.decimals)), None),
            Subject::Token { id, .. } => ("token", None, Some(id.to_string())),
        };
        let (owner, spender) = (checksummed(&self.owner), checksummed(&self.spender));
        Said { grant: self.grant, of, owner, spender, token, value, token_id }
    }
}

impl Facts {
    /// Of events in chain order; `None` where there are none.
    pub(super) fn of(events: &[&StoredEvent], tokens: &HashMap<Address, TokenRow>) -> Option<Self> {
        let common = Common::of(events)?;
        let mut last: HashMap<Subject, Approval> = HashMap::new();
        for approval in events.iter().filter_map(|stored| Approval::of(&stored.event)) {
            last.insert(approval.subject, approval);
        }
        let mut totals = Totals::default();
        let mut top: Top<(Grant, Reverse<Size>, Subject)> = Top::new(SHOWN_MAX);
        for approval in last.values() {
            totals.count(approval.grant);
            let size = Sum::from(approval.value).size(decimals(&approval.token(), tokens));
            top.offer((approval.grant, Reverse(size), approval.subject));
        }
        let standing: Vec<_> = top
            .into_sorted()
            .iter()
            .filter_map(|(_, _, subject)| Some(last.get(subject)?.facts(tokens)))
            .collect();
        let one = if let [stored] = events { Approval::of(&stored.event) } else { None };
        Some(Self {
            common,
            approval: one.map(|approval| approval.facts(tokens)),
            standing_count: last.len(),
            other_standing: last.len() - standing.len(),
            standing,
            totals,
        })
    }
}

impl Totals {
    fn count(&mut self, grant: Grant) {
        *match grant {
            Grant::All => &mut self.all,
            Grant::Unlimited => &mut self.unlimited,
            Grant::Limited => &mut self.limited,
            Grant::Token => &mut self.token,
            Grant::Revoked => &mut self.revoked,
        } += 1;
    }
}
