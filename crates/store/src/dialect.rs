//! What the two dialects write differently inside one statement: lists and row locks. Must not know any table.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use uuid::Uuid;

/// What differs between the dialects inside one statement.
pub(crate) trait Dialect: sqlx::Database {
    const POSTGRES: bool;
    type Uuids: for<'q> sqlx::Encode<'q, Self> + sqlx::Type<Self> + Send + 'static;
    type Numbers: for<'q> sqlx::Encode<'q, Self> + sqlx::Type<Self> + Send + 'static;
    type Texts: for<'q> sqlx::Encode<'q, Self> + sqlx::Type<Self> + Send + 'static;

    fn uuids(list: impl IntoIterator<Item = Uuid>) -> Self::Uuids;
    fn numbers(list: impl IntoIterator<Item = i64>) -> Self::Numbers;
    fn texts(list: impl IntoIterator<Item = String>) -> Self::Texts;
}

impl Dialect for Postgres {
    const POSTGRES: bool = true;
    type Uuids = Vec<Uuid>;
    type Numbers = Vec<i64>;
    type Texts = Vec<String>;

    fn uuids(list: impl IntoIterator<Item = Uuid>) -> Vec<Uuid> {
        list.into_iter().collect()
    }

    fn numbers(list: impl IntoIterator<Item = i64>) -> Vec<i64> {
        list.into_iter().collect()
    }

    fn texts(list: impl IntoIterator<Item = String>) -> Vec<String> {
        list.into_iter().collect()
    }
}

impl Dialect for Sqlite {
    const POSTGRES: bool = false;
    type Uuids = String;
    type Numbers = String;
    type Texts = String;

    fn uuids(list: impl IntoIterator<Item = Uuid>) -> String {
        let mut json = String::from("[");
        for (position, uuid) in list.into_iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(json, "{comma}\"{}\"", uuid.simple());
        }
        json.push(']');
        json
    }

    fn numbers(list: impl IntoIterator<Item = i64>) -> String {
        serde_json::Value::from_iter(list).to_string()
    }

    fn texts(list: impl IntoIterator<Item = String>) -> String {
        serde_json::Value::from_iter(list).to_string()
    }
}

/// The statement in the dialect `D`. Marks: `{uuids:N}`, `{numbers:N}`, `{texts:N}` for "is in the list bound as
/// `$N`", `{lock}` and `{skip locked}` for the row locks that SQLite, with its one writer, does not need.
pub(crate) fn sql<D: Dialect>(template: &str) -> AssertSqlSafe<String> {
    let mut text = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else { break };
        text.push_str(&rest[..start]);
        text.push_str(&mark::<D>(&rest[start + 1..start + length]));
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    // Every template is a literal of this crate; values are bound.
    AssertSqlSafe(text)
}

fn mark<D: Dialect>(mark: &str) -> String {
    match (mark.split_once(':'), D::POSTGRES) {
        (Some((_, number)), true) => format!("= ANY(${number})"),
        (Some(("uuids", number)), false) => format!("IN (SELECT unhex(value) FROM json_each(${number}))"),
        (Some((_, number)), false) => format!("IN (SELECT value FROM json_each(${number}))"),
        (None, true) if mark == "lock" => "FOR UPDATE".to_owned(),
        (None, true) if mark == "skip locked" => "FOR UPDATE SKIP LOCKED".to_owned(),
        (None, _) => String::new(),
    }
}
