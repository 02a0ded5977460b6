//! Questions that fail now and then: what was answered is kept, and what failed is asked again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use pipeline::ingest::Did;
use serde_json::json;
use testkit::scripted_node::Reply;

use super::{sound, struggle};
use crate::world::{World, on_both_stores, settle};

on_both_stores!(blocks_before_a_question_that_fails_are_held_and_those_behind_it_are_not_asked_for_again);

async fn blocks_before_a_question_that_fails_are_held_and_those_behind_it_are_not_asked_for_again(
    world: World,
) -> anyhow::Result<()> {
    world.node.chain(|chain| chain.finalized_depth = Some(100));
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    let before = world.node.calls().len();
    world.ring(11..=18);
    let (chain, lacks) = (world.branch(), world.branch().block(14).unwrap().block.hash);
    // As behind a balancer one of whose machines lags.
    world.node.answer("eth_getLogs", move |params| {
        if params[0]["blockHash"] == json!(lacks) {
            return Reply::error(-32000, "unknown block");
        }
        chain.answer("eth_getLogs", params)
    });
    assert_eq!(ingest.advance().await?, Did::Followed { blocks: 3, events: 3 });
    assert_eq!(world.tip().await?, 13);
    assert!(ingest.advance().await.is_err(), "it is said");
    world.node.restore("eth_getLogs");
    struggle(&mut ingest).await?;
    let questions = world.questions(before);
    for number in (11..=18).filter(|number| *number != 14) {
        let hash = world.branch().block(number).unwrap().block.hash;
        let asked = questions.iter().filter(|question| question["blockHash"] == json!(hash)).count();
        assert_eq!(asked, 1, "block {number}");
    }
    sound(&world).await
}

/// Fails each request at random, so many times in a hundred, in one of the ways that nodes have.
fn fail_at_random(world: &World, percent: u64) -> Arc<AtomicU64> {
    let requests = Arc::new(AtomicU64::new(0));
    let (count, mut state) = (Arc::clone(&requests), 0x9e37_79b9_7f4a_7c15_u64);
    world.node.interfere(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let failures = [
            Reply::http(500, "oops"),
            Reply::http(429, ""),
            Reply::Raw("{\"jsonrpc\":\"2.0\",\"id\":".to_owned()),
            Reply::error(-32005, "rate limited"),
        ];
        let failure = failures[usize::try_from((state >> 32) % 4).ok()?].clone();
        (state % 100 < percent).then_some(failure)
    });
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_second_request_fails_the_past_costs_a_few_times_the_requests() -> anyhow::Result<()> {
    let mut costs = Vec::new();
    for percent in [0, 50] {
        let world = World::sqlite().await?;
        world.ring(11..=300);
        let requests = fail_at_random(&world, percent);
        let mut ingest = world.ingest_with(|config| config.range_max = 10);
        struggle(&mut ingest).await?;
        costs.push(requests.load(Ordering::Relaxed));
        world.agrees().await?;
    }
    let [healthy, faulty] = costs[..] else { unreachable!() };
    assert!(faulty <= 5 * healthy, "{faulty} requests, {healthy} where none fails");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_second_request_fails_the_live_chain_is_read_on() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    fail_at_random(&world, 50);
    for round in 0..6 {
        world.ring(11 + 10 * round..=20 + 10 * round);
        struggle(&mut ingest).await?;
    }
    world.node.interfere_no_more();
    settle(&mut ingest).await?;
    assert_eq!(world.tip().await?, 70);
    sound(&world).await
}
