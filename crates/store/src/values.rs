//! Packed columns, and rows as `VALUES` with a parameter for each value: what SQLite takes fastest. Owns the text and the binding; must not
//! know what a row means.

use std::fmt::Write as _;

use sqlx::query::Query;
use uuid::Uuid;

use crate::bulk::{Bulk, Column};

/// Values one after the other, so that ten thousand of them are not ten thousand allocations.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    content: Vec<u8>,
    ends: Vec<usize>,
}

impl Packed {
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.content.extend_from_slice(value);
        self.ends.push(self.content.len());
    }

    pub(crate) fn of<B: AsRef<[u8]>>(values: impl IntoIterator<Item = B>) -> Self {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.push(value.as_ref()));
        packed
    }

    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.content[start..self.ends[row]]
    }

    pub(crate) fn text(&self, row: usize) -> &str {
        // Only texts are put into a packed column of texts.
        std::str::from_utf8(self.get(row)).unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<&[u8]> {
        (0..self.ends.len()).map(|row| self.get(row)).collect()
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        (0..self.ends.len()).map(|row| self.text(row)).collect()
    }
}

/// How many rows go into one statement of SQLite: with as many columns as there are, far below its limit of parameters.
pub(crate) const ROWS_MAX: usize = 256;

pub(crate) fn values_statement(bulk: &Bulk, table: &str, tail: &str, count: usize) -> String {
    let mut text = format!("INSERT INTO {table} ({}) VALUES ", bulk.names());
    // Writing to a String cannot fail.
    let (mut same, mut fixed) = (String::new(), String::new());
    for position in 1..=bulk.same.len() {
        let _ = write!(same, "?{position},");
    }
    for (_, value) in &bulk.fixed {
        let _ = write!(fixed, "{value},");
    }
    for row in 0..count {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for position in 0..bulk.columns.len() {
            let _ = write!(text, "?{},", bulk.same.len() + row * bulk.columns.len() + position + 1);
        }
        text.push_str(&same);
        text.push_str(&fixed);
        text.pop();
        text.push(')');
    }
    text.push(' ');
    text.push_str(tail);
    text
}

pub(crate) type Bound<D> = Query<'static, D, <D as sqlx::Database>::Arguments>;

/// Binds one value of a column.
pub(crate) fn bind_value<D>(query: Bound<D>, column: &Column, row: usize) -> Bound<D>
where
    D: sqlx::Database,
    for<'q> i64: sqlx::Encode<'q, D> + sqlx::Type<D>,
    for<'q> bool: sqlx::Encode<'q, D> + sqlx::Type<D>,
    for<'q> Vec<u8>: sqlx::Encode<'q, D> + sqlx::Type<D>,
    for<'q> String: sqlx::Encode<'q, D> + sqlx::Type<D>,
    for<'q> Uuid: sqlx::Encode<'q, D> + sqlx::Type<D>,
    for<'q> Option<i64>: sqlx::Encode<'q, D>,
    for<'q> Option<Vec<u8>>: sqlx::Encode<'q, D>,
    for<'q> Option<String>: sqlx::Encode<'q, D>,
    for<'q> Option<Uuid>: sqlx::Encode<'q, D>,
{
    match column {
        Column::Number(values) => query.bind(values[row]),
        Column::MaybeNumber(values) => query.bind(values[row]),
        Column::Bool(values) => query.bind(values[row]),
        Column::Bytes(packed) => query.bind(packed.get(row).to_vec()),
        Column::MaybeBytes(values) => query.bind(values[row].clone()),
        Column::Uuid(values) => query.bind(values[row]),
        Column::MaybeUuid(values) => query.bind(values[row]),
        Column::Text(packed) | Column::Json(packed) => query.bind(packed.text(row).to_owned()),
        Column::MaybeText(values) | Column::MaybeJson(values) => query.bind(values[row].clone()),
    }
}
