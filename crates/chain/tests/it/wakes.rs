//! The feed of announcements: subscriptions that break, lie, or are refused.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use chain::{FeedState, Node, NodeConfig};
use domain::{ChainClient, LogFilter, Wake};
use serde_json::{Value as Json, json};
use testkit::{
    clock::ManualClock,
    scripted_node::{LogSpec, Reply, ScriptedNode},
};

use super::world::{at_head, config, connect, head_and_log, listening, scripted, wake, wake_within};

const TOKEN: Address = Address::repeat_byte(0xaa);
const TOPIC: B256 = B256::repeat_byte(0xbb);

fn filters() -> [LogFilter; 1] {
    [LogFilter { addresses: vec![TOKEN], topics0: vec![TOPIC] }]
}

fn head(number: u64) -> impl Fn(Wake) -> Option<()> {
    move |wake| matches!(wake, Wake::Head(head) if head.block.number == number).then_some(())
}

fn reconnected(wake: Wake) -> Option<()> {
    matches!(wake, Wake::Reconnected).then_some(())
}

#[tokio::test]
async fn each_filter_has_its_subscription_and_changes_take_effect() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    let subscribed = json!(["logs", { "address": [TOKEN], "topics": [[TOPIC]] }]);
    assert_eq!(scripted.subscriptions(), [json!(["newHeads"]), subscribed]);

    let changed = [LogFilter { addresses: vec![Address::ZERO], topics0: Vec::new() }];
    assert!(node.next_wake(&changed, Duration::from_millis(1)).await.is_none());
    let expected = [json!(["newHeads"]), json!(["logs", { "address": [Address::ZERO] }])];
    scripted.wait_until("the subscriptions change", |node| node.subscriptions() == expected).await?;
    assert_eq!(scripted.count("eth_chainId"), 1, "it reconnected");
    // Heads went on.
    scripted.mine(Vec::new());
    wake(&node, &changed, "the head", head(11)).await;
    Ok(())
}

#[tokio::test]
async fn too_many_filters_leave_the_heads() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    let filters: Vec<_> = (0..200)
        .map(|n| LogFilter { addresses: vec![Address::with_last_byte(n)], topics0: Vec::new() })
        .collect();
    listening(&node, &filters).await;
    assert_eq!(scripted.subscriptions(), [json!(["newHeads"])]);
    Ok(())
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_said_to_be() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    for round in 0..3 {
        scripted.drop_connections();
        wake(&node, &filters(), "the reconnection", reconnected).await;
        scripted.mine(vec![LogSpec::new(TOKEN, TOPIC, round)]);
        let (head, log) = head_and_log(&node, &filters(), |_| true).await;
        assert_eq!((head.block.number, log.block), (11 + round, head.block));
    }
    Ok(())
}

#[tokio::test]
async fn nothing_but_garbage_ends_the_connection_and_it_is_made_anew() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    for _ in 0..16 {
        scripted.push("<garbage>");
    }
    wake(&node, &filters(), "the reconnection", reconnected).await;
    assert_eq!(node.heads().await?.latest.block.number, 10);
    Ok(())
}

#[tokio::test]
async fn incomplete_announcements_are_dropped_and_pending_logs_with_them() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    let log = LogSpec::new(TOKEN, TOPIC, 1);
    let mut pending = scripted.chain(|chain| chain.clone().mine(vec![log.clone()])).logs_json().remove(0);
    for field in ["blockHash", "blockNumber", "logIndex", "transactionIndex"] {
        pending[field] = Json::Null;
        scripted.announce("logs", &pending);
    }
    scripted.announce("logs", &json!("nonsense"));
    scripted.announce(
        "newHeads",
        &json!({ "number": null, "hash": null, "parentHash": null, "timestamp": null }),
    );
    scripted.announce("newHeads", &Json::Null);
    scripted.mine(vec![log]);
    // Heads and logs of before would be seen first.
    let (head, log) = head_and_log(&node, &filters(), |_| true).await;
    assert_eq!((head.block.number, log.block), (11, head.block));
    assert!(node.next_wake(&filters(), Duration::from_millis(50)).await.is_none());
    assert_eq!(scripted.count("eth_chainId"), 1, "it reconnected");
    Ok(())
}

#[tokio::test]
async fn a_removed_log_is_handed_on_as_a_hint() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    let block = scripted.chain(|chain| chain.mine(vec![LogSpec::new(TOKEN, TOPIC, 1)]));
    let mut log = block.logs_json().remove(0);
    log["removed"] = json!(true);
    scripted.announce("logs", &log);
    let removed = wake(&node, &filters(), "the log", |wake| {
        matches!(wake, Wake::Log(log) if log.removed).then_some(())
    })
    .await;
    assert_eq!(removed, ());
    Ok(())
}

#[tokio::test]
async fn a_socket_that_falls_silent_is_replaced_after_the_stall_timeout() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let clock = Arc::<ManualClock>::default();
    let config = NodeConfig { stall_timeout: Duration::from_secs(60), ..config(&[scripted.ws_url()]) };
    let node = Node::connect(config, clock.clone()).await?;
    listening(&node, &[]).await;
    // The chain goes on, and the node forgets to say so.
    scripted.chain(|chain| drop(chain.mine(Vec::new())));
    clock.advance(Duration::from_secs(59));
    assert!(wake_within(&node, &clock, &[], Duration::from_millis(100)).await.is_none());
    assert_eq!(scripted.count("eth_chainId"), 1);
    clock.advance(Duration::from_secs(1));
    wake(&node, &[], "the reconnection", reconnected).await;
    assert_eq!(scripted.count("eth_chainId"), 2);
    scripted.mine(Vec::new());
    wake(&node, &[], "the head", head(12)).await;
    Ok(())
}

#[tokio::test]
async fn a_reader_that_is_slow_is_told_that_it_missed_something() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let node = connect(NodeConfig { max_wakes: 4, ..config(&[scripted.ws_url()]) }).await?;
    listening(&node, &[]).await;
    for _ in 0..20 {
        scripted.mine(Vec::new());
    }
    // A call's answer comes after the announcements on the same socket.
    node.call(Address::ZERO, Default::default()).await?;
    at_head(&node, 30).await?;
    wake(&node, &[], "the loss", reconnected).await;
    // What follows is whole again.
    scripted.mine(Vec::new());
    wake(&node, &[], "the head", head(31)).await;
    Ok(())
}

#[tokio::test]
async fn a_node_that_refuses_subscriptions_is_polled_and_asked_again_later() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let clock = Arc::<ManualClock>::default();
    let node = Node::connect(config(&[scripted.ws_url()]), clock.clone()).await?;
    scripted.always("eth_subscribe", Reply::error(-32601, "notifications not supported"));
    wake(&node, &[], "the first poll", head(10)).await;
    assert_eq!(node.status()[0].feed, FeedState::Polling);
    scripted.mine(Vec::new());
    clock.advance(Duration::from_secs(1));
    wake(&node, &[], "the second poll", head(11)).await;

    // A replaced head of the same height is news too.
    let replaced = scripted.chain(|chain| {
        chain.rollback(1);
        chain.mine(Vec::new())
    });
    clock.advance(Duration::from_secs(1));
    wake(&node, &[], "the replaced head", |wake| {
        matches!(wake, Wake::Head(head) if head.block == replaced.block).then_some(())
    })
    .await;
    assert_eq!(scripted.count("eth_subscribe"), 1);

    scripted.restore("eth_subscribe");
    clock.advance(Duration::from_secs(600));
    wake(&node, &[], "the subscription", reconnected).await;
    assert_eq!(node.status()[0].feed, FeedState::Subscribed);
    Ok(())
}

#[tokio::test]
async fn while_the_socket_is_away_another_url_is_polled() -> anyhow::Result<()> {
    let (first, second) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    let node = connect(config(&[first.ws_url(), second.http_url()])).await?;
    listening(&node, &[]).await;
    drop(first);
    second.mine(Vec::new());
    wake(&node, &[], "a polled head", head(11)).await;
    second.mine(Vec::new());
    wake(&node, &[], "another polled head", head(12)).await;
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_dropped_ends_its_connections() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &[]).await;
    assert_eq!(scripted.subscriptions().len(), 1);
    drop(node);
    scripted.wait_until("the connection ends", |node| node.subscriptions().is_empty()).await?;
    Ok(())
}

#[tokio::test]
async fn a_subscription_that_is_never_answered_is_tried_on_another_socket() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let short = NodeConfig { request_timeout: Duration::from_millis(200), ..config(&[scripted.ws_url()]) };
    let node = connect(short).await?;
    scripted.next("eth_subscribe", Reply::Silence);
    wake(&node, &[], "the subscription", reconnected).await;
    assert_eq!(scripted.count("eth_chainId"), 2, "the silent socket was kept");
    Ok(())
}
