//! Decoding one ERC-20 transfer: ours, beside alloy's dynamic decoder, in one run.

#![expect(missing_docs, reason = "criterion's macros make public items")]

use std::{hint::black_box, sync::Arc};

use abi::{AbiFile, Decoder};
use alloy_dyn_abi::{DynSolEvent, DynSolType};
use alloy_primitives::{Address, B256, Bytes, U256};
use criterion::{Criterion, criterion_group, criterion_main};
use domain::{BlockRef, Catalog, ChainId, Contract, RawLog, StartBlock};

fn transfer(topic0: B256, token: Address) -> RawLog {
    RawLog {
        address: token,
        topics: vec![topic0, Address::repeat_byte(1).into_word(), Address::repeat_byte(2).into_word()],
        data: Bytes::from(U256::from(1_000_000).to_be_bytes_vec()),
        block: BlockRef::new(1, B256::repeat_byte(3)),
        block_timestamp: Some(1),
        tx_hash: B256::repeat_byte(4),
        tx_index: 0,
        log_index: 0,
        removed: false,
    }
}

fn decode(criterion: &mut Criterion) {
    let token = Address::repeat_byte(9);
    let file = AbiFile::parse("erc20.json", include_str!("../../../abi/erc20.json")).expect("it is an ABI");
    let contract = Contract {
        name: "token".parse().expect("a name"),
        chain: ChainId(1),
        addresses: vec![token],
        factory: None,
        events: file.events.into_iter().map(Arc::new).collect(),
        start: StartBlock::Latest,
    };
    let topic0 = contract.events[0].topic0();
    let decoder = Decoder::new(Arc::new(Catalog::new(vec![contract])));
    let log = transfer(topic0, token);
    let indexed = vec![DynSolType::Address, DynSolType::Address];
    let theirs = DynSolEvent::new(Some(topic0), indexed, DynSolType::Tuple(vec![DynSolType::Uint(256)]));
    let theirs = theirs.expect("it is an event");
    let mut group = criterion.benchmark_group("decode one transfer");
    group.bench_function("chainbell, from address to named parameters", |bench| {
        bench.iter(|| decoder.decode(ChainId(1), black_box(&log)));
    });
    group.bench_function("alloy-dyn-abi, values only", |bench| {
        bench.iter(|| theirs.decode_log_parts(black_box(&log.topics).iter().copied(), black_box(&log.data)));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
