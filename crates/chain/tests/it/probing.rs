//! The examination of a node: its limits are found, and what it lacks is told in its own words.

use std::{sync::Arc, time::Duration};

use chain::{History, Limit, Probe, Receipts, probe};
use domain::{ChainClient, Providers};
use testkit::{
    anvil::TestAnvil,
    clock::RealClock,
    scripted_node::{Batches, LogSpec, Reply, ScriptedNode},
};

use super::world::{config, connect};

async fn examine(url: &str) -> anyhow::Result<Probe> {
    Ok(probe(url, Duration::from_secs(10), Arc::new(RealClock)).await?)
}

/// A node of 2,000 blocks with a log each.
async fn busy() -> anyhow::Result<ScriptedNode> {
    let scripted = ScriptedNode::start().await?;
    let log = |tx| {
        LogSpec::new(Default::default(), alloy_primitives::keccak256("Transfer(address,address,uint256)"), tx)
    };
    scripted.chain(|chain| (0..1_990).for_each(|tx| drop(chain.mine(vec![log(tx)]))));
    Ok(scripted)
}

fn span(filter: &serde_json::Value) -> Option<u64> {
    let number = |key: &str| u64::from_str_radix(filter[key].as_str()?.strip_prefix("0x")?, 16).ok();
    Some(number("toBlock")? - number("fromBlock")? + 1)
}

#[tokio::test]
async fn anvil_has_everything_and_proves_it() -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let token = anvil.token().await?;
    anvil.send(token.transfer(anvil.account(0), anvil.account(1), Default::default())).await?;
    for url in [anvil.http_url(), anvil.ws_url()] {
        let found = examine(&url).await?;
        assert_eq!(found.receipts, Receipts::Prove);
        assert!(matches!(found.batches, Limit::AtLeast(_)), "{:?}", found.batches);
        assert_eq!(found.history, History::Whole);
        let blocks = found.latest.block.number + 1;
        assert_eq!((found.range_limit, found.result_limit), (Limit::AtLeast(blocks), Limit::AtLeast(2)));
        assert!(found.latest_ahead < Duration::from_secs(60), "{:?}", found.latest_ahead);
    }
    Ok(())
}

#[tokio::test]
async fn the_range_limit_is_what_the_node_suggests_or_nearly_what_it_takes_whatever_it_says()
-> anyhow::Result<()> {
    for (text, limit) in [
        ("eth_getLogs is limited to a 1,024 block range", 1_024),
        ("block range is too wide", 600),
        ("You can make eth_getLogs requests with up to a 10 block range", 10),
        ("computer says no", 100),
        ("", 1),
    ] {
        let scripted = busy().await?;
        scripted.answer("eth_getLogs", move |params| match span(&params[0]) {
            Some(span) if span > limit => Reply::error(-32602, text),
            _ => Reply::Result(serde_json::json!([])),
        });
        let found = examine(&scripted.http_url()).await?;
        let Limit::At { most, refused, why } = found.range_limit else { panic!("{:?}", found.range_limit) };
        assert!(most <= limit && most * 8 >= limit * 7, "{most} of {limit}");
        assert!(refused > limit && why.contains(text), "{refused} {why}");
        assert!(scripted.count("eth_getLogs") <= 32, "{}", scripted.count("eth_getLogs"));
        // What is kept is what is said.
        let node = connect(config(&[scripted.http_url()])).await?;
        node.recall(&[found.limits]);
        assert_eq!(node.range_limit(), Some(most));
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_gives_logs_in_no_range_or_too_few_at_once_is_found_out() -> anyhow::Result<()> {
    let scripted = busy().await?;
    let found = examine(&scripted.http_url()).await?;
    assert_eq!((found.range_limit, found.result_limit), (Limit::AtLeast(2_001), Limit::AtLeast(100)));
    scripted.always("eth_getLogs", Reply::error(-32005, "query returned more than 10 results"));
    let found = examine(&scripted.http_url()).await?;
    let said = "error -32005: query returned more than 10 results".to_owned();
    assert_eq!((found.range_limit, found.result_limit), (Limit::Nothing(said.clone()), Limit::Nothing(said)));
    Ok(())
}

#[tokio::test]
async fn a_pruned_history_is_found_whether_it_is_refused_or_silently_empty() -> anyhow::Result<()> {
    for refuses in [true, false] {
        let scripted = busy().await?;
        let oldest = 1_200;
        let old: std::collections::HashSet<String> = scripted.chain(|chain| {
            (0..oldest).map(|number| chain.block(number).unwrap().block.hash.to_string()).collect()
        });
        let log = scripted.chain(|chain| chain.head().logs_json());
        scripted.answer("eth_getLogs", move |params| match params[0]["blockHash"].as_str() {
            Some(hash) if old.contains(hash) && refuses => Reply::error(4444, "pruned history unavailable"),
            Some(hash) if old.contains(hash) => Reply::Result(serde_json::json!([])),
            None if refuses && span(&params[0]).is_some_and(|blocks| blocks > 2_001 - oldest) => {
                Reply::error(4444, "pruned history unavailable")
            }
            _ => Reply::Result(log.clone().into()),
        });
        let found = examine(&scripted.http_url()).await?;
        let History::Since { has, lacks, why } = found.history else { panic!("{:?}", found.history) };
        assert_eq!((lacks, has), (oldest - 1, oldest));
        assert!(matches!(found.range_limit, Limit::AtLeast(_)), "{:?}", found.range_limit);
        assert!(why.contains(if refuses { "pruned" } else { "bloom" }), "{why}");
        assert!(scripted.count("eth_getLogs") <= 20);
    }
    Ok(())
}

#[tokio::test]
async fn receipts_batches_and_clocks_are_told_as_they_are() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let found = examine(&scripted.http_url()).await?;
    assert_eq!((&found.receipts, &found.batches), (&Receipts::Prove, &Limit::AtLeast(11)));
    assert!(found.latest_age > Duration::from_secs(3_600), "the scripted chain is of 2023");

    scripted
        .batches(Batches::Refused { code: -32600, message: "batch requests are not supported".to_owned() });
    scripted
        .always("eth_getBlockReceipts", Reply::error(-32601, "the method does not exist/is not available"));
    let mut header = scripted.chain(|chain| chain.head().header_json());
    header["timestamp"] = serde_json::json!("0xffffffff");
    scripted.always("eth_getBlockByNumber", Reply::Result(header));
    let found = examine(&scripted.http_url()).await?;
    assert!(matches!(found.receipts, Receipts::No(_)), "{:?}", found.receipts);
    assert!(matches!(found.batches, Limit::At { most: 1, .. } | Limit::Nothing(_)), "{:?}", found.batches);
    assert!(found.latest_ahead > Duration::from_secs(3_600) && found.latest_age.is_zero());
    Ok(())
}

#[tokio::test]
async fn a_node_that_takes_no_batches_is_asked_one_by_one_from_then_on() -> anyhow::Result<()> {
    for refusal in ["batch requests are not supported", "the method is not available in batches"] {
        let scripted = ScriptedNode::start().await?;
        let node = connect(config(&[scripted.http_url()])).await?;
        scripted.batches(Batches::Refused { code: -32600, message: refusal.to_owned() });
        assert_eq!(node.heads().await?.finalized.unwrap().number, 6);
        let before = scripted.count("eth_getBlockByNumber");
        assert_eq!(node.heads().await?.latest.block.number, 10);
        assert_eq!(scripted.count("eth_getBlockByNumber"), before + 3);
        assert_eq!(node.headers_by_number(&[1, 2]).await?.len(), 2);
    }
    Ok(())
}
