//! Logs and catalogs for the tests, with only what matters spelt out.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use domain::{BlockRef, Catalog, ChainId, Content, Contract, EventSchema, Fields, RawLog, StartBlock};

pub(crate) const MAINNET: ChainId = ChainId(1);

/// The address that `contract` names and `log` is emitted by.
pub(crate) const TOKEN: Address = Address::repeat_byte(0x70);

pub(crate) fn event(signature: &str) -> Arc<EventSchema> {
    Arc::new(abi::parse_signature(signature).unwrap())
}

pub(crate) fn erc20() -> Arc<EventSchema> {
    event("event Transfer(address indexed from, address indexed to, uint256 value)")
}

pub(crate) fn erc721() -> Arc<EventSchema> {
    event("event Transfer(address indexed from, address indexed to, uint256 indexed tokenId)")
}

pub(crate) fn contract(name: &str, addresses: &[Address], events: &[Arc<EventSchema>]) -> Contract {
    Contract {
        name: name.parse().unwrap(),
        chain: MAINNET,
        addresses: addresses.to_vec(),
        factory: None,
        events: events.to_vec(),
        start: StartBlock::Latest,
    }
}

pub(crate) fn decoder(contracts: Vec<Contract>) -> abi::Decoder {
    abi::Decoder::new(Arc::new(Catalog::new(contracts)))
}

pub(crate) fn log(topics: &[B256], data: &[u8]) -> RawLog {
    RawLog {
        address: TOKEN,
        topics: topics.to_vec(),
        data: Bytes::copy_from_slice(data),
        block: BlockRef::new(7, B256::repeat_byte(7)),
        block_timestamp: None,
        tx_hash: B256::repeat_byte(9),
        tx_index: 1,
        log_index: 2,
        removed: false,
    }
}

/// A word of a small number.
pub(crate) fn word(number: u64) -> B256 {
    U256::from(number).into()
}

/// Words one behind the other.
pub(crate) fn words(words: &[B256]) -> Vec<u8> {
    words.iter().flat_map(|word| word.0).collect()
}

/// An ERC-20 transfer of 5 from 1 to 2.
pub(crate) fn transfer_log() -> RawLog {
    log(&[erc20().topic0(), word(1), word(2)], &words(&[word(5)]))
}

#[track_caller]
pub(crate) fn params(content: &Content) -> &Fields {
    match content {
        Content::Decoded { params, .. } => params,
        Content::Undecoded { reason, .. } => panic!("undecoded: {reason}"),
    }
}

#[track_caller]
pub(crate) fn reason(content: &Content) -> &str {
    match content {
        Content::Decoded { schema, .. } => panic!("decoded as {}", schema.declaration()),
        Content::Undecoded { reason, .. } => reason,
    }
}
