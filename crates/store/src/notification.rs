//! Notifications as rows.

use domain::{
    ChainId, EventId, Notification, NotificationId, NotificationState, RecipientId, WatchId,
    notification::Span,
};
use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Store, StoreError, tx::read};

/// Which notifications, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationQuery {
    /// Only to this recipient.
    pub recipient: Option<RecipientId>,
    /// Only of this watch.
    pub watch: Option<WatchId>,
    /// How many at most.
    pub limit: u32,
}

/// A notification and how its deliveries stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    /// The notification.
    pub notification: Notification,
    /// How many targets got it.
    pub delivered: u64,
    /// How many it is still on its way to.
    pub open: u64,
    /// How many were given up.
    pub dead: u64,
}

#[derive(Debug, FromRow)]
pub(crate) struct Row {
    id: Uuid,
    recipient_id: String,
    watch_id: String,
    chain_id: i64,
    kind: String,
    title: String,
    body: String,
    count: i64,
    window_from: Option<i64>,
    window_to: Option<i64>,
    facts: String,
    events: String,
    finality: String,
    state: String,
    revision: i32,
    corrects: Option<Uuid>,
    created_at: i64,
}

/// The columns of a [`Row`], of `notification n`.
pub(crate) const COLUMNS: &str = "n.id, n.recipient_id, n.watch_id, n.chain_id, n.kind, n.title, n.body, n.count, \
    n.window_from, n.window_to, n.facts, n.events, n.finality, n.state, n.revision, n.corrects, n.created_at";

pub(crate) fn from_row(row: Row) -> Result<Notification, StoreError> {
    let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("notification", error);
    let events: Vec<EventId> = serde_json::from_str(&row.events).map_err(|error| bad(&error))?;
    let window = match (row.window_from, row.window_to) {
        (Some(from), Some(to)) => Some(Span { from: from.cast_unsigned(), to: to.cast_unsigned() }),
        _ => None,
    };
    Ok(Notification {
        id: NotificationId(row.id),
        recipient: row.recipient_id.parse().map_err(|error| bad(&error))?,
        watch: row.watch_id.parse().map_err(|error| bad(&error))?,
        chain: ChainId(row.chain_id.cast_unsigned()),
        kind: row.kind,
        title: row.title,
        body: row.body,
        count: row.count.cast_unsigned(),
        window,
        facts: serde_json::from_str(&row.facts).map_err(|error| bad(&error))?,
        events,
        finality: row.finality,
        state: NotificationState::parse(&row.state).ok_or_else(|| bad(&row.state))?,
        revision: row.revision.cast_unsigned(),
        corrects: row.corrects.map(NotificationId),
        created_at: Timestamp::from_millisecond(row.created_at).map_err(|error| bad(&error))?,
    })
}

impl Store {
    /// Notifications with the standing of their deliveries, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn notifications(&self, query: &NotificationQuery) -> Result<Vec<NotificationRow>, StoreError> {
        #[derive(FromRow)]
        struct Counted {
            #[sqlx(flatten)]
            row: Row,
            delivered: i64,
            open: i64,
            dead: i64,
        }
        let rows: Vec<Counted> = read!(self, "notifications", |db| {
            let statement = format!(
                "SELECT {COLUMNS}, coalesce(sum(CASE WHEN d.state = 'delivered' THEN 1 ELSE 0 END), 0) AS delivered,
                    coalesce(sum(CASE WHEN d.state IN ('queued', 'scheduled') THEN 1 ELSE 0 END), 0) AS open,
                    coalesce(sum(CASE WHEN d.state = 'dead' THEN 1 ELSE 0 END), 0) AS dead
                 FROM notification n LEFT JOIN delivery d ON d.notification_id = n.id
                 WHERE n.recipient_id = coalesce($1, n.recipient_id) AND n.watch_id = coalesce($2, n.watch_id)
                 GROUP BY n.id ORDER BY n.created_at DESC, n.id LIMIT $3"
            );
            Ok(db
                .query(&statement)
                .bind(query.recipient.as_ref().map(RecipientId::as_str))
                .bind(query.watch.as_ref().map(WatchId::as_str))
                .bind(i64::from(query.limit))
                .fetch_all()
                .await?)
        })?;
        rows.into_iter()
            .map(|Counted { row, delivered, open, dead }| {
                Ok(NotificationRow {
                    notification: from_row(row)?,
                    delivered: delivered.cast_unsigned(),
                    open: open.cast_unsigned(),
                    dead: dead.cast_unsigned(),
                })
            })
            .collect()
    }

    /// One notification.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn notification(&self, id: NotificationId) -> Result<Option<Notification>, StoreError> {
        let row: Option<Row> = read!(self, "notification", |db| {
            let statement = format!("SELECT {COLUMNS} FROM notification n WHERE n.id = $1");
            Ok(db.query(&statement).bind(id.0).fetch_optional().await?)
        })?;
        row.map(from_row).transpose()
    }
}
