//! What token contracts say of themselves, asked once.

use alloy_primitives::Address;
use domain::ChainId;
use jiff::Timestamp;

use crate::{
    Store, StoreError,
    db::{read, tx},
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

type Row = (Option<String>, Option<String>, Option<i32>, bool);

impl Store {
    /// What is known of a token; `None` when it was never asked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token(&self, chain: ChainId, address: Address) -> Result<Option<TokenRow>, StoreError> {
        let row: Option<Row> = read!(self, "token", |db, D| {
            let statement =
                "SELECT name, symbol, decimals, hides FROM token WHERE chain_id = $1 AND address = $2";
            Ok(sqlx::query_as(statement)
                .bind(chain.0.cast_signed())
                .bind(address.to_vec())
                .fetch_optional(db)
                .await?)
        })?;
        Ok(row.map(|(name, symbol, decimals, hides)| TokenRow {
            name,
            symbol,
            decimals: decimals.and_then(|decimals| u8::try_from(decimals).ok()),
            hides,
        }))
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
        tx!(self, "put_token", |tx, D| {
            let statement = "INSERT INTO token (chain_id, address, name, symbol, decimals, asked_at, hides)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (chain_id, address) DO UPDATE SET name = excluded.name, symbol = excluded.symbol,
                    decimals = excluded.decimals, asked_at = excluded.asked_at, hides = excluded.hides";
            sqlx::query(statement)
                .bind(chain.0.cast_signed())
                .bind(address.to_vec())
                .bind(&token.name)
                .bind(&token.symbol)
                .bind(token.decimals.map(i32::from))
                .bind(now.as_millisecond())
                .bind(token.hides)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
    }
}
