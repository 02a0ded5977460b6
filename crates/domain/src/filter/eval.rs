//! Evaluation of a compiled expression on one event. Exact, without allocation for the common shapes; a value
//! that is not there satisfies no comparison.

use std::{borrow::Cow, cmp::Ordering};

use alloy_primitives::{Bytes, I256, U256};
use serde_json::Value as Json;

use crate::{
    Event,
    event::Content,
    value::{Fields, Value},
};

use super::{
    lexer::{shorten, shorten_to},
    program::{Node, Op, Operand, Place, Root, Step, Test},
};

/// How much of a clause is shown, in characters: a list can be very long.
const MAX_SHOWN: usize = 400;

/// One condition of an expression, looked at for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseResult {
    /// The condition as it was written, its end cut off where it is long.
    pub clause: String,
    /// Whether the event satisfies it.
    pub holds: bool,
    /// The event's values that it looks at, by how they are written there.
    pub values: Vec<(String, String)>,
}

pub(super) fn matches(node: &Node, event: &Event) -> bool {
    params_of(event).is_some_and(|params| holds(node, event, params))
}

pub(super) fn explain(source: &str, root: &Node, event: &Event) -> Vec<ClauseResult> {
    let Some(params) = params_of(event) else { return Vec::new() };
    let clause = |node: &Node, text: &str| {
        let mut values = Vec::new();
        collect_values(source, node, event, params, &mut values);
        ClauseResult { clause: shorten_to(text.trim(), MAX_SHOWN), holds: holds(node, event, params), values }
    };
    match root {
        Node::All(clauses) => clauses.iter().map(|part| clause(&part.node, part.span.of(source))).collect(),
        single => vec![clause(single, source)],
    }
}

fn params_of(event: &Event) -> Option<&Fields> {
    match &event.content {
        Content::Decoded { params, .. } => Some(params),
        Content::Undecoded { .. } => None,
    }
}

fn holds(node: &Node, event: &Event, params: &Fields) -> bool {
    match node {
        Node::Constant(verdict) => *verdict,
        Node::Test(test) => test_holds(test, event, params),
        Node::Not(inner) => !holds(inner, event, params),
        Node::All(parts) => parts.iter().all(|part| holds(&part.node, event, params)),
        Node::Any(parts) => parts.iter().any(|part| holds(part, event, params)),
    }
}

fn test_holds(test: &Test, event: &Event, params: &Fields) -> bool {
    let Some(left) = look_up(&test.place, event, params) else { return false };
    match &test.operand {
        Operand::Value(right) => compare(&left, test.op, right),
        Operand::Set(values) => values.contains(left.as_ref()) == (test.op == Op::Eq),
        Operand::Place(place) => {
            look_up(place, event, params).is_some_and(|right| compare(&left, test.op, &right))
        }
    }
}

fn look_up<'e>(place: &Place, event: &Event, params: &'e Fields) -> Option<Cow<'e, Value>> {
    let mut value = match place.root {
        Root::Param(position) => Cow::Borrowed(params.at(position as usize)?),
        Root::Address => Cow::Owned(Value::Address(event.address)),
        Root::TxHash => Cow::Owned(Value::Bytes(Bytes::copy_from_slice(event.tx_hash.as_slice()))),
        Root::BlockNumber => Cow::Owned(Value::Uint(U256::from(event.block.number))),
    };
    for step in &place.steps {
        value = match value {
            Cow::Borrowed(value) => step_down(value, *step)?,
            // Only the last step makes a value, and a built-in has no parts.
            Cow::Owned(_) => return None,
        };
    }
    Some(value)
}

fn step_down(value: &Value, step: Step) -> Option<Cow<'_, Value>> {
    Some(match (step, value) {
        (Step::Member(position), Value::Tuple(fields)) => Cow::Borrowed(fields.at(position as usize)?),
        (Step::Element(position), Value::Array(values)) => Cow::Borrowed(values.get(position as usize)?),
        (Step::Hash, Value::Hash(hash)) => Cow::Owned(Value::Bytes(Bytes::copy_from_slice(hash.as_slice()))),
        (Step::Length, value) => {
            let length = match value {
                Value::Array(values) => values.len(),
                Value::Bytes(bytes) | Value::RawString(bytes) => bytes.len(),
                Value::String(text) => text.chars().count(),
                _ => return None,
            };
            Cow::Owned(Value::Uint(U256::from(length)))
        }
        _ => return None,
    })
}

fn compare(left: &Value, op: Op, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Uint(left), Value::Uint(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Uint(left), Value::Int(right)) => unsigned_with_signed(left, right),
        (Value::Int(left), Value::Uint(right)) => unsigned_with_signed(right, left).reverse(),
        (left, right) => return if op == Op::Eq { left == right } else { op == Op::Ne && left != right },
    };
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
    }
}

fn unsigned_with_signed(unsigned: &U256, signed: &I256) -> Ordering {
    if signed.is_negative() { Ordering::Greater } else { unsigned.cmp(&signed.into_raw()) }
}

fn collect_values(
    source: &str,
    node: &Node,
    event: &Event,
    params: &Fields,
    found: &mut Vec<(String, String)>,
) {
    let mut add = |place: &Place| {
        let name = place.span.of(source);
        if !found.iter().any(|(known, _)| known == name) {
            let shown =
                look_up(place, event, params).map_or_else(|| "not there".to_owned(), |value| shown(&value));
            found.push((name.to_owned(), shown));
        }
    };
    match node {
        Node::Constant(_) => {}
        Node::Test(test) => {
            add(&test.place);
            if let Operand::Place(place) = &test.operand {
                add(place);
            }
        }
        Node::Not(inner) => collect_values(source, inner, event, params, found),
        Node::All(parts) => {
            parts.iter().for_each(|part| collect_values(source, &part.node, event, params, found));
        }
        Node::Any(parts) => parts.iter().for_each(|part| collect_values(source, part, event, params, found)),
    }
}

fn shown(value: &Value) -> String {
    match value.to_json() {
        Json::String(text) => shorten(&text),
        other => shorten(&other.to_string()),
    }
}
