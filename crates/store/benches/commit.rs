//! Committing a block of 1,000 events: with its messages, and as a piece of the past of which nobody is told; each
//! dialect, beside a bare `INSERT … UNNEST` of the event rows alone on PostgreSQL, in one run.
//!
//! Needs `CHAINBELL_TEST_POSTGRES`; `scripts/bench commit` sets it.

#![expect(missing_docs, reason = "criterion's macros make public items")]

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use domain::{
    BlockRef, ChainId, ChainName, Content, Event, EventId, EventParam, EventSchema, Fields, Header,
    LogicalId, Origin, ParamType, Value,
};
use jiff::Timestamp;
use store::{BackfillCommit, ChainCommit, ContractCursor, Publish, Store};
use tokio::runtime::Runtime;

const CHAIN: ChainId = ChainId(1);
const EVENTS: u64 = 1_000;

fn header(number: u64) -> Header {
    let hash = |number: u64| B256::from(U256::from(number));
    Header {
        block: BlockRef::new(number, hash(number)),
        parent: hash(number - 1),
        timestamp: number,
        bloom: None,
    }
}

fn events(schema: &Arc<EventSchema>, number: u64) -> Vec<Event> {
    let block = header(number).block;
    (0..EVENTS)
        .map(|log_index| {
            let tx_hash = B256::from(U256::from(number) << 64 | U256::from(log_index));
            let params = Fields::named([
                ("from", Value::Address(Address::repeat_byte(1))),
                ("to", Value::Address(Address::repeat_byte(2))),
                ("value", Value::Uint(U256::from(log_index))),
            ]);
            Event {
                id: EventId::derive(CHAIN, block.hash, log_index),
                logical: LogicalId::derive(CHAIN, tx_hash, B256::ZERO, 0),
                chain: CHAIN,
                block,
                block_timestamp: number,
                tx_hash,
                tx_index: log_index,
                log_index,
                address: Address::repeat_byte(9),
                contract: "token".parse().expect("a name"),
                content: Content::Decoded { schema: Arc::clone(schema), params },
                origin: Origin::Live,
            }
        })
        .collect()
}

fn schema() -> EventSchema {
    let param = |name: &str, ty, indexed| EventParam { name: name.to_owned(), ty, indexed };
    EventSchema {
        name: "Transfer".to_owned(),
        params: vec![
            param("from", ParamType::Address, true),
            param("to", ParamType::Address, true),
            param("value", ParamType::Uint(256), false),
        ],
        anonymous: false,
    }
}

async fn prepared(url: &str, name: &ChainName) -> Store {
    let store = Store::open(url).await.expect("the store opens");
    store.register_chain(CHAIN, name, Timestamp::UNIX_EPOCH).await.expect("a chain");
    let token = "token".parse().expect("a name");
    let cursor = ContractCursor {
        name: token,
        start_block: 0,
        next_block: 0,
        live_from: 1,
        fingerprint: "one".to_owned(),
    };
    store.settle_contracts(CHAIN, &[cursor], 0).await.expect("a contract");
    store
}

const fn past<'a>(name: &'a ChainName, events: &'a [Event]) -> BackfillCommit<'a> {
    BackfillCommit {
        chain: CHAIN,
        name,
        contracts: &[],
        block: None,
        events,
        children: &[],
        publish: Publish::No,
        fence: None,
        now: Timestamp::UNIX_EPOCH,
    }
}

fn commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a run time");
    let schema = Arc::new(schema());
    let name: ChainName = "bench".parse().expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        std::env::var("CHAINBELL_TEST_POSTGRES").expect("scripts/bench sets CHAINBELL_TEST_POSTGRES");
    let database = format!("bench_{}", uuid::Uuid::new_v4().simple());
    let postgres = runtime.block_on(store::create_database(&server, &database)).expect("a database");
    let sqlite = format!("sqlite://{}", folder.path().join("bench.db").display());
    let mut group = criterion.benchmark_group("commit a block of 1,000 events");
    group.sample_size(20).throughput(Throughput::Elements(EVENTS));
    for (label, url) in [("PostgreSQL", postgres.as_str()), ("SQLite", sqlite.as_str())] {
        let store = runtime.block_on(prepared(url, &name));
        let mut next = 1;
        group.bench_function(label, |bench| {
            bench.iter_batched(
                || {
                    next += 1;
                    (next - 1, events(&schema, next - 1))
                },
                |(number, events)| {
                    let header = header(number);
                    let expected = (number > 1).then(|| BlockRef::new(number - 1, header.parent));
                    runtime
                        .block_on(store.commit_chain(&ChainCommit {
                            chain: CHAIN,
                            name: &name,
                            expected_tip: expected,
                            ancestor: None,
                            headers: std::slice::from_ref(&header),
                            events: &events,
                            children: &[],
                            publish: Publish::News,
                            tip: header.block,
                            fence: None,
                            now: Timestamp::UNIX_EPOCH,
                        }))
                        .expect("it commits")
                },
                BatchSize::PerIteration,
            );
        });
    }
    backfill(&mut group, &runtime, &schema, [&postgres, &sqlite]);
    let pool = runtime.block_on(sqlx::PgPool::connect(&postgres)).expect("a pool");
    let mut next = 1_000_000;
    group.bench_function("bare UNNEST of the event rows", |bench| {
        bench.iter_batched(
            || {
                next += 1;
                events(&schema, next)
            },
            |events| runtime.block_on(bare(&pool, &events)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

// Pieces of the past of which nobody is told: beside the bare statement only the transaction and a few columns more.
fn backfill(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    schema: &Arc<EventSchema>,
    [postgres, sqlite]: [&str; 2],
) {
    let name: ChainName = "bench".parse().expect("a name");
    for (label, url) in [("the past, PostgreSQL", postgres), ("the past, SQLite", sqlite)] {
        let store = runtime.block_on(prepared(url, &name));
        let mut next = 500_000;
        group.bench_function(label, |bench| {
            bench.iter_batched(
                || {
                    next += 1;
                    events(schema, next)
                },
                |events| runtime.block_on(store.commit_backfill(&past(&name, &events))).expect("it commits"),
                BatchSize::PerIteration,
            );
        });
    }
}

async fn bare(pool: &sqlx::PgPool, events: &[Event]) {
    let statement = "INSERT INTO event (chain_id, block_number, log_index, block_hash, event_id, logical_id,
            block_timestamp, tx_hash, tx_index, address, contract_id, schema_id, params, origin)
        SELECT 1, n, l, h, e, g, t, x, i, a, 1, 1, p::jsonb, 0
        FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bytea[],
            $8::bigint[], $9::bytea[], $10::text[]) AS r (n, l, h, e, g, t, x, i, a, p) ON CONFLICT DO NOTHING";
    let params = |event: &Event| match &event.content {
        Content::Decoded { params, .. } => params.to_json().to_string(),
        Content::Undecoded { .. } => "{}".to_owned(),
    };
    sqlx::query(statement)
        .bind(events.iter().map(|e| e.block.number.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.log_index.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.block.hash.to_vec()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.id.0).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.logical.0).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.block_timestamp.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.tx_hash.to_vec()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.tx_index.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.address.to_vec()).collect::<Vec<_>>())
        .bind(events.iter().map(params).collect::<Vec<_>>())
        .execute(pool)
        .await
        .expect("it inserts");
}

criterion_group!(benches, commit);
criterion_main!(benches);
