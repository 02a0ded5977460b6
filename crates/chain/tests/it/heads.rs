//! Heads by announcements: what following a live chain costs, and which announcements are believed.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use chain::Node;
use domain::{BlockRef, ChainClient, Heads, LogFilter, LogQuery, Providers, Wake};
use testkit::{
    anvil::TestAnvil,
    clock::ManualClock,
    scripted_node::{LogSpec, ScriptedNode},
    wait::eventually,
};

use super::world::{WAIT_MAX, asked, at_head, config, connect, listening, scripted, wake, wake_within};

const TOKEN: Address = Address::repeat_byte(0xaa);
const TOPIC: B256 = B256::repeat_byte(0xbb);

fn filters() -> [LogFilter; 1] {
    [LogFilter { addresses: vec![TOKEN], topics0: vec![TOPIC] }]
}

/// A node on whose head a client listens, and its clock.
async fn live() -> anyhow::Result<(ScriptedNode, Node, Arc<ManualClock>)> {
    let scripted = ScriptedNode::start().await?;
    let clock = Arc::<ManualClock>::default();
    let node = Node::connect(config(&[scripted.ws_url()]), clock.clone()).await?;
    listening(&node, &filters()).await;
    node.heads().await?;
    Ok((scripted, node, clock))
}

async fn asked_for(scripted: &ScriptedNode, calls: usize) -> anyhow::Result<()> {
    eventually("so many calls were made", WAIT_MAX, || async {
        let asked = asked(scripted);
        Ok(if asked >= calls { Ok(()) } else { Err(asked) })
    })
    .await
}

async fn head(node: &Node, block: BlockRef) {
    wake(node, &filters(), "the head", |wake| {
        matches!(wake, Wake::Head(head) if head.block == block).then_some(())
    })
    .await;
}

/// Mines until the heads have this safe block or a newer one, and gives them.
async fn until_safe(scripted: &ScriptedNode, node: &Node, safe: u64) -> anyhow::Result<Heads> {
    let newer = async {
        loop {
            head(node, scripted.mine(Vec::new()).block).await;
            let heads = node.heads().await?;
            if heads.safe.is_some_and(|block| block.number >= safe) {
                return anyhow::Ok(heads);
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, newer).await?
}

#[tokio::test]
async fn following_a_live_chain_costs_a_call_a_block_and_two_in_sixteen_for_the_tags() -> anyhow::Result<()> {
    let (scripted, node, _) = live().await?;
    let before = asked(&scripted);
    for tx in 0..64 {
        let mined = scripted.mine(vec![LogSpec::new(TOKEN, TOPIC, tx)]).block;
        head(&node, mined).await;
        let heads = node.heads().await?;
        assert_eq!(heads.latest.block, mined);
        let logs = node.logs(LogQuery::Block(mined), &filters()[0]).await?;
        assert_eq!(logs.len(), 1);
    }
    // Those of the last sixteen are asked for when the reader rests.
    assert!(node.next_wake(&filters(), Duration::ZERO).await.is_none());
    asked_for(&scripted, before + 64 + 2 * 64 / 16).await?;
    let calls = asked(&scripted) - before;
    println!("64 blocks, {calls} calls: {:.3} a block", calls as f64 / 64.0);
    assert_eq!(scripted.count("eth_getLogs"), 64);
    assert_eq!(calls, 64 + 2 * 64 / 16);
    Ok(())
}

#[tokio::test]
async fn a_block_does_not_wait_for_the_tags_which_come_with_a_later_one() -> anyhow::Result<()> {
    let (scripted, node, _) = live().await?;
    for _ in 0..16 {
        head(&node, scripted.mine(Vec::new()).block).await;
    }
    let before = asked(&scripted);
    let heads = node.heads().await?;
    assert_eq!((heads.latest.block.number, heads.safe.unwrap().number), (26, 8), "those of head 10");
    node.logs(LogQuery::Block(heads.latest.block), &filters()[0]).await?;
    assert_eq!(asked(&scripted), before + 1, "the question for the block's logs stands behind no other");
    let before = before + 1;
    assert!(node.next_wake(&filters(), Duration::ZERO).await.is_none());
    asked_for(&scripted, before + 2).await?;
    let heads = until_safe(&scripted, &node, 24).await?;
    assert_eq!(heads.finalized.unwrap().number, heads.safe.unwrap().number - 2);
    assert_eq!(asked(&scripted), before + 2, "once");
    Ok(())
}

#[tokio::test]
async fn an_announcement_serves_once_and_a_burst_as_its_last_head() -> anyhow::Result<()> {
    let (scripted, node, _) = live().await?;
    for _ in 0..9 {
        scripted.mine(Vec::new());
    }
    let last = scripted.mine(Vec::new()).block;
    head(&node, last).await;
    let before = asked(&scripted);
    assert_eq!(node.heads().await?.latest.block, last);
    assert_eq!(asked(&scripted), before, "it asked for what was announced");
    assert_eq!(node.heads().await?.latest.block, last);
    assert_eq!(asked(&scripted), before + 3, "nothing is announced, so that all is asked");
    Ok(())
}

#[tokio::test]
async fn the_older_heads_of_a_burst_wake_nobody_who_has_read_the_last() -> anyhow::Result<()> {
    let (scripted, node, clock) = live().await?;
    for _ in 0..10 {
        scripted.mine(Vec::new());
    }
    at_head(&node, 20).await?;
    // A call's answer comes after the announcements on the same socket.
    node.call(Address::ZERO, Default::default()).await?;
    node.heads().await?;
    assert!(wake_within(&node, &clock, &filters(), Duration::from_millis(50)).await.is_none());
    Ok(())
}

#[tokio::test]
async fn the_tags_are_asked_for_again_after_thirty_seconds_in_which_the_head_moved() -> anyhow::Result<()> {
    let (scripted, node, clock) = live().await?;
    clock.advance(Duration::from_secs(29));
    head(&node, scripted.mine(Vec::new()).block).await;
    let heads = node.heads().await?;
    assert_eq!((heads.safe.unwrap().number, heads.finalized.unwrap().number), (8, 6), "those of head 10");
    clock.advance(Duration::from_secs(1));
    head(&node, scripted.mine(Vec::new()).block).await;
    let before = asked(&scripted);
    assert_eq!(node.heads().await?.safe.unwrap().number, 8, "nobody waits for them");
    let heads = until_safe(&scripted, &node, 10).await?;
    assert_eq!(heads.finalized.unwrap().number, heads.safe.unwrap().number - 2);
    assert_eq!(asked(&scripted), before + 2);
    Ok(())
}

#[tokio::test]
async fn while_nobody_waits_for_finality_a_block_costs_a_call_and_the_tags_are_asked_for_seldom()
-> anyhow::Result<()> {
    let (scripted, node, clock) = live().await?;
    node.await_finality(false);
    let before = asked(&scripted);
    for _ in 0..255 {
        clock.advance(Duration::from_secs(2));
        let mined = scripted.mine(Vec::new()).block;
        head(&node, mined).await;
        assert_eq!(node.heads().await?.latest.block, mined);
        node.logs(LogQuery::Block(mined), &filters()[0]).await?;
    }
    assert_eq!(asked(&scripted), before + 255, "one for each block");
    // Somebody waits now: with the next head they are asked for, and that head does not wait.
    node.await_finality(true);
    head(&node, scripted.mine(Vec::new()).block).await;
    assert_eq!(node.heads().await?.safe.unwrap().number, 8, "those of head 10");
    until_safe(&scripted, &node, 264).await?;
    Ok(())
}

#[tokio::test]
async fn tags_that_nobody_waits_for_are_asked_for_after_ten_minutes() -> anyhow::Result<()> {
    let (scripted, node, clock) = live().await?;
    node.await_finality(false);
    let before = asked(&scripted);
    // No silence is so long that the subscription is made anew.
    for _ in 0..10 {
        clock.advance(Duration::from_secs(59));
        head(&node, scripted.mine(Vec::new()).block).await;
        node.heads().await?;
    }
    assert_eq!(asked(&scripted), before);
    clock.advance(Duration::from_secs(10));
    head(&node, scripted.mine(Vec::new()).block).await;
    node.heads().await?;
    until_safe(&scripted, &node, 10).await?;
    assert_eq!(asked(&scripted), before + 2);
    Ok(())
}

#[tokio::test]
async fn after_a_reorg_the_newest_announced_head_is_taken_though_it_is_lower() -> anyhow::Result<()> {
    let (scripted, node, _) = live().await?;
    let higher = scripted.mine(Vec::new()).block;
    scripted.chain(|chain| drop(chain.rollback(2)));
    let lower = scripted.mine(Vec::new()).block;
    assert!(lower.number < higher.number);
    head(&node, lower).await;
    let before = asked(&scripted);
    assert_eq!(node.heads().await?.latest.block, lower);
    assert_eq!(asked(&scripted), before);
    Ok(())
}

#[tokio::test]
async fn a_head_below_a_tag_is_an_old_one_and_all_is_asked() -> anyhow::Result<()> {
    let (scripted, node, clock) = live().await?;
    // As Hardhat has it.
    scripted.chain(|chain| (chain.safe_depth, chain.finalized_depth) = (Some(0), Some(0)));
    let announced = scripted.mine(Vec::new()).block;
    head(&node, announced).await;
    // The chain goes on, and the announcement of that is still on its way.
    let newest = scripted.chain(|chain| chain.mine(Vec::new()).block);
    clock.advance(Duration::from_secs(1_200));
    let heads = node.heads().await?;
    assert_eq!((heads.latest.block, heads.safe, heads.finalized), (newest, Some(newest), Some(newest)));
    Ok(())
}

#[tokio::test]
async fn what_was_announced_before_a_connection_broke_is_not_taken() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    listening(&node, &filters()).await;
    head(&node, scripted.mine(Vec::new()).block).await;
    scripted.drop_connections();
    // The first wake of the new subscription comes after the old one's end.
    wake(&node, &filters(), "the reconnection", |wake| matches!(wake, Wake::Reconnected).then_some(())).await;
    let newest = scripted.chain(|chain| chain.mine(Vec::new()).block);
    assert_eq!(node.heads().await?.latest.block, newest);
    Ok(())
}

#[tokio::test]
async fn the_height_comes_from_the_source_of_the_logs() -> anyhow::Result<()> {
    // The second node is behind the same door, so to say, and ahead of the first.
    let (first, second) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    second.chain(|chain| drop(chain.mine(Vec::new())));
    let node = connect(config(&[first.ws_url(), second.ws_url()])).await?;
    listening(&node, &filters()).await;
    for tx in 0..3 {
        let mined = first.mine(vec![LogSpec::new(TOKEN, TOPIC, tx)]).block;
        head(&node, mined).await;
        assert_eq!(node.heads().await?.latest.block, mined);
        assert_eq!(node.url(), first.ws_url());
        assert_eq!(node.logs(LogQuery::Block(mined), &filters()[0]).await?.len(), 1);
    }
    assert_eq!((first.count("eth_getLogs"), second.count("eth_getLogs")), (3, 0));
    Ok(())
}

#[tokio::test]
async fn a_liar_is_not_listened_to_and_the_next_node_announces() -> anyhow::Result<()> {
    let (liar, honest) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    let node = connect(config(&[liar.ws_url(), honest.ws_url()])).await?;
    listening(&node, &filters()).await;
    let said = liar.mine(Vec::new()).block;
    head(&node, said).await;
    node.accuse("it forged a log");
    let heads = node.heads().await?;
    assert_eq!((heads.latest.block, node.url()), (honest.chain(|chain| chain.head().block), honest.ws_url()));
    listening(&node, &filters()).await;
    honest.wait_until("it is listened to", |node| node.subscriptions().len() == 2).await?;
    liar.wait_until("it is left", |node| node.subscriptions().is_empty()).await?;
    let mined = honest.mine(Vec::new()).block;
    head(&node, mined).await;
    let before = asked(&honest);
    assert_eq!(node.heads().await?.latest.block, mined);
    assert_eq!(asked(&honest), before);
    Ok(())
}

#[tokio::test]
async fn among_equal_nodes_one_that_announces_is_preferred() -> anyhow::Result<()> {
    let (polled, announcing) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    let node = connect(config(&[polled.http_url(), announcing.ws_url()])).await?;
    assert_eq!(node.heads().await?.latest.block, polled.chain(|chain| chain.head().block));
    listening(&node, &filters()).await;
    node.heads().await?;
    assert_eq!(node.url(), announcing.ws_url());
    let mined = announcing.mine(Vec::new()).block;
    head(&node, mined).await;
    let before = asked(&announcing);
    assert_eq!(node.heads().await?.latest.block, mined);
    assert_eq!(asked(&announcing), before);
    Ok(())
}

#[tokio::test]
async fn a_reorg_of_anvil_is_followed_by_its_announcements() -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let token = anvil.token().await?;
    anvil.mine(5).await?;
    let node = connect(config(&[anvil.ws_url()])).await?;
    listening(&node, &[]).await;
    let old = anvil.send(token.transfer(anvil.account(0), anvil.account(1), Default::default())).await?;
    let old = BlockRef::new(old.block_number, old.block_hash);
    head_of(&node, old).await;
    assert_eq!(node.heads().await?.latest.block, old);
    let _: serde_json::Value = anvil.rpc("anvil_reorg", serde_json::json!([3, []])).await?;
    let tip = anvil.head().await?;
    let tip = BlockRef::new(tip.number, tip.hash);
    assert!(tip.number == old.number && tip.hash != old.hash);
    head_of(&node, tip).await;
    assert_eq!(node.heads().await?.latest.block, tip);
    // A head that goes back is announced to nobody: it is found by asking.
    let _: serde_json::Value = anvil.rpc("anvil_rollback", serde_json::json!([2])).await?;
    at_head(&node, tip.number - 2).await?;
    Ok(())
}

async fn head_of(node: &Node, block: BlockRef) {
    wake(node, &[], "the head", |wake| matches!(wake, Wake::Head(head) if head.block == block).then_some(()))
        .await;
}
