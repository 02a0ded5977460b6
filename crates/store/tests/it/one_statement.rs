//! A new block is one statement on PostgreSQL: it writes the rows that the steps write, whatever the input is.

use std::collections::BTreeMap;

use domain::{BlockRef, Event, Header, Origin};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sqlx::Connection as _;
use store::{Committed, Publish, StoreError, testing::commit_chain_in_steps};

use crate::world::{CHAIN, World, block, header};

/// Every table that a commit writes, without the columns that count rows.
const TABLES: [(&str, &str); 6] = [
    ("block", "to_jsonb(t)"),
    ("event", "to_jsonb(t)"),
    ("outbox", "to_jsonb(t) - 'id'"),
    ("unmatched", "to_jsonb(t)"),
    ("unmatched_block", "to_jsonb(t)"),
    ("chain", "to_jsonb(t)"),
];

async fn rows(world: &World) -> anyhow::Result<BTreeMap<&'static str, Vec<String>>> {
    let mut connection = sqlx::PgConnection::connect_with(&world.postgres_options()?).await?;
    let mut rows = BTreeMap::new();
    for (table, columns) in TABLES {
        let statement = format!("SELECT ({columns})::text AS row FROM {table} t ORDER BY 1");
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(&mut connection).await?;
        rows.insert(table, found);
    }
    Ok(rows)
}

/// One random commit: blocks on the tip, maybe on another one, with events of which some came before.
struct Step {
    expected: Option<BlockRef>,
    ancestor: Option<BlockRef>,
    headers: Vec<Header>,
    events: Vec<Event>,
    publish: Publish,
    finalized: Option<u64>,
}

struct Chain {
    dice: StdRng,
    path: Vec<(u64, u8)>,
}

impl Chain {
    fn step(&mut self, world: &World) -> Step {
        let (tip, branch) = self.path.last().copied().unwrap_or((0, 0));
        let expected = (!self.path.is_empty()).then(|| block(tip, branch));
        // A reorg, which often brings back a branch that was there before.
        let depth =
            if self.path.len() > 4 && self.dice.random_bool(0.3) { self.dice.random_range(1..4) } else { 0 };
        self.path.truncate(self.path.len() - depth);
        let (below, parent) = self.path.last().copied().unwrap_or((0, 0));
        let ancestor = (depth > 0).then(|| block(below, parent));
        let branch = if depth > 0 { self.dice.random_range(1..4) } else { parent.max(1) };
        let mut from = parent;
        let (mut headers, mut events) = (Vec::new(), Vec::new());
        for number in below + 1..=below + self.dice.random_range(1..4) {
            headers.push(header(number, branch, from));
            from = branch;
            self.path.push((number, branch));
            for log_index in 0..self.dice.random_range(0..5) {
                let mut event = world.event(block(number, branch), log_index, number as u8);
                if self.dice.random_bool(0.2) {
                    event.origin = Origin::Backfill;
                }
                events.push(event);
            }
        }
        let expected = if self.dice.random_bool(0.05) { Some(block(999, 9)) } else { expected };
        let publish = [Publish::News, Publish::Yes, Publish::No][self.dice.random_range(0..3)];
        let finalized = self.dice.random_bool(0.2).then(|| below.saturating_sub(2));
        Step { expected, ancestor, headers, events, publish, finalized }
    }
}

async fn commit(world: &World, step: &Step, at_once: bool) -> anyhow::Result<Option<Committed>> {
    let mut commit = world.chain_commit(step.expected, step.ancestor, &step.headers, &step.events);
    commit.publish = step.publish;
    let done = if at_once {
        world.store.commit_chain(&commit).await
    } else {
        commit_chain_in_steps(&world.store, &commit).await
    };
    if let Some(finalized) = step.finalized {
        world.store.note_heads(CHAIN, finalized, None, Some(finalized), world.now).await?;
    }
    match done {
        Ok(committed) => Ok(Some(committed)),
        Err(StoreError::Fenced(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn one_statement_writes_the_rows_that_the_steps_write_whatever_the_input_is() -> anyhow::Result<()> {
    for seed in 0..12_u64 {
        let (one, other) = (World::postgres().await?, World::postgres().await?);
        let mut chain = Chain { dice: StdRng::seed_from_u64(seed), path: Vec::new() };
        for position in 0..15 {
            let before = chain.path.clone();
            let step = chain.step(&one);
            let at_once = commit(&one, &step, true).await?;
            assert_eq!(at_once, commit(&other, &step, false).await?, "seed {seed}, step {position}");
            if at_once.is_none() {
                chain.path = before;
            }
        }
        let (at_once, in_steps) = (rows(&one).await?, rows(&other).await?);
        assert!(at_once["event"].len() > 5, "seed {seed}: {at_once:?}");
        for (table, _) in TABLES {
            assert_eq!(at_once[table], in_steps[table], "seed {seed}: {table}");
        }
    }
    Ok(())
}
