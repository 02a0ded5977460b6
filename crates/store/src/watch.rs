//! Watches: edited by the file, the command line and the API, and told to matching by revision.

use domain::{RecipientId, Watch, WatchId};

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

/// One edit, as matching learns of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchChange {
    /// Grows with every edit of any watch.
    pub revision: i64,
    /// Which watch.
    pub id: WatchId,
    /// What it is now; `None` when it was removed.
    pub watch: Option<Watch>,
    /// Why its definition cannot be read, where that is so.
    pub problem: Option<String>,
}

type Row = (String, String, bool, i64);

fn from_row((id, definition, removed, revision): Row) -> Result<WatchChange, StoreError> {
    let watch = serde_json::from_str(&definition).map_err(|error| StoreError::corrupt("watch", error));
    let (watch, problem) = match watch {
        _ if removed => (None, None),
        Ok(watch) => (Some(watch), None),
        Err(problem) => (None, Some(problem.to_string())),
    };
    let id = id.parse().map_err(|error| StoreError::corrupt("watch", error))?;
    Ok(WatchChange { revision, id, watch, problem })
}

fn readable(row: Row) -> Result<Option<Watch>, StoreError> {
    let change = from_row(row)?;
    match change.problem {
        Some(problem) => {
            Err(StoreError::Corrupt { what: "watch", detail: format!("{}: {problem}", change.id) })
        }
        None => Ok(change.watch),
    }
}

impl Store {
    /// Adds or replaces watches. One that is unchanged keeps its revision.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_watches(&self, watches: &[Watch]) -> Result<(), StoreError> {
        let mut definitions = Vec::with_capacity(watches.len());
        for watch in watches {
            definitions
                .push(serde_json::to_string(watch).map_err(|error| StoreError::corrupt("watch", error))?);
        }
        tx!(self, "put_watches", |tx| {
            // The counter's row lock makes revisions appear in the order in which they commit.
            let statement = "UPDATE counter SET value = value + 1 WHERE name = 'watch' RETURNING value";
            let revision: i64 = tx.query(statement).scalar().await?;
            for (watch, definition) in watches.iter().zip(&definitions) {
                let statement = "INSERT INTO watch (id, recipient_id, definition, from_file, revision)
                    VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (id) DO UPDATE SET recipient_id = excluded.recipient_id,
                        definition = excluded.definition, from_file = excluded.from_file,
                        revision = excluded.revision, removed = false
                    WHERE watch.definition <> excluded.definition OR watch.removed";
                tx.query(statement)
                    .bind(watch.id.as_str())
                    .bind(watch.recipient.as_str())
                    .bind(definition)
                    .bind(watch.from_file)
                    .bind(revision)
                    .execute()
                    .await?;
            }
            Ok(())
        })
    }

    /// Removes a watch; says whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_watch(&self, id: &WatchId) -> Result<bool, StoreError> {
        tx!(self, "remove_watch", |tx| {
            let statement = "UPDATE counter SET value = value + 1 WHERE name = 'watch' RETURNING value";
            let revision: i64 = tx.query(statement).scalar().await?;
            let done = tx
                .query("UPDATE watch SET removed = true, revision = $2 WHERE id = $1 AND NOT removed")
                .bind(id.as_str())
                .bind(revision)
                .execute()
                .await?;
            tx.query("DELETE FROM known_party WHERE watch_id = $1").bind(id.as_str()).execute().await?;
            Ok(done > 0)
        })
    }

    /// One watch that is not removed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn watch(&self, id: &WatchId) -> Result<Option<Watch>, StoreError> {
        let row: Option<Row> = read!(self, "watch", |db| {
            let statement = "SELECT id, definition, removed, revision FROM watch WHERE id = $1";
            Ok(db.query(statement).bind(id.as_str()).fetch_optional().await?)
        })?;
        Ok(row.map(readable).transpose()?.flatten())
    }

    /// A watch as it is, or as it was when it was removed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there never was one.
    pub async fn watch_as_it_was(&self, id: &WatchId) -> Result<Watch, StoreError> {
        let definition: Option<String> = read!(self, "watch_as_it_was", |db| {
            let statement = "SELECT definition FROM watch WHERE id = $1";
            Ok(db.query(statement).bind(id.as_str()).optional_scalar().await?)
        })?;
        let definition =
            definition.ok_or_else(|| StoreError::corrupt("watch", format!("there was never a {id}")))?;
        serde_json::from_str(&definition).map_err(|error| StoreError::corrupt("watch", error))
    }

    /// All watches that are not removed, by id; only those of `recipient`, if given.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn watches(&self, recipient: Option<&RecipientId>) -> Result<Vec<Watch>, StoreError> {
        let rows: Vec<Row> = read!(self, "watches", |db| {
            let statement = "SELECT id, definition, removed, revision FROM watch
                WHERE NOT removed AND recipient_id = coalesce($1, recipient_id) ORDER BY id";
            Ok(db.query(statement).bind(recipient.map(RecipientId::as_str)).fetch_all().await?)
        })?;
        let mut watches = Vec::with_capacity(rows.len());
        for row in rows {
            watches.extend(readable(row)?);
        }
        Ok(watches)
    }

    /// The revision of the latest edit.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn watch_revision(&self) -> Result<i64, StoreError> {
        read!(self, "watch_revision", |db| {
            let statement = "SELECT value FROM counter WHERE name = 'watch'";
            Ok(db.query(statement).scalar().await?)
        })
    }

    /// Every edit after `revision`, removals included.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn watches_since(&self, revision: i64) -> Result<Vec<WatchChange>, StoreError> {
        let rows: Vec<Row> = read!(self, "watches_since", |db| {
            let statement = "SELECT id, definition, removed, revision FROM watch WHERE revision > $1 ORDER BY revision, id";
            Ok(db.query(statement).bind(revision).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }
}
