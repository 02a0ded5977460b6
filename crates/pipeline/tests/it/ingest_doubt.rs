//! Several URLs, one of which is wrong: who is believed, and who is not asked again.

use std::{sync::Arc, time::Duration};

use alloy_primitives::Address;
use chain::{Node, NodeConfig};
use domain::{ChainClient, Clock, Providers as _};
use pipeline::{
    RoomError,
    ingest::{Did, Ingest},
};
use serde_json::json;
use testkit::scripted_node::{Reply, ScriptedNode};

use crate::world::{BELL, CHAIN, GONG, World, contract, name, ring, settle};

/// A world whose node is the first of several URLs.
async fn several(world: &World, others: &[&ScriptedNode]) -> anyhow::Result<Arc<Node>> {
    let urls = std::iter::once(world.node.http_url()).chain(others.iter().map(|node| node.http_url()));
    let config = NodeConfig {
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(200),
        ..NodeConfig::new(name(), CHAIN, urls.collect())
    };
    Ok(Arc::new(Node::connect(config, Arc::clone(&world.clock) as Arc<dyn Clock>).await?))
}

fn reader(world: &World, node: &Arc<Node>) -> Ingest {
    let client = Arc::clone(node) as Arc<dyn ChainClient>;
    world.ingest_of(&client, &world.catalog(), |_| {})
}

/// The other node has the same chain.
async fn twin(world: &World) -> anyhow::Result<ScriptedNode> {
    let twin = ScriptedNode::start().await?;
    twin.chain(|chain| *chain = world.branch());
    Ok(twin)
}

/// Advances until nothing is left to do, errors on the way allowed.
async fn struggle(world: &World, ingest: &mut Ingest) -> anyhow::Result<Vec<Did>> {
    let mut done = Vec::new();
    for _ in 0..100 {
        match ingest.advance().await {
            Ok(Did::Idle) => return Ok(done),
            Ok(did) => done.push(did),
            Err(error @ RoomError::Halted(_)) => return Err(error.into()),
            Err(_) => world.clock.advance(Duration::from_secs(1)),
        }
    }
    anyhow::bail!("it never comes to rest: {done:?}")
}

fn lies(node: &Node) -> Vec<u64> {
    node.providers().iter().map(|provider| provider.lies).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_that_another_url_contradicts_is_a_lie() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let honest = twin(&world).await?;
    let node = several(&world, &[&honest]).await?;
    let mut ingest = reader(&world, &node);
    settle(&mut ingest).await?;
    world.ring(11..=13);
    honest.chain(|chain| *chain = world.branch());
    world.node.always("eth_getLogs", Reply::Result(json!([])));
    struggle(&world, &mut ingest).await?;
    assert_eq!(world.held(BELL).await?.len(), 3);
    let providers = node.providers();
    assert_eq!(lies(&node), [1, 0], "{providers:?}");
    assert!(providers[0].quarantined_for.is_some() && providers[0].why.is_some(), "{providers:?}");
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_that_others_contradict_is_not_followed() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=14);
    let (one, two) = (twin(&world).await?, twin(&world).await?);
    let node = several(&world, &[&one, &two]).await?;
    let mut ingest = reader(&world, &node);
    settle(&mut ingest).await?;
    let truth = world.branch();
    let held = world.held(BELL).await?;
    world.reorg(2, 40..=46);
    for other in [&one, &two] {
        // The honest ones grow on.
        other.chain(|chain| {
            *chain = truth.clone();
            for tx in 60..=64 {
                chain.mine(vec![ring(BELL, tx)]);
            }
        });
    }
    two.chain(|chain| *chain = one.chain(|chain| chain.clone()));
    ingest.advance().await.expect_err("nobody else has that branch");
    struggle(&world, &mut ingest).await?;
    let now = world.held(BELL).await?;
    assert_eq!(now[..held.len()], held, "nothing was taken back");
    assert_eq!(now.len(), held.len() + 5, "what the others have is read at once");
    assert_eq!(lies(&node)[0], 0, "it may have heard of it first");
    // It tells of it still when it is asked again.
    world.clock.advance(Duration::from_secs(300));
    struggle(&world, &mut ingest).await?;
    assert_eq!(world.held(BELL).await?, now);
    assert_eq!(lies(&node)[0], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_that_the_others_hear_of_later_is_followed_then() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=14);
    let other = twin(&world).await?;
    let node = several(&world, &[&other]).await?;
    let mut ingest = reader(&world, &node);
    settle(&mut ingest).await?;
    world.reorg(2, 40..=41);
    assert!(ingest.advance().await.is_err(), "the other holds our tip, and another block at this height");
    other.chain(|chain| *chain = world.branch());
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 2, orphaned: 2 }]);
    assert_eq!(lies(&node), [0, 0], "a node that heard of it first has not lied");
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disagreement_that_is_too_deep_halts_only_where_nobody_agrees_with_us() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=30);
    let honest = twin(&world).await?;
    let node = several(&world, &[&honest]).await?;
    let mut ingest = reader(&world, &node);
    settle(&mut ingest).await?;
    // The first URL answers from another network all of a sudden.
    world.node.chain(|chain| chain.rollback(25));
    world.ring(70..=99);
    honest.mine(vec![ring(BELL, 31)]);
    struggle(&world, &mut ingest).await?;
    assert_eq!(world.tip().await?, 31);
    assert_eq!(world.store.chain(CHAIN).await?.unwrap().halted, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_block_that_is_too_large_is_asked_for_in_parts() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let many: Vec<Address> = (1..=8).map(Address::repeat_byte).chain([GONG]).collect();
    let chain = world.branch();
    world.node.answer("eth_getLogs", move |params| {
        let filter = &params[0];
        if filter["address"].as_array().is_some_and(|addresses| addresses.len() > 2) {
            return Reply::error(-32005, "query returned more than 10000 results");
        }
        chain.answer("eth_getLogs", params)
    });
    let catalog =
        Arc::new(domain::Catalog::new(vec![contract("many", &many, domain::StartBlock::Number(0))]));
    let mut ingest = world.ingest_of(&world.client, &catalog, |_| {});
    settle(&mut ingest).await?;
    let questions = world.questions(0);
    assert!(questions.iter().any(|filter| filter["address"].as_array().is_some_and(|list| list.len() == 2)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bloom_spares_a_question_only_where_the_operator_says_so() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    for trust in [false, true] {
        let mut ingest = world.ingest_with(|config| config.trust_bloom = trust);
        settle(&mut ingest).await?;
        let before = world.node.calls().len();
        world.node.mine(Vec::new());
        settle(&mut ingest).await?;
        assert_eq!(world.questions(before).len(), usize::from(!trust));
        // A block with logs has a bloom that says so, and is read either way.
        let first = world.head() + 1;
        world.ring(first..=first);
        settle(&mut ingest).await?;
        assert_eq!(world.tip().await?, first);
        assert_eq!(world.held(BELL).await?.last().map(|(number, ..)| *number), Some(first));
    }
    world.agrees().await
}
