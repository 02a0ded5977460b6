//! A block by its receipts: what they prove, and what refutes them.

use alloy_primitives::{Address, B256, U256};
use domain::{BlockRef, ChainClient, ChainError, LogFilter, LogQuery, Proof, Providers};
use serde_json::{Value as Json, json};
use testkit::{
    anvil::TestAnvil,
    scripted_node::{LogSpec, Reply, ScriptedBlock, ScriptedNode},
};

use super::world::{config, connect, scripted_http};
use chain::Node;

const TOKEN: Address = Address::repeat_byte(0xaa);
const TOPIC: B256 = B256::repeat_byte(0xbb);

/// A node with a block of five logs in three transactions.
async fn world() -> anyhow::Result<(ScriptedNode, Node, ScriptedBlock)> {
    let (scripted, node) = scripted_http().await?;
    let logs = [1, 1, 2, 3, 3].map(|tx| LogSpec::new(TOKEN, TOPIC, tx)).to_vec();
    let block = scripted.chain(|chain| chain.mine(logs));
    Ok((scripted, node, block))
}

fn receipts(block: &ScriptedBlock, change: impl FnOnce(&mut Vec<Json>)) -> Reply {
    let mut receipts = block.receipts_json();
    change(&mut receipts);
    Reply::Result(receipts.into())
}

fn word(proof: &Proof) -> &str {
    match proof {
        Proof::Word(why) => why,
        Proof::Root => panic!("it is proved"),
    }
}

#[tokio::test]
async fn the_receipts_of_anvil_hash_to_the_root_and_hold_the_logs() -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let token = anvil.token().await?;
    let [alice, bob] = [anvil.account(0), anvil.account(1)];
    let sent = anvil.send(token.transfer_many(alice, bob, U256::from(1), 150)).await?;
    for url in [anvil.ws_url(), anvil.http_url()] {
        let node = connect(config(&[url])).await?;
        let block = BlockRef::new(sent.block_number, sent.block_hash);
        let found = node.receipts(block).await?.unwrap();
        assert_eq!((found.proof, found.header.block), (Proof::Root, block));
        assert_eq!(found.logs, node.logs(LogQuery::Block(block), &LogFilter::default()).await?);
        assert_eq!(found.logs.len(), 150);
        // A block with several transactions, and one with none.
        anvil.set_automine(false).await?;
        let transfers = [1, 2, 3].map(|value| token.transfer(alice, bob, U256::from(value)));
        anvil.submit(&transfers).await?;
        anvil.mine(1).await?;
        anvil.set_automine(true).await?;
        let several = anvil.head().await?;
        anvil.mine(1).await?;
        let none = anvil.head().await?;
        for (block, logs) in [(several, 3), (none, 0)] {
            let found = node.receipts(BlockRef::new(block.number, block.hash)).await?.unwrap();
            assert_eq!((found.proof, found.logs.len()), (Proof::Root, logs));
        }
        assert_eq!(node.receipts(BlockRef::new(1, B256::repeat_byte(9))).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_log_that_is_missing_under_the_right_hash_is_in_the_receipts() -> anyhow::Result<()> {
    let (scripted, node, block) = world().await?;
    let mut logs = block.logs_json();
    logs.remove(2);
    scripted.always("eth_getLogs", Reply::Result(logs.into()));
    let told = node.logs(LogQuery::Block(block.block), &LogFilter::default()).await?;
    let found = node.receipts(block.block).await?.unwrap();
    assert_eq!((told.len(), found.logs.len(), found.proof), (4, 5, Proof::Root));
    assert_eq!(found.logs.iter().map(|log| log.log_index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    Ok(())
}

#[tokio::test]
async fn receipts_that_do_not_hash_to_the_root_are_a_lie() -> anyhow::Result<()> {
    type Spoil = fn(&mut Vec<Json>);
    let cases: [(&str, Spoil); 4] = [
        ("a log less", |receipts| receipts[2]["logs"] = json!([receipts[2]["logs"][0]])),
        ("no logs", |receipts| receipts[1]["logs"] = json!([])),
        ("another log", |receipts| receipts[0]["logs"][0]["data"] = json!("0x01")),
        ("another outcome", |receipts| receipts[0]["status"] = json!("0x0")),
    ];
    for (what, spoil) in cases {
        let (scripted, node, block) = world().await?;
        scripted.next("eth_getBlockReceipts", receipts(&block, spoil));
        let error = node.receipts(block.block).await.expect_err(what);
        assert!(
            matches!(&error, ChainError::Incoherent { detail, .. } if detail.contains("receipts root")),
            "{what}: {error}"
        );
        assert_eq!(node.providers()[0].lies, 1, "{what}");
        assert_eq!(node.receipts(block.block).await?.unwrap().proof, Proof::Root);
    }
    Ok(())
}

#[tokio::test]
async fn receipts_that_contradict_each_other_or_the_question_are_incoherent() -> anyhow::Result<()> {
    type Spoil = fn(&mut Vec<Json>);
    let cases: [(&str, Spoil); 10] = [
        ("a null in the list", |receipts| receipts[1] = Json::Null),
        ("an empty object in the list", |receipts| receipts[1] = json!({})),
        ("null in place of logs", |receipts| receipts[1]["logs"] = Json::Null),
        ("out of order", |receipts| receipts.swap(0, 1)),
        ("another block", |receipts| receipts[1]["blockHash"] = json!(B256::ZERO)),
        ("no index", |receipts| receipts[1]["transactionIndex"] = Json::Null),
        ("a log of another block", |receipts| receipts[1]["logs"][0]["blockHash"] = json!(B256::ZERO)),
        ("a log of another transaction", |receipts| {
            receipts[1]["logs"][0]["transactionHash"] = json!(B256::ZERO);
        }),
        ("an index twice", |receipts| receipts[1]["logs"][0]["logIndex"] = json!("0x1")),
        ("a null field", |receipts| receipts[1]["logs"][0]["logIndex"] = Json::Null),
    ];
    for (what, spoil) in cases {
        let (scripted, node, block) = world().await?;
        scripted.next("eth_getBlockReceipts", receipts(&block, spoil));
        let error = node.receipts(block.block).await.expect_err(what);
        assert!(matches!(error, ChainError::Incoherent { .. }), "{what}: {error}");
        assert_eq!(node.providers()[0].lies, 0, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn receipts_and_logs_that_are_there_twice_count_once() -> anyhow::Result<()> {
    let (scripted, node, block) = world().await?;
    let copies = |receipts: &mut Vec<Json>| {
        receipts[0]["logs"] = json!([receipts[0]["logs"][0], receipts[0]["logs"][0], receipts[0]["logs"][1]]);
        receipts.insert(1, receipts[0].clone());
    };
    let whole = node.receipts(block.block).await?;
    scripted.next("eth_getBlockReceipts", receipts(&block, copies));
    assert_eq!(node.receipts(block.block).await?, whole);
    Ok(())
}

#[tokio::test]
async fn fewer_receipts_than_transactions_prove_nothing_and_are_no_fault_of_the_node() -> anyhow::Result<()> {
    for missing in 0..3 {
        let (scripted, node, block) = world().await?;
        scripted.always("eth_getBlockReceipts", receipts(&block, |receipts| drop(receipts.remove(missing))));
        for _ in 0..3 {
            let error = node.receipts(block.block).await.unwrap_err();
            let ChainError::Unproved { detail, .. } = &error else { panic!("{error}") };
            assert_eq!(detail, "2 receipts for 3 transactions");
        }
        assert_eq!((node.providers()[0].score, node.providers()[0].lies), (100, 0));
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_hashed_is_the_nodes_word() -> anyhow::Result<()> {
    let (scripted, node, block) = world().await?;
    scripted.next("eth_getBlockReceipts", receipts(&block, |receipts| receipts[0]["type"] = json!("0x7e")));
    let found = node.receipts(block.block).await?.unwrap();
    assert!(word(&found.proof).contains("type 0x7e"), "{:?}", found.proof);

    // A header with fields that only this chain knows has a hash that only it can make.
    let mut header = block.header_json();
    header["gasUsed"] = json!("0x1");
    scripted.next("eth_getBlockByHash", Reply::Result(header.clone()));
    let found = node.receipts(block.block).await?.unwrap();
    assert!(word(&found.proof).contains("does not hash"), "{:?}", found.proof);

    header.as_object_mut().unwrap().remove("mixHash");
    scripted.next("eth_getBlockByHash", Reply::Result(header));
    let found = node.receipts(block.block).await?.unwrap();
    assert!(word(&found.proof).contains("lacks"), "{:?}", found.proof);
    assert_eq!(node.providers()[0].lies, 0);
    Ok(())
}

#[tokio::test]
async fn the_logs_of_a_bridge_in_no_root_are_the_nodes_word() -> anyhow::Result<()> {
    let (scripted, node, block) = world().await?;
    let bridge = |receipts: &mut Vec<Json>| {
        let mut receipt = receipts[2].clone();
        receipt["transactionHash"] = json!(B256::repeat_byte(7));
        receipt["transactionIndex"] = json!("0x3");
        receipt["logs"] = json!([]);
        receipts.push(receipt);
    };
    scripted.next("eth_getBlockReceipts", receipts(&block, bridge));
    let found = node.receipts(block.block).await?.unwrap();
    assert!(word(&found.proof).contains("not part of"), "{:?}", found.proof);
    Ok(())
}

#[tokio::test]
async fn the_question_takes_the_form_that_the_node_accepts_and_keeps_it() -> anyhow::Result<()> {
    for accepts in ["hash", "number"] {
        let (scripted, node, block) = world().await?;
        let answer = Json::from(block.receipts_json());
        scripted.answer("eth_getBlockReceipts", move |params| match params[0].as_str() {
            Some(text) if (text.len() == 66) == (accepts == "hash") => Reply::Result(answer.clone()),
            _ => Reply::error(-32602, "invalid argument 0: cannot unmarshal"),
        });
        for _ in 0..2 {
            assert_eq!(node.receipts(block.block).await?.unwrap().proof, Proof::Root);
        }
        let tries = if accepts == "hash" { 2 } else { 3 };
        assert_eq!(scripted.count("eth_getBlockReceipts"), tries + 1, "{accepts}");
        if accepts == "number" {
            // At the height stands another block now.
            let other = scripted.chain(|chain| {
                chain.rollback(1);
                chain.mine(vec![LogSpec::new(TOKEN, TOPIC, 9)])
            });
            scripted.next("eth_getBlockReceipts", receipts(&other, |_| {}));
            scripted.next("eth_getBlockByHash", Reply::Result(block.header_json()));
            assert_eq!(node.receipts(block.block).await?, None);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_node_without_the_method_says_so_and_is_not_blamed() -> anyhow::Result<()> {
    let (scripted, node, block) = world().await?;
    scripted
        .always("eth_getBlockReceipts", Reply::error(-32601, "the method does not exist/is not available"));
    let error = node.receipts(block.block).await.unwrap_err();
    assert!(matches!(error, ChainError::Unsupported { .. }), "{error}");
    assert_eq!((node.providers()[0].score, scripted.count("eth_getBlockReceipts")), (100, 1));
    Ok(())
}
