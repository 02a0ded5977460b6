//! Which values a matching event must have. An index over them finds the few filters that an event can satisfy;
//! it must never miss one, and may find too many.

use crate::value::Value;

use super::program::{Node, Op, Operand, Root, Test};

/// What a cover key looks at. Only whole top-level values, so that an event's keys are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoverPlace {
    /// The emitting address.
    Address,
    /// A parameter, by position.
    Param(u32),
}

/// A value that an event has at a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CoverKey {
    /// Where.
    pub place: CoverPlace,
    /// Which.
    pub value: Value,
}

pub(super) fn cover(node: &Node) -> Option<Vec<CoverKey>> {
    match node {
        // No event matches, so no key is needed.
        Node::Constant(false) => Some(Vec::new()),
        Node::Constant(true) | Node::Not(_) => None,
        Node::Test(test) => test_cover(test),
        Node::All(parts) => parts.iter().filter_map(|part| cover(&part.node)).min_by_key(|keys| cost(keys)),
        Node::Any(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(cover(part)?);
            }
            let mut seen = std::collections::HashSet::with_capacity(all.len());
            all.retain(|key: &CoverKey| seen.insert(key.clone()));
            Some(all)
        }
    }
}

fn test_cover(test: &Test) -> Option<Vec<CoverKey>> {
    let place = match test.place.root {
        Root::Param(position) if test.place.steps.is_empty() => CoverPlace::Param(position),
        Root::Address => CoverPlace::Address,
        _ => return None,
    };
    if test.op != Op::Eq {
        return None;
    }
    match &test.operand {
        // Half of all events would have the key.
        Operand::Value(Value::Bool(_)) => None,
        Operand::Value(value) => Some(vec![CoverKey { place, value: value.clone() }]),
        Operand::Set(values) if values.iter().any(|value| matches!(value, Value::Bool(_))) => None,
        Operand::Set(values) => {
            Some(values.iter().map(|value| CoverKey { place, value: value.clone() }).collect())
        }
        Operand::Place(_) => None,
    }
}

/// How many events the keys are likely to find, by a guess: an address or a hash is rare, a number may be a
/// constant such as 0 or 1.
fn cost(keys: &[CoverKey]) -> usize {
    keys.iter()
        .map(|key| match (&key.place, &key.value) {
            (CoverPlace::Address, _) => 4,
            (_, Value::Uint(_) | Value::Int(_)) => 8,
            _ => 1,
        })
        .sum()
}
