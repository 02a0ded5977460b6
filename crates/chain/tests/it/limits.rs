//! Limits: the provider's, which become errors that say what to do, and our own.

use std::time::Duration;

use alloy_primitives::Bytes;
use domain::{ChainClient, ChainError, LogFilter, LogQuery, Providers};
use serde_json::json;
use testkit::scripted_node::{LogSpec, Reply, ScriptedNode};

use super::world::{config, connect, scripted, scripted_http};
use chain::NodeConfig;

const RANGE: LogQuery = LogQuery::Range { from: 1, to: 10_000 };

#[tokio::test]
async fn http_429_is_a_rate_limit_with_the_wait_it_asks_for() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    scripted.next("eth_getLogs", Reply::Http { status: 429, headers, body: "slow down".to_owned() });
    let error = node.logs(RANGE, &LogFilter::default()).await.unwrap_err();
    let ChainError::RateLimited { retry_after, .. } = error else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    assert!(!node.status()[0].healthy);
    Ok(())
}

#[tokio::test]
async fn an_error_under_http_200_is_an_error() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    scripted.next("eth_getLogs", Reply::error(-32000, "server overloaded"));
    let error = node.logs(RANGE, &LogFilter::default()).await.unwrap_err();
    let ChainError::Unavailable { method, detail, .. } = &error else { panic!("{error}") };
    assert_eq!((*method, detail.as_str()), ("eth_getLogs", "error -32000: server overloaded"));
    Ok(())
}

#[tokio::test]
async fn a_range_that_is_too_large_comes_with_a_suggestion_that_can_be_used() -> anyhow::Result<()> {
    for (text, expected) in [
        ("query returned more than 10000 results. Try with this block range [0x1, 0x10].", Some(16)),
        ("eth_getLogs is limited to a 1,000 range", Some(1_000)),
        // As many as were asked for, and were refused.
        ("eth_getLogs is limited to a 10,000 range", None),
        ("Log response size exceeded. this block range should work: [0x10, 0xf]", None),
        ("block range is too wide", None),
    ] {
        for (scripted, node) in [scripted().await?, scripted_http().await?] {
            scripted.next("eth_getLogs", Reply::error(-32005, text));
            let error = node.logs(RANGE, &LogFilter::default()).await.unwrap_err();
            let ChainError::RangeTooLarge { suggested_blocks, .. } = error else { panic!("{text}: {error}") };
            assert_eq!(suggested_blocks, expected, "{text}");
            assert!(node.status()[0].healthy, "a refused range is no fault of the node");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_in_some_blocks_is_no_limit_on_the_number_of_others() -> anyhow::Result<()> {
    let (scripted, node) = scripted_http().await?;
    for text in ["query returned more than 10000 results", "Log response size exceeded"] {
        scripted.next("eth_getLogs", Reply::error(-32005, text));
        let error = node.logs(RANGE, &LogFilter::default()).await.unwrap_err();
        assert!(matches!(error, ChainError::RangeTooLarge { .. }), "{error}");
        assert_eq!((node.range_limit(), node.limits()[0].range), (None, None));
        node.logs(RANGE, &LogFilter::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_range_that_is_too_large() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    scripted.chain(|chain| {
        chain.mine((0..100).map(|tx| LogSpec::new(Default::default(), Default::default(), tx)).collect());
    });
    for url in [scripted.ws_url(), scripted.http_url()] {
        let node = connect(NodeConfig { max_response_bytes: 8 << 10, ..config(&[url]) }).await?;
        let error = node.logs(RANGE, &LogFilter::default()).await.unwrap_err();
        assert!(matches!(error, ChainError::RangeTooLarge { suggested_blocks: None, .. }), "{error}");
        // A socket cannot skip the rest of the answer: it is opened anew.
        let fewer = LogQuery::Range { from: 1, to: 10 };
        assert_eq!(node.logs(fewer, &LogFilter::default()).await?, []);
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_given_up_in_time_and_its_socket_replaced() -> anyhow::Result<()> {
    for websocket in [true, false] {
        let scripted = ScriptedNode::start().await?;
        let url = if websocket { scripted.ws_url() } else { scripted.http_url() };
        let node =
            connect(NodeConfig { request_timeout: Duration::from_millis(200), ..config(&[url]) }).await?;
        scripted.always("eth_call", Reply::Silence);
        for _ in 0..2 {
            let error = node.call(Default::default(), Bytes::new()).await.unwrap_err();
            assert!(
                matches!(&error, ChainError::Unavailable { detail, .. } if !detail.is_empty()),
                "{error}"
            );
        }
        scripted.restore("eth_call");
        node.call(Default::default(), Bytes::new()).await?;
        if websocket {
            assert_eq!(scripted.count("eth_chainId"), 2, "the silent socket was kept");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_at_once() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(NodeConfig {
        max_concurrent_calls: 2,
        request_timeout: Duration::from_millis(500),
        ..config(&[scripted.ws_url()])
    })
    .await?;
    scripted.always("eth_call", Reply::Silence);
    let calls = (0..3).map(|_| node.call(Default::default(), Bytes::new()));
    let first_two = async {
        scripted.wait_until("two calls are under way", |node| node.count("eth_call") == 2).await?;
        // The third waits for a place, which one of them leaves when its time is up.
        anyhow::ensure!(scripted.count("eth_call") == 2);
        scripted.always("eth_call", Reply::Result(json!("0x")));
        Ok(())
    };
    let (answers, counted) = tokio::join!(futures_join(calls), first_two);
    counted?;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(scripted.count("eth_call"), 3);
    Ok(())
}

async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let futures: Vec<_> = futures.collect();
    futures::future::join_all(futures).await
}
