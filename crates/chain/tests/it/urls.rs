//! Several URLs of one chain: which one is asked.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes};
use domain::{ChainClient, ChainError, LogFilter, LogQuery};
use testkit::{
    clock::ManualClock,
    scripted_node::{Reply, ScriptedNode},
};

use super::world::{config, connect};
use chain::Node;

async fn pair() -> anyhow::Result<(ScriptedNode, ScriptedNode)> {
    let (first, second) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    second.chain(|chain| drop(chain.mine(Vec::new())));
    Ok((first, second))
}

fn pinned(node: &Node) -> usize {
    node.status().iter().position(|status| status.pinned).unwrap()
}

#[tokio::test]
async fn the_first_url_that_answers_is_asked_and_the_others_rest() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let node = connect(config(&[first.http_url(), second.http_url()])).await?;
    for _ in 0..3 {
        assert_eq!(node.heads().await?.latest.block.number, 10);
    }
    // Its head is looked at now and then, so that a lag is known.
    assert!(second.count("eth_getBlockByNumber") <= 1);
    Ok(())
}

#[tokio::test]
async fn one_url_that_answers_is_enough_to_connect() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let gone = first.http_url();
    drop(first);
    let node = connect(config(&[gone, second.http_url()])).await?;
    assert_eq!(pinned(&node), 1);
    assert_eq!(node.heads().await?.latest.block.number, 11);
    let status = node.status();
    assert!(!status[0].healthy && status[0].last_error.is_some(), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn in_the_middle_of_a_decision_the_url_changes_only_with_an_error() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let clock = Arc::<ManualClock>::default();
    let config = config(&[first.http_url(), second.http_url()]);
    let node = Node::connect(config, clock.clone()).await?;
    assert_eq!(node.heads().await?.latest.block.number, 10);
    first.next("eth_getLogs", Reply::http(502, ""));
    let error = node.logs(LogQuery::Range { from: 1, to: 2 }, &LogFilter::default()).await.unwrap_err();
    assert!(matches!(&error, ChainError::Unavailable { url, .. } if *url == first.http_url()), "{error}");
    assert_eq!(pinned(&node), 1);

    // The first is well again, but only the next decision goes back to it.
    clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(node.headers_by_number(&[11]).await?[0].unwrap().block.number, 11);
    assert_eq!(pinned(&node), 1);
    first.chain(|chain| (0..2).for_each(|_| drop(chain.mine(Vec::new()))));
    assert_eq!(node.heads().await?.latest.block.number, 12);
    assert_eq!(pinned(&node), 0);
    Ok(())
}

#[tokio::test]
async fn a_decision_begins_at_the_next_url_where_one_fails() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let node = connect(config(&[first.http_url(), second.http_url()])).await?;
    first.always("eth_getBlockByNumber", Reply::error(-32005, "rate limited"));
    assert_eq!(node.heads().await?.latest.block.number, 11);
    assert_eq!(pinned(&node), 1);
    assert!(!node.status()[0].healthy);
    Ok(())
}

#[tokio::test]
async fn what_a_contract_says_or_a_node_cannot_do_moves_nobody() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let node = connect(config(&[first.http_url(), second.http_url()])).await?;
    for (reply, expected) in [
        (Reply::error(3, "execution reverted"), "reverted"),
        (Reply::error(-32601, "the method eth_call does not exist/is not available"), "cannot do"),
    ] {
        first.next("eth_call", reply);
        let error = node.call(Address::ZERO, Bytes::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(pinned(&node), 0);
    }
    assert_eq!(second.count("eth_call"), 0);
    Ok(())
}

#[tokio::test]
async fn a_sibling_is_not_moved_by_the_others_errors() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let node = connect(config(&[first.http_url(), second.http_url()])).await?;
    let sibling = node.sibling();
    first.next("eth_getLogs", Reply::http(502, ""));
    assert!(node.logs(LogQuery::Range { from: 1, to: 2 }, &LogFilter::default()).await.is_err());
    assert_eq!((pinned(&node), pinned(&sibling)), (1, 0));
    Ok(())
}

#[tokio::test]
async fn where_no_url_is_sound_the_one_that_rests_shortest_is_asked() -> anyhow::Result<()> {
    let (first, second) = pair().await?;
    let clock = Arc::<ManualClock>::default();
    let node = Node::connect(config(&[first.http_url(), second.http_url()]), clock).await?;
    let headers = vec![("Retry-After".to_owned(), "60".to_owned())];
    first.always("eth_getBlockByNumber", Reply::Http { status: 429, headers, body: String::new() });
    second.always("eth_getBlockByNumber", Reply::http(503, ""));
    assert!(node.heads().await.is_err());
    second.restore("eth_getBlockByNumber");
    assert_eq!(node.heads().await?.latest.block.number, 11);
    Ok(())
}
