//! Many rows in one statement: `UNNEST` over arrays on PostgreSQL, `json_each` over one document on SQLite.

use std::fmt::Write as _;

use alloy_primitives::hex;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, query::Query};
use uuid::Uuid;

use crate::values::{Packed, ROWS_MAX, bind_value, values_statement};

/// Rows by column, all columns of one length.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    pub(crate) columns: Vec<(&'static str, Column)>,
    // What is the same in every row is written once, into the statement.
    pub(crate) fixed: Vec<(&'static str, String)>,
    // What happens to be the same in every row is bound once, behind the columns.
    pub(crate) same: Vec<(&'static str, Column)>,
    // How many parameters of the statement come before these.
    before: usize,
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

    fn rows(&self) -> usize {
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

    fn fixed_values(&self) -> impl Iterator<Item = String> {
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

    const fn is_json(&self) -> bool {
        matches!(self, Self::Json(_) | Self::MaybeJson(_))
    }

    const fn postgres_array(&self) -> &'static str {
        match self {
            Self::Number(_) | Self::MaybeNumber(_) => "bigint[]",
            Self::Bool(_) => "boolean[]",
            Self::Bytes(_) | Self::MaybeBytes(_) => "bytea[]",
            Self::Uuid(_) | Self::MaybeUuid(_) => "uuid[]",
            Self::Text(_) | Self::MaybeText(_) | Self::Json(_) | Self::MaybeJson(_) => "text[]",
        }
    }

    fn write_json(&self, row: usize, out: &mut String) {
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

/// How a dialect takes rows in bulk.
pub(crate) trait BulkDialect: sqlx::Database {
    /// The rows as a `SELECT`, for joins and `IN`; the rows are the first parameters.
    fn select(bulk: &Bulk) -> String;

    /// `INSERT INTO table (columns) SELECT rows`, followed by `tail` (conflict clause, `RETURNING`).
    fn insert(bulk: &Bulk, table: &str, tail: &str) -> AssertSqlSafe<String>;

    /// Inserts a long list of rows, and says how many it inserted or changed.
    fn insert_all(
        bulk: &Bulk,
        table: &str,
        tail: &str,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// The statement with the rows bound as its first parameters.
    fn bind_rows(
        bulk: &Bulk,
        statement: AssertSqlSafe<String>,
    ) -> Query<'static, Self, <Self as sqlx::Database>::Arguments>;

    /// As [`BulkDialect::bind_rows`], for rows that are done with then.
    fn bind(
        bulk: Bulk,
        statement: AssertSqlSafe<String>,
    ) -> Query<'static, Self, <Self as sqlx::Database>::Arguments> {
        Self::bind_rows(&bulk, statement)
    }
}

/// Of PostgreSQL's dialect: binds the rows behind what is bound already.
pub(crate) fn bind_behind(
    mut query: Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments>,
    bulk: &Bulk,
) -> Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments> {
    for (_, column) in &bulk.columns {
        query = match column {
            Column::Number(values) => query.bind(values),
            Column::MaybeNumber(values) => query.bind(values),
            Column::Bool(values) => query.bind(values),
            Column::Bytes(packed) => query.bind(packed.all()),
            Column::MaybeBytes(values) => query.bind(values),
            Column::Uuid(values) => query.bind(values),
            Column::MaybeUuid(values) => query.bind(values),
            Column::Text(packed) | Column::Json(packed) => query.bind(packed.texts()),
            Column::MaybeText(values) | Column::MaybeJson(values) => query.bind(values),
        };
    }
    for (_, column) in &bulk.same {
        query = bind_value(query, column, 0);
    }
    query
}

impl BulkDialect for Postgres {
    fn select(bulk: &Bulk) -> String {
        let same = bulk.same.iter().enumerate();
        let casts: Vec<_> = bulk
            .columns
            .iter()
            .map(|(name, column)| match column {
                column if column.is_json() => format!("t.\"{name}\"::jsonb"),
                _ => format!("t.\"{name}\""),
            })
            .chain(same.map(|(position, (name, column))| {
                let one = column.postgres_array().trim_end_matches("[]");
                format!("${}::{one} AS \"{name}\"", bulk.before + bulk.columns.len() + position + 1)
            }))
            .chain(bulk.fixed_values())
            .collect();
        let arrays: Vec<_> = bulk
            .columns
            .iter()
            .enumerate()
            .map(|(position, (_, column))| {
                format!("${}::{}", bulk.before + position + 1, column.postgres_array())
            })
            .collect();
        let names: Vec<_> = bulk.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (names, casts, arrays) = (names.join(", "), casts.join(", "), arrays.join(", "));
        format!("SELECT {casts} FROM UNNEST({arrays}) AS t ({names})")
    }

    fn insert(bulk: &Bulk, table: &str, tail: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {table} ({}) {} {tail}", bulk.names(), Self::select(bulk)))
    }

    fn bind_rows(
        bulk: &Bulk,
        statement: AssertSqlSafe<String>,
    ) -> Query<'static, Self, <Self as sqlx::Database>::Arguments> {
        bind_behind(sqlx::query(statement), bulk)
    }

    async fn insert_all(
        bulk: &Bulk,
        table: &str,
        tail: &str,
        connection: &mut Self::Connection,
    ) -> Result<u64, sqlx::Error> {
        let statement = Self::insert(bulk, table, tail);
        Ok(Self::bind_rows(bulk, statement).execute(connection).await?.rows_affected())
    }
}

impl BulkDialect for Sqlite {
    fn select(bulk: &Bulk) -> String {
        let values: Vec<_> = bulk
            .columns
            .iter()
            .enumerate()
            .map(|(position, (name, column))| match column {
                Column::Bytes(_) | Column::MaybeBytes(_) | Column::Uuid(_) | Column::MaybeUuid(_) => {
                    format!("unhex(value ->> {position}) AS \"{name}\"")
                }
                _ => format!("value ->> {position} AS \"{name}\""),
            })
            .chain(bulk.fixed_values())
            .collect();
        debug_assert!(bulk.same.is_empty(), "only whole inserts bind what is the same once");
        // `WHERE true` tells the parser that an `ON` after it belongs to the upsert, not to a join.
        // Of `jsonb_each` each row's value is parsed already, of `json_each` it would be parsed for every column.
        format!("SELECT {} FROM jsonb_each($1) WHERE true", values.join(", "))
    }

    fn insert(bulk: &Bulk, table: &str, tail: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {table} ({}) {} {tail}", bulk.names(), Self::select(bulk)))
    }

    fn bind_rows(
        bulk: &Bulk,
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

    // Values that are bound one by one are inserted several times as fast as those of a document.
    async fn insert_all(
        bulk: &Bulk,
        table: &str,
        tail: &str,
        connection: &mut Self::Connection,
    ) -> Result<u64, sqlx::Error> {
        let (rows, mut from, mut affected) = (bulk.rows(), 0, 0);
        while from < rows {
            // Powers of two, so that there are few statements to be prepared.
            let count = ROWS_MAX.min(1 << (rows - from).ilog2());
            let statement = values_statement(bulk, table, tail, count);
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (_, column) in &bulk.same {
                query = bind_value(query, column, 0);
            }
            for row in from..from + count {
                for (_, column) in &bulk.columns {
                    query = bind_value(query, column, row);
                }
            }
            affected += query.execute(&mut *connection).await?.rows_affected();
            from += count;
        }
        Ok(affected)
    }
}
