//! Many rows in one statement: `UNNEST` over arrays on PostgreSQL, `jsonb_each` over one document on SQLite, and where long
//! lists are inserted there, `VALUES` with a parameter for each value. Owns the text and the binding; must not know what a
//! row means.

use std::{fmt::Write as _, ops::Range};

use sqlx::{
    Arguments as _, AssertSqlSafe, Sqlite, error::BoxDynError, postgres::PgArguments, sqlite::SqliteArguments,
};

use crate::{
    bulk::{Bulk, Column},
    dialect::Dialect,
    query::Arguments,
    tx::Tx,
};

impl Bulk {
    /// The rows as a `SELECT`, for joins and `IN`; their parameters are the first ones.
    pub(crate) fn select(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Postgres => self.select_from_arrays(),
            Dialect::Sqlite => self.select_from_json(),
        }
    }

    /// `INSERT INTO table (columns) SELECT rows`, followed by `tail` (conflict clause, `RETURNING`).
    pub(crate) fn insertion(&self, dialect: Dialect, table: &str, tail: &str) -> String {
        format!("INSERT INTO {table} ({}) {} {tail}", self.names(), self.select(dialect))
    }

    /// Adds the parameters of the rows.
    pub(crate) fn bind(&self, arguments: &mut Arguments) -> Result<(), BoxDynError> {
        match arguments {
            Arguments::Postgres(arguments) => self.bind_arrays(arguments),
            Arguments::Sqlite(arguments) => arguments.add(self.document()),
        }
    }

    fn select_from_arrays(&self) -> String {
        let same = self.same.iter().enumerate();
        let casts: Vec<_> = self
            .columns
            .iter()
            .map(|(name, column)| match column {
                column if column.is_json() => format!("t.\"{name}\"::jsonb"),
                _ => format!("t.\"{name}\""),
            })
            .chain(same.map(|(position, (name, column))| {
                let one = column.postgres_array().trim_end_matches("[]");
                format!("${}::{one} AS \"{name}\"", self.before + self.columns.len() + position + 1)
            }))
            .chain(self.fixed_values())
            .collect();
        let arrays: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, (_, column))| {
                format!("${}::{}", self.before + position + 1, column.postgres_array())
            })
            .collect();
        let names: Vec<_> = self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (names, casts, arrays) = (names.join(", "), casts.join(", "), arrays.join(", "));
        format!("SELECT {casts} FROM UNNEST({arrays}) AS t ({names})")
    }

    fn select_from_json(&self) -> String {
        let values: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, (name, column))| match column {
                Column::Bytes(_) | Column::MaybeBytes(_) | Column::Uuid(_) | Column::MaybeUuid(_) => {
                    format!("unhex(value ->> {position}) AS \"{name}\"")
                }
                _ => format!("value ->> {position} AS \"{name}\""),
            })
            .chain(self.fixed_values())
            .collect();
        debug_assert!(self.same.is_empty(), "only whole inserts bind what is the same once");
        // `WHERE true` tells the parser that an `ON` after it belongs to the upsert, not to a join.
        // Of `jsonb_each` each row's value is parsed already, of `json_each` it would be parsed for every column.
        format!("SELECT {} FROM jsonb_each($1) WHERE true", values.join(", "))
    }

    fn bind_arrays(&self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        for (_, column) in &self.columns {
            match column {
                Column::Number(values) => arguments.add(values),
                Column::MaybeNumber(values) => arguments.add(values),
                Column::Bool(values) => arguments.add(values),
                Column::Bytes(packed) => arguments.add(packed.all()),
                Column::MaybeBytes(values) => arguments.add(values),
                Column::Uuid(values) => arguments.add(values),
                Column::MaybeUuid(values) => arguments.add(values),
                Column::Text(packed) | Column::Json(packed) => arguments.add(packed.texts()),
                Column::MaybeText(values) | Column::MaybeJson(values) => arguments.add(values),
            }?;
        }
        let first = |(_, column): &(_, Column)| match column {
            Column::Number(values) => arguments.add(values[0]),
            Column::MaybeNumber(values) => arguments.add(values[0]),
            Column::Bool(values) => arguments.add(values[0]),
            Column::Bytes(packed) => arguments.add(packed.get(0)),
            // See `Column::first`: others are never bound once.
            _ => Ok(()),
        };
        self.same.iter().try_for_each(first)
    }

    fn document(&self) -> String {
        let rows = self.rows();
        let mut json = String::with_capacity(rows * self.columns.len() * 24);
        json.push('[');
        for row in 0..rows {
            json.push_str(if row == 0 { "[" } else { ",[" });
            for (position, (_, column)) in self.columns.iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                column.write_json(row, &mut json);
            }
            json.push(']');
        }
        json.push(']');
        json
    }
}

impl Tx<'_> {
    /// Inserts a long list of rows, and says how many it inserted or changed.
    pub(crate) async fn insert_all(
        &mut self,
        table: &str,
        bulk: &Bulk,
        tail: &str,
    ) -> Result<u64, sqlx::Error> {
        let open = match self {
            Self::Postgres(_) => return self.insert(table, bulk, tail).execute().await,
            Self::Sqlite(open) => open,
        };
        // Values that are bound one by one are inserted several times as fast as those of a document.
        let (rows, mut from, mut affected) = (bulk.rows(), 0, 0);
        while from < rows {
            // Powers of two, so that there are few statements to be prepared.
            let count = ROWS_MAX.min(1 << (rows - from).ilog2());
            let mut arguments = SqliteArguments::default();
            let add = bulk.bind_values(&mut arguments, from..from + count);
            add.map_err(sqlx::Error::Encode)?;
            let statement = AssertSqlSafe(values_statement(bulk, table, tail, count));
            let query = sqlx::query_with::<Sqlite, _>(statement, arguments);
            affected += query.execute(open.connection()).await?.rows_affected();
            from += count;
        }
        Ok(affected)
    }
}

/// How many rows go into one statement of SQLite: with as many columns as there are, far below its limit of parameters.
const ROWS_MAX: usize = 256;

fn values_statement(bulk: &Bulk, table: &str, tail: &str, count: usize) -> String {
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

impl Bulk {
    fn bind_values(&self, arguments: &mut SqliteArguments, rows: Range<usize>) -> Result<(), BoxDynError> {
        for (_, column) in &self.same {
            bind_value(arguments, column, 0)?;
        }
        for row in rows {
            for (_, column) in &self.columns {
                bind_value(arguments, column, row)?;
            }
        }
        Ok(())
    }
}

fn bind_value(arguments: &mut SqliteArguments, column: &Column, row: usize) -> Result<(), BoxDynError> {
    match column {
        Column::Number(values) => arguments.add(values[row]),
        Column::MaybeNumber(values) => arguments.add(values[row]),
        Column::Bool(values) => arguments.add(values[row]),
        Column::Bytes(packed) => arguments.add(packed.get(row)),
        Column::MaybeBytes(values) => arguments.add(values[row].as_deref()),
        Column::Uuid(values) => arguments.add(values[row]),
        Column::MaybeUuid(values) => arguments.add(values[row]),
        Column::Text(packed) | Column::Json(packed) => arguments.add(packed.text(row)),
        Column::MaybeText(values) | Column::MaybeJson(values) => arguments.add(values[row].as_deref()),
    }
}
