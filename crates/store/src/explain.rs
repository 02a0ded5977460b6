//! What explanations read besides what the rooms read. Must not know how it is told.

use domain::{Notification, NotificationId};
use sqlx::AssertSqlSafe;

use crate::{
    Store, StoreError,
    db::read,
    notification::{COLUMNS, Row, from_row},
};

impl Store {
    /// The corrections of a notification, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn corrections_of(&self, first: NotificationId) -> Result<Vec<Notification>, StoreError> {
        let rows: Vec<Row> = read!(self, "corrections_of", |db, D| {
            let statement =
                format!("SELECT {COLUMNS} FROM notification n WHERE n.corrects = $1 ORDER BY n.revision");
            Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(first.0).fetch_all(db).await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }
}
