//! What the ingest of a chain thinks of each of its URLs, so that another process can show it.

use std::time::Duration;

use domain::{ChainId, ProviderStatus};
use jiff::{SignedDuration, Timestamp};
use sqlx::FromRow;

use crate::{
    Store, StoreError,
    bulk::Bulk,
    tx::{read, tx},
};

/// A URL of a chain as its ingest last thought of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRow {
    /// Redacted URL.
    pub url: String,
    /// From 0, unfit, to 100: nothing speaks against it.
    pub score: u8,
    /// Whether questions go there.
    pub pinned: bool,
    /// How many blocks its head was behind the best head known.
    pub lag_blocks: u64,
    /// Failures since the start.
    pub errors: u64,
    /// Answers since the start that were proved wrong.
    pub lies: u64,
    /// Until when it is kept out of use.
    pub quarantined_until: Option<Timestamp>,
    /// Why the score is not 100.
    pub why: Option<String>,
    /// How long its last answer took.
    pub latency: Option<Duration>,
    /// How many requests it may have under way.
    pub concurrency: u64,
    /// When this was noted.
    pub updated_at: Timestamp,
}

#[derive(Debug, FromRow)]
struct Row {
    url: String,
    score: i16,
    pinned: bool,
    lag_blocks: i64,
    errors: i64,
    lies: i64,
    quarantined_until: Option<i64>,
    why: Option<String>,
    latency_ms: Option<i64>,
    concurrency: i64,
    updated_at: i64,
}

fn from_row(row: Row) -> Result<ProviderRow, StoreError> {
    let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("provider", error);
    let time = |millis| Timestamp::from_millisecond(millis).map_err(|error| bad(&error));
    Ok(ProviderRow {
        url: row.url,
        score: u8::try_from(row.score).map_err(|error| bad(&error))?,
        pinned: row.pinned,
        lag_blocks: row.lag_blocks.cast_unsigned(),
        errors: row.errors.cast_unsigned(),
        lies: row.lies.cast_unsigned(),
        quarantined_until: row.quarantined_until.map(time).transpose()?,
        why: row.why,
        latency: row.latency_ms.map(|millis| Duration::from_millis(millis.cast_unsigned())),
        concurrency: row.concurrency.cast_unsigned(),
        updated_at: time(row.updated_at)?,
    })
}

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

fn bulk(chain: ChainId, providers: &[ProviderStatus], now: Timestamp) -> Bulk {
    let until = |provider: &ProviderStatus| {
        let rest = SignedDuration::try_from(provider.quarantined_for?).unwrap_or(SignedDuration::MAX);
        Some(now.saturating_add(rest).unwrap_or(Timestamp::MAX).as_millisecond())
    };
    Bulk::new()
        .numbers("position", (0..).take(providers.len()))
        .texts("url", providers.iter().map(|provider| provider.url.as_str()))
        .numbers("score", providers.iter().map(|provider| i64::from(provider.score.min(100))))
        .bools("pinned", providers.iter().map(|provider| provider.pinned))
        .numbers("lag_blocks", providers.iter().map(|provider| signed(provider.lag_blocks)))
        .numbers("errors", providers.iter().map(|provider| signed(provider.errors)))
        .numbers("lies", providers.iter().map(|provider| signed(provider.lies)))
        .maybe_numbers("quarantined_until", providers.iter().map(until))
        .maybe_texts(
            "why",
            providers.iter().map(|provider| provider.why.as_ref().map(|why| why.replace('\0', ""))),
        )
        .maybe_numbers(
            "latency_ms",
            providers.iter().map(|provider| provider.latency.map(|latency| signed(latency.as_millis()))),
        )
        .numbers("concurrency", providers.iter().map(|provider| signed(provider.concurrency)))
        .numbers("updated_at", providers.iter().map(|_| now.as_millisecond()))
        .same_number("chain_id", chain.0.cast_signed())
}

impl Store {
    /// Notes what is thought of the URLs of a chain, in the configured order. What was noted of others is forgotten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_providers(
        &self,
        chain: ChainId,
        providers: &[ProviderStatus],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx!(self, "note_providers", |tx| {
            if !providers.is_empty() {
                let bulk = bulk(chain, providers, now);
                let tail = "ON CONFLICT (chain_id, position) DO UPDATE SET url = excluded.url, score = excluded.score,
                    pinned = excluded.pinned, lag_blocks = excluded.lag_blocks, errors = excluded.errors,
                    lies = excluded.lies, quarantined_until = excluded.quarantined_until, why = excluded.why,
                    latency_ms = excluded.latency_ms, concurrency = excluded.concurrency,
                    updated_at = excluded.updated_at";
                tx.insert("provider", &bulk, tail).execute().await?;
            }
            tx.query("DELETE FROM provider WHERE chain_id = $1 AND position >= $2")
                .bind(chain.0.cast_signed())
                .bind(signed(providers.len()))
                .execute()
                .await?;
            Ok(())
        })
    }

    /// What was last noted of the URLs of a chain, in the configured order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn providers(&self, chain: ChainId) -> Result<Vec<ProviderRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "providers", |db| {
            let statement =
                "SELECT url, score, pinned, lag_blocks, errors, lies, quarantined_until, why, latency_ms,
                    concurrency, updated_at
                FROM provider WHERE chain_id = $1 ORDER BY position";
            Ok(db.query(statement).bind(chain.0.cast_signed()).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }
}
