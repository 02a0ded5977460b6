//! What is wrong with an expression, where, and how to mend it.

use std::{fmt, ops::Range};

/// How much of a long line is shown around the fault, in characters to each side.
const SHOWN: usize = 60;

/// A place in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// An expression that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({position})")]
pub struct FilterError {
    /// One sentence: the fault and the mend.
    pub message: String,
    /// Where it starts.
    pub position: Position,
    /// How many characters are at fault, at least 1.
    pub width: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at line {}, column {}", self.line, self.column)
    }
}

impl FilterError {
    pub(crate) fn new(source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor(source, span.start);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let position = Position {
            offset: start,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        };
        let at_fault = source[start..floor(source, span.end).max(start)].lines().next().unwrap_or("");
        Self { message: message.into(), position, width: at_fault.chars().count().max(1) }
    }

    /// The line at fault, the fault underlined, and the message. `source` is the expression that was compiled.
    pub fn render(&self, source: &str) -> String {
        let line: Vec<char> = source.lines().nth(self.position.line - 1).unwrap_or("").chars().collect();
        let column = (self.position.column - 1).min(line.len());
        let from = column.saturating_sub(SHOWN);
        let to = (column + self.width + SHOWN).min(line.len()).min(from + 4 * SHOWN);
        let (head, tail) = (if from > 0 { "…" } else { "" }, if to < line.len() { "…" } else { "" });
        let shown: String = line[from..to].iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
        let indent = " ".repeat(column - from + head.chars().count());
        let carets = "^".repeat(self.width.min((to - column).max(1)));
        format!("  {head}{shown}{tail}\n  {indent}{carets}\n{self}")
    }
}

fn floor(source: &str, mut offset: usize) -> usize {
    offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
