//! Several URLs of one chain: what is thought of each, and what lies and lags cost.

use std::{sync::Arc, time::Duration};

use chain::Node;
use domain::{ChainClient, ChainError, Heads, LogFilter, LogQuery, ProviderStatus, Providers, Wake};
use serde_json::Value as Json;
use testkit::{
    clock::ManualClock,
    scripted_node::{LogSpec, Reply, ScriptedNode},
};

use super::world::{WAIT_MAX, config, connect};

const MINUTE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);

async fn pair() -> anyhow::Result<(ScriptedNode, ScriptedNode, Node, Arc<ManualClock>)> {
    let (first, second) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    second.chain(|chain| drop(chain.mine(Vec::new())));
    let clock = Arc::<ManualClock>::default();
    let node = Node::connect(config(&[first.http_url(), second.http_url()]), clock.clone()).await?;
    Ok((first, second, node, clock))
}

fn status(node: &Node, index: usize) -> ProviderStatus {
    node.providers().swap_remove(index)
}

/// Asks for the heads until they are as wanted.
async fn heads_until(node: &Node, wanted: impl Fn(&Heads) -> bool) -> anyhow::Result<Heads> {
    let asking = async {
        loop {
            let heads = node.heads().await?;
            if wanted(&heads) {
                return Ok(heads);
            }
        }
    };
    tokio::time::timeout(super::world::WAIT_MAX, asking).await?
}

#[tokio::test]
async fn a_sound_node_has_a_score_of_100_and_nothing_to_explain() -> anyhow::Result<()> {
    let (first, _second, node, _) = pair().await?;
    node.heads().await?;
    let found = status(&node, 0);
    assert_eq!(
        (found.url.as_str(), found.score, found.pinned, found.why),
        (first.http_url().as_str(), 100, true, None)
    );
    assert_eq!((found.errors, found.lies, found.concurrency), (0, 0, 8));
    assert!(found.latency.is_some());
    Ok(())
}

#[tokio::test]
async fn a_node_that_lags_is_left_for_the_next_decision_and_leads_nobody_back() -> anyhow::Result<()> {
    let (behind, ahead, node, clock) = pair().await?;
    ahead.chain(|chain| (0..20).for_each(|_| drop(chain.mine(Vec::new()))));
    let best = ahead.chain(|chain| chain.head().block);
    heads_until(&node, |heads| heads.latest.block == best).await?;
    for _ in 0..5 {
        assert_eq!(node.heads().await?.latest.block, best);
    }
    let found = status(&node, 0);
    assert_eq!((found.lag_blocks, found.pinned), (21, false));
    assert!(found.score <= 40, "{found:?}");
    assert_eq!(found.why.as_deref(), Some("21 blocks behind"));
    // It catches up, is looked at, and is the first again.
    behind.chain(|chain| (0..22).for_each(|_| drop(chain.mine(Vec::new()))));
    clock.advance(MINUTE);
    heads_until(&node, |heads| heads.latest.block != best).await?;
    assert_eq!((status(&node, 0).lag_blocks, node.url()), (0, behind.http_url()));
    Ok(())
}

#[tokio::test]
async fn a_lag_of_a_few_blocks_moves_nobody_unless_it_lasts() -> anyhow::Result<()> {
    let (_behind, ahead, node, clock) = pair().await?;
    ahead.chain(|chain| (0..3).for_each(|_| drop(chain.mine(Vec::new()))));
    node.heads().await?;
    ahead.wait_until("it was looked at", |node| node.count("eth_getBlockByNumber") == 1).await?;
    for _ in 0..5 {
        assert_eq!(node.heads().await?.latest.block.number, 10);
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(node.heads().await?.latest.block.number, 14);
    assert_eq!(node.url(), ahead.http_url());
    Ok(())
}

#[tokio::test]
async fn the_heads_of_the_others_are_looked_at_twice_a_minute_and_nobody_waits_for_it() -> anyhow::Result<()>
{
    let (first, second, node, clock) = pair().await?;
    second.always("eth_getBlockByNumber", Reply::Silence);
    for _ in 0..5 {
        assert_eq!(node.heads().await?.latest.block.number, 10);
    }
    second.wait_until("it was looked at", |node| node.count("eth_getBlockByNumber") == 1).await?;
    for second_of_minute in 1..=30 {
        // The one in use has a block each second.
        first.chain(|chain| chain.mine(Vec::new()));
        clock.advance(Duration::from_secs(1));
        node.heads().await?;
        if second_of_minute == 29 {
            tokio::task::yield_now().await;
            assert_eq!(second.count("eth_getBlockByNumber"), 1);
        }
    }
    second.wait_until("it was looked at again", |node| node.count("eth_getBlockByNumber") == 2).await?;
    Ok(())
}

#[tokio::test]
async fn while_there_is_no_new_head_the_others_are_looked_at_every_few_seconds() -> anyhow::Result<()> {
    let (_stuck, ahead, node, clock) = pair().await?;
    let node = Arc::new(node);
    node.heads().await?;
    ahead.wait_until("it was looked at", |node| node.count("eth_getBlockByNumber") == 1).await?;
    // Nobody but the one that listens asks.
    let listens = tokio::spawn({
        let node = Arc::clone(&node);
        async move { while !matches!(node.next_wake(&[], WAIT_MAX).await, Some(Wake::Reconnected)) {} }
    });
    ahead.chain(|chain| drop(chain.mine(Vec::new())));
    let mut passed = Duration::ZERO;
    while !listens.is_finished() {
        clock.advance(TICK);
        passed += TICK;
        let looks = ahead.count("eth_getBlockByNumber");
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert!(looks < 6, "it is asked once in a few seconds");
    }
    assert!(passed <= Duration::from_secs(5), "{passed:?}");
    assert_eq!(node.heads().await?.latest.block.number, 12, "the one in use has 10 only");
    assert_eq!(node.url(), ahead.http_url());
    Ok(())
}

#[tokio::test]
async fn a_liar_is_kept_out_of_use_and_then_on_probation() -> anyhow::Result<()> {
    let (liar, honest, node, clock) = pair().await?;
    liar.chain(|chain| drop(chain.mine(Vec::new())));
    node.heads().await?;
    node.accuse("it forged a log");
    assert_eq!(node.url(), honest.http_url());
    let found = status(&node, 0);
    assert_eq!((found.score, found.lies, found.quarantined_for), (0, 1, Some(10 * MINUTE)));
    assert_eq!(found.why.as_deref(), Some("in quarantine for a lie: it forged a log"));
    assert_eq!(node.heads().await?.latest.block.number, 11);
    // Not even when the other one fails.
    honest.next("eth_getBlockByNumber", Reply::http(502, ""));
    assert!(node.heads().await.is_err());
    assert_eq!(node.url(), honest.http_url());

    clock.advance(10 * MINUTE);
    let found = status(&node, 0);
    assert_eq!((found.score, found.quarantined_for), (50, None));
    assert!(found.why.unwrap().starts_with("on probation"));
    node.heads().await?;
    assert_eq!(node.url(), honest.http_url());
    clock.advance(10 * MINUTE);
    node.heads().await?;
    assert_eq!((node.url(), status(&node, 0).score), (liar.http_url(), 100));
    // The next lie costs twice as much.
    node.accuse("it forged another");
    assert_eq!(status(&node, 0).quarantined_for, Some(20 * MINUTE));
    Ok(())
}

#[tokio::test]
async fn the_last_node_is_never_taken_out_of_use() -> anyhow::Result<()> {
    let (liar, other, node, _) = pair().await?;
    node.accuse("it forged a log");
    node.accuse("the other forged one too");
    assert_eq!(node.url(), other.http_url());
    let found = status(&node, 1);
    assert_eq!((found.lies, found.quarantined_for, found.score), (1, None, 50));
    assert_eq!(node.heads().await?.latest.block.number, 11);

    let alone = connect(config(&[liar.http_url()])).await?;
    alone.accuse("it forged a log");
    assert_eq!(alone.heads().await?.latest.block.number, 10);
    assert_eq!((status(&alone, 0).lies, status(&alone, 0).score), (1, 50));
    Ok(())
}

#[tokio::test]
async fn scores_and_lies_are_in_the_metrics_under_the_redacted_url() -> anyhow::Result<()> {
    let first = ScriptedNode::start().await?;
    let second = ScriptedNode::start().await?;
    let urls = [format!("{}/v3/0123456789abcdef", first.http_url()), second.http_url()];
    let node = connect(config(&urls)).await?;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || node.accuse("the key 0123456789abcdef forged a log"));
    let said = recorder.handle().render();
    let liar = format!("chain=\"testnet\",url=\"{}/v3/…\"", first.http_url());
    assert!(said.contains(&format!("chainbell_provider_lies_total{{{liar}}} 1")), "{said}");
    assert!(said.contains(&format!("chainbell_provider_score{{{liar}}} 0")), "{said}");
    assert!(said.contains(&format!("url=\"{}\"}} 100", second.http_url())), "{said}");
    assert!(!format!("{said} {:?}", node.providers()).contains("0123456789abcdef"));
    Ok(())
}

#[tokio::test]
async fn the_others_stay_with_their_url_and_those_in_quarantine_are_none() -> anyhow::Result<()> {
    let nodes = [ScriptedNode::start().await?, ScriptedNode::start().await?, ScriptedNode::start().await?];
    let node = connect(config(&nodes.each_ref().map(ScriptedNode::http_url))).await?;
    let urls = |node: &dyn ChainClient| node.others().iter().map(|other| other.url()).collect::<Vec<_>>();
    assert_eq!(urls(&node), [nodes[1].http_url(), nodes[2].http_url()]);

    let other = node.others().swap_remove(0);
    nodes[1].next("eth_getLogs", Reply::http(502, ""));
    let range = LogQuery::Range { from: 1, to: 2 };
    assert!(matches!(other.logs(range, &LogFilter::default()).await, Err(ChainError::Unavailable { .. })));
    // It does not go elsewhere, but what it learned of its URL is known to all.
    assert_eq!(other.logs(range, &LogFilter::default()).await?, []);
    assert_eq!((other.url(), nodes[1].count("eth_getLogs")), (nodes[1].http_url(), 2));
    assert_eq!(status(&node, 1).errors, 1);
    assert_eq!(node.url(), nodes[0].http_url(), "a second opinion moves nobody");
    assert_eq!(other.heads().await?.latest.block.number, 10);
    assert_eq!(urls(&node), [nodes[2].http_url(), nodes[1].http_url()], "the fittest first");

    other.accuse("it forged a log");
    assert_eq!(urls(&node), [nodes[2].http_url()]);
    assert_eq!(status(&node, 1).lies, 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_contradicts_itself_weighs_more_than_a_failure() -> anyhow::Result<()> {
    let (first, second, node, clock) = pair().await?;
    let block =
        first.chain(|chain| chain.mine(vec![LogSpec::new(Default::default(), Default::default(), 1)]));
    let mut log = block.logs_json().remove(0);
    log["blockHash"] = Json::Null;
    first.next("eth_getLogs", Reply::Result(vec![log].into()));
    second.next("eth_getLogs", Reply::http(502, ""));
    // One question goes to both.
    assert!(node.logs(LogQuery::Block(block.block), &LogFilter::default()).await.is_err());
    clock.advance(Duration::from_secs(1));
    let (contradicted, failed) = (status(&node, 0), status(&node, 1));
    assert!(contradicted.score + 20 < failed.score, "{contradicted:?} {failed:?}");
    assert_eq!((contradicted.lies, failed.lies), (0, 0));
    Ok(())
}

#[tokio::test]
async fn with_a_liar_and_a_laggard_the_honest_one_is_heard() -> anyhow::Result<()> {
    let nodes = [ScriptedNode::start().await?, ScriptedNode::start().await?, ScriptedNode::start().await?];
    let [liar, laggard, honest] = &nodes;
    for _ in 0..20 {
        honest.chain(|chain| drop(chain.mine(Vec::new())));
    }
    // The liar is where the honest one is, with the same headers and a log less.
    let block =
        honest.chain(|chain| chain.mine(vec![LogSpec::new(Default::default(), Default::default(), 1)]));
    liar.chain(|chain| *chain = honest.chain(|chain| chain.clone()));
    let mut receipts = block.receipts_json();
    receipts[0]["logs"] = serde_json::json!([]);
    liar.always("eth_getBlockReceipts", Reply::Result(receipts.into()));
    let node = connect(config(&nodes.each_ref().map(ScriptedNode::http_url))).await?;
    assert_eq!(node.heads().await?.latest.block, block.block);
    let error = node.receipts(block.block).await.unwrap_err();
    assert!(matches!(error, ChainError::Incoherent { .. }), "{error}");
    assert_eq!(status(&node, 0).lies, 1);
    heads_until(&node, |heads| heads.latest.block == block.block).await?;
    assert_eq!(node.url(), honest.http_url());
    assert_eq!(node.receipts(block.block).await?.unwrap().logs.len(), 1);
    assert_eq!(laggard.count("eth_getBlockReceipts"), 0);
    Ok(())
}
