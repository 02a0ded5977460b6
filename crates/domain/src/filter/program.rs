//! The compiled form: what to look at, by position, and what to compare it with. Names are gone.

use std::{collections::HashSet, ops::Range};

use crate::value::Value;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// The comparison with its sides exchanged.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    /// Whether it asks for an order, and not for equality alone.
    pub(super) const fn orders(self) -> bool {
        !matches!(self, Self::Eq | Self::Ne)
    }
}

/// A stretch of the source. 32 bits suffice: the source is at most a mebibyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn of(self, source: &str) -> &str {
        source.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(range.start), end: narrow(range.end) }
    }
}

/// Where a path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Param(u32),
    Address,
    TxHash,
    BlockNumber,
}

/// One step down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A tuple's member, by position.
    Member(u32),
    /// An array's element.
    Element(u32),
    /// The hash of an indexed dynamic value, as bytes.
    Hash,
    /// The length.
    Length,
}

/// A value of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) root: Root,
    pub(super) steps: Box<[Step]>,
    pub(super) span: Span,
}

/// What a place is compared with.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Value(Value),
    /// Any of these.
    Set(HashSet<Value>),
    Place(Place),
}

/// One comparison.
#[derive(Debug, Clone)]
pub(super) struct Test {
    pub(super) place: Place,
    pub(super) op: Op,
    pub(super) operand: Operand,
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(bool),
    Test(Box<Test>),
    Not(Box<Node>),
    All(Box<[Clause]>),
    Any(Box<[Node]>),
}

/// One of the conditions that `and` joins.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    pub(super) node: Node,
    pub(super) span: Span,
}
