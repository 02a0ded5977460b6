//! The typed `where` language: an expression over an event's parameters, checked against the event's schema when
//! a watch is made, evaluated exactly at 256 bits afterwards. Owns the grammar, the types and every error message
//! about them; must not know watches, contracts or how a log was decoded.
//!
//! ```text
//! to == 0x28C6c06298d514Db089934071355E5743bf21d60 and value >= 1_000_000
//! order.legs[0].amount > 1.5e18 or not (side in [1, 2])
//! ```
//!
//! - Operators: `== != < <= > >=`, `in […]`, `not in […]`, `and`, `or`, `not`, parentheses.
//! - Literals: integers (`1_000_000`, `1e18`, `1.5e18`, `-5`, `0xff`), addresses and bytes (`0x…`), strings
//!   (`"…"` or `'…'`), `true` and `false`. An address in mixed case has the checksum of EIP-55.
//! - Names: parameters by name or position (`$0`), members of tuples (`order.amount`), elements of arrays
//!   (`legs[0]`), `len(x)` of an array, a string (in characters) or bytes; `address`, `tx_hash` and `block_number`,
//!   which a parameter of the same name hides.
//! - An indexed string or bytes has only its hash on chain: a literal beside it is hashed. `x.hash` is that hash.
//! - An element beyond the end of an array satisfies no comparison, not even `!=`.
//!
//! Compiled expressions address parameters by position, so that they hold for every schema of the same layout.

mod check;
mod cover;
mod error;
mod eval;
mod lexer;
mod literal;
mod names;
mod number;
mod parser;
mod program;

use std::{fmt, sync::Arc};

pub use cover::{CoverKey, CoverPlace};
pub use error::{FilterError, Position};
pub use eval::ClauseResult;

use crate::{Event, schema::EventSchema};
use program::Node;

/// The longest expression, in bytes, not counting the lists after `in`.
pub const MAX_SOURCE_BYTES: usize = 4096;

/// The longest expression, in bytes, lists included.
pub const MAX_TOTAL_BYTES: usize = 1024 * 1024;

/// The most values of one list.
pub const MAX_LIST_VALUES: usize = 10_000;

/// How deep parentheses and `not` may nest.
pub const MAX_DEPTH: usize = 64;

/// A checked expression.
#[derive(Debug, Clone)]
pub struct Filter {
    source: Arc<str>,
    root: Node,
}

impl Filter {
    /// Parses `source` and checks its names and types against `schema`.
    ///
    /// # Errors
    /// [`FilterError`]: what is wrong, where, and how to mend it.
    pub fn compile(source: &str, schema: &EventSchema) -> Result<Self, FilterError> {
        Self::checked(source, schema, false)
    }

    /// Compiles the expression of a watch that is stored already: an address whose checksum is wrong is taken by its
    /// digits, so that a stricter program does not end a watch that matched until now.
    ///
    /// # Errors
    /// [`FilterError`]: what is wrong, where, and how to mend it.
    pub fn compile_held(source: &str, schema: &EventSchema) -> Result<Self, FilterError> {
        Self::checked(source, schema, true)
    }

    fn checked(source: &str, schema: &EventSchema, held: bool) -> Result<Self, FilterError> {
        let expression = parser::parse(source)?;
        let root = check::check(source, &expression, schema, held)?;
        Ok(Self { source: source.into(), root })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The same text, shared.
    pub(crate) fn shared_source(&self) -> Arc<str> {
        Arc::clone(&self.source)
    }

    /// Whether the event satisfies the expression. An undecoded event satisfies none.
    ///
    /// The event's schema must have the layout of the one that the filter was compiled for.
    pub fn matches(&self, event: &Event) -> bool {
        eval::matches(&self.root, event)
    }

    /// The clauses that `and` joins, each with its verdict and the values that it looked at; none for an
    /// undecoded event.
    pub fn explain(&self, event: &Event) -> Vec<ClauseResult> {
        eval::explain(&self.source, &self.root, event)
    }

    /// Keys of which every matching event has at least one, or `None` where the expression promises none.
    pub fn cover(&self) -> Option<Vec<CoverKey>> {
        cover::cover(&self.root)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}
