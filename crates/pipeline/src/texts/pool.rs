//! The events of Uniswap's pools, read by position: how much of each of a pool's two tokens went in and out. Owns their
//! shapes; must not know which tokens these are, because the events do not say.
//!
//! Sources: `UniswapV2Pair` (v2-core) and `UniswapV3PoolEvents` (v3-core), which many other exchanges copied.

use alloy_primitives::{Address, I256, U256};
use domain::{Content, Event, EventSchema, ParamType, Value};
use serde::Serialize;

use super::{amount::Sum, tally::checksummed};

/// Which event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    SwapV2,
    SwapV3,
    MintV2,
    MintV3,
    BurnV2,
    BurnV3,
}

/// What one event moved, in each token's smallest unit, seen from the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moved {
    pub(super) in0: U256,
    pub(super) out0: U256,
    pub(super) in1: U256,
    pub(super) out1: U256,
}

/// What several events moved.
#[derive(Debug, Clone, Default)]
pub(super) struct Flows {
    pub(super) events: u64,
    in0: Sum,
    out0: Sum,
    in1: Sum,
    out1: Sum,
}

/// One pool in the facts.
#[derive(Debug, Serialize)]
pub(super) struct PoolFacts {
    address: String,
    /// How many events of the kind.
    pub(super) count: u64,
    token0: Flow,
    token1: Flow,
    /// What is left when in and out are netted: none, one or both tokens.
    moved: Vec<Net>,
}

/// One of a pool's tokens, in its smallest unit, seen from the pool.
#[derive(Debug, Serialize)]
struct Flow {
    #[serde(rename = "in")]
    incoming: String,
    out: String,
    net: String,
}

/// A net that is not zero.
#[derive(Debug, Serialize)]
struct Net {
    /// `token0` or `token1`, as the pool calls them.
    token: &'static str,
    /// `in` or `out`, seen from the pool.
    direction: &'static str,
    amount: String,
}

impl Shape {
    pub(super) fn of_schema(schema: &EventSchema) -> Option<Self> {
        use ParamType::{Address as A, Int as I, Uint as U};
        if schema.anonymous {
            return None;
        }
        let types: Vec<_> = schema.params.iter().map(|param| &param.ty).collect();
        match (schema.name.as_str(), &types[..]) {
            ("Swap", [A, U(256), U(256), U(256), U(256), A]) => Some(Self::SwapV2),
            ("Swap", [A, A, I(256), I(256), U(160), U(128), I(24)]) => Some(Self::SwapV3),
            ("Mint", [A, U(256), U(256)]) => Some(Self::MintV2),
            ("Mint", [A, A, I(24), I(24), U(128), U(256), U(256)]) => Some(Self::MintV3),
            ("Burn", [A, U(256), U(256), A]) => Some(Self::BurnV2),
            ("Burn", [A, I(24), I(24), U(128), U(256), U(256)]) => Some(Self::BurnV3),
            _ => None,
        }
    }

    pub(super) const fn is_swap(self) -> bool {
        matches!(self, Self::SwapV2 | Self::SwapV3)
    }

    pub(super) const fn is_mint(self) -> bool {
        matches!(self, Self::MintV2 | Self::MintV3)
    }
}

/// The shape and what was moved; `None` where it is no event of a pool.
pub(super) fn read(event: &Event) -> Option<(Shape, Moved)> {
    let Content::Decoded { schema, params } = &event.content else { return None };
    let uint = |position| match params.at(position) {
        Some(Value::Uint(number)) => Some(*number),
        _ => None,
    };
    let int = |position| match params.at(position) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let shape = Shape::of_schema(schema)?;
    let none = U256::ZERO;
    let moved = match shape {
        Shape::SwapV2 => Moved { in0: uint(1)?, in1: uint(2)?, out0: uint(3)?, out1: uint(4)? },
        Shape::SwapV3 => {
            let ((in0, out0), (in1, out1)) = (split(int(2)?), split(int(3)?));
            Moved { in0, out0, in1, out1 }
        }
        Shape::MintV2 => Moved { in0: uint(1)?, in1: uint(2)?, out0: none, out1: none },
        Shape::MintV3 => Moved { in0: uint(5)?, in1: uint(6)?, out0: none, out1: none },
        Shape::BurnV2 => Moved { out0: uint(1)?, out1: uint(2)?, in0: none, in1: none },
        Shape::BurnV3 => Moved { out0: uint(4)?, out1: uint(5)?, in0: none, in1: none },
    };
    Some((shape, moved))
}

/// Whose doing it was, as far as the event says: the account that called, and of V3 the position's owner.
pub(super) fn provider(event: &Event) -> Option<Address> {
    let Content::Decoded { schema, params } = &event.content else { return None };
    let position = usize::from(Shape::of_schema(schema)? == Shape::MintV3);
    match params.at(position) {
        Some(Value::Address(address)) => Some(*address),
        _ => None,
    }
}

/// V3 tells by the sign what the pool got and what it gave.
fn split(delta: I256) -> (U256, U256) {
    if delta.is_negative() { (U256::ZERO, delta.unsigned_abs()) } else { (delta.unsigned_abs(), U256::ZERO) }
}

impl Flows {
    pub(super) fn add(&mut self, moved: &Moved) {
        self.events += 1;
        self.in0.add(moved.in0);
        self.out0.add(moved.out0);
        self.in1.add(moved.in1);
        self.out1.add(moved.out1);
    }

    /// How much of the first token went either way.
    pub(super) fn volume0(&self) -> Sum {
        self.in0.plus(self.out0)
    }

    pub(super) fn facts(&self, pool: &Address) -> PoolFacts {
        let moved = [("token0", self.in0, self.out0), ("token1", self.in1, self.out1)];
        let moved = moved.into_iter().filter(|(_, incoming, outgoing)| incoming != outgoing);
        let moved = moved.map(|(token, incoming, outgoing)| {
            let (direction, more, less) =
                if incoming > outgoing { ("in", incoming, outgoing) } else { ("out", outgoing, incoming) };
            Net { token, direction, amount: more.less_digits(less) }
        });
        PoolFacts {
            address: checksummed(pool),
            count: self.events,
            token0: Flow::of(self.in0, self.out0),
            token1: Flow::of(self.in1, self.out1),
            moved: moved.collect(),
        }
    }
}

impl Flow {
    fn of(incoming: Sum, outgoing: Sum) -> Self {
        Self { incoming: incoming.digits(), out: outgoing.digits(), net: incoming.less_digits(outgoing) }
    }
}
