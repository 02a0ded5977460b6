//! What ingest commits: blocks, events, orphan marks, outbox rows and checkpoint, together or not at all.

use domain::{BlockRef, ChainId, ChainName, ContractName, Event, Header, Origin};
use jiff::Timestamp;

use crate::{
    Child, Fence, Store, StoreError,
    block_news::insert_block_news,
    bulk::Bulk,
    child::insert_children,
    effects::{
        COMES_BACK, News, finalized_up_to, insert_events, insert_news, move_cursors, move_tip, orphan_above,
    },
    lease::check_fence,
    rows::{EventRows, block_bulk},
    tx::tx,
};

/// The effects of one decision about the live chain.
#[derive(Debug)]
pub struct ChainCommit<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// The tip that this commit extends: the fence. Another writer's tip refuses the commit.
    pub expected_tip: Option<BlockRef>,
    /// In a reorg, the common ancestor: everything above it is orphaned.
    pub ancestor: Option<BlockRef>,
    /// The headers of the new blocks, oldest first; of blocks read by range only the last.
    pub headers: &'a [Header],
    /// Their events, in order.
    pub events: &'a [Event],
    /// The children that those events tell of.
    pub children: &'a [Child],
    /// Which of them are told.
    pub publish: Publish,
    /// The new tip.
    pub tip: BlockRef,
    /// The lease without which the commit is refused.
    pub fence: Option<Fence<'a>>,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// The effects of reading a piece of the past.
#[derive(Debug)]
pub struct BackfillCommit<'a> {
    /// Chain.
    pub chain: ChainId,
    /// Its name, for subjects and the outbox lane.
    pub name: &'a ChainName,
    /// The contracts that were read, and from where to where: `next_block` before and after.
    pub contracts: &'a [(ContractName, u64, u64)],
    /// The block that was read by hash; `None` for a range, which is final. A block that another writer orphaned
    /// refuses the commit.
    pub block: Option<BlockRef>,
    /// Their events, in order.
    pub events: &'a [Event],
    /// The children that those events tell of.
    pub children: &'a [Child],
    /// Which of them are told.
    pub publish: Publish,
    /// The lease without which the commit is refused.
    pub fence: Option<Fence<'a>>,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// Which events become messages, on the broker and to matching; the others are stored only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// All.
    Yes,
    /// Those that are news: read live, and not of the past, which a reorg can bring once more.
    News,
    /// None.
    No,
}

impl Publish {
    pub(crate) fn tells(self, event: &Event) -> bool {
        match self {
            Self::Yes => true,
            Self::News => event.origin == Origin::Live,
            Self::No => false,
        }
    }
}

/// What a commit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committed {
    /// Events that are new, or came back.
    pub seen: u64,
    /// Events whose block left the chain.
    pub orphaned: u64,
}

/// How a decision about the live chain is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By one statement where that can be.
    Shortest,
    /// Step by step.
    Steps,
}

pub(crate) fn cursor_bulk(commit: &BackfillCommit<'_>) -> Bulk {
    let contracts = commit.contracts;
    Bulk::new()
        .texts("name", contracts.iter().map(|(name, _, _)| name.as_str()))
        .numbers("was", contracts.iter().map(|(_, before, _)| before.cast_signed()))
        .numbers("next", contracts.iter().map(|(_, _, after)| after.cast_signed()))
        .same_number("chain_id", commit.chain.0.cast_signed())
}

impl Store {
    /// Commits a decision about the live chain. Events at or below the block up to which finality was told are told to
    /// be final at once.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the tip is not the expected one any more, or the lease is lost; nothing changed then.
    pub async fn commit_chain(&self, commit: &ChainCommit<'_>) -> Result<Committed, StoreError> {
        self.commit_chain_by(commit, Way::Shortest).await
    }

    pub(crate) async fn commit_chain_by(
        &self,
        commit: &ChainCommit<'_>,
        way: Way,
    ) -> Result<Committed, StoreError> {
        let orphans = match commit.ancestor {
            Some(ancestor) => self.events_above(commit.chain, ancestor.number, None).await?,
            None => Vec::new(),
        };
        let ids = self.ids_of(commit.events).await?;
        let children = self.child_rows(commit.chain, commit.children).await?;
        let store = self.for_commits();
        if way == Way::Shortest
            && children.is_empty()
            && let Some(committed) = store.extend_at_once(commit, &ids).await?
        {
            return Ok(committed);
        }
        tx!(store, "commit_chain", |tx| {
            let told = move_tip(tx, commit).await?;
            if let Some(ancestor) = commit.ancestor {
                orphan_above(tx, commit.chain, ancestor.number, orphans.len()).await?;
            }
            if !commit.headers.is_empty() {
                let bulk = block_bulk(commit.chain, commit.headers);
                let tail = "ON CONFLICT (chain_id, number, hash) DO UPDATE SET canonical = true";
                tx.insert("block", &bulk, tail).execute().await?;
            }
            let mut committed = Committed { orphaned: orphans.len() as u64, seen: 0 };
            let mut news = News::default();
            for orphan in &orphans {
                news.orphaned(commit.name, orphan);
            }
            let is_final = |event: &Event| told.is_some_and(|told| event.block.number <= told);
            if commit.events.iter().any(is_final) {
                let (seen, turns) =
                    insert_events(tx, commit.chain, commit.events, &ids, commit.publish).await?;
                committed.seen = seen;
                news.seen(commit.name, commit.events, &turns, told);
                insert_news(tx, commit.name, &news, commit.now).await?;
            } else {
                // What is gone is told before what came.
                insert_news(tx, commit.name, &news, commit.now).await?;
                if !commit.events.is_empty() {
                    let (seen, turns) =
                        insert_events(tx, commit.chain, commit.events, &ids, commit.publish).await?;
                    committed.seen = seen;
                    insert_block_news(tx, commit, &turns).await?;
                }
            }
            insert_children(tx, &children).await?;
            Ok(committed)
        })
    }

    /// Commits a piece of the past. Published events at or below the block up to which finality was told are told to be
    /// final at once.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when a contract's cursor is not where the piece begins, or the lease is lost; nothing
    /// changed then.
    pub async fn commit_backfill(&self, commit: &BackfillCommit<'_>) -> Result<Committed, StoreError> {
        let ids = self.ids_of(commit.events).await?;
        let children = self.child_rows(commit.chain, commit.children).await?;
        let store = self.for_commits();
        tx!(store, "commit_backfill", |tx| {
            let told = match commit.publish {
                Publish::No => None,
                Publish::Yes | Publish::News => finalized_up_to(tx, commit.chain).await?,
            };
            check_fence(tx, commit.fence).await?;
            move_cursors(tx, commit).await?;
            let mut committed = Committed::default();
            if !commit.events.is_empty() {
                let (seen, turns) =
                    insert_events(tx, commit.chain, commit.events, &ids, commit.publish).await?;
                committed.seen = seen;
                let mut news = News::default();
                news.seen(commit.name, commit.events, &turns, told);
                insert_news(tx, commit.name, &news, commit.now).await?;
            }
            insert_children(tx, &children).await?;
            Ok(committed)
        })
    }

    /// As [`Store::commit_backfill`], with events that were made rows before, of which nobody is told. Those of the commit
    /// itself are left out, and so are its children.
    ///
    /// # Errors
    /// As [`Store::commit_backfill`].
    pub async fn commit_backfill_rows(
        &self,
        commit: &BackfillCommit<'_>,
        rows: &EventRows,
    ) -> Result<Committed, StoreError> {
        let store = self.for_commits();
        tx!(store, "commit_backfill", |tx| {
            check_fence(tx, commit.fence).await?;
            move_cursors(tx, commit).await?;
            let mut committed = Committed::default();
            if !rows.is_empty() {
                committed.seen = tx.insert_all("event", &rows.bulk, COMES_BACK).await?;
            }
            Ok(committed)
        })
    }
}
