//! What token contracts say of themselves, and when they were asked.

use alloy_primitives::Address;
use domain::ChainId;
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

/// A token's own name, symbol and decimals; `None` where it gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenRow {
    /// `name()`.
    pub name: Option<String>,
    /// `symbol()`.
    pub symbol: Option<String>,
    /// `decimals()`, 0 to 77.
    pub decimals: Option<u8>,
    /// Whether its name or symbol had characters that no reader sees; they are removed.
    pub hides: bool,
}

/// What is known of a token, and how asking went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownToken {
    /// What it said.
    pub facts: TokenRow,
    /// When it was last asked.
    pub asked_at: Timestamp,
    /// How often it was asked since it last answered everything.
    pub misses: u32,
}

type Row = (Option<String>, Option<String>, Option<i32>, bool, i64, i32);

impl Store {
    /// What is known of a token; `None` when it was never asked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token(&self, chain: ChainId, address: Address) -> Result<Option<TokenRow>, StoreError> {
        Ok(self.known_token(chain, address).await?.map(|known| known.facts))
    }

    /// What is known of a token, with when it was asked; `None` when it was never asked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn known_token(
        &self,
        chain: ChainId,
        address: Address,
    ) -> Result<Option<KnownToken>, StoreError> {
        let row: Option<Row> = read!(self, "token", |db| {
            let statement = "SELECT name, symbol, decimals, hides, asked_at, misses FROM token
                WHERE chain_id = $1 AND address = $2";
            Ok(db
                .query(statement)
                .bind(chain.0.cast_signed())
                .bind(address.to_vec())
                .fetch_optional()
                .await?)
        })?;
        row.map(|(name, symbol, decimals, hides, asked_at, misses)| {
            let decimals = decimals.and_then(|decimals| u8::try_from(decimals).ok());
            Ok(KnownToken {
                facts: TokenRow { name, symbol, decimals, hides },
                asked_at: Timestamp::from_millisecond(asked_at)
                    .map_err(|error| StoreError::corrupt("token", error))?,
                misses: u32::try_from(misses).unwrap_or_default(),
            })
        })
        .transpose()
    }

    /// Keeps what a token said.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_token(
        &self,
        chain: ChainId,
        address: Address,
        token: &TokenRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = KnownToken { facts: token.clone(), asked_at: now, misses: 0 };
        self.note_token(chain, address, &known).await
    }

    /// Keeps what is known of a token. A fact that is not known here stays as another process may have written it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_token(
        &self,
        chain: ChainId,
        address: Address,
        known: &KnownToken,
    ) -> Result<(), StoreError> {
        tx!(self, "note_token", |tx| {
            let statement =
                "INSERT INTO token (chain_id, address, name, symbol, decimals, asked_at, hides, misses)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                ON CONFLICT (chain_id, address) DO UPDATE SET name = coalesce(excluded.name, token.name),
                    symbol = coalesce(excluded.symbol, token.symbol),
                    decimals = coalesce(excluded.decimals, token.decimals), asked_at = excluded.asked_at,
                    hides = excluded.hides, misses = excluded.misses";
            tx.query(statement)
                .bind(chain.0.cast_signed())
                .bind(address.to_vec())
                .bind(&known.facts.name)
                .bind(&known.facts.symbol)
                .bind(known.facts.decimals.map(i32::from))
                .bind(known.asked_at.as_millisecond())
                .bind(known.facts.hides)
                .bind(i32::try_from(known.misses).unwrap_or(i32::MAX))
                .execute()
                .await?;
            Ok(())
        })
    }
}
