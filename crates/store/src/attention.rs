//! What recipients were told in the present period of their budgets, and which windows wait for the next one. Owns that a
//! budget is never overdrawn, whoever spends at the same time; must not know when a period ends.

use std::collections::HashMap;

use domain::{Held, HitId, RecipientId, WindowKey};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Spend, Store, StoreError,
    bulk::Bulk,
    error::TxError,
    plan::Settling,
    tx::{Tx, read, tx},
};

/// A window whose hits are told later.
#[derive(Debug)]
pub struct Hold<'a> {
    /// Which window.
    pub window: &'a WindowKey,
    /// Whose it is.
    pub recipient: &'a RecipientId,
    /// Its pending hits.
    pub hits: &'a [HitId],
    /// Since when the first of them waits.
    pub since: Timestamp,
    /// When it is told instead.
    pub due: Timestamp,
    /// Why.
    pub why: Held,
    /// When that is decided.
    pub now: Timestamp,
}

/// The notification that a window's closing costs.
#[derive(Debug, Clone)]
pub struct WindowSpend {
    /// The budget.
    pub spend: Spend,
    /// Which window.
    pub window: WindowKey,
    /// Since when the first of its hits waits.
    pub since: Timestamp,
}

/// How long a window is remembered as held back after it should have been told.
const HELD_KEPT: SignedDuration = SignedDuration::from_hours(72);

/// A period that begins makes the count of the one before needless.
pub(crate) const PERIOD_CONFLICT: &str =
    "ON CONFLICT (recipient_id) DO UPDATE SET period = excluded.period, spent = 0
    WHERE attention.period < excluded.period";

/// Asks the budgets of the hits that notify at once. The locks on their rows make others wait.
pub(crate) async fn spend_budgets(
    tx: &mut Tx<'_>,
    settling: &mut Settling<'_>,
    now: Timestamp,
) -> Result<(), TxError> {
    let (names, bulk) = {
        let spends = settling.spends();
        let names: Vec<String> = spends.keys().map(|name| (*name).to_owned()).collect();
        let bulk = Bulk::new()
            .texts("recipient_id", spends.keys())
            .numbers("period", spends.values().map(|spend| spend.period.as_millisecond()))
            .numbers("spent", spends.keys().map(|_| 0));
        (names, bulk)
    };
    if names.is_empty() {
        return Ok(());
    }
    tx.insert("attention", &bulk, PERIOD_CONFLICT).execute().await?;
    let statement =
        "SELECT recipient_id, spent FROM attention WHERE recipient_id {texts:1} ORDER BY recipient_id {lock}";
    let rows: Vec<(String, i64)> = tx.query(statement).texts(names.iter().cloned()).fetch_all().await?;
    let mut taken: HashMap<_, _> = rows.into_iter().collect();
    // What was held back, and may notify in this period, goes first.
    let statement = "SELECT h.recipient_id, count(*) FROM window_held h JOIN attention a ON a.recipient_id = h.recipient_id
         WHERE h.recipient_id {texts:1} AND h.due >= a.period AND h.due <= $2 GROUP BY h.recipient_id";
    let promised: Vec<(String, i64)> =
        tx.query(statement).texts(names).bind(now.as_millisecond()).fetch_all().await?;
    for (name, windows) in promised {
        *taken.entry(name).or_default() += windows;
    }
    let granted = settling.spend(&taken);
    if !granted.is_empty() {
        let bulk =
            Bulk::new().texts("recipient_id", granted.keys()).numbers("granted", granted.values().copied());
        let statement = "UPDATE attention SET spent = attention.spent + k.granted FROM ({rows}) k
             WHERE attention.recipient_id = k.recipient_id";
        tx.query_rows(statement, &bulk).execute().await?;
    }
    if let Some(bulk) = settling.refused(now) {
        tx.insert("window_held", &bulk, "ON CONFLICT (window_key) DO NOTHING").execute().await?;
    }
    Ok(())
}

/// Whether the budget has room for a window: `true` spends it. Windows that were held back and wait longer go first.
pub(crate) async fn spend_for_window(
    tx: &mut Tx<'_>,
    cost: &WindowSpend,
    now: Timestamp,
) -> Result<bool, TxError> {
    let (recipient, limit) = (cost.spend.recipient.as_str(), i64::from(cost.spend.limit));
    let statement =
        format!("INSERT INTO attention (recipient_id, period, spent) VALUES ($1, $2, 0) {PERIOD_CONFLICT}");
    tx.query(&statement).bind(recipient).bind(cost.spend.period.as_millisecond()).execute().await?;
    let statement = "SELECT spent, period FROM attention WHERE recipient_id = $1 {lock}";
    let (spent, period): (i64, i64) = tx.query(statement).bind(recipient).fetch_one().await?;
    let statement = "SELECT count(*) FROM (SELECT 1 AS one FROM window_held
            WHERE recipient_id = $1 AND since < $2 AND due >= $3 AND due <= $4 AND window_key <> $5 LIMIT $6) w";
    let before: i64 = tx
        .query(statement)
        .bind(recipient)
        .bind(cost.since.as_millisecond())
        .bind(period)
        .bind(now.as_millisecond())
        .bind(cost.window.as_str())
        .bind(limit)
        .scalar()
        .await?;
    let room = spent + before < limit;
    if room {
        let statement = "UPDATE attention SET spent = spent + 1 WHERE recipient_id = $1";
        tx.query(statement).bind(recipient).execute().await?;
    }
    Ok(room)
}

impl Store {
    /// Of recipients with a budget: when the newest period began that was looked at, and what is spent of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn budgets_spent(
        &self,
        recipients: &[RecipientId],
    ) -> Result<HashMap<RecipientId, (Timestamp, u64)>, StoreError> {
        if recipients.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(String, i64, i64)> = read!(self, "budgets_spent", |db| {
            let statement = "SELECT recipient_id, period, spent FROM attention WHERE recipient_id {texts:1}";
            Ok(db
                .query(statement)
                .texts(recipients.iter().map(|id| id.as_str().to_owned()))
                .fetch_all()
                .await?)
        })?;
        let corrupt = |error: &dyn std::fmt::Display| StoreError::corrupt("attention", error);
        rows.into_iter()
            .map(|(id, period, spent)| {
                let period = Timestamp::from_millisecond(period).map_err(|error| corrupt(&error))?;
                Ok((id.parse().map_err(|error| corrupt(&error))?, (period, spent.cast_unsigned())))
            })
            .collect()
    }

    /// Of windows with a leader: from when on their next hit is told at once again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn window_leads(
        &self,
        windows: &[WindowKey],
    ) -> Result<HashMap<WindowKey, Timestamp>, StoreError> {
        if windows.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(String, i64)> = read!(self, "window_leads", |db| {
            let statement = "SELECT window_key, until FROM window_lead WHERE window_key {texts:1}";
            Ok(db
                .query(statement)
                .texts(windows.iter().map(|key| key.as_str().to_owned()))
                .fetch_all()
                .await?)
        })?;
        rows.into_iter()
            .map(|(key, until)| {
                let until = Timestamp::from_millisecond(until)
                    .map_err(|error| StoreError::corrupt("window_lead", error))?;
                Ok((WindowKey::from_stored(key), until))
            })
            .collect()
    }

    /// Puts off a window: its pending hits are due at another time, and say why. What happens to the window itself is the
    /// timer index's.
    ///
    /// # Errors
    /// See [`StoreError`]; doing it again is harmless.
    pub async fn hold_window(&self, hold: &Hold<'_>) -> Result<(), StoreError> {
        tx!(self, "hold_window", |tx| {
            let statement = "UPDATE hit SET due_hint = $2, due_noted_at = $4, held = CASE WHEN held = 'budget' THEN held ELSE $3 END
                 WHERE id {uuids:1} AND state = 'pending'";
            tx.query(statement)
                .uuids(hold.hits.iter().map(|hit| hit.0))
                .bind(hold.due.as_millisecond())
                .bind(hold.why.as_str())
                .bind(hold.now.as_millisecond())
                .execute()
                .await?;
            if hold.why == Held::Budget {
                let statement =
                    "INSERT INTO window_held (window_key, recipient_id, since, due) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (window_key) DO UPDATE SET due = excluded.due";
                tx.query(statement)
                    .bind(hold.window.as_str())
                    .bind(hold.recipient.as_str())
                    .bind(hold.since.as_millisecond())
                    .bind(hold.due.as_millisecond())
                    .execute()
                    .await?;
            }
            Ok(())
        })
    }

    /// Forgets that a window was held back: it has nothing left to tell.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_held_window(&self, window: &WindowKey) -> Result<(), StoreError> {
        tx!(self, "forget_held_window", |tx| {
            tx.query("DELETE FROM window_held WHERE window_key = $1").bind(window.as_str()).execute().await?;
            Ok(())
        })
    }

    /// Deletes what no decision asks for any more: leads that are over, and windows that should have been told long ago; at
    /// most `limit` of each. Says how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn prune_windows(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let long_ago = now.saturating_sub(HELD_KEPT).unwrap_or(Timestamp::MIN).as_millisecond();
        tx!(self, "prune_windows", |tx| {
            let mut pruned = 0;
            for (template, before) in [
                (
                    "DELETE FROM window_lead WHERE window_key IN
                    (SELECT window_key FROM window_lead WHERE until <= $1 LIMIT $2 {skip locked})",
                    now.as_millisecond(),
                ),
                (
                    "DELETE FROM window_held WHERE window_key IN
                    (SELECT window_key FROM window_held WHERE due <= $1 LIMIT $2 {skip locked})",
                    long_ago,
                ),
            ] {
                let done = tx.query(template).bind(before).bind(i64::from(limit)).execute().await?;
                pruned += done;
            }
            Ok(pruned)
        })
    }
}
