//! The ABIs that come along: which of their events is of which kind.

use std::{path::PathBuf, sync::Arc};

use alloy_primitives::{Address, I256, U256};
use domain::{Content, Fields, ParamType, Value};

use crate::texts_world::{BELL, World, stored};

fn nothing(ty: &ParamType) -> Value {
    match ty {
        ParamType::Uint(_) => Value::Uint(U256::ZERO),
        ParamType::Int(_) => Value::Int(I256::ZERO),
        ParamType::Address => Value::Address(Address::ZERO),
        ParamType::Bool => Value::Bool(false),
        ParamType::FixedBytes(_) | ParamType::Bytes | ParamType::Function | ParamType::Opaque(_) => {
            Value::Bytes([].into())
        }
        ParamType::String => Value::String(String::new()),
        ParamType::Array(_) | ParamType::FixedArray(..) => Value::Array(Vec::new()),
        ParamType::Tuple(fields) => {
            Value::Tuple(Fields::named(fields.iter().map(|field| (field.name.as_str(), nothing(&field.ty)))))
        }
    }
}

/// The kinds that are told of the events of a file, by the events' names.
fn kinds(file: &str) -> Vec<(String, &'static str)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../abi").join(file);
    let kind = |schema: &domain::EventSchema| {
        let params = schema.params.iter().map(|param| (param.name.as_str(), nothing(&param.ty)));
        let content = Content::Decoded { params: Fields::named(params), schema: Arc::new(schema.clone()) };
        let kind = World::new("en").render(&[stored(content, BELL, 0)]).kind;
        (schema.name.clone(), kind)
    };
    let mut kinds: Vec<_> = abi::AbiFile::load(path).unwrap().events.iter().map(kind).collect();
    kinds.retain(|(_, kind)| *kind != "contract_event");
    kinds.sort();
    kinds
}

#[test]
fn the_events_of_the_abis_that_come_along_are_of_their_kinds() {
    let expect = |file, expected: &[(&str, &str)]| {
        let kinds = kinds(file);
        let kinds: Vec<_> = kinds.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        assert_eq!(kinds, expected, "{file}");
    };
    expect("erc20.json", &[("Approval", "approval"), ("Transfer", "erc20_transfer")]);
    expect(
        "erc721.json",
        &[("Approval", "approval"), ("ApprovalForAll", "approval"), ("Transfer", "erc721_transfer")],
    );
    expect(
        "erc1155.json",
        &[
            ("ApprovalForAll", "approval"),
            ("TransferBatch", "erc1155_transfer"),
            ("TransferSingle", "erc1155_transfer"),
        ],
    );
    expect("weth.json", &[("Approval", "approval"), ("Transfer", "erc20_transfer")]);
    // A pair is itself an ERC-20 token.
    expect(
        "uniswap_v2_pair.json",
        &[
            ("Approval", "approval"),
            ("Burn", "liquidity"),
            ("Mint", "liquidity"),
            ("Swap", "swap"),
            ("Transfer", "erc20_transfer"),
        ],
    );
    expect("uniswap_v3_pool.json", &[("Burn", "liquidity"), ("Mint", "liquidity"), ("Swap", "swap")]);
    expect("uniswap_v3_factory.json", &[]);
}
