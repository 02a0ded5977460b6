//! The two dialects have one schema: the same tables, columns, constraints and indexes.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Connection as _;

use crate::world::World;

type Tables = BTreeMap<String, BTreeSet<String>>;

/// What migrations of sqlx itself make.
const BOOKKEEPING: &str = "_sqlx_migrations";

fn tables(columns: Vec<(String, String)>) -> Tables {
    let mut tables = Tables::new();
    for (table, column) in columns.into_iter().filter(|(table, _)| table != BOOKKEEPING) {
        tables.entry(table).or_default().insert(column);
    }
    tables
}

/// The names that follow `CONSTRAINT` in a statement that makes a table, but for those of primary keys: an integer one has no
/// name in SQLite.
fn constraints(statement: &str) -> Vec<String> {
    let words: Vec<_> = statement.split_whitespace().collect();
    let named = words.windows(3).filter(|three| three[0] == "CONSTRAINT" && three[2] != "PRIMARY");
    named.map(|three| three[1].to_owned()).collect()
}

struct Schema {
    tables: Tables,
    named: BTreeSet<String>,
}

async fn of_postgres() -> anyhow::Result<Schema> {
    let world = World::postgres().await?;
    let mut connection = sqlx::PgConnection::connect_with(&world.postgres_options()?).await?;
    let columns = sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'",
    );
    let columns = columns.fetch_all(&mut connection).await?;
    let named = sqlx::query_scalar(
        "SELECT conname::text FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'f')
         UNION SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT IN (
            SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = 'p')",
    );
    let named: Vec<String> = named.fetch_all(&mut connection).await?;
    Ok(Schema { tables: tables(columns), named: named.into_iter().collect() })
}

async fn of_sqlite() -> anyhow::Result<Schema> {
    let world = World::sqlite().await?;
    let mut connection = sqlx::SqliteConnection::connect(&world.url).await?;
    let columns = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
    );
    let columns = columns.fetch_all(&mut connection).await?;
    let made: Vec<(String, String, Option<String>)> =
        sqlx::query_as("SELECT type, name, sql FROM sqlite_master").fetch_all(&mut connection).await?;
    let mut named = BTreeSet::new();
    for (kind, name, sql) in made {
        match (kind.as_str(), sql) {
            ("index", Some(_)) => drop(named.insert(name)),
            ("table", Some(sql)) => named.extend(constraints(&sql)),
            _ => {}
        }
    }
    Ok(Schema { tables: tables(columns), named })
}

#[tokio::test]
async fn both_dialects_have_the_same_tables_columns_constraints_and_indexes() -> anyhow::Result<()> {
    let (postgres, sqlite) = (of_postgres().await?, of_sqlite().await?);
    assert!(postgres.tables.len() > 15, "{:?}", postgres.tables);
    assert_eq!(postgres.tables, sqlite.tables);
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| -> Vec<String> {
        these.difference(those).filter(|name| *name != BOOKKEEPING).cloned().collect()
    };
    let (of_postgres, of_sqlite) =
        (only(&postgres.named, &sqlite.named), only(&sqlite.named, &postgres.named));
    assert!(postgres.named.len() > 20, "{:?}", postgres.named);
    assert!(
        of_postgres.is_empty() && of_sqlite.is_empty(),
        "only there: {of_postgres:?}, only here: {of_sqlite:?}"
    );
    Ok(())
}
