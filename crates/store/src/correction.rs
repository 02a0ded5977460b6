//! Corrections: notifications that say what the chain no longer says. Owns the comparison of what recipients believe
//! with where events are, and the one transaction that settles it; must not know what a correction says.

use domain::{ChainId, Held, HitId, Notification, NotificationId, Suspicion, TargetName, fold::Told};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    digest::{Bundle, canonical_hits, insert_bundles},
    event::EventKey,
    notification,
    tx::{read, tx},
};

/// A hit that was told, with where its event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldHit {
    /// How it stands.
    pub told: Told,
    /// Where its event is, or was last.
    pub key: EventKey,
    /// Why it was told later than its watch asked for.
    pub held: Option<Held>,
    /// Why it looked like spam, if it did.
    pub suspicion: Option<Suspicion>,
}

/// A notification that may have to be corrected.
#[derive(Debug, Clone)]
pub struct Doubtful {
    /// As it was told first.
    pub first: Notification,
    /// As it was told last: the first, or a correction of it.
    pub last: Notification,
    /// Its hits, in the order of their ids.
    pub hits: Vec<ToldHit>,
    /// The targets that some revision of it may have reached.
    pub reached: Vec<TargetName>,
}

/// A correction, and what it changes.
#[derive(Debug)]
pub struct Correct<'a> {
    /// The notification as it was told first.
    pub first: NotificationId,
    /// The correction; its revision is the next one.
    pub bundle: &'a Bundle,
    /// The hits that it tells of.
    pub inside: &'a [HitId],
    /// How many hits change sides by it: those that are believed wrongly.
    pub changed: u64,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

type Row = (Uuid, i64, i64, i64, Vec<u8>, Option<i64>, bool, Option<String>, Option<String>);

const WRONG: &str = "state = 'notified' AND believed = (gone_since IS NOT NULL)";

impl Store {
    /// Notifications of which a recipient believes something that the chain has taken back at or below the height
    /// `settled` of the tip, or has given back since; at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn doubtful(
        &self,
        chain: ChainId,
        settled: u64,
        limit: u32,
    ) -> Result<Vec<NotificationId>, StoreError> {
        let ids: Vec<Uuid> = read!(self, "doubtful", |db| {
            let statement = format!(
                "SELECT DISTINCT notification_id FROM hit
                 WHERE {WRONG} AND chain_id = $1 AND (gone_since IS NULL OR gone_since <= $2) LIMIT $3"
            );
            Ok(db
                .query(&statement)
                .bind(chain.0.cast_signed())
                .bind(settled.cast_signed())
                .bind(i64::from(limit))
                .scalars()
                .await?)
        })?;
        Ok(ids.into_iter().map(NotificationId).collect())
    }

    /// Everything that was told under a notification; `None` where there is none of this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn doubtful_notification(&self, id: NotificationId) -> Result<Option<Doubtful>, StoreError> {
        let Some(first) = self.notification(id).await? else { return Ok(None) };
        let last = read!(self, "last_revision", |db| {
            let statement = format!(
                "SELECT {} FROM notification n WHERE n.corrects = $1 ORDER BY n.revision DESC LIMIT 1",
                notification::COLUMNS
            );
            let row: Option<notification::Row> = db.query(&statement).bind(id.0).fetch_optional().await?;
            Ok(row)
        })?;
        let last = last.map(notification::from_row).transpose()?.unwrap_or_else(|| first.clone());
        let rows: Vec<Row> = read!(self, "told_hits", |db| {
            let statement =
                "SELECT id, chain_id, block_number, log_index, block_hash, gone_since, believed, held,
                    suspicion
                FROM hit WHERE notification_id = $1 ORDER BY id";
            Ok(db.query(statement).bind(id.0).fetch_all().await?)
        })?;
        let hits = rows.into_iter().map(told_hit).collect::<Result<_, _>>()?;
        let reached: Vec<String> = read!(self, "reached_targets", |db| {
            // A try that failed may have got through all the same.
            let statement = "SELECT DISTINCT d.target FROM delivery d JOIN notification n ON n.id = d.notification_id
                WHERE (n.id = $1 OR n.corrects = $1)
                    AND (d.state = 'delivered' OR d.attempts > 0 OR d.lease_until IS NOT NULL) ORDER BY d.target";
            Ok(db.query(statement).bind(id.0).scalars().await?)
        })?;
        let reached =
            reached.iter().map(|name| name.parse().map_err(|error| StoreError::corrupt("target", error)));
        let reached = reached.collect::<Result<_, _>>()?;
        Ok(Some(Doubtful { first, last, hits, reached }))
    }

    /// Commits a correction: what was told before is marked, what of it is not under way yet is not sent any more, and
    /// the recipient believes exactly `inside` from here on.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the chain moved meanwhile, or another process was faster; nothing changed then.
    pub async fn commit_correction(&self, correct: &Correct<'_>) -> Result<(), StoreError> {
        let Correct { first, bundle, inside, changed, now } = correct;
        tx!(self, "commit_correction", |tx| {
            if canonical_hits(tx, inside).await?.len() != inside.len() {
                return Err(StoreError::Fenced("an event of the correction left the chain".to_owned()).into());
            }
            let statement = format!(
                "UPDATE hit SET believed = (gone_since IS NULL) WHERE notification_id = $1 AND {WRONG}"
            );
            let settled = tx.query(&statement).bind(first.0).execute().await?;
            if settled != *changed {
                return Err(StoreError::Fenced("what is to be corrected changed".to_owned()).into());
            }
            let statement = "UPDATE notification SET state = $2 WHERE id = $1 OR corrects = $1";
            let state = match bundle.notification.state {
                domain::NotificationState::Retracted => domain::NotificationState::Retracted,
                _ => domain::NotificationState::Corrected,
            };
            tx.query(statement).bind(first.0).bind(state.as_str()).execute().await?;
            // One that is under way is left to its worker, which finds itself outdated at the next try.
            let statement = "UPDATE delivery SET state = 'suppressed', reason = $2, finished_at = $3,
                    attempts = attempts + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END,
                    lease_owner = NULL, lease_until = NULL
                WHERE notification_id IN (SELECT id FROM notification WHERE id = $1 OR corrects = $1)
                    AND state IN ('queued', 'scheduled') AND (lease_until IS NULL OR lease_until <= $3)";
            tx.query(statement).bind(first.0).bind(OUTDATED).bind(now.as_millisecond()).execute().await?;
            if insert_bundles(tx, &[*bundle], *now).await? != 1 {
                return Err(StoreError::Fenced("this revision was told already".to_owned()).into());
            }
            Ok(())
        })
    }

    /// How a delivery of a notification stands with the chain, before it is tried.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) async fn standing(&self, notification: &Notification) -> Result<Standing, StoreError> {
        let first = notification.corrects.unwrap_or(notification.id);
        let revision = i64::from(notification.revision);
        read!(self, "standing", |db| {
            // One look at both: a correction that commits between two looks takes the doubt away after the first found
            // nothing newer, and what it took back would be sent.
            let statement = "SELECT EXISTS (SELECT 1 FROM notification WHERE corrects = $1 AND revision > $2),
                EXISTS (SELECT 1 FROM hit h
                    LEFT JOIN event e ON e.chain_id = h.chain_id AND e.block_number = h.block_number
                        AND e.log_index = h.log_index AND e.block_hash = h.block_hash AND e.canonical
                    WHERE h.notification_id = $1 AND h.state = 'notified' AND h.believed AND e.event_id IS NULL)";
            let (outdated, doubtful): (bool, bool) =
                db.query(statement).bind(first.0).bind(revision).fetch_one().await?;
            Ok(match (outdated, doubtful) {
                (true, _) => Standing::Outdated,
                (false, true) => Standing::Doubtful,
                (false, false) => Standing::Good,
            })
        })
    }
}

/// A delivery is put off by this long while an event of its notification is in no block.
pub(crate) const PUT_OFF: SignedDuration = SignedDuration::from_secs(1);

/// Why a delivery is not sent any more.
pub(crate) const OUTDATED: &str = "it was corrected before it was sent";

/// How what a notification says stands with the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The chain says so.
    Good,
    /// An event of it is not in the chain now, and may come back.
    Doubtful,
    /// A later revision says otherwise.
    Outdated,
}

fn told_hit(
    (id, chain, number, log_index, hash, gone, believed, held, suspicion): Row,
) -> Result<ToldHit, StoreError> {
    let block = domain::BlockRef::new(number.cast_unsigned(), crate::chain::hash32("hit", &hash)?);
    let key = EventKey { chain: ChainId(chain.cast_unsigned()), block, log_index: log_index.cast_unsigned() };
    let told = Told { id: HitId(id), gone_since: gone.map(i64::cast_unsigned), believed };
    let (held, suspicion) =
        (held.as_deref().and_then(Held::parse), suspicion.as_deref().and_then(Suspicion::parse));
    Ok(ToldHit { told, key, held, suspicion })
}
