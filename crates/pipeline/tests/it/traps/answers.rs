//! Answers that say nothing, and answers that say a thing twice: neither makes a log vanish, and neither stops the reader.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chain::{Node, NodeConfig};
use domain::{Catalog, ChainClient, ChainError, Contract, EventSchema, Providers as _, StartBlock};
use pipeline::RoomError;
use serde_json::{Value as Json, json};
use store::StoreClock;
use testkit::scripted_node::{LogSpec, Reply, ScriptedNode};

use super::{sound, struggle};
use crate::world::{BELL, CHAIN, GONG, World, contract, name, on_both_stores, ring, settle};

on_both_stores!(null_in_place_of_logs_is_asked_again_in_the_past_and_near_the_head);

/// A client of the world's node and another one.
async fn two(world: &World, other: &ScriptedNode) -> anyhow::Result<Arc<Node>> {
    let config = NodeConfig {
        backoff_min: std::time::Duration::from_millis(10),
        backoff_max: std::time::Duration::from_millis(200),
        ..NodeConfig::new(name(), CHAIN, vec![world.node.http_url(), other.http_url()])
    };
    Ok(Arc::new(Node::connect(config, Arc::new(StoreClock::measure(&world.store).await?)).await?))
}

async fn null_in_place_of_logs_is_asked_again_in_the_past_and_near_the_head(
    world: World,
) -> anyhow::Result<()> {
    for tx in 11..=300 {
        world.node.mine((0..5).map(|log| ring(BELL, 10 * tx + log)).collect());
    }
    let asked = AtomicUsize::new(0);
    let chain = Arc::new(std::sync::Mutex::new(world.branch()));
    let answers = Arc::clone(&chain);
    world.node.answer("eth_getLogs", move |params| match asked.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Reply::Result(Json::Null),
        _ => answers.lock().unwrap().answer("eth_getLogs", params),
    });
    let mut ingest = world.ingest_with(|config| config.range_max = 20);
    struggle(&mut ingest).await?;
    world.agrees().await?;
    world.ring(301..=320);
    *chain.lock().unwrap() = world.branch();
    struggle(&mut ingest).await?;
    assert_eq!(world.tip().await?, 320);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn null_from_the_only_url_is_waited_for_and_said_and_never_stepped_over() -> anyhow::Result<()> {
    for past in [true, false] {
        let world = World::sqlite().await?;
        let mut ingest = world.ingest();
        if past {
            world.ring(11..=40);
        } else {
            settle(&mut ingest).await?;
            world.ring(11..=13);
        }
        world.node.always("eth_getLogs", Reply::Result(Json::Null));
        let mut said = Vec::new();
        for _ in 0..6 {
            said.extend(ingest.advance().await.err());
        }
        let fault = said.pop().expect("it is said");
        assert!(matches!(&fault, RoomError::Chain(ChainError::Incoherent { .. })), "{fault}");
        assert!(fault.to_string().contains("null where a list of logs is due"), "{fault}");
        assert!(world.held(BELL).await?.is_empty());
        let cursor = &world.store.contract_cursors(CHAIN).await?[0];
        assert!(if past { cursor.next_block == 0 } else { world.tip().await? == 10 }, "{cursor:?}");
        world.node.restore("eth_getLogs");
        struggle(&mut ingest).await?;
        world.agrees().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_keeps_answering_null_is_left_for_another() -> anyhow::Result<()> {
    for past in [true, false] {
        let world = World::sqlite().await?;
        let other = ScriptedNode::start().await?;
        if past {
            world.ring(11..=200);
        }
        other.chain(|chain| *chain = world.branch());
        let node = two(&world, &other).await?;
        let client = Arc::clone(&node) as Arc<dyn ChainClient>;
        let mut ingest = world.ingest_of(&client, &world.catalog(), |_| {});
        if !past {
            settle(&mut ingest).await?;
            world.ring(11..=13);
            other.chain(|chain| *chain = world.branch());
        }
        world.node.always("eth_getLogs", Reply::Result(Json::Null));
        struggle(&mut ingest).await?;
        assert!(other.count("eth_getLogs") > 0);
        assert!(node.providers()[0].score < 100, "{:?}", node.providers());
        world.agrees().await?;
    }
    Ok(())
}

/// Two contracts of events of their own, which make two questions of a block.
fn two_filters() -> anyhow::Result<(Arc<Catalog>, EventSchema)> {
    let other = abi::parse_signature("event Chime()")?;
    let gong = Contract {
        events: vec![Arc::new(other.clone())],
        ..contract("gong", &[GONG], StartBlock::Number(0))
    };
    Ok((Arc::new(Catalog::new(vec![contract("bell", &[BELL], StartBlock::Number(0)), gong])), other))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_null_of_one_question_does_not_hide_behind_the_answers_to_the_others() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let (catalog, chime) = two_filters()?;
    let mut ingest = world.ingest_of(&world.client, &catalog, |_| {});
    settle(&mut ingest).await?;
    for tx in 11..=20 {
        world.node.mine(vec![ring(BELL, tx), LogSpec::new(GONG, chime.topic0(), 100 + tx)]);
    }
    let (chain, mut nulls) = (world.branch(), 12);
    world.node.answer("eth_getLogs", move |params| {
        let of_gong = params[0]["address"].to_string().to_lowercase().contains("6060");
        if of_gong && nulls > 0 {
            nulls -= 1;
            return Reply::Result(Json::Null);
        }
        chain.answer("eth_getLogs", params)
    });
    struggle(&mut ingest).await?;
    assert_eq!(world.held(GONG).await?.len(), 10);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_an_answer_holds_twice_is_held_once_and_stops_nothing() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=40);
    let chain = Arc::new(std::sync::Mutex::new(world.branch()));
    let answers = Arc::clone(&chain);
    world.node.answer("eth_getLogs", move |params| {
        match answers.lock().unwrap().answer("eth_getLogs", params) {
            Reply::Result(Json::Array(logs)) => {
                Reply::Result(logs.iter().chain(logs.first()).cloned().collect::<Vec<_>>().into())
            }
            reply => reply,
        }
    });
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(41..=45);
    *chain.lock().unwrap() = world.branch();
    settle(&mut ingest).await?;
    assert_eq!(world.client.providers()[0].score, 100);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logs_at_one_place_are_a_contradiction_also_where_two_questions_brought_them()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let (catalog, chime) = two_filters()?;
    let mut ingest = world.ingest_of(&world.client, &catalog, |_| {});
    settle(&mut ingest).await?;
    world.node.mine(vec![ring(BELL, 11), LogSpec::new(GONG, chime.topic0(), 111)]);
    let chain = world.branch();
    world.node.answer("eth_getLogs", move |params| match chain.answer("eth_getLogs", params) {
        Reply::Result(Json::Array(mut logs)) => {
            // Each question is answered as if the log were the block's first.
            for log in &mut logs {
                log["logIndex"] = json!("0x0");
            }
            Reply::Result(logs.into())
        }
        reply => reply,
    });
    let fault = ingest.advance().await.unwrap_err();
    assert!(fault.to_string().contains("log 0 of block 11 is there twice, and the two differ"), "{fault}");
    assert_eq!(world.tip().await?, 10);
    world.node.restore("eth_getLogs");
    settle(&mut ingest).await?;
    sound(&world).await
}
