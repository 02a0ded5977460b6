//! The loop that people would write: ranges of blocks, typed JSON, one `UNNEST` a range, the cursor in the same
//! transaction. It makes the same rows, ids and all.

use std::{process::Stdio, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use anyhow::{Context as _, ensure};
use domain::{BlockRef, ChainId, EventId, EventSchema, LogicalId, RawLog, event::logical_ids};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sqlx::{PgConnection, PgPool};
use store::{ContractCursor, Store};
use testkit::fixture_node::{CHAIN_ID, Http, Socket, TRANSFER, token};
use tokio::process::Command;
use uuid::Uuid;

use super::{Measured, node::Node};

const CHAIN: ChainId = ChainId(CHAIN_ID);

/// Blocks in a range: 10,000 logs.
const RANGE: u64 = 100;

const INSERT: &str = "INSERT INTO event (chain_id, block_number, log_index, block_hash, event_id, logical_id,
        block_timestamp, tx_hash, tx_index, address, contract_id, schema_id, params, origin, published)
    SELECT 31337, n, l, h, e, g, t, x, i, a, 1, 1, p::jsonb, 1, false
    FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bytea[],
        $8::bigint[], $9::bytea[], $10::text[]) AS r (n, l, h, e, g, t, x, i, a, p) ON CONFLICT DO NOTHING";

/// The loop as a process, from its start to its end.
pub(crate) async fn process(node: &Node, store: &str, parallel: u64, until: u64) -> anyhow::Result<Measured> {
    prepare(store).await?;
    let before = node.calls().await?;
    let began = super::now();
    let output = Command::new(std::env::current_exe()?)
        .args(["bare", &node.url, store, &parallel.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .env("CHAINBELL_BENCH_UNTIL", until.to_string())
        .output()
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(output.status.success(), "the bare loop failed: {}", output.status);
    let calls = super::node::between(&before, &node.calls().await?);
    let measured: Measured = serde_json::from_slice(&output.stdout)?;
    Ok(Measured { seconds, calls, rows: super::rows(store).await?, ..measured })
}

/// The tables, the contract and its schema, as `chainbell run` makes them.
pub(crate) async fn prepare(store: &str) -> anyhow::Result<()> {
    let made = Store::open(store).await?;
    made.register_chain(CHAIN, &"bench".parse()?, Timestamp::UNIX_EPOCH).await?;
    let (name, fingerprint) = ("token".parse()?, "bench".to_owned());
    let cursor = ContractCursor { name, start_block: 0, next_block: 0, live_from: 1 << 40, fingerprint };
    made.settle_contracts(CHAIN, &[cursor], 0).await?;
    let pool = PgPool::connect(store).await?;
    let schema = EventSchema { name: "Transfer".to_owned(), params: Vec::new(), anonymous: false };
    sqlx::query("INSERT INTO event_schema (declaration, schema) VALUES ($1, $2::jsonb)")
        .bind(schema.declaration())
        .bind(serde_json::to_string(&schema)?)
        .execute(&pool)
        .await?;
    made.close().await;
    Ok(())
}

/// A log as the node gives it.
#[expect(clippy::struct_field_names, reason = "the names of the JSON")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    block_hash: B256,
    block_timestamp: U64,
    transaction_hash: B256,
    transaction_index: U64,
    log_index: U64,
}

#[derive(Deserialize)]
struct Answer {
    result: Vec<Log>,
}

/// A row.
pub(crate) struct Row {
    log: RawLog,
    event: EventId,
    logical: LogicalId,
    params: String,
}

/// The rows of an answer to `eth_getLogs`.
pub(crate) fn decoded(answer: &[u8]) -> anyhow::Result<Vec<Row>> {
    let answer: Answer = serde_json::from_slice(answer)?;
    let raw = |log: Log| RawLog {
        address: log.address,
        topics: log.topics,
        data: log.data,
        block: BlockRef::new(log.block_number.to(), log.block_hash),
        block_timestamp: Some(log.block_timestamp.to()),
        tx_hash: log.transaction_hash,
        tx_index: log.transaction_index.to(),
        log_index: log.log_index.to(),
        removed: false,
    };
    let logs: Vec<_> = answer.result.into_iter().map(raw).collect();
    let ids = logical_ids(CHAIN, &logs);
    let row = |(log, logical): (RawLog, LogicalId)| {
        let [_, from, to] = log.topics.as_slice() else { anyhow::bail!("three topics") };
        let (from, to) = (Address::from_word(*from), Address::from_word(*to));
        let value = U256::try_from_be_slice(&log.data).context("a word")?;
        let params = format!("{{\"from\":\"{from}\",\"to\":\"{to}\",\"value\":\"{value}\"}}");
        Ok(Row { event: EventId::derive(CHAIN, log.block.hash, log.log_index), logical, params, log })
    };
    logs.into_iter().zip(ids).map(row).collect()
}

/// Inserts rows and moves the cursor, in one transaction.
pub(crate) async fn insert(pool: &PgPool, rows: &[Row], next: u64) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    insert_rows(&mut tx, rows).await?;
    sqlx::query("UPDATE contract SET next_block = $1 WHERE chain_id = $2 AND name = 'token'")
        .bind(next.cast_signed())
        .bind(CHAIN.0.cast_signed())
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}

async fn insert_rows(tx: &mut PgConnection, rows: &[Row]) -> anyhow::Result<()> {
    sqlx::query(INSERT)
        .bind(rows.iter().map(|row| row.log.block.number.cast_signed()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.log.log_index.cast_signed()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.log.block.hash.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.event.0).collect::<Vec<Uuid>>())
        .bind(rows.iter().map(|row| row.logical.0).collect::<Vec<Uuid>>())
        .bind(
            rows.iter()
                .map(|row| row.log.block_timestamp.unwrap_or_default().cast_signed())
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|row| row.log.tx_hash.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.log.tx_index.cast_signed()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.log.address.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.params.as_str()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// The live loop: heads from the subscription, logs by block hash, a transaction a block. It ends with its input.
pub(crate) async fn follow(url: &str, store: &str) -> anyhow::Result<()> {
    let pool = PgPool::connect(store).await?;
    let mut socket = Socket::connect(url).await?;
    socket.subscribe().await?;
    println!("listening");
    loop {
        let announced: Json = serde_json::from_str(&socket.announced().await?)?;
        let head = &announced["params"]["result"];
        let params = json!([{ "blockHash": head["hash"], "address": token(), "topics": [TRANSFER] }]);
        let answer = socket.ask("eth_getLogs", params).await?;
        let rows = decoded(answer.as_bytes())?;
        let number: U64 = serde_json::from_value(head["number"].clone())?;
        let [hash, parent]: [B256; 2] = [
            serde_json::from_value(head["hash"].clone())?,
            serde_json::from_value(head["parentHash"].clone())?,
        ];
        let mut tx = pool.begin().await?;
        let block = "INSERT INTO block (chain_id, number, hash, parent_hash, timestamp) VALUES (31337, $1, $2, $3, 0)";
        let number = number.to::<u64>().cast_signed();
        sqlx::query(block)
            .bind(number)
            .bind(hash.as_slice())
            .bind(parent.as_slice())
            .execute(&mut *tx)
            .await?;
        if !rows.is_empty() {
            insert_rows(&mut tx, &rows).await?;
        }
        sqlx::query("UPDATE chain SET tip_number = $1, tip_hash = $2 WHERE chain_id = 31337")
            .bind(number)
            .bind(hash.as_slice())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
}

/// The loop; prints what it measured of itself.
pub(crate) async fn run(url: &str, store: &str, parallel: usize) -> anyhow::Result<()> {
    let until: u64 = std::env::var("CHAINBELL_BENCH_UNTIL")?.parse()?;
    let pool = PgPool::connect(store).await?;
    let fetch = |from: u64| {
        let url = url.to_owned();
        async move {
            let task = tokio::spawn(async move {
                let began = super::now();
                let params = json!([{
                    "fromBlock": format!("0x{from:x}"), "toBlock": format!("0x{:x}", (from + RANGE - 1).min(until)),
                    "address": token(), "topics": [TRANSFER],
                }]);
                let answer = Http::connect(&url).await?.ask("eth_getLogs", params).await?;
                let (fetched, began) = (began.elapsed(), super::now());
                let rows = decoded(&answer)?;
                drop(answer);
                anyhow::Ok((from, rows, fetched, began.elapsed()))
            });
            task.await?
        }
    };
    let ranges: Vec<u64> = (0..=until).step_by(usize::try_from(RANGE)?).collect();
    // One at a time means that nothing is fetched while rows are inserted.
    let mut pieces = stream::iter(ranges).map(fetch).buffered(parallel.max(1));
    let (mut fetching, mut decoding, mut inserting) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    while let Some(piece) = pieces.next().await {
        let (from, rows, fetched, decoded) = piece?;
        let began = super::now();
        let next = (from + RANGE).min(until + 1);
        insert(&pool, &rows, next).await?;
        fetching += fetched;
        decoding += decoded;
        inserting += began.elapsed();
    }
    let part = |name: &str, time: Duration| (name.to_owned(), time.as_secs_f64());
    let measured = Measured {
        peak_bytes: super::peak_of(std::process::id()).unwrap_or_default(),
        parts: [part("fetch", fetching), part("decode", decoding), part("insert", inserting)].into(),
        ..Measured::default()
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
