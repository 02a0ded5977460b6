//! A new block in one statement, of PostgreSQL: everybody who waits for the block waits for this, and each statement less is
//! a round trip less. Owns that one statement; what it does is `commit`'s to say, which does the same step by step.

use crate::{
    ChainCommit, Committed, Store, StoreError,
    backlog::MORE_OF_BLOCK,
    block_news::{by_block, insert_blocks},
    bulk::Bulk,
    dialect::Dialect,
    effects::{COMES_BACK, KNOWN_AGAIN},
    error::TxError,
    rows::{Ids, block_bulk, chain_lane, event_bulk},
    tx::{Call, Tx},
};
use domain::message::Lifecycle;

impl Store {
    /// Extends the chain, if that is all that is to be done: the tip is the expected one, the lease is held, and nothing of
    /// it is final already. `None`, and nothing changed, where it is not, and on SQLite.
    pub(crate) async fn extend_at_once(
        &self,
        commit: &ChainCommit<'_>,
        ids: &Ids,
    ) -> Result<Option<Committed>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        if commit.ancestor.is_some() || commit.expected_tip.is_none() || commit.headers.is_empty() {
            return Ok(None);
        }
        let mut call = Call::new(self, "commit_chain");
        loop {
            let outcome = match call.writer().await {
                Ok(mut taken) => {
                    // One statement is a transaction of its own: where its answer does not come, it may have been made.
                    let extended = extend(&mut taken.read(), commit, ids).await.map_err(TxError::Commit);
                    call.give_back(taken, extended).await
                }
                Err(error) => Err(error),
            };
            if let Some(result) = call.result(outcome) {
                return result;
            }
        }
    }
}

async fn extend(
    tx: &mut Tx<'_>,
    commit: &ChainCommit<'_>,
    ids: &Ids,
) -> Result<Option<Committed>, sqlx::Error> {
    let events = match commit.events {
        [] => Bulk::new(),
        events => event_bulk(commit.chain, events, ids, commit.publish),
    };
    let blocks = block_bulk(commit.chain, commit.headers).behind(events.parameters());
    let lowest = commit.events.iter().map(|event| event.block.number).min();
    let statement = statement(&events, &blocks, lowest.is_some());
    let (moved, seen): (i64, i64) = tx
        .query(&statement)
        .bind_rows(&events)
        .bind_rows(&blocks)
        .bind(commit.chain.0.cast_signed())
        .bind(commit.tip.number.cast_signed())
        .bind(commit.tip.hash.to_vec())
        .bind(commit.expected_tip.map(|tip| tip.hash.to_vec()))
        .bind(commit.now.as_millisecond())
        .bind(commit.fence.map(|fence| fence.lease))
        .bind(commit.fence.map(|fence| fence.owner))
        .bind(lowest.map_or(i64::MAX, u64::cast_signed))
        .bind(chain_lane(commit.name))
        .fetch_one()
        .await?;
    Ok((moved == 1).then_some(Committed { seen: seen.cast_unsigned(), orphaned: 0 }))
}

// Every part depends on `tip`: where the tip does not move, nothing is inserted. The share lock makes a taker of the lease
// wait for the end of this transaction.
fn statement(events: &Bulk, blocks: &Bulk, any: bool) -> String {
    let first = events.parameters() + blocks.parameters();
    let [chain, number, hash, expected, now, lease, owner, lowest, lane] =
        [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|position| format!("${}", first + position));
    let tail = "CROSS JOIN tip ON CONFLICT (chain_id, number, hash) DO UPDATE SET canonical = true";
    let block = blocks.insertion(Dialect::Postgres, "block", tail);
    let tip = format!(
        "WITH tip AS (
            UPDATE chain SET tip_number = {number}, tip_hash = {hash}, updated_at = {now}
            WHERE chain_id = {chain} AND tip_hash = {expected} AND coalesce(finalized_told, 0) < {lowest}
                AND ({lease}::text IS NULL
                    OR EXISTS (SELECT 1 FROM lease WHERE name = {lease} AND owner = {owner} FOR SHARE))
            RETURNING 1 AS moved),
         blocks AS ({block})"
    );
    if !any {
        // The lane is bound all the same.
        return format!(
            "{tip} SELECT count(*), CASE WHEN {lane}::text IS NULL THEN 0::bigint ELSE 0::bigint END FROM tip"
        );
    }
    let tail = format!(
        "CROSS JOIN tip {COMES_BACK} RETURNING chain_id, block_number, block_hash, log_index, turn, published"
    );
    let event = events.insertion(Dialect::Postgres, "event", &tail);
    let news = by_block(Dialect::Postgres, "fresh WHERE published", Lifecycle::Seen);
    let told = insert_blocks(Dialect::Postgres, "news", Lifecycle::Seen, &lane, &now);
    format!(
        "{tip},
         fresh AS ({event}),
         news AS ({news}),
         told AS ({told}),
         ledger AS (
            INSERT INTO unmatched_block (chain_id, block_number, block_hash, since, log_indexes, events)
            SELECT chain_id, block_number, block_hash, {now}, list, events FROM news WHERE told = 1
            {MORE_OF_BLOCK}),
         back AS (
            INSERT INTO unmatched (chain_id, block_number, log_index, block_hash, since, version)
            SELECT chain_id, block_number, log_index, block_hash, {now}, turn * 2 FROM fresh WHERE published AND turn > 1
            {KNOWN_AGAIN})
         SELECT (SELECT count(*) FROM tip), (SELECT count(*) FROM fresh)"
    )
}
