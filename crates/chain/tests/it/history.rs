//! A URL that has let go of old blocks: the next one is asked for them, and the first one stays in use for newer ones.

use std::collections::HashSet;

use alloy_primitives::{Address, B256};
use domain::{ChainClient, ChainError, LogFilter, LogQuery, Providers};
use testkit::scripted_node::{LogSpec, Reply, ScriptedChain, ScriptedNode};

use super::world::{config, connect};
use chain::Node;

const TOKEN: Address = Address::repeat_byte(0xaa);
const TOPIC: B256 = B256::repeat_byte(0xbb);
const METHODS: [&str; 5] = [
    "eth_getLogs",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getTransactionReceipt",
];

/// Answers from a chain, but for what is older than block `oldest`.
fn prune(node: &ScriptedNode, chain: &ScriptedChain, oldest: u64) {
    let gone: HashSet<String> = (0..oldest)
        .filter_map(|number| chain.block(number))
        .flat_map(|block| {
            let logs = block.logs.iter().map(|log| log.tx_hash.to_string());
            logs.chain([block.block.hash.to_string(), format!("0x{:x}", block.block.number)])
        })
        .collect();
    for method in METHODS {
        let (chain, gone) = (chain.clone(), gone.clone());
        node.answer(method, move |params| {
            let first = &params[0];
            let named = [&first["blockHash"], &first["fromBlock"], first];
            if named.iter().any(|what| what.as_str().is_some_and(|what| gone.contains(what))) {
                return Reply::error(4444, "pruned history unavailable");
            }
            chain.answer(method, params)
        });
    }
}

/// A node that keeps the newest blocks and one that keeps all, of 300 blocks with a log each.
async fn two() -> anyhow::Result<(ScriptedNode, ScriptedNode, ScriptedChain)> {
    let (pruned, whole) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    pruned.chain(|chain| (0..290).for_each(|tx| drop(chain.mine(vec![LogSpec::new(TOKEN, TOPIC, tx)]))));
    let chain = pruned.chain(|chain| chain.clone());
    whole.chain(|other| *other = chain.clone());
    prune(&pruned, &chain, 150);
    Ok((pruned, whole, chain))
}

async fn node(urls: &[&ScriptedNode]) -> anyhow::Result<Node> {
    let urls: Vec<_> = urls.iter().map(|node| node.http_url()).collect();
    Ok(connect(config(&urls)).await?)
}

async fn range(node: &Node, from: u64, to: u64) -> Result<usize, ChainError> {
    Ok(node.logs(LogQuery::Range { from, to }, &LogFilter::default()).await?.len())
}

#[tokio::test]
async fn what_one_url_has_let_go_of_the_next_one_is_asked_for_and_the_first_stays_in_use()
-> anyhow::Result<()> {
    let (pruned, whole, chain) = two().await?;
    let node = node(&[&pruned, &whole]).await?;
    node.heads().await?;
    assert_eq!(range(&node, 11, 110).await?, 100);
    assert_eq!(range(&node, 111, 210).await?, 100);
    assert_eq!((node.url(), node.providers()[0].score), (pruned.http_url(), 100));
    // Everything that is asked about an old block.
    let old = chain.block(20).unwrap();
    assert_eq!(node.logs(LogQuery::Block(old.block), &LogFilter::default()).await?.len(), 1);
    assert_eq!(node.headers_by_number(&[20, 200]).await?.iter().flatten().count(), 2);
    assert_eq!(node.header_by_hash(old.block.hash).await?.unwrap().block, old.block);
    assert_eq!(node.receipts(old.block).await?.unwrap().logs.len(), 1);
    assert_eq!(node.transaction_logs(old.logs[0].tx_hash).await?.unwrap().len(), 1);
    // Newer blocks are still the first one's.
    let (before, asked) = (whole.calls().len(), pruned.count("eth_getLogs"));
    node.heads().await?;
    let head = chain.head().block;
    assert_eq!(node.logs(LogQuery::Block(head), &LogFilter::default()).await?.len(), 1);
    assert_eq!((whole.calls().len(), pruned.count("eth_getLogs")), (before, asked + 1));
    assert_eq!((node.url(), node.providers()[0].score), (pruned.http_url(), 100));
    Ok(())
}

#[tokio::test]
async fn a_long_past_that_one_url_lacks_costs_few_questions_in_vain() -> anyhow::Result<()> {
    let (pruned, whole, _) = two().await?;
    let node = node(&[&pruned, &whole]).await?;
    node.heads().await?;
    for from in (0..140).step_by(10) {
        assert_eq!(range(&node, from.max(11), from.max(11) + 9).await?, 10);
    }
    assert_eq!(pruned.count("eth_getLogs"), 1);
    // And a client for what is read beside a decision goes the same way.
    let steady = node.steady().unwrap();
    let logs = steady.logs(LogQuery::Range { from: 11, to: 20 }, &LogFilter::default()).await?;
    assert_eq!((logs.len(), steady.url()), (10, pruned.http_url()));
    Ok(())
}

#[tokio::test]
async fn a_block_that_every_url_has_let_go_of_is_named_with_the_mend() -> anyhow::Result<()> {
    let (pruned, other, chain) = two().await?;
    prune(&other, &chain, 50);
    let node = node(&[&pruned, &other]).await?;
    for _ in 0..3 {
        let error = range(&node, 11, 110).await.unwrap_err();
        let said = format!(
            "the node at {} keeps no history of 11 to 110 (error 4444: pruned history unavailable), and no other URL has \
             it: add a node that keeps all history to 'rpc', or raise 'start_block'",
            pruned.http_url()
        );
        assert_eq!(error.to_string(), said);
    }
    assert_eq!(range(&node, 60, 110).await?, 51, "the other one has these");
    assert!(node.providers().iter().all(|url| url.score == 100), "it is no fault of theirs");
    // When it is mended, it is used.
    for method in METHODS {
        pruned.restore(method);
    }
    assert_eq!(range(&node, 11, 110).await?, 100);
    Ok(())
}

#[tokio::test]
async fn a_url_that_has_not_come_as_far_is_not_asked_for_what_another_lacks() -> anyhow::Result<()> {
    let (pruned, behind, chain) = two().await?;
    behind.chain(|chain| drop(chain.rollback(250)));
    let node = node(&[&pruned, &behind]).await?;
    let error = range(&node, 11, 110).await.unwrap_err();
    assert!(matches!(error, ChainError::Pruned { .. }), "{error}");
    assert_eq!(behind.count("eth_getLogs"), 0, "it would say that there are no logs");
    behind.chain(|other| *other = chain);
    assert_eq!(range(&node, 11, 110).await?, 100);
    Ok(())
}

#[tokio::test]
async fn a_second_opinion_is_that_url_s_own() -> anyhow::Result<()> {
    let (pruned, whole, _) = two().await?;
    let node = node(&[&whole, &pruned]).await?;
    let other = node.others().remove(0);
    let error = other.logs(LogQuery::Range { from: 11, to: 20 }, &LogFilter::default()).await.unwrap_err();
    assert!(matches!(error, ChainError::Pruned { .. }), "{error}");
    Ok(())
}
