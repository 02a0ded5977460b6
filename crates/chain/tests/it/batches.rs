//! A node that takes only so many questions in one message, and says so in whatever words: it is asked fewer, and that is
//! remembered.

use domain::{ChainClient, ChainError, Providers};
use serde_json::json;
use testkit::scripted_node::{Batches, Reply, ScriptedNode};

use super::world::{config, connect};
use chain::Node;

const BY_NUMBER: &str = "eth_getBlockByNumber";

/// What nodes were seen to say to a batch that is too large.
fn refusals() -> Vec<(&'static str, Reply)> {
    let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "no" } });
    let limit = json!({ "error": { "code": -32005, "message": "batch size exceeds your plan" } }).to_string();
    vec![
        ("HTTP 500 with a JSON error", Reply::http(500, &error.to_string())),
        ("one error without an id", Reply::error(-32600, "batch too large")),
        ("a list of one error without an id", Reply::Raw(json!([error]).to_string())),
        ("an empty list", Reply::Raw("[]".to_owned())),
        ("HTTP 400 without JSON", Reply::http(400, "Bad Request")),
        ("HTTP 413 without JSON", Reply::http(413, "Payload Too Large")),
        ("HTTP 403 with an error about batches", Reply::http(403, &limit)),
        ("HTTP 429 with an error about batches", Reply::http(429, &limit)),
        ("HTTP 429 without JSON", Reply::http(429, "Too Many Requests")),
        ("a rate limit under HTTP 200", Reply::error(-32005, "limit exceeded")),
        ("a method that is not there", Reply::error(-32601, "the method batch does not exist")),
        ("HTML", Reply::Raw("<html>no</html>".to_owned())),
        ("the end of the connection", Reply::Close),
    ]
}

/// Nine headers, as a gap of nine blocks is read.
async fn nine(node: &Node) -> anyhow::Result<()> {
    let headers = node.headers_by_number(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).await?;
    let numbers: Vec<_> = headers.iter().map(|header| header.unwrap().block.number).collect();
    anyhow::ensure!(numbers == [1, 2, 3, 4, 5, 6, 7, 8, 9], "{numbers:?}");
    Ok(())
}

/// The largest message among the calls since `since`.
fn largest(node: &ScriptedNode, since: usize) -> usize {
    node.calls().iter().skip(since).map(|call| call.batch).max().unwrap_or_default()
}

#[tokio::test]
async fn a_batch_that_is_refused_in_any_words_becomes_smaller_and_stays_so() -> anyhow::Result<()> {
    for most in [1, 3] {
        for (what, refusal) in refusals() {
            let scripted = ScriptedNode::start().await?;
            scripted.batches(Batches::AtMost(most, refusal));
            let node = connect(config(&[scripted.http_url()])).await?;
            assert_eq!(node.heads().await?.finalized.unwrap().number, 6, "{what}, {most}");
            nine(&node).await.map_err(|error| error.context(format!("{what}, {most}")))?;
            nine(&node).await?;
            let learned = node.limits()[0].batch.unwrap();
            assert_eq!((learned.granted, learned.refused), (most as u64, most as u64 + 1), "{what}, {most}");
            let before = scripted.calls().len();
            nine(&node).await?;
            assert_eq!(scripted.calls().len(), before + 9, "{what}, {most}: nothing is asked in vain");
            assert_eq!(largest(&scripted, before), most, "{what}, {most}");
            assert_eq!(node.providers()[0].score, 100, "{what}, {most}: it is no fault of the node");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_learned_of_batches_is_taken_up_after_a_restart() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    scripted.batches(Batches::AtMost(3, Reply::http(500, "")));
    let node = connect(config(&[scripted.http_url()])).await?;
    nine(&node).await?;
    nine(&node).await?;
    let limits = node.limits();
    let later = connect(config(&[scripted.http_url()])).await?;
    later.recall(&limits);
    let before = scripted.calls().len();
    nine(&later).await?;
    assert_eq!((largest(&scripted, before), scripted.calls().len()), (3, before + 9));
    Ok(())
}

#[tokio::test]
async fn a_limit_on_the_rate_is_none_on_batches() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(config(&[scripted.http_url()])).await?;
    scripted.always(BY_NUMBER, Reply::http(429, "Too Many Requests"));
    for _ in 0..3 {
        let error = node.headers_by_number(&[1, 2, 3]).await.unwrap_err();
        assert!(matches!(error, ChainError::RateLimited { .. }), "{error}");
    }
    assert_eq!(node.limits()[0].batch, None);
    scripted.restore(BY_NUMBER);
    let before = scripted.calls().len();
    nine(&node).await?;
    assert_eq!(largest(&scripted, before), 9);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_was_taken_before_and_fails_once_is_asked_again_as_it_is() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(config(&[scripted.http_url()])).await?;
    nine(&node).await?;
    scripted.next(BY_NUMBER, Reply::http(502, ""));
    while nine(&node).await.is_err() {}
    let before = scripted.calls().len();
    nine(&node).await?;
    assert_eq!((largest(&scripted, before), node.limits()[0].batch), (9, None));
    // A node whose limit fell is found out.
    scripted.batches(Batches::AtMost(2, Reply::http(502, "")));
    while nine(&node).await.is_err() {}
    nine(&node).await?;
    assert_eq!(node.limits()[0].batch.unwrap().granted, 2);
    Ok(())
}

#[tokio::test]
async fn one_result_for_a_whole_batch_is_one_answer_and_not_all_of_them() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(config(&[scripted.http_url()])).await?;
    let block = scripted.chain(|chain| chain.block(6).unwrap().header_json());
    let answer = json!({ "jsonrpc": "2.0", "id": null, "result": block }).to_string();
    scripted.batches(Batches::AtMost(1, Reply::Raw(answer)));
    let heads = node.heads().await?;
    assert_eq!((heads.latest.block.number, heads.safe.unwrap().number), (10, 8));
    Ok(())
}
