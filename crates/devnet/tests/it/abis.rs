//! The JSON ABIs in `abi/`, checked against hashes that are printed in explorers and in the protocols' own
//! documents, and against what the Solidity compiler says of our contracts.

use std::collections::BTreeSet;
use std::path::Path;

use alloy_json_abi::JsonAbi;
use devnet::Artifact;

fn abi(name: &str) -> JsonAbi {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../abi").join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).expect("the ABI file can be read");
    serde_json::from_str(&text).expect("the ABI file is an ABI")
}

/// Each event's topic0 and its number of indexed parameters.
fn layouts(abi: &JsonAbi) -> BTreeSet<(String, usize)> {
    abi.events()
        .map(|event| {
            let indexed = event.inputs.iter().filter(|input| input.indexed).count();
            (event.selector().to_string(), indexed)
        })
        .collect()
}

/// File, event, number of indexed parameters, topic0.
const EVENTS: &[(&str, &str, usize, &str)] = &[
    ("erc20", "Transfer", 2, "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
    ("erc20", "Approval", 2, "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"),
    ("erc721", "Transfer", 3, "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
    ("erc721", "Approval", 3, "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"),
    ("erc721", "ApprovalForAll", 2, "17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31"),
    ("erc1155", "TransferSingle", 3, "c3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62"),
    ("erc1155", "TransferBatch", 3, "4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb"),
    ("erc1155", "ApprovalForAll", 2, "17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31"),
    ("erc1155", "URI", 1, "6bb7ff708619ba0610cba295a58592e0451dee2622938c8755667688daf3529b"),
    ("weth", "Transfer", 2, "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
    ("weth", "Approval", 2, "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"),
    ("weth", "Deposit", 1, "e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c"),
    ("weth", "Withdrawal", 1, "7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"),
    ("uniswap_v2_pair", "Transfer", 2, "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
    ("uniswap_v2_pair", "Approval", 2, "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"),
    ("uniswap_v2_pair", "Mint", 1, "4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f"),
    ("uniswap_v2_pair", "Burn", 2, "dccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496"),
    ("uniswap_v2_pair", "Swap", 2, "d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"),
    ("uniswap_v2_pair", "Sync", 0, "1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"),
    ("uniswap_v3_pool", "Initialize", 0, "98636036cb66a9c19a37435efc1e90142190214e8abeb821bdba3f2990dd4c95"),
    ("uniswap_v3_pool", "Mint", 3, "7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde"),
    ("uniswap_v3_pool", "Collect", 3, "70935338e69775456a85ddef226c395fb668b63fa0115f5f20610b388e6ca9c0"),
    ("uniswap_v3_pool", "Burn", 3, "0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c"),
    ("uniswap_v3_pool", "Swap", 2, "c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"),
    ("uniswap_v3_pool", "Flash", 2, "bdbdb71d7860376ba52b25a5028beea23581364a40522f6bcfb86bb1f2dca633"),
    (
        "uniswap_v3_pool",
        "IncreaseObservationCardinalityNext",
        0,
        "ac49e518f90a358f652e4400164f05a5d8f7e35e7747279bc3a93dbf584e125a",
    ),
    (
        "uniswap_v3_pool",
        "SetFeeProtocol",
        0,
        "973d8d92bb299f4af6ce49b52a8adb85ae46b9f214c4c4fc06ac77401237b133",
    ),
    (
        "uniswap_v3_pool",
        "CollectProtocol",
        2,
        "596b573906218d3411850b26a6b437d6c4522fdb43d2d2386263f86d50b8b151",
    ),
    (
        "uniswap_v3_factory",
        "OwnerChanged",
        2,
        "b532073b38c83145e3e5135377a08bf9aab55bc0fd7c1179cd4fb995d2a5159c",
    ),
    (
        "uniswap_v3_factory",
        "PoolCreated",
        3,
        "783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118",
    ),
    (
        "uniswap_v3_factory",
        "FeeAmountEnabled",
        2,
        "c66a3fdf07232cdd185febcc6579d408c241b47ae2f9907d84be655141eeaecc",
    ),
];

#[test]
fn every_event_of_every_abi_has_its_published_topic() {
    let files: BTreeSet<&str> = EVENTS.iter().map(|(file, ..)| *file).collect();
    for file in files {
        let published = EVENTS.iter().filter(|(of, ..)| *of == file);
        let published: BTreeSet<(String, usize)> =
            published.map(|(_, _, indexed, topic0)| (format!("0x{topic0}"), *indexed)).collect();
        assert_eq!(layouts(&abi(file)), published, "{file}");
    }
    for (file, name, indexed, topic0) in EVENTS {
        let abi = abi(file);
        let event = &abi.event(name).unwrap_or_else(|| panic!("{file} has {name}"))[0];
        let found = event.inputs.iter().filter(|input| input.indexed).count();
        assert_eq!((event.selector().to_string(), found), (format!("0x{topic0}"), *indexed), "{file} {name}");
    }
}

#[test]
fn functions_have_their_published_selectors() {
    let published = [
        ("erc20", "transfer", "a9059cbb"),
        ("erc20", "transferFrom", "23b872dd"),
        ("erc20", "decimals", "313ce567"),
        ("erc721", "ownerOf", "6352211e"),
        ("erc721", "tokenURI", "c87b56dd"),
        ("erc1155", "safeTransferFrom", "f242432a"),
        ("erc1155", "safeBatchTransferFrom", "2eb2c2d6"),
        ("erc1155", "balanceOfBatch", "4e1273f4"),
        ("weth", "deposit", "d0e30db0"),
        ("weth", "withdraw", "2e1a7d4d"),
        ("uniswap_v2_pair", "getReserves", "0902f1ac"),
        ("uniswap_v2_pair", "swap", "022c0d9f"),
        ("uniswap_v2_pair", "permit", "d505accf"),
        ("uniswap_v3_pool", "slot0", "3850c7bd"),
        ("uniswap_v3_pool", "swap", "128acb08"),
        ("uniswap_v3_pool", "mint", "3c8a7d8d"),
        ("uniswap_v3_pool", "observe", "883bdbfd"),
        ("uniswap_v3_factory", "getPool", "1698ee82"),
        ("uniswap_v3_factory", "createPool", "a1671295"),
    ];
    for (file, name, selector) in published {
        let abi = abi(file);
        let function = &abi.function(name).unwrap_or_else(|| panic!("{file} has {name}"))[0];
        assert_eq!(function.selector().to_string(), format!("0x{selector}"), "{file} {name}");
    }
}

#[test]
fn our_contracts_emit_the_events_of_the_standards() {
    for (artifact, file) in [(Artifact::Token, "erc20"), (Artifact::Collectible, "erc721")] {
        let compiled: JsonAbi = serde_json::from_str(&artifact.abi_json()).expect("it is an ABI");
        assert_eq!(layouts(&compiled), layouts(&abi(file)), "{artifact:?}");
        for standard in abi(file).events() {
            let ours = &compiled.event(&standard.name).expect("the same events")[0];
            let names = |event: &alloy_json_abi::Event| {
                event.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>()
            };
            assert_eq!(names(ours), names(standard), "{artifact:?} {}", standard.name);
        }
    }
}
