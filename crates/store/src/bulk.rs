//! Rows by column, to be written or looked up by one statement. Owns the columns; must not know the dialects' SQL, which is
//! in `bulk_sql`, nor any table.

use std::fmt::Write as _;

use alloy_primitives::hex;
use uuid::Uuid;

use crate::packed::Packed;

/// Rows by column, all columns of one length.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    pub(crate) columns: Vec<(&'static str, Column)>,
    // What is the same in every row is written once, into the statement.
    pub(crate) fixed: Vec<(&'static str, String)>,
    // What happens to be the same in every row is bound once, behind the columns.
    pub(crate) same: Vec<(&'static str, Column)>,
    // How many parameters of the statement come before these.
    pub(crate) before: usize,
}

#[derive(Debug)]
pub(crate) enum Column {
    Number(Vec<i64>),
    MaybeNumber(Vec<Option<i64>>),
    Bool(Vec<bool>),
    Bytes(Packed),
    MaybeBytes(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Uuid>),
    MaybeUuid(Vec<Option<Uuid>>),
    Text(Packed),
    MaybeText(Vec<Option<String>>),
    Json(Packed),
    MaybeJson(Vec<Option<String>>),
}

impl Bulk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn numbers(self, name: &'static str, values: impl IntoIterator<Item = i64>) -> Self {
        self.with(name, Column::Number(values.into_iter().collect()))
    }

    pub(crate) fn maybe_numbers(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<i64>>,
    ) -> Self {
        self.with(name, Column::MaybeNumber(values.into_iter().collect()))
    }

    pub(crate) fn bools(self, name: &'static str, values: impl IntoIterator<Item = bool>) -> Self {
        self.with(name, Column::Bool(values.into_iter().collect()))
    }

    pub(crate) fn bytes<B: AsRef<[u8]>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = B>,
    ) -> Self {
        self.with(name, Column::Bytes(Packed::of(values)))
    }

    pub(crate) fn maybe_bytes(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<Vec<u8>>>,
    ) -> Self {
        self.with(name, Column::MaybeBytes(values.into_iter().collect()))
    }

    pub(crate) fn uuids(self, name: &'static str, values: impl IntoIterator<Item = Uuid>) -> Self {
        self.with(name, Column::Uuid(values.into_iter().collect()))
    }

    pub(crate) fn maybe_uuids(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<Uuid>>,
    ) -> Self {
        self.with(name, Column::MaybeUuid(values.into_iter().collect()))
    }

    pub(crate) fn texts<S: AsRef<str>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut packed = Packed::default();
        values.into_iter().for_each(|value| packed.push(value.as_ref().as_bytes()));
        self.with(name, Column::Text(packed))
    }

    pub(crate) fn maybe_texts(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<String>>,
    ) -> Self {
        self.with(name, Column::MaybeText(values.into_iter().collect()))
    }

    pub(crate) fn maybe_json(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<String>>,
    ) -> Self {
        self.with(name, Column::MaybeJson(values.into_iter().collect()))
    }

    /// JSON that `write` appends for each of `rows`.
    pub(crate) fn json<T>(
        self,
        name: &'static str,
        rows: impl IntoIterator<Item = T>,
        write: impl Fn(T, &mut String),
    ) -> Self {
        let (mut packed, mut text) = (Packed::default(), String::new());
        for row in rows {
            text.clear();
            write(row, &mut text);
            packed.push(text.as_bytes());
        }
        self.with(name, Column::Json(packed))
    }

    /// The same number in every row. It becomes part of the statement, which is prepared once for each: for numbers of
    /// which there are few.
    pub(crate) fn same_number(mut self, name: &'static str, value: i64) -> Self {
        self.fixed.push((name, format!("CAST({value} AS bigint)")));
        self
    }

    /// Binds the columns of these names once, where all rows have the same in them. The statement depends on which do: for
    /// long lists of rows, where a column less is worth a statement more.
    pub(crate) fn with_same_once(mut self, names: &[&str]) -> Self {
        let columns = std::mem::take(&mut self.columns);
        for (name, column) in columns {
            if names.contains(&name) && column.is_same() {
                self.same.push((name, column.first()));
            } else {
                self.columns.push((name, column));
            }
        }
        self
    }

    /// The rows as parameters behind `before` others. Of PostgreSQL's dialect.
    pub(crate) const fn behind(mut self, before: usize) -> Self {
        self.before = before;
        self
    }

    /// How many parameters of a statement PostgreSQL's dialect binds for the rows.
    pub(crate) const fn parameters(&self) -> usize {
        self.columns.len() + self.same.len()
    }

    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    fn with(mut self, name: &'static str, column: Column) -> Self {
        debug_assert!(self.columns.first().is_none_or(|(_, first)| first.len() == column.len()), "{name}");
        self.columns.push((name, column));
        self
    }

    // The names of a statement's columns: those that are bound, then those that are fixed.
    pub(crate) fn names(&self) -> String {
        let names = self.columns.iter().chain(&self.same).map(|(name, _)| name);
        names
            .chain(self.fixed.iter().map(|(name, _)| name))
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(crate) fn fixed_values(&self) -> impl Iterator<Item = String> {
        self.fixed.iter().map(|(name, value)| format!("{value} AS \"{name}\""))
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::MaybeNumber(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::MaybeBytes(values) => values.len(),
            Self::Uuid(values) => values.len(),
            Self::MaybeUuid(values) => values.len(),
            Self::MaybeText(values) | Self::MaybeJson(values) => values.len(),
            Self::Bytes(packed) | Self::Text(packed) | Self::Json(packed) => packed.len(),
        }
    }

    fn is_same(&self) -> bool {
        match self {
            Self::Number(values) => values.windows(2).all(|pair| pair[0] == pair[1]),
            Self::MaybeNumber(values) => values.windows(2).all(|pair| pair[0] == pair[1]),
            Self::Bool(values) => values.windows(2).all(|pair| pair[0] == pair[1]),
            Self::Bytes(packed) => (1..packed.len()).all(|row| packed.get(row) == packed.get(0)),
            _ => false,
        }
    }

    // A column of its first value alone.
    fn first(&self) -> Self {
        match self {
            Self::Number(values) => Self::Number(values.iter().take(1).copied().collect()),
            Self::MaybeNumber(values) => Self::MaybeNumber(values.iter().take(1).copied().collect()),
            Self::Bool(values) => Self::Bool(values.iter().take(1).copied().collect()),
            Self::Bytes(packed) => Self::Bytes(Packed::of((!packed.is_empty()).then(|| packed.get(0)))),
            _ => Self::Bool(Vec::new()),
        }
    }

    pub(crate) const fn is_json(&self) -> bool {
        matches!(self, Self::Json(_) | Self::MaybeJson(_))
    }

    pub(crate) const fn postgres_array(&self) -> &'static str {
        match self {
            Self::Number(_) | Self::MaybeNumber(_) => "bigint[]",
            Self::Bool(_) => "boolean[]",
            Self::Bytes(_) | Self::MaybeBytes(_) => "bytea[]",
            Self::Uuid(_) | Self::MaybeUuid(_) => "uuid[]",
            Self::Text(_) | Self::MaybeText(_) | Self::Json(_) | Self::MaybeJson(_) => "text[]",
        }
    }

    pub(crate) fn write_json(&self, row: usize, out: &mut String) {
        let bytes = |out: &mut String, bytes: &[u8]| write!(out, "\"{}\"", hex::encode(bytes));
        let text = |out: &mut String, text: &str| match serde_json::to_string(text) {
            Ok(text) => write!(out, "{text}"),
            Err(_) => write!(out, "null"),
        };
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Number(values) => write!(out, "{}", values[row]),
            Self::Bool(values) => write!(out, "{}", values[row]),
            Self::Bytes(packed) => bytes(out, packed.get(row)),
            Self::Uuid(values) => write!(out, "\"{}\"", values[row].simple()),
            Self::Text(packed) | Self::Json(packed) => text(out, packed.text(row)),
            Self::MaybeNumber(values) => match values[row] {
                Some(number) => write!(out, "{number}"),
                None => write!(out, "null"),
            },
            Self::MaybeBytes(values) => match &values[row] {
                Some(value) => bytes(out, value),
                None => write!(out, "null"),
            },
            Self::MaybeUuid(values) => match values[row] {
                Some(uuid) => write!(out, "\"{}\"", uuid.simple()),
                None => write!(out, "null"),
            },
            Self::MaybeText(values) | Self::MaybeJson(values) => match &values[row] {
                Some(value) => text(out, value),
                None => write!(out, "null"),
            },
        };
    }
}
