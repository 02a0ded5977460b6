//! The ABIs that come with the program, against the hashes that explorers show.

use std::path::PathBuf;

use abi::AbiFile;
use alloy_primitives::hex;

fn shipped(file: &str) -> AbiFile {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../abi").join(file);
    AbiFile::load(path).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn has(file: &str, name: &str, topic0: &str) {
    let abi = shipped(file);
    let found: Vec<_> = abi.events.iter().filter(|event| event.name == name).collect();
    assert_eq!(found.len(), 1, "{file} has {name}");
    assert_eq!(hex::encode_prefixed(found[0].topic0()), topic0, "{file} {name}");
}

const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const APPROVAL: &str = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925";

#[test]
fn erc20_has_its_events() {
    has("erc20.json", "Transfer", TRANSFER);
    has("erc20.json", "Approval", APPROVAL);
    assert_eq!(shipped("erc20.json").events[0].topic_count(), 3);
}

#[test]
fn erc721_has_its_events_with_an_indexed_token_id() {
    has("erc721.json", "Transfer", TRANSFER);
    has("erc721.json", "Approval", APPROVAL);
    has(
        "erc721.json",
        "ApprovalForAll",
        "0x17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31",
    );
    let transfer = shipped("erc721.json").events.into_iter().find(|event| event.name == "Transfer").unwrap();
    assert_eq!(transfer.topic_count(), 4);
}

#[test]
fn erc1155_has_its_events() {
    has(
        "erc1155.json",
        "TransferSingle",
        "0xc3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62",
    );
    has(
        "erc1155.json",
        "TransferBatch",
        "0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb",
    );
    has("erc1155.json", "URI", "0x6bb7ff708619ba0610cba295a58592e0451dee2622938c8755667688daf3529b");
}

#[test]
fn weth_has_its_events() {
    has("weth.json", "Deposit", "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c");
    has("weth.json", "Withdrawal", "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65");
    has("weth.json", "Transfer", TRANSFER);
}

#[test]
fn the_uniswap_v2_pair_has_its_events() {
    has("uniswap_v2_pair.json", "Swap", "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822");
    has("uniswap_v2_pair.json", "Sync", "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1");
    has("uniswap_v2_pair.json", "Mint", "0x4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f");
    has("uniswap_v2_pair.json", "Burn", "0xdccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496");
}

#[test]
fn the_uniswap_v3_pool_has_its_events() {
    has("uniswap_v3_pool.json", "Swap", "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67");
    has("uniswap_v3_pool.json", "Mint", "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde");
    has("uniswap_v3_pool.json", "Burn", "0x0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c");
    has(
        "uniswap_v3_pool.json",
        "Initialize",
        "0x98636036cb66a9c19a37435efc1e90142190214e8abeb821bdba3f2990dd4c95",
    );
}
