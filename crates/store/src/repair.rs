//! Mending what an audit found: events that are missing, hold other content, or belong to no log. Owns the reads that an
//! audit compares with; must not know how the truth was found.

use domain::{ChainId, ChainName, ContractName, Event};
use jiff::Timestamp;

use crate::{
    Child, Committed, Fence, Publish, Store, StoreError,
    child::insert_children,
    effects::{News, TurnRow, check_blocks, finalized_up_to, insert_news, turns_of},
    event::{COLUMNS, EventKey, EventRow, StoredEvent, key_bulk, number},
    lease::check_fence,
    rows::event_bulk,
    tx::{read, tx},
};

/// What an audit found to be mended.
#[derive(Debug)]
pub struct Repair<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// Events that the store lacks or holds with other content, in order.
    pub missing: &'a [Event],
    /// The children that those events tell of.
    pub children: &'a [Child],
    /// Events that the store holds and the chain does not.
    pub extra: &'a [EventKey],
    /// Whether anybody is told of the missing ones. Of a replaced one that was told before, somebody always is.
    pub publish: Publish,
    /// The lease without which the repair is refused.
    pub fence: Option<Fence<'a>>,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

// The content of an event: what another log in its place would change.
const CONTENT: &str = "logical_id, block_timestamp, tx_hash, tx_index, address, contract_id, schema_id, params, raw_topics, raw_data";

// The same key can hold one content only: other content takes the place of what was there, as a new turn of the event.
fn replace() -> String {
    let columns: Vec<_> = CONTENT.split(", ").collect();
    let set: Vec<_> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let differs: Vec<_> =
        columns.iter().map(|column| format!("event.{column} IS DISTINCT FROM excluded.{column}")).collect();
    format!(
        "ON CONFLICT (chain_id, block_number, log_index, block_hash) DO UPDATE SET {}, reason = excluded.reason,
            canonical = true, turn = event.turn + 1, published = event.published OR excluded.published
         WHERE NOT event.canonical OR {}",
        set.join(", "),
        differs.join(" OR ")
    )
}

impl Store {
    /// Mends a range in one transaction. Missing events are inserted. An event whose key is held with other content is
    /// replaced in place, under a new turn, and told as seen again; hits that the old content made stay as they are.
    /// Extra events are marked orphaned and, if they were told, taken back as in a reorg.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the lease is lost, or a missing event's block or an extra event left the chain
    /// meanwhile; nothing changed then.
    pub async fn repair(&self, repair: &Repair<'_>) -> Result<Committed, StoreError> {
        let mut extra = self.held_by_keys(repair.extra).await?;
        extra.retain(|held| held.stored.is_canonical());
        let keys: Vec<_> = extra.iter().map(|held| EventKey::of(&held.stored.event)).collect();
        let ids = self.ids_of(repair.missing).await?;
        let children = self.child_rows(repair.chain, repair.children).await?;
        tx!(self, "repair", |tx| {
            let told = finalized_up_to(tx, repair.chain).await?;
            check_fence(tx, repair.fence).await?;
            check_blocks(tx, repair.chain, repair.name, repair.missing).await?;
            let mut news = News::default();
            for held in &extra {
                news.orphaned(repair.name, held);
            }
            if !keys.is_empty() {
                let bulk = key_bulk(&keys);
                let statement = "UPDATE event SET canonical = false
                     WHERE (chain_id, block_number, log_index, block_hash) IN ({rows}) AND canonical";
                let marked = tx.query_rows(statement, &bulk).execute().await?;
                if marked != keys.len() as u64 {
                    let detail = "an extra event left the chain before the repair";
                    return Err(StoreError::Fenced(detail.to_owned()).into());
                }
            }
            let mut committed = Committed { seen: 0, orphaned: extra.len() as u64 };
            if !repair.missing.is_empty() {
                let bulk = event_bulk(repair.chain, repair.missing, &ids, repair.publish);
                let tail = format!("{} RETURNING block_hash, log_index, turn, published", replace());
                let rows: Vec<TurnRow> = tx.insert("event", &bulk, &tail).fetch_all().await?;
                committed.seen = rows.len() as u64;
                news.seen(repair.name, repair.missing, &turns_of(rows), told);
            }
            insert_children(tx, &children).await?;
            insert_news(tx, repair.name, &news, repair.now).await?;
            Ok(committed)
        })
    }

    /// The canonical events of these contracts in the blocks `from` to `to`, in the order of (block number, log index),
    /// one page of at most `limit`: what an audit compares with. `after` is the last of the page before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_keys(
        &self,
        chain: ChainId,
        (from, to): (u64, u64),
        contracts: &[ContractName],
        after: Option<(u64, u64)>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut ids = Vec::with_capacity(contracts.len());
        for contract in contracts {
            ids.push(i64::from(self.contract_id(chain, contract).await?));
        }
        let (block, log_index) = after.map_or((-1, -1), |(b, l)| (b.cast_signed(), l.cast_signed()));
        let rows: Vec<EventRow> = read!(self, "event_keys", |db| {
            let template = format!(
                "SELECT {COLUMNS} FROM event e JOIN chain c ON c.chain_id = e.chain_id
                 WHERE e.chain_id = $1 AND e.block_number BETWEEN $2 AND $3
                    AND (e.block_number, e.log_index) > ($4, $5) AND e.canonical AND e.contract_id {{numbers:6}}
                 ORDER BY e.block_number, e.log_index LIMIT $7"
            );
            Ok(db
                .query(&template)
                .bind(chain.0.cast_signed())
                .bind(number(from))
                .bind(number(to))
                .bind(block)
                .bind(log_index)
                .numbers(ids.iter().copied())
                .bind(i64::from(limit))
                .fetch_all()
                .await?)
        })?;
        self.stored(rows).await
    }
}
