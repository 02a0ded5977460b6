//! Limits on the rate: how long we wait, and how many requests we dare afterwards.

use std::{sync::Arc, time::Duration};

use alloy_primitives::Bytes;
use chain::Node;
use domain::{ChainClient, ChainError, Providers};
use testkit::{
    clock::ManualClock,
    scripted_node::{Reply, ScriptedNode},
};

use super::world::config;

async fn alone() -> anyhow::Result<(ScriptedNode, Arc<Node>, Arc<ManualClock>)> {
    let scripted = ScriptedNode::start().await?;
    let clock = Arc::<ManualClock>::default();
    let node = Node::connect(config(&[scripted.http_url()]), clock.clone()).await?;
    Ok((scripted, Arc::new(node), clock))
}

fn too_many(seconds: u64) -> Reply {
    let headers = vec![("Retry-After".to_owned(), seconds.to_string())];
    Reply::Http { status: 429, headers, body: String::new() }
}

async fn call(node: &Node) -> Result<Bytes, ChainError> {
    node.call(Default::default(), Bytes::new()).await
}

fn wait(error: ChainError) -> Duration {
    match error {
        ChainError::RateLimited { retry_after: Some(wait), .. } => wait,
        error => panic!("no rate limit, or one without its wait: {error}"),
    }
}

fn concurrency(node: &Node) -> usize {
    node.providers()[0].concurrency
}

#[tokio::test]
async fn a_rate_limit_says_how_long_and_the_next_question_waits_that_long() -> anyhow::Result<()> {
    let (scripted, node, clock) = alone().await?;
    scripted.next("eth_call", too_many(7));
    assert_eq!(wait(call(&node).await.unwrap_err()), Duration::from_secs(7));
    let next = tokio::spawn({
        let node = Arc::clone(&node);
        async move { call(&node).await }
    });
    clock.advance(Duration::from_secs(6));
    // Whatever was to be sent has been by now.
    node.others();
    tokio::task::yield_now().await;
    assert_eq!((scripted.count("eth_call"), next.is_finished()), (1, false));
    clock.advance(Duration::from_secs(1));
    next.await??;
    assert_eq!(scripted.count("eth_call"), 2);
    Ok(())
}

#[tokio::test]
async fn every_kind_of_rate_limit_says_how_long() -> anyhow::Result<()> {
    for (reply, expected) in [
        (too_many(7), Some(7_000)),
        // HTTP 200 that carries an error.
        (Reply::error(-32005, "daily request count exceeded, request rate limited"), None),
        (Reply::error(429, "Too Many Requests"), None),
        (Reply::error(-32090, "call rate limit exhausted, retry in 10s"), Some(10_000)),
        (Reply::http(429, ""), None),
    ] {
        let (scripted, node, _) = alone().await?;
        scripted.next("eth_call", reply.clone());
        let wait = wait(call(&node).await.unwrap_err());
        assert!(!wait.is_zero(), "{reply:?}");
        if let Some(expected) = expected {
            assert_eq!(wait, Duration::from_millis(expected), "{reply:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_wait_that_is_too_long_to_sit_out_is_the_callers_and_nothing_is_sent() -> anyhow::Result<()> {
    let (scripted, node, clock) = alone().await?;
    scripted.next("eth_call", too_many(60));
    assert_eq!(wait(call(&node).await.unwrap_err()), Duration::from_secs(60));
    clock.advance(Duration::from_secs(20));
    assert_eq!(wait(call(&node).await.unwrap_err()), Duration::from_secs(40));
    assert_eq!(scripted.count("eth_call"), 1);
    assert_eq!(node.providers()[0].errors, 1, "what was not sent is no error of the node");
    clock.advance(Duration::from_secs(40));
    call(&node).await?;
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_halves_what_may_be_under_way_and_answers_win_it_back() -> anyhow::Result<()> {
    let (scripted, node, clock) = alone().await?;
    assert_eq!(concurrency(&node), 8);
    for expected in [4, 2] {
        scripted.next("eth_call", too_many(1));
        call(&node).await.unwrap_err();
        clock.advance(Duration::from_secs(1));
        assert_eq!(concurrency(&node), expected);
    }
    for expected in [2, 3, 3, 3, 4] {
        call(&node).await?;
        assert_eq!(concurrency(&node), expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_of_one_url_sends_the_next_decision_to_another() -> anyhow::Result<()> {
    let (first, second) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    let clock = Arc::<ManualClock>::default();
    let node = Node::connect(config(&[first.http_url(), second.http_url()]), clock).await?;
    first.always("eth_getBlockByNumber", too_many(60));
    node.heads().await?;
    assert_eq!((node.url(), second.count("eth_getBlockByNumber") > 0), (second.http_url(), true));
    let limited = &node.providers()[0];
    assert!(limited.score <= 20 && limited.concurrency == 4, "{limited:?}");
    Ok(())
}
