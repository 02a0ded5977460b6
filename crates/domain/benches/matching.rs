//! One event against 100,000 watches: the index, beside asking every filter, in one run. And a block of 200 transfers
//! against 1,000,000 watches over 200,000 addresses, with the memory that a watch takes.

#![expect(missing_docs, reason = "criterion's macros make public items")]

use std::{hint::black_box, sync::Arc};

use alloy_primitives::{Address, B256, U256};
use criterion::{Criterion, criterion_group, criterion_main};
use domain::{
    BlockRef, Catalog, ChainId, Content, Contract, DeliverAt, Event, EventId, EventParam, EventSchema,
    Fields, LogicalId, Origin, ParamType, StartBlock, Strategy, Value, Watch, filter::Filter,
    matching::WatchIndex,
};

const WATCHES: u64 = 100_000;
const MILLION: u64 = 1_000_000;
const ADDRESSES: u64 = 200_000;
const BLOCK: u64 = 200;

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

fn account(number: u64) -> Address {
    let mut bytes = [0x11; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Address::from(bytes)
}

fn watch(number: u64) -> Watch {
    Watch {
        id: format!("w{number}").parse().expect("a name"),
        recipient: "r".parse().expect("a name"),
        contract: "token".parse().expect("a name"),
        event: "Transfer".to_owned(),
        filter: Some(format!("to == {} and value >= {number}", account(number))),
        strategy: Strategy::Immediate,
        telling: domain::Telling::default(),
        deliver_at: DeliverAt::Seen,
        paused: false,
        from_file: false,
    }
}

fn event(schema: &Arc<EventSchema>) -> Event {
    transfer(schema, account(1), account(WATCHES / 2))
}

fn transfer(schema: &Arc<EventSchema>, from: Address, to: Address) -> Event {
    let params = Fields::named([
        ("from", Value::Address(from)),
        ("to", Value::Address(to)),
        ("value", Value::Uint(U256::MAX)),
    ]);
    Event {
        id: EventId::derive(ChainId(1), B256::ZERO, 0),
        logical: LogicalId::derive(ChainId(1), B256::ZERO, B256::ZERO, 0),
        chain: ChainId(1),
        block: BlockRef::new(1, B256::ZERO),
        block_timestamp: 0,
        tx_hash: B256::ZERO,
        tx_index: 0,
        log_index: 0,
        address: Address::repeat_byte(9),
        contract: "token".parse().expect("a name"),
        content: Content::Decoded { schema: Arc::clone(schema), params },
        origin: Origin::Live,
    }
}

/// Resident memory in bytes; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

fn a_block_against_a_million(criterion: &mut Criterion) {
    let schema = Arc::new(schema());
    let before = resident();
    let watches = (0..MILLION).map(|number| {
        let to = account(number % ADDRESSES);
        Watch { filter: Some(format!("to == {to} and value >= {}", number / ADDRESSES)), ..watch(number) }
    });
    let (index, problems) = WatchIndex::build(&catalog(&schema), watches);
    assert!(problems.is_empty(), "{problems:?}");
    eprintln!("{} bytes for each of {MILLION} watches", resident().saturating_sub(before) / MILLION);
    // Every other transfer is of a watched address.
    let block: Vec<_> = (0..BLOCK)
        .map(|number| {
            transfer(
                &schema,
                account(ADDRESSES * 2),
                account(number * ADDRESSES / BLOCK * (1 + number % 2 * 5)),
            )
        })
        .collect();
    let asked: usize = block.iter().map(|event| index.candidates(event)).sum();
    let found: usize = block.iter().map(|event| index.matches(event).len()).sum();
    assert!(
        asked == found && found > 0 && asked as u64 <= BLOCK * (MILLION / ADDRESSES),
        "{asked} asked, {found} found"
    );
    eprintln!("{asked} of {MILLION} filters are evaluated for a block of {BLOCK} transfers");
    criterion.bench_function("a block of 200 transfers, 1,000,000 watches over 200,000 addresses", |bench| {
        bench.iter(|| block.iter().map(|event| index.matches(black_box(event)).len()).sum::<usize>());
    });
}

fn catalog(schema: &Arc<EventSchema>) -> Arc<Catalog> {
    let contract = Contract {
        name: "token".parse().expect("a name"),
        chain: ChainId(1),
        addresses: vec![Address::repeat_byte(9)],
        factory: None,
        events: vec![Arc::clone(schema)],
        start: StartBlock::Latest,
    };
    Arc::new(Catalog::new(vec![contract]))
}

fn matching(criterion: &mut Criterion) {
    let schema = Arc::new(schema());
    let catalog = catalog(&schema);
    let watches: Vec<_> = (0..WATCHES).map(watch).collect();
    let source = |watch: &Watch| watch.filter.clone().unwrap_or_default();
    let filters: Vec<_> =
        watches.iter().map(|watch| Filter::compile(&source(watch), &schema).expect("it compiles")).collect();
    let (index, problems) = WatchIndex::build(&catalog, watches);
    assert!(problems.is_empty(), "{problems:?}");
    let event = event(&schema);
    let mut group = criterion.benchmark_group("one event, 100,000 watches");
    group.bench_function("the index", |bench| bench.iter(|| index.matches(black_box(&event)).len()));
    group.sample_size(10);
    group.bench_function("every filter", |bench| {
        bench.iter(|| filters.iter().filter(|filter| filter.matches(black_box(&event))).count());
    });
    group.finish();
}

criterion_group!(benches, a_block_against_a_million, matching);
criterion_main!(benches);
