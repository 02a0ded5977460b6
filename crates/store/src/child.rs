//! Children of factory contracts: addresses that an event of another contract told of, each with the block of its
//! creation.

use std::collections::HashSet;

use alloy_primitives::Address;
use domain::{BlockRef, ChainId, ContractName};

use crate::{
    Store, StoreError,
    bulk::Bulk,
    chain::hash32,
    error::TxError,
    tx::{Tx, read},
};

/// An address that a factory made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Child {
    /// The contract whose address it is, not the factory.
    pub contract: ContractName,
    /// The address.
    pub address: Address,
    /// The block of its creation.
    pub block: BlockRef,
}

/// Inserts children; one that an orphaned block created before is one again.
pub(crate) async fn insert_children(tx: &mut Tx<'_>, rows: &[ChildRow]) -> Result<(), TxError> {
    if !rows.is_empty() {
        let tail = "ON CONFLICT (chain_id, contract_id, address, block_number, block_hash)
            DO UPDATE SET canonical = true WHERE NOT child.canonical";
        tx.insert("child", &child_bulk(rows), tail).execute().await?;
    }
    Ok(())
}

/// A child with its contract's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChildRow {
    chain: ChainId,
    contract: i64,
    address: Address,
    block: BlockRef,
}

pub(crate) fn child_bulk(rows: &[ChildRow]) -> Bulk {
    Bulk::new()
        .numbers("chain_id", rows.iter().map(|row| row.chain.0.cast_signed()))
        .numbers("contract_id", rows.iter().map(|row| row.contract))
        .bytes("address", rows.iter().map(|row| row.address))
        .numbers("block_number", rows.iter().map(|row| row.block.number.cast_signed()))
        .bytes("block_hash", rows.iter().map(|row| row.block.hash))
}

impl Store {
    /// The rows of children, each once: a factory may tell of one address twice in a block.
    pub(crate) async fn child_rows(
        &self,
        chain: ChainId,
        children: &[Child],
    ) -> Result<Vec<ChildRow>, StoreError> {
        let mut met = HashSet::with_capacity(children.len());
        let mut rows = Vec::with_capacity(children.len());
        for child in children {
            let contract = i64::from(self.contract_id(chain, &child.contract).await?);
            let row = ChildRow { chain, contract, address: child.address, block: child.block };
            if met.insert(row) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The canonical children of a contract in the order of (block number, address), one page of at most `limit`.
    /// `after` is the last of the page before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn children(
        &self,
        chain: ChainId,
        contract: &ContractName,
        after: Option<(u64, Address)>,
        limit: u32,
    ) -> Result<Vec<Child>, StoreError> {
        let id = self.contract_id(chain, contract).await?;
        let (block, address) = match after {
            Some((block, address)) => (block.cast_signed(), address.to_vec()),
            None => (-1, Vec::new()),
        };
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = read!(self, "children", |db| {
            let statement = "SELECT block_number, address, block_hash FROM child
                WHERE chain_id = $1 AND canonical AND (block_number, address) > ($2, $3) AND contract_id = $4
                ORDER BY block_number, address LIMIT $5";
            Ok(db
                .query(statement)
                .bind(chain.0.cast_signed())
                .bind(block)
                .bind(&address)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        let mut children = Vec::with_capacity(rows.len());
        for (number, address, hash) in rows {
            children.push(Child {
                contract: contract.clone(),
                address: Address::try_from(address.as_slice())
                    .map_err(|error| StoreError::corrupt("child", error))?,
                block: BlockRef::new(number.cast_unsigned(), hash32("child", &hash)?),
            });
        }
        Ok(children)
    }
}
