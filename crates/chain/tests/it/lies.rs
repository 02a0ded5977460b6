//! What nodes say that is not so. Each of these was seen at a real one.

use alloy_primitives::{Address, B256, Bytes};
use domain::{BlockRef, ChainClient, ChainError, LogFilter, LogQuery, Providers};
use serde_json::{Value as Json, json};
use testkit::{
    clock::RealClock,
    scripted_node::{Batches, LogSpec, Reply, ScriptedNode},
};

use super::world::{config, connect, scripted, scripted_http};
use chain::{Ability, Node, NodeConfig, probe};

const TOKEN: Address = Address::repeat_byte(0xaa);
const TOPIC: B256 = B256::repeat_byte(0xbb);

fn filter() -> LogFilter {
    LogFilter { addresses: vec![TOKEN], topics0: vec![TOPIC] }
}

/// Both transports, on a node with a block of three logs.
async fn worlds() -> anyhow::Result<Vec<(ScriptedNode, Node, BlockRef)>> {
    let mut worlds = Vec::new();
    for (scripted, node) in [scripted().await?, scripted_http().await?] {
        let block =
            scripted.chain(|chain| chain.mine((0..3).map(|tx| LogSpec::new(TOKEN, TOPIC, tx)).collect()));
        worlds.push((scripted, node, block.block));
    }
    Ok(worlds)
}

fn spoilt(logs: &[Json], spoil: impl Fn(&mut Vec<Json>)) -> Reply {
    let mut logs = logs.to_vec();
    spoil(&mut logs);
    Reply::Result(json!(logs))
}

#[tokio::test]
async fn logs_that_contradict_the_question_or_each_other_are_incoherent() -> anyhow::Result<()> {
    type Spoil = fn(&mut Vec<Json>);
    let cases: [(&str, Spoil); 12] = [
        ("a null block hash", |logs| logs[1]["blockHash"] = Json::Null),
        ("a null block number", |logs| logs[1]["blockNumber"] = Json::Null),
        ("a null log index", |logs| logs[1]["logIndex"] = Json::Null),
        ("a null transaction hash", |logs| logs[1]["transactionHash"] = Json::Null),
        ("an index twice", |logs| logs[1]["logIndex"] = json!("0x0")),
        ("two logs at one place", |logs| {
            logs.push(logs[2].clone());
            logs[3]["data"] = json!("0x01");
        }),
        ("another block's hash", |logs| logs[1]["blockHash"] = json!(B256::repeat_byte(9))),
        ("a removed log", |logs| logs[1]["removed"] = json!(true)),
        ("another contract's log", |logs| logs[1]["address"] = json!(Address::ZERO)),
        ("no object", |logs| logs[1] = json!("0x")),
        ("a null in the list", |logs| logs[1] = Json::Null),
        ("an empty object in the list", |logs| logs[1] = json!({})),
    ];
    for (scripted, node, block) in worlds().await? {
        let logs = scripted.chain(|chain| chain.head().logs_json());
        for (what, spoil) in cases {
            for query in [LogQuery::Block(block), LogQuery::Range { from: 0, to: block.number }] {
                scripted.next("eth_getLogs", spoilt(&logs, spoil));
                let error = node.logs(query, &filter()).await.expect_err(what);
                assert!(matches!(error, ChainError::Incoherent { .. }), "{what}: {error}");
                // The lie costs one answer, and neither the connection nor the next answer.
                assert_eq!(node.logs(query, &filter()).await?.len(), 3, "{what}");
            }
        }
        assert_eq!(scripted.count("eth_chainId"), 1, "it reconnected");
    }
    Ok(())
}

#[tokio::test]
async fn logs_out_of_order_are_put_in_order() -> anyhow::Result<()> {
    for (scripted, node, block) in worlds().await? {
        let logs = scripted.chain(|chain| chain.head().logs_json());
        scripted.next("eth_getLogs", spoilt(&logs, |logs| logs.reverse()));
        let logs = node.logs(LogQuery::Block(block), &filter()).await?;
        assert_eq!(logs.iter().map(|log| log.log_index).collect::<Vec<_>>(), [0, 1, 2]);
    }
    Ok(())
}

#[tokio::test]
async fn a_log_that_is_there_twice_counts_once() -> anyhow::Result<()> {
    for (scripted, node, block) in worlds().await? {
        let logs = scripted.chain(|chain| chain.head().logs_json());
        for query in [LogQuery::Block(block), LogQuery::Range { from: 0, to: block.number }] {
            let copies = |logs: &mut Vec<Json>| {
                logs.push(logs[2].clone());
                logs.insert(0, logs[1].clone());
            };
            scripted.next("eth_getLogs", spoilt(&logs, copies));
            let logs = node.logs(query, &filter()).await?;
            assert_eq!(logs.iter().map(|log| log.log_index).collect::<Vec<_>>(), [0, 1, 2]);
        }
        let receipt = |chain: &mut testkit::scripted_node::ScriptedChain| {
            let mut receipt = chain.head().receipts_json().swap_remove(1);
            receipt["logs"] = json!([receipt["logs"][0], receipt["logs"][0]]);
            (chain.head().logs[1].tx_hash, receipt)
        };
        let (tx_hash, receipt) = scripted.chain(receipt);
        scripted.next("eth_getTransactionReceipt", Reply::Result(receipt));
        assert_eq!(node.transaction_logs(tx_hash).await?.unwrap().len(), 1);
        assert_eq!(node.providers()[0].score, 100, "a copy is no fault");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_list_of_logs_says_nothing_of_logs() -> anyhow::Result<()> {
    for (scripted, node, block) in worlds().await? {
        for query in [LogQuery::Block(block), LogQuery::Range { from: 0, to: block.number }] {
            for shape in [Json::Null, json!({}), json!(false), json!(""), json!("0x"), json!({ "logs": [] })]
            {
                scripted.next("eth_getLogs", Reply::Result(shape.clone()));
                let error = node.logs(query, &filter()).await.expect_err(&shape.to_string());
                assert!(matches!(error, ChainError::Incoherent { .. }), "{shape}: {error}");
            }
            scripted.next("eth_getLogs", Reply::Result(json!([])));
            assert_eq!(node.logs(query, &filter()).await?, [], "an empty list says that there are none");
        }
        assert!(node.providers()[0].score < 100, "it is at fault");
    }
    Ok(())
}

#[tokio::test]
async fn no_answer_of_another_shape_is_taken_for_nothing() -> anyhow::Result<()> {
    for (scripted, node, block) in worlds().await? {
        let tx_hash = scripted.chain(|chain| chain.head().logs[0].tx_hash);
        for shape in [json!({}), json!([]), json!(""), json!(false)] {
            for method in ["eth_getBlockByNumber", "eth_getBlockByHash", "eth_getTransactionReceipt"] {
                scripted.always(method, Reply::Result(shape.clone()));
                let said = match method {
                    "eth_getBlockByNumber" => node.headers_by_number(&[3]).await.map(|_| ()),
                    "eth_getBlockByHash" => node.header_by_hash(block.hash).await.map(|_| ()),
                    _ => node.transaction_logs(tx_hash).await.map(|_| ()),
                };
                assert!(matches!(said, Err(ChainError::Incoherent { .. })), "{method} {shape}: {said:?}");
                scripted.restore(method);
            }
        }
        for shape in [Json::Null, json!({}), json!([]), json!(false)] {
            scripted.next("eth_call", Reply::Result(shape.clone()));
            let said = node.call(TOKEN, Bytes::new()).await;
            assert!(matches!(said, Err(ChainError::Incoherent { .. })), "eth_call {shape}: {said:?}");
        }
    }
    let (scripted, node) = scripted_http().await?;
    scripted.next("eth_getLogs", Reply::Raw(r#"{"jsonrpc":"2.0","id":0}"#.to_owned()));
    let said = node.logs(LogQuery::Range { from: 0, to: 5 }, &filter()).await;
    assert!(said.is_err(), "neither a result nor an error: {said:?}");
    Ok(())
}

#[tokio::test]
async fn a_header_of_another_block_or_with_null_fields_is_incoherent() -> anyhow::Result<()> {
    for (scripted, node, block) in worlds().await? {
        let header = scripted.chain(|chain| chain.block(3).unwrap().header_json());
        scripted.next("eth_getBlockByNumber", Reply::Result(header.clone()));
        let error = node.headers_by_number(&[4]).await.unwrap_err();
        assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
        scripted.next("eth_getBlockByHash", Reply::Result(header.clone()));
        let error = node.header_by_hash(block.hash).await.unwrap_err();
        assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
        for field in ["number", "hash", "parentHash", "timestamp"] {
            let mut header = header.clone();
            header[field] = Json::Null;
            scripted.next("eth_getBlockByNumber", Reply::Result(header));
            let error = node.headers_by_number(&[3]).await.unwrap_err();
            assert!(
                matches!(&error, ChainError::Incoherent { detail, .. } if detail.contains(field)),
                "{error}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_receipt_of_another_transaction_is_incoherent_and_a_pending_one_is_none() -> anyhow::Result<()> {
    for (scripted, node, _) in worlds().await? {
        let [asked, other] = scripted.chain(|chain| [0, 1].map(|at| chain.head().logs[at].tx_hash));
        assert_eq!(node.transaction_logs(asked).await?.unwrap().len(), 1);
        let receipt = |tx_hash: B256| json!({ "transactionHash": tx_hash, "blockHash": B256::ZERO, "blockNumber": "0x1", "logs": [] });
        scripted.next("eth_getTransactionReceipt", Reply::Result(receipt(other)));
        let error = node.transaction_logs(asked).await.unwrap_err();
        assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
        let mut pending = receipt(asked);
        pending["blockHash"] = Json::Null;
        pending["blockNumber"] = Json::Null;
        scripted.next("eth_getTransactionReceipt", Reply::Result(pending));
        assert_eq!(node.transaction_logs(asked).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_may_be_answered_in_any_order() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    scripted.batches(Batches::Reversed);
    let headers = node.headers_by_number(&[1, 2, 3]).await?;
    let numbers: Vec<_> = headers.iter().map(|header| header.unwrap().block.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let heads = node.heads().await?;
    assert_eq!((heads.latest.block.number, heads.safe.unwrap().number), (10, 8));
    assert!(scripted.calls().iter().any(|call| call.batch == 3), "no batch was sent");
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_answered_in_part_is_no_answer() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    scripted.batches(Batches::Partial(2));
    let headers = node.headers_by_number(&[1, 2, 3]).await?;
    let numbers: Vec<_> = headers.iter().map(|header| header.unwrap().block.number).collect();
    assert_eq!(numbers, [1, 2, 3], "what is missing is asked for again");
    // The missing answer is that of `finalized`, which does not mean that the chain has none.
    assert_eq!(node.heads().await?.finalized.unwrap().number, 6);
    Ok(())
}

#[tokio::test]
async fn one_error_for_a_whole_batch_and_for_a_single_question_is_that_error() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    let said = "rate limited, try again in 4ms";
    scripted.batches(Batches::Refused { code: -32005, message: said.to_owned() });
    scripted.always("eth_getBlockByNumber", Reply::error(-32005, said));
    for _ in 0..3 {
        let error = node.headers_by_number(&[1, 2]).await.unwrap_err();
        assert!(matches!(error, ChainError::RateLimited { .. }), "{error}");
    }
    assert_eq!(node.limits()[0].batch, None);
    // For a provider that refuses every batch.
    scripted.restore("eth_getBlockByNumber");
    let node = connect(NodeConfig { max_batch: 1, ..config(&[scripted.http_url()]) }).await?;
    assert_eq!(node.headers_by_number(&[1, 2]).await?.len(), 2);
    assert_eq!(node.heads().await?.finalized.unwrap().number, 6);
    Ok(())
}

#[tokio::test]
async fn a_chain_without_finality_tags_has_heads_without_them() -> anyhow::Result<()> {
    for (scripted, node, block) in worlds().await? {
        scripted.chain(|chain| (chain.safe_depth, chain.finalized_depth) = (None, None));
        let heads = node.heads().await?;
        assert_eq!((heads.latest.block, heads.safe, heads.finalized), (block, None, None));
        assert!(node.status()[0].healthy);
    }
    Ok(())
}

#[tokio::test]
async fn a_limit_on_the_rate_does_not_look_like_a_chain_without_tags() -> anyhow::Result<()> {
    for (scripted, node, _) in worlds().await? {
        scripted.answer("eth_getBlockByNumber", |params| match params[0].as_str() {
            Some("finalized") => Reply::error(-32005, "rate limited"),
            _ => Reply::Result(json!({
                "number": "0x1", "hash": B256::ZERO, "parentHash": B256::ZERO, "timestamp": "0x1",
            })),
        });
        let error = node.heads().await.unwrap_err();
        assert!(matches!(error, ChainError::RateLimited { .. }), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn garbage_on_the_socket_costs_nothing() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    for text in [
        "garbage",
        "",
        "[]",
        "[1,2,3]",
        r#"{"jsonrpc":"2.0","method":"keepalive"}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
        r#"{"jsonrpc":"2.0","id":123456,"result":"0x1"}"#,
        r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x99","result":null}}"#,
    ] {
        scripted.push(text);
        assert_eq!(node.heads().await?.latest.block.number, 10, "{text}");
    }
    assert_eq!(scripted.count("eth_chainId"), 1, "it reconnected");
    Ok(())
}

#[tokio::test]
async fn a_call_of_an_address_without_code_is_empty() -> anyhow::Result<()> {
    let (_scripted, node) = scripted().await?;
    assert_eq!(node.call(TOKEN, Bytes::new()).await?, Bytes::new());
    Ok(())
}

#[tokio::test]
async fn the_probe_tells_what_a_node_cannot_do_in_its_own_words() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    scripted.chain(|chain| chain.safe_depth = None);
    scripted.always("eth_subscribe", Reply::error(-32601, "notifications not supported"));
    scripted.always("eth_getLogs", Reply::error(-32602, "blockHash is not for you"));
    scripted.always("web3_clientVersion", Reply::error(-32601, "no"));
    let clock = std::sync::Arc::new(RealClock);
    let found = probe(&scripted.ws_url(), std::time::Duration::from_secs(10), clock).await?;
    assert_eq!(found.subscriptions, Ability::No("error -32601: notifications not supported".to_owned()));
    assert_eq!(found.safe, Ability::No("error -32602: invalid argument 0: unknown tag safe".to_owned()));
    assert_eq!(found.finalized, Ability::Yes);
    assert_eq!(found.logs_by_hash, Ability::No("error -32602: blockHash is not for you".to_owned()));
    assert_eq!((found.client_version, found.latest.block.number), (None, 10));
    Ok(())
}
