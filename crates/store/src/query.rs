//! One statement with its values, for either dialect. Owns the binding and the reading of rows; must not know any table.

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, FromRow, Postgres, Sqlite, Type,
    error::BoxDynError,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use crate::{bulk::Bulk, dialect::Dialect, tx::Tx};

/// A value that both dialects take.
pub(crate) trait Value<'v>:
    Encode<'v, Postgres> + Type<Postgres> + Encode<'v, Sqlite> + Type<Sqlite>
{
}

impl<'v, T> Value<'v> for T where T: Encode<'v, Postgres> + Type<Postgres> + Encode<'v, Sqlite> + Type<Sqlite> {}

/// A row that can be read in both dialects: a tuple, or a struct that derives `FromRow`.
pub(crate) trait Row:
    for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

/// A statement that is to be run on a connection.
#[must_use = "a query does nothing until it is run"]
pub(crate) struct Query<'t, 'c> {
    tx: &'t mut Tx<'c>,
    statement: String,
    arguments: Result<Arguments, BoxDynError>,
}

pub(crate) enum Arguments {
    Postgres(PgArguments),
    Sqlite(SqliteArguments),
}

impl Arguments {
    pub(crate) fn add<'v>(&mut self, value: impl Value<'v>) -> Result<(), BoxDynError> {
        match self {
            Self::Postgres(arguments) => arguments.add(value),
            Self::Sqlite(arguments) => sqlx::Arguments::add(arguments, value),
        }
    }
}

impl<'c> Tx<'c> {
    /// A statement; see [`crate::dialect`] for the marks that it may have.
    pub(crate) fn query(&mut self, statement: &str) -> Query<'_, 'c> {
        let dialect = self.dialect();
        let arguments = match dialect {
            Dialect::Postgres => Arguments::Postgres(PgArguments::default()),
            Dialect::Sqlite => Arguments::Sqlite(SqliteArguments::default()),
        };
        Query { tx: self, statement: dialect.sql(statement), arguments: Ok(arguments) }
    }

    /// A statement with the mark `{rows}`, which stands for a query of the rows of `bulk`. Their parameters come first.
    pub(crate) fn query_rows(&mut self, statement: &str, bulk: &Bulk) -> Query<'_, 'c> {
        let rows = bulk.select(self.dialect());
        self.query(&statement.replace("{rows}", &rows)).bind_rows(bulk)
    }

    /// The insertion of rows, with the `tail` that says what to do with conflicts and what to return.
    pub(crate) fn insert(&mut self, table: &str, bulk: &Bulk, tail: &str) -> Query<'_, 'c> {
        let statement = bulk.insertion(self.dialect(), table, tail);
        self.query(&statement).bind_rows(bulk)
    }
}

impl Query<'_, '_> {
    /// Binds the next value.
    pub(crate) fn bind<'v>(self, value: impl Value<'v>) -> Self {
        self.with(|arguments| arguments.add(value))
    }

    /// Binds a list, for the mark `{uuids:N}`.
    pub(crate) fn uuids(self, list: impl IntoIterator<Item = Uuid>) -> Self {
        self.with(|arguments| match arguments {
            Arguments::Postgres(arguments) => arguments.add(list.into_iter().collect::<Vec<_>>()),
            Arguments::Sqlite(arguments) => {
                let list = list.into_iter().map(|uuid| uuid.simple().to_string());
                sqlx::Arguments::add(arguments, serde_json::Value::from_iter(list).to_string())
            }
        })
    }

    /// Binds a list, for the mark `{numbers:N}`.
    pub(crate) fn numbers(self, list: impl IntoIterator<Item = i64>) -> Self {
        self.with(|arguments| match arguments {
            Arguments::Postgres(arguments) => arguments.add(list.into_iter().collect::<Vec<_>>()),
            Arguments::Sqlite(arguments) => {
                sqlx::Arguments::add(arguments, serde_json::Value::from_iter(list).to_string())
            }
        })
    }

    /// Binds a list, for the mark `{texts:N}`.
    pub(crate) fn texts(self, list: impl IntoIterator<Item = String>) -> Self {
        self.with(|arguments| match arguments {
            Arguments::Postgres(arguments) => arguments.add(list.into_iter().collect::<Vec<_>>()),
            Arguments::Sqlite(arguments) => {
                sqlx::Arguments::add(arguments, serde_json::Value::from_iter(list).to_string())
            }
        })
    }

    /// Binds the parameters of rows.
    pub(crate) fn bind_rows(self, bulk: &Bulk) -> Self {
        self.with(|arguments| bulk.bind(arguments))
    }

    /// Runs it, and says how many rows it changed.
    pub(crate) async fn execute(self) -> Result<u64, sqlx::Error> {
        let statement = AssertSqlSafe(self.statement);
        match (self.tx, self.arguments.map_err(sqlx::Error::Encode)?) {
            (Tx::Postgres(open), Arguments::Postgres(arguments)) => {
                let query = sqlx::query_with::<Postgres, _>(statement, arguments);
                Ok(query.execute(open.connection()).await?.rows_affected())
            }
            (Tx::Sqlite(open), Arguments::Sqlite(arguments)) => {
                let query = sqlx::query_with::<Sqlite, _>(statement, arguments);
                Ok(query.execute(open.connection()).await?.rows_affected())
            }
            _ => Err(other_dialect()),
        }
    }

    /// Runs it, and reads all its rows.
    pub(crate) async fn fetch_all<R: Row>(self) -> Result<Vec<R>, sqlx::Error> {
        let statement = AssertSqlSafe(self.statement);
        match (self.tx, self.arguments.map_err(sqlx::Error::Encode)?) {
            (Tx::Postgres(open), Arguments::Postgres(arguments)) => {
                sqlx::query_as_with::<Postgres, R, _>(statement, arguments).fetch_all(open.connection()).await
            }
            (Tx::Sqlite(open), Arguments::Sqlite(arguments)) => {
                sqlx::query_as_with::<Sqlite, R, _>(statement, arguments).fetch_all(open.connection()).await
            }
            _ => Err(other_dialect()),
        }
    }

    /// Runs it, and reads its first row, if there is one.
    pub(crate) async fn fetch_optional<R: Row>(self) -> Result<Option<R>, sqlx::Error> {
        let statement = AssertSqlSafe(self.statement);
        match (self.tx, self.arguments.map_err(sqlx::Error::Encode)?) {
            (Tx::Postgres(open), Arguments::Postgres(arguments)) => {
                let query = sqlx::query_as_with::<Postgres, R, _>(statement, arguments);
                query.fetch_optional(open.connection()).await
            }
            (Tx::Sqlite(open), Arguments::Sqlite(arguments)) => {
                let query = sqlx::query_as_with::<Sqlite, R, _>(statement, arguments);
                query.fetch_optional(open.connection()).await
            }
            _ => Err(other_dialect()),
        }
    }

    /// Runs it, and reads its first row.
    pub(crate) async fn fetch_one<R: Row>(self) -> Result<R, sqlx::Error> {
        self.fetch_optional().await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Runs it, and reads the first column of its rows.
    pub(crate) async fn scalars<T>(self) -> Result<Vec<T>, sqlx::Error>
    where
        (T,): Row,
    {
        Ok(self.fetch_all::<(T,)>().await?.into_iter().map(|(value,)| value).collect())
    }

    /// Runs it, and reads the first column of its first row, if there is one.
    pub(crate) async fn optional_scalar<T>(self) -> Result<Option<T>, sqlx::Error>
    where
        (T,): Row,
    {
        Ok(self.fetch_optional::<(T,)>().await?.map(|(value,)| value))
    }

    /// Runs it, and reads the first column of its first row.
    pub(crate) async fn scalar<T>(self) -> Result<T, sqlx::Error>
    where
        (T,): Row,
    {
        Ok(self.fetch_one::<(T,)>().await?.0)
    }

    fn with(mut self, add: impl FnOnce(&mut Arguments) -> Result<(), BoxDynError>) -> Self {
        if let Ok(arguments) = &mut self.arguments
            && let Err(error) = add(arguments)
        {
            self.arguments = Err(error);
        }
        self
    }
}

// `Tx::query` makes the arguments of its own dialect.
fn other_dialect() -> sqlx::Error {
    sqlx::Error::Protocol("the values of one dialect met a connection of the other".to_owned())
}
