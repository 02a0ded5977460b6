//! A node that takes only so many blocks in one range, and says so in whatever words: it is asked for fewer, and that is
//! remembered.

use std::time::Duration;

use domain::{ChainClient, ChainError, LogFilter, LogQuery, Providers};
use serde_json::{Value as Json, json};
use testkit::scripted_node::{Reply, ScriptedNode};

use super::world::{config, connect};
use chain::{Node, NodeConfig};

const LOGS: &str = "eth_getLogs";

fn span(filter: &Json) -> Option<u64> {
    let number = |key: &str| u64::from_str_radix(filter[key].as_str()?.strip_prefix("0x")?, 16).ok();
    Some(number("toBlock")? - number("fromBlock")? + 1)
}

/// A node of 1,100 blocks that refuses ranges of more than `most`.
async fn limited(most: u64, refusal: Reply) -> anyhow::Result<ScriptedNode> {
    let scripted = ScriptedNode::start().await?;
    scripted.chain(|chain| (0..1_090).for_each(|_| drop(chain.mine(Vec::new()))));
    limit(&scripted, most, refusal);
    Ok(scripted)
}

fn limit(scripted: &ScriptedNode, most: u64, refusal: Reply) {
    scripted.answer(LOGS, move |params| match span(&params[0]) {
        Some(blocks) if blocks > most => refusal.clone(),
        _ => Reply::Result(json!([])),
    });
}

async fn ask(node: &Node, blocks: u64) -> Result<(), ChainError> {
    node.logs(LogQuery::Range { from: 1, to: blocks }, &LogFilter::default()).await.map(drop)
}

/// Asks until the range counts as too long; it takes a refusal more, which may pass.
async fn ask_until_refused(node: &Node, blocks: u64) -> anyhow::Result<ChainError> {
    for _ in 0..3 {
        match ask(node, blocks).await {
            Err(error @ ChainError::RangeTooLarge { .. }) => return Ok(error),
            Err(_) => {}
            Ok(()) => anyhow::bail!("{blocks} blocks were taken"),
        }
    }
    anyhow::bail!("{blocks} blocks are asked for in vain")
}

/// What nodes were seen to say to a range that is too long.
fn refusals() -> Vec<Reply> {
    let said = json!({ "error": { "code": -32000, "message": "computer says no" } }).to_string();
    vec![
        Reply::error(-32602, "range 200 exceeds limit of 100"),
        Reply::error(
            -32600,
            "The requested block count 200 exceeds the range allowed for your plan (200 > 100)",
        ),
        Reply::error(-32600, "please limit the query to at most 100 blocks"),
        Reply::error(-32000, "execution timeout"),
        Reply::error(-32005, "limit exceeded"),
        Reply::error(-32601, "the method is not available in your plan"),
        Reply::error(-32000, "the block does not exist"),
        Reply::error(0, ""),
        Reply::http(500, &said),
        Reply::http(400, &said),
        Reply::http(503, ""),
        Reply::http(400, ""),
        Reply::http(403, "Forbidden"),
        Reply::http(404, ""),
        Reply::http(429, "slow down"),
        Reply::Raw("<html>".to_owned()),
        Reply::Close,
    ]
}

#[tokio::test]
async fn a_range_that_is_refused_again_in_any_words_while_one_block_is_answered_is_too_long()
-> anyhow::Result<()> {
    for refusal in refusals() {
        let scripted = limited(100, refusal.clone()).await?;
        let node = connect(config(&[scripted.http_url()])).await?;
        let second = ask_until_refused(&node, 200).await?;
        assert!(matches!(second, ChainError::RangeTooLarge { .. }), "{refusal:?}: {second}");
        assert_eq!(node.range_limit(), Some(100), "{refusal:?}");
        ask(&node, 100).await?;
        let learned = node.limits()[0].range.unwrap();
        assert_eq!((learned.granted, learned.refused), (100, 200), "{refusal:?}");
        // From now on it takes one refusal, and what is known to be refused is not sent.
        assert!(matches!(ask(&node, 150).await, Err(ChainError::RangeTooLarge { .. })), "{refusal:?}");
        let before = scripted.count(LOGS);
        assert!(matches!(ask(&node, 200).await, Err(ChainError::RangeTooLarge { .. })));
        assert_eq!(scripted.count(LOGS), before);
    }
    Ok(())
}

#[tokio::test]
async fn a_range_over_which_the_node_falls_silent_is_too_long_too() -> anyhow::Result<()> {
    let scripted = limited(100, Reply::Silence).await?;
    for url in [scripted.http_url(), scripted.ws_url()] {
        let node =
            connect(NodeConfig { request_timeout: Duration::from_millis(300), ..config(&[url]) }).await?;
        ask_until_refused(&node, 200).await?;
        ask(&node, 100).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_refuses_everything_or_one_block_as_well_has_no_limit_on_ranges() -> anyhow::Result<()> {
    for refusal in refusals() {
        let scripted = limited(0, refusal.clone()).await?;
        let node = connect(config(&[scripted.http_url()])).await?;
        for _ in 0..4 {
            let error = ask(&node, 200).await.unwrap_err();
            assert!(!matches!(error, ChainError::RangeTooLarge { .. }), "{refusal:?}: {error}");
        }
        assert_eq!(node.limits()[0].range, None, "{refusal:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_fails_now_and_then_has_no_limit_on_ranges() -> anyhow::Result<()> {
    let scripted = limited(u64::MAX, Reply::error(-32000, "overloaded")).await?;
    let node = connect(config(&[scripted.http_url()])).await?;
    for _ in 0..20 {
        // Twice in a row, and then it is well.
        scripted.next(LOGS, Reply::error(-32000, "overloaded"));
        scripted.next(LOGS, Reply::http(502, ""));
        while ask(&node, 500).await.is_err() {}
    }
    assert_eq!(node.limits()[0].range, None);
    Ok(())
}

#[tokio::test]
async fn what_was_learned_of_ranges_is_taken_up_after_a_restart_by_that_url_alone() -> anyhow::Result<()> {
    let (scripted, other) =
        (limited(100, Reply::http(500, "")).await?, limited(500, Reply::http(500, "")).await?);
    let node = connect(config(&[scripted.http_url()])).await?;
    for blocks in [200, 200, 100] {
        let _ = ask(&node, blocks).await;
    }
    let limits = node.limits();
    let urls = [other.http_url(), scripted.http_url()];
    let later = connect(config(&urls)).await?;
    later.recall(&limits);
    assert_eq!(later.limits().iter().map(|url| url.range).collect::<Vec<_>>(), [None, limits[0].range]);
    assert_eq!(later.range_limit(), None, "the first URL is in use");
    ask(&later, 500).await?;
    Ok(())
}

#[tokio::test]
async fn a_limit_is_given_up_when_the_node_is_mended() -> anyhow::Result<()> {
    let scripted = limited(100, Reply::http(500, "")).await?;
    let node = connect(config(&[scripted.http_url()])).await?;
    let ranges = async |wanted: u64, times: usize| {
        let mut vain = 0;
        for _ in 0..times {
            let blocks = node.range_limit().map_or(wanted, |limit| limit.min(wanted));
            vain += usize::from(ask(&node, blocks).await.is_err());
        }
        vain
    };
    let vain = ranges(1_000, 300).await;
    assert!(vain <= 30, "{vain} questions in vain");
    assert!(node.range_limit().is_none_or(|limit| limit <= 100));
    limit(&scripted, u64::MAX, Reply::http(500, ""));
    ranges(1_000, 600).await;
    ask(&node, 1_000).await?;
    assert_eq!((node.range_limit(), node.limits()[0].range), (None, None));
    Ok(())
}
