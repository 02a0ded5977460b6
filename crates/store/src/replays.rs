//! Replays as rows: what was asked for, and how far it is. Must not know how blocks are read again.

use domain::{ChainId, ContractName};
use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

/// What a replay is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayPlan {
    /// Chain.
    pub chain: ChainId,
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// Only of this contract.
    pub contract: Option<ContractName>,
    /// Whether the events are published again.
    pub publish: bool,
    /// Whether matching looks at them again, as news.
    pub notify: bool,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// Where a replay is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// It was begun, and goes on or can be resumed.
    Running,
    /// It read its last block.
    Done,
    /// A person ended it.
    Cancelled,
}

impl ReplayState {
    const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    const fn number(self) -> i16 {
        match self {
            Self::Running => 0,
            Self::Done => 1,
            Self::Cancelled => 2,
        }
    }
}

/// A replay as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRow {
    /// Its id, under which it publishes.
    pub id: Uuid,
    /// Chain.
    pub chain: ChainId,
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// The next block to read; above `to` when all are read.
    pub next_block: u64,
    /// Only of this contract.
    pub contract: Option<ContractName>,
    /// Whether the events are published again.
    pub publish: bool,
    /// Whether matching looks at them again, as news.
    pub notify: bool,
    /// How many events were read.
    pub read: u64,
    /// How many of them were missing.
    pub added: u64,
    /// Where it is in its life.
    pub state: ReplayState,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
}

#[derive(Debug, FromRow)]
struct Row {
    id: Uuid,
    chain_id: i64,
    from_block: i64,
    to_block: i64,
    next_block: i64,
    contract: Option<String>,
    publish: bool,
    notify: bool,
    read: i64,
    added: i64,
    state: i16,
    started_at: i64,
    updated_at: i64,
}

const COLUMNS: &str = "id, chain_id, from_block, to_block, next_block, contract, publish, notify, read, added, state, \
    started_at, updated_at";

fn from_row(row: Row) -> Result<ReplayRow, StoreError> {
    let bad = |error: &dyn std::fmt::Display| StoreError::corrupt("replay", error);
    let time = |millis| Timestamp::from_millisecond(millis).map_err(|error| bad(&error));
    let contract: Option<Result<ContractName, _>> = row.contract.map(|name| name.parse());
    Ok(ReplayRow {
        id: row.id,
        chain: ChainId(row.chain_id.cast_unsigned()),
        from: row.from_block.cast_unsigned(),
        to: row.to_block.cast_unsigned(),
        next_block: row.next_block.cast_unsigned(),
        contract: contract.transpose().map_err(|error| bad(&error))?,
        publish: row.publish,
        notify: row.notify,
        read: row.read.cast_unsigned(),
        added: row.added.cast_unsigned(),
        state: ReplayState::ALL
            .into_iter()
            .find(|state| state.number() == row.state)
            .ok_or_else(|| bad(&row.state))?,
        started_at: time(row.started_at)?,
        updated_at: time(row.updated_at)?,
    })
}

impl Store {
    /// Begins a replay, or takes up the one of the same plan that was not finished.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a range without blocks.
    pub async fn begin_replay(&self, plan: &ReplayPlan) -> Result<ReplayRow, StoreError> {
        let id = Uuid::new_v4();
        let row: Row = tx!(self, "begin_replay", |tx| {
            let statement = "INSERT INTO replay
                    (id, chain_id, from_block, to_block, next_block, contract, publish, notify, started_at, updated_at)
                VALUES ($1, $2, $3, $4, $3, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING";
            let contract = plan.contract.as_ref().map(ContractName::as_str);
            tx.query(statement)
                .bind(id)
                .bind(plan.chain.0.cast_signed())
                .bind(plan.from.cast_signed())
                .bind(plan.to.cast_signed())
                .bind(contract)
                .bind(plan.publish)
                .bind(plan.notify)
                .bind(plan.now.as_millisecond())
                .execute()
                .await?;
            let statement = format!(
                "SELECT {COLUMNS} FROM replay WHERE chain_id = $1 AND from_block = $2 AND to_block = $3
                    AND coalesce(contract, '') = coalesce($4, '') AND publish = $5 AND notify = $6 AND state = 0"
            );
            Ok(tx
                .query(&statement)
                .bind(plan.chain.0.cast_signed())
                .bind(plan.from.cast_signed())
                .bind(plan.to.cast_signed())
                .bind(contract)
                .bind(plan.publish)
                .bind(plan.notify)
                .fetch_one()
                .await?)
        })?;
        from_row(row)
    }

    /// The replays of a chain, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn replays(&self, chain: ChainId) -> Result<Vec<ReplayRow>, StoreError> {
        let rows: Vec<Row> = read!(self, "replays", |db| {
            let statement =
                format!("SELECT {COLUMNS} FROM replay WHERE chain_id = $1 ORDER BY started_at DESC, id");
            Ok(db.query(&statement).bind(chain.0.cast_signed()).fetch_all().await?)
        })?;
        rows.into_iter().map(from_row).collect()
    }

    /// Ends a replay that is running; says whether it was. A process that still reads for it is refused its next commit.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_replay(&self, id: Uuid, state: ReplayState, now: Timestamp) -> Result<bool, StoreError> {
        tx!(self, "end_replay", |tx| {
            let statement = "UPDATE replay SET state = $2, updated_at = $3 WHERE id = $1 AND state = 0";
            let done = tx
                .query(statement)
                .bind(id)
                .bind(state.number())
                .bind(now.as_millisecond())
                .execute()
                .await?;
            Ok(done > 0)
        })
    }
}
