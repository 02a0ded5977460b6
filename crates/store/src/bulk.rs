//! Many rows in one statement: `UNNEST` over arrays on PostgreSQL, `json_each` over one document on SQLite.

use std::fmt::Write as _;

use alloy_primitives::hex;
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, query::Query};
use uuid::Uuid;

/// Rows by column, all columns of one length.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    columns: Vec<(&'static str, Column)>,
    // What is the same in every row is written once, into the statement.
    fixed: Vec<(&'static str, String)>,
}

#[derive(Debug)]
enum Column {
    Number(Vec<Option<i64>>),
    Bool(Vec<bool>),
    Bytes(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Option<Uuid>>),
    Text(Vec<Option<String>>),
    Json(Vec<Option<String>>),
}

impl Bulk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn numbers(self, name: &'static str, values: impl IntoIterator<Item = i64>) -> Self {
        self.with(name, Column::Number(values.into_iter().map(Some).collect()))
    }

    pub(crate) fn maybe_numbers(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<i64>>,
    ) -> Self {
        self.with(name, Column::Number(values.into_iter().collect()))
    }

    pub(crate) fn bools(self, name: &'static str, values: impl IntoIterator<Item = bool>) -> Self {
        self.with(name, Column::Bool(values.into_iter().collect()))
    }

    pub(crate) fn bytes<B: AsRef<[u8]>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = B>,
    ) -> Self {
        self.with(
            name,
            Column::Bytes(values.into_iter().map(|value| Some(value.as_ref().to_vec())).collect()),
        )
    }

    pub(crate) fn maybe_bytes(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<Vec<u8>>>,
    ) -> Self {
        self.with(name, Column::Bytes(values.into_iter().collect()))
    }

    pub(crate) fn uuids(self, name: &'static str, values: impl IntoIterator<Item = Uuid>) -> Self {
        self.with(name, Column::Uuid(values.into_iter().map(Some).collect()))
    }

    pub(crate) fn maybe_uuids(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<Uuid>>,
    ) -> Self {
        self.with(name, Column::Uuid(values.into_iter().collect()))
    }

    pub(crate) fn texts<S: Into<String>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.with(name, Column::Text(values.into_iter().map(|value| Some(value.into())).collect()))
    }

    pub(crate) fn maybe_texts(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<String>>,
    ) -> Self {
        self.with(name, Column::Text(values.into_iter().collect()))
    }

    pub(crate) fn json(self, name: &'static str, values: impl IntoIterator<Item = Option<String>>) -> Self {
        self.with(name, Column::Json(values.into_iter().collect()))
    }

    /// The same number in every row. It becomes part of the statement, which is prepared once for each: for numbers of
    /// which there are few.
    pub(crate) fn same_number(mut self, name: &'static str, value: i64) -> Self {
        self.fixed.push((name, format!("CAST({value} AS bigint)")));
        self
    }

    fn with(mut self, name: &'static str, column: Column) -> Self {
        debug_assert!(self.columns.first().is_none_or(|(_, first)| first.len() == column.len()), "{name}");
        self.columns.push((name, column));
        self
    }

    // The names of a statement's columns: those that are bound, then those that are fixed.
    fn names(&self) -> String {
        let names = self.columns.iter().map(|(name, _)| name).chain(self.fixed.iter().map(|(name, _)| name));
        names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }

    fn fixed_values(&self) -> impl Iterator<Item = String> {
        self.fixed.iter().map(|(name, value)| format!("{value} AS \"{name}\""))
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Uuid(values) => values.len(),
            Self::Text(values) | Self::Json(values) => values.len(),
        }
    }

    const fn postgres_array(&self) -> &'static str {
        match self {
            Self::Number(_) => "bigint[]",
            Self::Bool(_) => "boolean[]",
            Self::Bytes(_) => "bytea[]",
            Self::Uuid(_) => "uuid[]",
            Self::Text(_) | Self::Json(_) => "text[]",
        }
    }

    fn write_json(&self, row: usize, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Number(values) => match values[row] {
                Some(number) => write!(out, "{number}"),
                None => write!(out, "null"),
            },
            Self::Bool(values) => write!(out, "{}", values[row]),
            Self::Bytes(values) => match &values[row] {
                Some(bytes) => write!(out, "\"{}\"", hex::encode(bytes)),
                None => write!(out, "null"),
            },
            Self::Uuid(values) => match values[row] {
                Some(uuid) => write!(out, "\"{}\"", uuid.simple()),
                None => write!(out, "null"),
            },
            Self::Text(values) | Self::Json(values) => match &values[row] {
                Some(text) => write!(out, "{}", Json::String(text.clone())),
                None => write!(out, "null"),
            },
        };
    }
}

/// How a dialect takes rows in bulk.
pub(crate) trait BulkDialect: sqlx::Database {
    /// The rows as a `SELECT`, for joins and `IN`; the rows are the first parameters.
    fn select(bulk: &Bulk) -> String;

    /// `INSERT INTO table (columns) SELECT rows`, followed by `tail` (conflict clause, `RETURNING`).
    fn insert(bulk: &Bulk, table: &str, tail: &str) -> AssertSqlSafe<String>;

    /// The statement with the rows bound as its first parameters.
    fn bind(
        bulk: Bulk,
        statement: AssertSqlSafe<String>,
    ) -> Query<'static, Self, <Self as sqlx::Database>::Arguments>;
}

impl BulkDialect for Postgres {
    fn select(bulk: &Bulk) -> String {
        let casts: Vec<_> = bulk
            .columns
            .iter()
            .map(|(name, column)| match column {
                Column::Json(_) => format!("t.\"{name}\"::jsonb"),
                _ => format!("t.\"{name}\""),
            })
            .chain(bulk.fixed_values())
            .collect();
        let arrays: Vec<_> = bulk
            .columns
            .iter()
            .enumerate()
            .map(|(position, (_, column))| format!("${}::{}", position + 1, column.postgres_array()))
            .collect();
        let names: Vec<_> = bulk.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (names, casts, arrays) = (names.join(", "), casts.join(", "), arrays.join(", "));
        format!("SELECT {casts} FROM UNNEST({arrays}) AS t ({names})")
    }

    fn insert(bulk: &Bulk, table: &str, tail: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {table} ({}) {} {tail}", bulk.names(), Self::select(bulk)))
    }

    fn bind(
        bulk: Bulk,
        statement: AssertSqlSafe<String>,
    ) -> Query<'static, Self, <Self as sqlx::Database>::Arguments> {
        let mut query = sqlx::query(statement);
        for (_, column) in bulk.columns {
            query = match column {
                Column::Number(values) => query.bind(values),
                Column::Bool(values) => query.bind(values),
                Column::Bytes(values) => query.bind(values),
                Column::Uuid(values) => query.bind(values),
                Column::Text(values) | Column::Json(values) => query.bind(values),
            };
        }
        query
    }
}

impl BulkDialect for Sqlite {
    fn select(bulk: &Bulk) -> String {
        let values: Vec<_> = bulk
            .columns
            .iter()
            .enumerate()
            .map(|(position, (name, column))| match column {
                Column::Bytes(_) | Column::Uuid(_) => format!("unhex(value ->> {position}) AS \"{name}\""),
                _ => format!("value ->> {position} AS \"{name}\""),
            })
            .chain(bulk.fixed_values())
            .collect();
        // `WHERE true` tells the parser that an `ON` after it belongs to the upsert, not to a join.
        // Of `jsonb_each` each row's value is parsed already, of `json_each` it would be parsed for every column.
        format!("SELECT {} FROM jsonb_each($1) WHERE true", values.join(", "))
    }

    fn insert(bulk: &Bulk, table: &str, tail: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {table} ({}) {} {tail}", bulk.names(), Self::select(bulk)))
    }

    fn bind(
        bulk: Bulk,
        statement: AssertSqlSafe<String>,
    ) -> Query<'static, Self, <Self as sqlx::Database>::Arguments> {
        let rows = bulk.columns.first().map_or(0, |(_, column)| column.len());
        let mut json = String::with_capacity(rows * bulk.columns.len() * 24);
        json.push('[');
        for row in 0..rows {
            json.push_str(if row == 0 { "[" } else { ",[" });
            for (position, (_, column)) in bulk.columns.iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                column.write_json(row, &mut json);
            }
            json.push(']');
        }
        json.push(']');
        sqlx::query(statement).bind(json)
    }
}
