//! What nodes were seen to do to their readers, where no other file has it: each by a node that does it.

use alloy_primitives::{Address, B256};
use domain::{BlockRef, ChainClient, ChainError, LogFilter, LogQuery, Providers, Wake};
use serde_json::{Value as Json, json};
use testkit::{
    anvil::TestAnvil,
    scripted_node::{LogSpec, Reply, ScriptedNode},
};

use super::world::{asked, config, connect, listening, scripted, scripted_http, wake};

const TOKEN: Address = Address::repeat_byte(0xaa);
const TOPIC: B256 = B256::repeat_byte(0xbb);

fn filters() -> [LogFilter; 1] {
    [LogFilter { addresses: vec![TOKEN], topics0: vec![TOPIC] }]
}

#[tokio::test]
async fn near_the_head_logs_are_asked_for_by_hash_and_nothing_else() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    let block = scripted.mine(vec![LogSpec::new(TOKEN, TOPIC, 1)]).block;
    node.logs(LogQuery::Block(block), &filters()[0]).await?;
    let asked = scripted.calls().into_iter().find(|call| call.method == "eth_getLogs").unwrap().params;
    assert_eq!(asked, json!([{ "blockHash": block.hash, "address": [TOKEN], "topics": [[TOPIC]] }]));
    Ok(())
}

#[tokio::test]
async fn an_unknown_block_is_an_error_and_not_an_empty_answer_where_the_node_says_so() -> anyhow::Result<()> {
    let nowhere = LogQuery::Block(BlockRef::new(10, B256::repeat_byte(9)));
    for text in
        ["unknown block", "blockHash cannot be found", "ResourceNotFound: block 0x09 could not be found"]
    {
        let (scripted, node) = scripted_http().await?;
        scripted.always("eth_getLogs", Reply::error(-32000, text));
        let error = node.logs(nowhere, &filters()[0]).await.unwrap_err();
        assert!(matches!(error, ChainError::UnknownBlock { .. }), "{text}: {error}");
        assert_eq!(node.providers()[0].score, 100, "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_head_whose_logs_another_machine_does_not_have_yet_is_an_unknown_block() -> anyhow::Result<()> {
    // Behind a load balancer the head comes from one machine and the logs from another.
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    let head = scripted.mine(vec![LogSpec::new(TOKEN, TOPIC, 1)]).block;
    wake(&node, &filters(), "the head", |wake| matches!(wake, Wake::Head(_)).then_some(())).await;
    scripted.next("eth_getLogs", Reply::error(-32000, "unknown block"));
    let latest = node.heads().await?.latest.block;
    assert_eq!(latest, head);
    let error = node.logs(LogQuery::Block(latest), &filters()[0]).await.unwrap_err();
    assert!(matches!(error, ChainError::UnknownBlock { .. }), "{error}");
    // And when they come from a machine on another branch, they are of another block.
    let mut log = scripted.chain(|chain| chain.head().logs_json()).remove(0);
    log["blockHash"] = json!(B256::repeat_byte(9));
    scripted.next("eth_getLogs", Reply::Result(json!([log])));
    let error = node.logs(LogQuery::Block(latest), &filters()[0]).await.unwrap_err();
    assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
    assert_eq!(node.logs(LogQuery::Block(latest), &filters()[0]).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_costs_that_frame_and_not_the_connection() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    for frame in
        ["{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{", "null", "\u{1}", "[[]]"]
    {
        scripted.push(frame);
        scripted.announce("newHeads", &json!({ "number": frame }));
        let head = scripted.mine(Vec::new()).block;
        let next = wake(&node, &filters(), "the head", |wake| match wake {
            Wake::Head(header) => Some(Some(header.block)),
            Wake::Reconnected => Some(None),
            Wake::Log(_) => None,
        })
        .await;
        assert_eq!(next, Some(head), "{frame}");
    }
    assert_eq!((scripted.count("eth_chainId"), scripted.connections()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn blocks_that_come_together_are_announced_as_one_and_the_gap_is_read_in_one_batch()
-> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(config(&[scripted.ws_url()])).await?;
    listening(&node, &filters()).await;
    node.heads().await?;
    scripted.chain(|chain| (0..4).for_each(|_| drop(chain.mine(Vec::new()))));
    let last = scripted.mine(Vec::new());
    wake(&node, &filters(), "the head", |wake| matches!(wake, Wake::Head(_)).then_some(())).await;
    assert_eq!(node.heads().await?.latest.block, last.block);
    let gap = node.headers_by_number(&[11, 12, 13, 14]).await?;
    let parents = gap.windows(2).all(|pair| pair[1].unwrap().parent == pair[0].unwrap().block.hash);
    assert!(parents && gap[3].unwrap().block.hash == last.parent);

    // Over HTTP, one message for all of them.
    let node = connect(config(&[scripted.http_url()])).await?;
    node.headers_by_number(&[11, 12, 13, 14]).await?;
    assert!(scripted.calls().iter().rev().take(4).all(|call| call.batch == 4));
    Ok(())
}

#[tokio::test]
async fn logs_wake_the_reader_before_their_head_or_after_it() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    for logs_first in [true, false] {
        let block = scripted.chain(|chain| chain.mine(vec![LogSpec::new(TOKEN, TOPIC, 1)]));
        let (head, log) = (block.header_json(), block.logs_json().remove(0));
        let order = [("logs", &log), ("newHeads", &head)];
        for (kind, result) in if logs_first { order } else { [order[1], order[0]] } {
            scripted.announce(kind, result);
        }
        let (head, log) = super::world::head_and_log(&node, &filters(), |_| true).await;
        assert_eq!((head.block, log.block), (block.block, block.block));
    }
    Ok(())
}

#[tokio::test]
async fn removed_logs_may_come_twice_out_of_order_or_never_and_are_only_hints() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    let block = scripted
        .chain(|chain| chain.mine(vec![LogSpec::new(TOKEN, TOPIC, 1), LogSpec::new(TOKEN, TOPIC, 2)]));
    for index in [1, 0, 1] {
        let mut log = block.logs_json().remove(index);
        log["removed"] = json!(true);
        scripted.announce("logs", &log);
        let hint = wake(&node, &filters(), "the hint", |wake| match wake {
            Wake::Log(log) if log.removed => Some(log.log_index),
            _ => None,
        })
        .await;
        assert_eq!(hint, u64::try_from(index)?);
    }
    // What the block holds says the block.
    assert_eq!(node.logs(LogQuery::Block(block.block), &filters()[0]).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_log_without_any_topic_is_a_log() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    let anonymous = LogSpec { topics: Vec::new(), ..LogSpec::new(TOKEN, TOPIC, 1) };
    let block = scripted.chain(|chain| chain.mine(vec![anonymous, LogSpec::new(TOKEN, TOPIC, 2)])).block;
    let any = LogFilter { addresses: vec![TOKEN], topics0: Vec::new() };
    let logs = node.logs(LogQuery::Block(block), &any).await?;
    assert_eq!(logs.iter().map(|log| log.topics.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(node.receipts(block).await?.unwrap().logs, logs);
    Ok(())
}

#[tokio::test]
async fn http_200_that_carries_an_error_fails_over() -> anyhow::Result<()> {
    let (first, second) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    for (code, text) in
        [(-32000, "server overloaded"), (-32005, "rate limited"), (-32603, "Internal error"), (0, "")]
    {
        let node = connect(config(&[first.http_url(), second.http_url()])).await?;
        first.next("eth_getLogs", Reply::error(code, text));
        let range = LogQuery::Range { from: 1, to: 2 };
        assert!(node.logs(range, &filters()[0]).await.is_err(), "{text}");
        assert_eq!(node.url(), second.http_url(), "{text}");
        assert_eq!(node.logs(range, &filters()[0]).await?, [], "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_range_past_the_head_is_unknown_or_empty_and_a_range_backwards_is_not_asked() -> anyhow::Result<()>
{
    let anvil = TestAnvil::start().await?;
    let node = connect(config(&[anvil.http_url()])).await?;
    let past = LogQuery::Range { from: 100, to: 4_096 };
    let error = node.logs(past, &filters()[0]).await.unwrap_err();
    assert!(matches!(error, ChainError::UnknownBlock { .. }), "{error}");
    assert_eq!(node.providers()[0].score, 100);

    let (scripted, node) = scripted_http().await?;
    assert_eq!(node.logs(past, &filters()[0]).await?, []);
    let before = asked(&scripted);
    assert_eq!(node.logs(LogQuery::Range { from: 5, to: 4 }, &filters()[0]).await?, []);
    assert_eq!(asked(&scripted), before);
    Ok(())
}

#[tokio::test]
async fn a_suggested_range_that_is_negative_is_no_suggestion() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    for range in ["[0x64, 0x63]", "[0x0, -0x1]", "[-0x5, -0x1]", "[0x0, 0xffffffffffffffff]"] {
        let text = format!("Log response size exceeded. this block range should work: {range}");
        scripted.next("eth_getLogs", Reply::error(-32602, &text));
        let error = node.logs(LogQuery::Range { from: 1, to: 10 }, &filters()[0]).await.unwrap_err();
        assert!(
            matches!(error, ChainError::RangeTooLarge { suggested_blocks: None, .. }),
            "{range}: {error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_that_lacks_an_answer_or_answers_twice_is_told_from_a_whole_one() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    let header = |number: u64| scripted.chain(|chain| chain.block(number).unwrap().header_json());
    // The answers of a batch in another order are other blocks' answers to those who go by position.
    scripted.batches(testkit::scripted_node::Batches::Reversed);
    let headers = node.headers_by_number(&[3, 4, 5]).await?;
    assert_eq!(headers.iter().map(|header| header.unwrap().block.number).collect::<Vec<_>>(), [3, 4, 5]);
    // The right ids with the wrong blocks.
    scripted.batches(testkit::scripted_node::Batches::InOrder);
    scripted.next("eth_getBlockByNumber", Reply::Result(header(5)));
    let error = node.headers_by_number(&[3, 4]).await.unwrap_err();
    assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
    scripted.batches(testkit::scripted_node::Batches::Partial(0));
    // The first time it may pass.
    let _ = node.headers_by_number(&[3, 4]).await;
    assert_eq!(node.headers_by_number(&[3, 4]).await?.iter().flatten().count(), 2, "asked again, one by one");
    Ok(())
}

#[tokio::test]
async fn development_nodes_are_read_as_they_are() -> anyhow::Result<()> {
    // Hardhat: safe, finalized and latest are one.
    let (scripted, node) = scripted_http().await?;
    scripted.chain(|chain| (chain.safe_depth, chain.finalized_depth) = (Some(0), Some(0)));
    let heads = node.heads().await?;
    assert_eq!((heads.safe, heads.finalized), (Some(heads.latest.block), Some(heads.latest.block)));
    // Ganache: nothing where the block is unknown.
    scripted.next("eth_getLogs", Reply::Result(json!([])));
    let nowhere = LogQuery::Block(BlockRef::new(10, B256::repeat_byte(9)));
    assert_eq!(node.logs(nowhere, &filters()[0]).await?, []);
    // Ganache and Hardhat: the logs of a block that is gone, not marked as such.
    let gone = scripted.chain(|chain| {
        let gone = chain.mine(vec![LogSpec::new(TOKEN, TOPIC, 1)]);
        chain.rollback(1);
        chain.mine(Vec::new());
        gone
    });
    let head = scripted.chain(|chain| chain.head().block);
    scripted.next("eth_getLogs", Reply::Result(Json::from(gone.logs_json())));
    let error = node.logs(LogQuery::Block(head), &filters()[0]).await.unwrap_err();
    assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
    Ok(())
}
