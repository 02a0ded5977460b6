//! What the tests share: configurations, waits with a cap.

use std::{sync::Arc, time::Duration};

use chain::{ConnectError, Node, NodeConfig, PromptConfig};
use domain::{AnnouncedLog, ChainClient, ChainId, Header, Heads, LogFilter, Wake};
use testkit::{
    clock::{ManualClock, RealClock},
    scripted_node::ScriptedNode,
};

/// The longest that a test waits for anything.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// A configuration with short waits.
pub(crate) fn config(urls: &[String]) -> NodeConfig {
    NodeConfig {
        request_timeout: Duration::from_secs(10),
        poll_interval: Duration::from_millis(20),
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(200),
        // A question is put once, and none is late however loaded the machine is: what a failure means is to be seen.
        prompt: PromptConfig {
            attempts: 1,
            late_min: WAIT_MAX,
            late_max: WAIT_MAX,
            deadline_min: WAIT_MAX,
            deadline_max: WAIT_MAX,
        },
        ..NodeConfig::new("testnet".parse().unwrap(), ChainId(31_337), urls.to_vec())
    }
}

pub(crate) async fn connect(config: NodeConfig) -> Result<Node, ConnectError> {
    Node::connect(config, Arc::new(RealClock)).await
}

/// A scripted node and a client of it, over WebSocket.
pub(crate) async fn scripted() -> anyhow::Result<(ScriptedNode, Node)> {
    let node = ScriptedNode::start().await?;
    let client = connect(config(&[node.ws_url()])).await?;
    Ok((node, client))
}

/// A scripted node and a client of it, over HTTP.
pub(crate) async fn scripted_http() -> anyhow::Result<(ScriptedNode, Node)> {
    let node = ScriptedNode::start().await?;
    let client = connect(config(&[node.http_url()])).await?;
    Ok((node, client))
}

/// How many questions the node was asked, connecting and subscribing left out.
pub(crate) fn asked(node: &ScriptedNode) -> usize {
    let set_up = ["eth_chainId", "eth_subscribe", "eth_unsubscribe"];
    node.calls().iter().filter(|call| !set_up.contains(&call.method.as_str())).count()
}

/// Waits for a wake that `wanted` makes something of, and forgets the others.
pub(crate) async fn wake<T>(
    node: &Node,
    filters: &[LogFilter],
    what: &str,
    wanted: impl Fn(Wake) -> Option<T>,
) -> T {
    let search = async {
        loop {
            if let Some(found) = node.next_wake(filters, WAIT_MAX).await.and_then(&wanted) {
                return found;
            }
        }
    };
    match tokio::time::timeout(WAIT_MAX, search).await {
        Ok(found) => found,
        Err(_elapsed) => panic!("waited in vain for {what}"),
    }
}

/// Waits for a head and a log in any order, and returns them.
pub(crate) async fn head_and_log(
    node: &Node,
    filters: &[LogFilter],
    wanted: impl Fn(&Header) -> bool,
) -> (Header, AnnouncedLog) {
    let seen = std::sync::Mutex::new((None, None));
    wake(node, filters, "a head and a log", |wake| {
        let mut seen = seen.lock().unwrap();
        match wake {
            Wake::Head(head) if wanted(&head) => seen.0 = Some(*head),
            Wake::Log(log) => seen.1 = Some(log),
            Wake::Head(_) | Wake::Reconnected => {}
        }
        seen.0.zip(seen.1)
    })
    .await
}

/// Asks for the heads until the latest has this number: announcements of earlier heads may still be on their way.
pub(crate) async fn at_head(node: &Node, number: u64) -> anyhow::Result<Heads> {
    let asking = async {
        loop {
            let heads = node.heads().await?;
            if heads.latest.block.number == number {
                return Ok(heads);
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, asking).await?
}

/// Waits until there is a subscription, or the first answer to a poll.
pub(crate) async fn listening(node: &Node, filters: &[LogFilter]) {
    wake(node, filters, "a feed", |wake| matches!(wake, Wake::Reconnected | Wake::Head(_)).then_some(()))
        .await;
}

/// What wakes within a time of the test's clock.
pub(crate) async fn wake_within(
    node: &Node,
    clock: &ManualClock,
    filters: &[LogFilter],
    limit: Duration,
) -> Option<Wake> {
    let passes = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        clock.advance(limit);
    };
    tokio::join!(node.next_wake(filters, limit), passes).0
}
