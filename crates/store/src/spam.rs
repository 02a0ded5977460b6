//! Whom watches know: counterparties of the transfers that they told of, a bounded number of each. Must not know what a
//! transfer is, nor what looks like spam.

use alloy_primitives::Address;
use domain::{Suspicion, WatchId, spam::slot};

use crate::{
    NewHit, Store, StoreError,
    bulk::Bulk,
    error::TxError,
    tx::{Tx, read},
};

/// Rows of `known_party` for what these hits introduce. The order of the key is the order in which rows are locked.
pub(crate) fn party_bulk(hits: &[&NewHit]) -> Option<Bulk> {
    let mut rows: Vec<_> = hits
        .iter()
        .flat_map(|hit| hit.parties.iter().map(|party| (hit.watch.as_str(), slot(*party), *party)))
        .collect();
    rows.sort_unstable();
    rows.dedup_by_key(|(watch, slot, _)| (*watch, *slot));
    (!rows.is_empty()).then(|| {
        Bulk::new()
            .texts("watch_id", rows.iter().map(|(watch, _, _)| *watch))
            .numbers("slot", rows.iter().map(|(_, slot, _)| i64::from(*slot)))
            .bytes("address", rows.iter().map(|(_, _, party)| *party))
    })
}

/// Keeps whom these hits introduce, where nobody has the slot yet: who came first stays, so that nobody displaces a friend.
pub(crate) async fn introduce_parties(tx: &mut Tx<'_>, hits: &[&NewHit]) -> Result<(), TxError> {
    if let Some(bulk) = party_bulk(hits) {
        tx.insert("known_party", &bulk, "ON CONFLICT (watch_id, slot) DO NOTHING").execute().await?;
    }
    Ok(())
}

/// Ends the hits that their watch drops, in the transaction that found them: nobody sees them open.
pub(crate) async fn drop_hits(tx: &mut Tx<'_>, hits: &[&NewHit]) -> Result<(), TxError> {
    for suspicion in Suspicion::ALL {
        let dropped = hits.iter().filter(|hit| hit.dropped && hit.suspicion == Some(suspicion));
        let ids: Vec<_> = dropped.map(|hit| hit.id.0).collect();
        if ids.is_empty() {
            continue;
        }
        let statement = "UPDATE hit SET state = 'suppressed', reason = $2, suspicion = $3
             WHERE id {uuids:1} AND state IN ('waiting', 'pending')";
        tx.query(statement)
            .uuids(ids)
            .bind(format!("it looks like spam: {}", suspicion.in_words()))
            .bind(suspicion.as_str())
            .execute()
            .await?;
    }
    Ok(())
}

impl Store {
    /// Of these watches and addresses: whom the watch knows that has the address's slot, if anybody.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn known_parties(
        &self,
        asked: &[(WatchId, Address)],
    ) -> Result<Vec<(WatchId, Address)>, StoreError> {
        let mut keys: Vec<_> = asked.iter().map(|(watch, party)| (watch.as_str(), slot(*party))).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<(String, Vec<u8>)> = read!(self, "known_parties", |db| {
            let bulk = Bulk::new()
                .texts("watch_id", keys.iter().map(|(watch, _)| *watch))
                .numbers("slot", keys.iter().map(|(_, slot)| i64::from(*slot)));
            let statement = "SELECT p.watch_id, p.address FROM ({rows}) k
                 JOIN known_party p ON p.watch_id = k.watch_id AND p.slot = k.slot";
            Ok(db.query_rows(statement, &bulk).fetch_all().await?)
        })?;
        let known = rows.into_iter().map(|(watch, address)| {
            let watch = watch.parse().map_err(|error| StoreError::corrupt("known_party", error))?;
            let address = Address::try_from(address.as_slice());
            Ok((watch, address.map_err(|error| StoreError::corrupt("known_party", error))?))
        });
        known.collect()
    }
}
