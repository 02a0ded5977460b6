//! How much each URL of a chain takes at once, as its readers learned it: kept so that a new process need not learn it
//! again. Must not know how it is learned.

use domain::{ChainId, Learned, UrlLimits};
use jiff::Timestamp;
use sqlx::FromRow;

use crate::{
    Store, StoreError,
    event::number,
    tx::{read, tx},
};

#[derive(Debug, FromRow)]
struct Row {
    url_key: String,
    url: String,
    range_granted: Option<i64>,
    range_refused: Option<i64>,
    range_lasts: Option<i32>,
    batch_granted: Option<i64>,
    batch_refused: Option<i64>,
    batch_lasts: Option<i32>,
}

fn learned(granted: Option<i64>, refused: Option<i64>, lasts: Option<i32>) -> Option<Learned> {
    let positive = |number: i64| u64::try_from(number).ok();
    Some(Learned {
        granted: positive(granted?)?,
        refused: positive(refused?)?,
        lasts: u32::try_from(lasts?).ok()?,
    })
}

fn lasts(learned: Learned) -> i32 {
    i32::try_from(learned.lasts).unwrap_or(i32::MAX)
}

impl Store {
    /// Keeps what was learned of the URLs of a chain. What was kept of others stays.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_limits(
        &self,
        chain: ChainId,
        limits: &[UrlLimits],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx!(self, "note_limits", |tx| {
            for url in limits {
                let statement =
                    "INSERT INTO provider_limit (chain_id, url_key, url, range_granted, range_refused, range_lasts,
                        batch_granted, batch_refused, batch_lasts, updated_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                    ON CONFLICT (chain_id, url_key) DO UPDATE SET url = excluded.url,
                        range_granted = excluded.range_granted, range_refused = excluded.range_refused,
                        range_lasts = excluded.range_lasts, batch_granted = excluded.batch_granted,
                        batch_refused = excluded.batch_refused, batch_lasts = excluded.batch_lasts,
                        updated_at = excluded.updated_at";
                tx.query(statement)
                    .bind(chain.0.cast_signed())
                    .bind(&url.key)
                    .bind(&url.url)
                    .bind(url.range.map(|range| number(range.granted)))
                    .bind(url.range.map(|range| number(range.refused)))
                    .bind(url.range.map(lasts))
                    .bind(url.batch.map(|batch| number(batch.granted)))
                    .bind(url.batch.map(|batch| number(batch.refused)))
                    .bind(url.batch.map(lasts))
                    .bind(now.as_millisecond())
                    .execute()
                    .await?;
            }
            Ok(())
        })
    }

    /// What is kept of the URLs of a chain.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn limits(&self, chain: ChainId) -> Result<Vec<UrlLimits>, StoreError> {
        let rows: Vec<Row> = read!(self, "limits", |db| {
            let statement = "SELECT url_key, url, range_granted, range_refused, range_lasts, batch_granted,
                    batch_refused, batch_lasts
                FROM provider_limit WHERE chain_id = $1 ORDER BY url_key";
            Ok(db.query(statement).bind(chain.0.cast_signed()).fetch_all().await?)
        })?;
        let limits = rows.into_iter().map(|row| UrlLimits {
            key: row.url_key,
            url: row.url,
            range: learned(row.range_granted, row.range_refused, row.range_lasts),
            batch: learned(row.batch_granted, row.batch_refused, row.batch_lasts),
        });
        Ok(limits.collect())
    }
}
