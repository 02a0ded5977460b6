//! Questions near the head that are not answered, or not in time: another URL is asked beside, and none is waited for that
//! is known to be silent. Time is the test's: it moves only when nothing else does.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use chain::{Node, NodeConfig, PromptConfig};
use domain::{BlockRef, ChainClient, ChainError, LogFilter, LogQuery, Providers as _};
use serde_json::json;
use testkit::{
    clock::ManualClock,
    scripted_node::{LogSpec, Reply, ScriptedNode},
};

use super::world::{config, connect, scripted_http};

const LATE: Duration = Duration::from_millis(300);

fn prompt(attempts: usize) -> PromptConfig {
    PromptConfig {
        attempts,
        late_min: LATE,
        late_max: LATE,
        deadline_min: Duration::from_secs(1),
        deadline_max: Duration::from_secs(3),
    }
}

/// Two nodes of one chain with a log in its newest block, and a client of both.
async fn pair() -> anyhow::Result<([ScriptedNode; 2], Arc<Node>, Arc<ManualClock>, BlockRef)> {
    let nodes = [ScriptedNode::start().await?, ScriptedNode::start().await?];
    let block = nodes[0].chain(|chain| chain.mine(vec![LogSpec::new(Address::ZERO, B256::ZERO, 1)])).block;
    let chain = nodes[0].chain(|chain| chain.clone());
    nodes[1].chain(|other| *other = chain);
    let urls = [nodes[0].http_url(), nodes[1].http_url()];
    let clock = Arc::<ManualClock>::default();
    let config = NodeConfig { prompt: prompt(2), ..config(&urls) };
    let node = Arc::new(Node::connect(config, clock.clone()).await?);
    node.heads().await?;
    nodes[1].wait_until("its head is looked at", |node| node.count("eth_getBlockByNumber") > 0).await?;
    Ok((nodes, node, clock, block))
}

/// Asks for the logs of a block beside the test.
fn ask(node: &Arc<Node>, query: LogQuery) -> tokio::task::JoinHandle<Result<usize, ChainError>> {
    let node = Arc::clone(node);
    tokio::spawn(async move { Ok(node.logs(query, &LogFilter::default()).await?.len()) })
}

#[tokio::test]
async fn a_second_url_is_asked_beside_one_that_is_late_and_the_first_good_answer_counts() -> anyhow::Result<()>
{
    let ([first, second], node, clock, block) = pair().await?;
    first.always("eth_getLogs", Reply::Silence);
    let asked = ask(&node, LogQuery::Block(block));
    first.wait_until("it is asked", |node| node.count("eth_getLogs") == 1).await?;
    assert_eq!(second.count("eth_getLogs"), 0, "it is not late yet");
    clock.advance(LATE);
    assert_eq!(asked.await??, 1);
    assert_eq!(node.url(), second.http_url(), "the rest of the decision is that one's");
    assert!(node.providers()[0].score < 100, "{:?}", node.providers());
    Ok(())
}

#[tokio::test]
async fn a_decision_begins_at_the_url_that_answers_first() -> anyhow::Result<()> {
    let ([first, second], node, clock, _) = pair().await?;
    first.always("eth_getBlockByNumber", Reply::Close);
    first.interfere(|_| Some(Reply::Silence));
    let heads = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.heads().await }
    });
    let before = first.calls().len();
    first.wait_until("it is asked", |node| node.calls().len() > before || node.calls().len() > 3).await?;
    clock.advance(LATE);
    assert_eq!(heads.await??.latest.block.number, 11);
    assert_eq!(node.url(), second.http_url());
    Ok(())
}

#[tokio::test]
async fn a_url_that_refuses_what_another_answers_costs_no_wait() -> anyhow::Result<()> {
    let ([first, second], node, _, block) = pair().await?;
    for reply in [Reply::http(500, ""), Reply::Result(json!(null)), Reply::error(-32000, "unknown block")] {
        first.always("eth_getLogs", reply.clone());
        let logs = node.logs(LogQuery::Block(block), &LogFilter::default()).await;
        assert_eq!(logs?.len(), 1, "{reply:?}");
        assert_eq!(node.url(), second.http_url());
    }
    Ok(())
}

#[tokio::test]
async fn a_range_stays_with_its_url() -> anyhow::Result<()> {
    let ([first, second], node, clock, _) = pair().await?;
    first.next("eth_getLogs", Reply::http(502, ""));
    let asked = ask(&node, LogQuery::Range { from: 0, to: 11 });
    // The pause before it is asked again is over once time has moved.
    while !asked.is_finished() {
        clock.advance(Duration::from_millis(20));
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.await??, 1);
    assert_eq!((node.url(), second.count("eth_getLogs")), (first.http_url(), 0));
    Ok(())
}

#[tokio::test]
async fn a_silent_url_is_no_witness_until_it_answers_again() -> anyhow::Result<()> {
    let ([first, second], node, clock, block) = pair().await?;
    assert_eq!(node.others().len(), 1);
    second.interfere(|_| Some(Reply::Silence));
    let other = node.others().pop().unwrap();
    let asked = tokio::spawn(async move { other.header_by_hash(block.hash).await });
    second.wait_until("it is asked", |node| node.count("eth_getBlockByHash") > 0).await?;
    // A second opinion is waited for no longer than a second.
    clock.advance(Duration::from_secs(1));
    asked.await?.unwrap_err();
    assert!(node.others().is_empty(), "it is in nobody's way any more");
    assert_eq!(node.heads().await?.latest.block.number, 11, "nor in the way of a block");
    assert_eq!(node.url(), first.http_url());
    second.interfere_no_more();
    // Its head is looked at now and then.
    clock.advance(Duration::from_secs(120));
    node.heads().await?;
    while node.others().is_empty() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn the_only_url_is_asked_again_where_it_fails_and_its_failure_is_said_in_the_end() -> anyhow::Result<()>
{
    let (scripted, _) = scripted_http().await?;
    let config = NodeConfig { prompt: prompt(4), ..config(&[scripted.http_url()]) };
    let node = connect(config).await?;
    for failures in [3, 4] {
        let before = scripted.count("eth_getLogs");
        for _ in 0..failures {
            scripted.next("eth_getLogs", Reply::http(500, ""));
        }
        // Of more than one block it would show whether they are too many.
        let logs = node.logs(LogQuery::Range { from: 5, to: 5 }, &LogFilter::default()).await;
        assert_eq!(logs.is_ok(), failures < 4, "{logs:?}");
        assert_eq!(scripted.count("eth_getLogs") - before, 4);
    }
    // What means something is not asked again.
    let before = scripted.count("eth_getLogs");
    scripted.next("eth_getLogs", Reply::error(-32005, "query returned more than 10000 results"));
    let logs = node.logs(LogQuery::Range { from: 0, to: 5 }, &LogFilter::default()).await;
    assert!(matches!(logs, Err(ChainError::RangeTooLarge { .. })), "{logs:?}");
    assert_eq!(scripted.count("eth_getLogs") - before, 1);
    Ok(())
}

#[tokio::test]
async fn of_a_batch_only_what_failed_is_asked_again() -> anyhow::Result<()> {
    let (scripted, _) = scripted_http().await?;
    let node = connect(NodeConfig { prompt: prompt(3), ..config(&[scripted.http_url()]) }).await?;
    let chain = scripted.chain(|chain| chain.clone());
    let mut asked = 0;
    scripted.answer("eth_getBlockByNumber", move |params| {
        asked += 1;
        if asked % 3 == 0 {
            return Reply::error(-32603, "Internal error");
        }
        chain.answer("eth_getBlockByNumber", params)
    });
    let numbers: Vec<u64> = (0..=10).collect();
    let headers = node.headers_by_number(&numbers).await?;
    assert!(headers.iter().zip(&numbers).all(|(header, number)| header.unwrap().block.number == *number));
    assert!(scripted.count("eth_getBlockByNumber") < 20);
    Ok(())
}
