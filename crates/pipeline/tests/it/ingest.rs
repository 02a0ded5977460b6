//! Following a chain: where it begins, what it asks for, and that nothing is left out or read twice.

use std::sync::Arc;

use domain::{Catalog, ChainError, StartBlock};
use pipeline::{
    Room, RoomError,
    ingest::{Did, FinalityRule},
};
use serde_json::{Value as Json, json};
use testkit::scripted_node::Reply;

use crate::world::{BELL, GONG, World, client, contract, on_both_stores, ring, settle};

on_both_stores!(
    the_past_is_read_up_to_exactly_the_first_live_block,
    a_restart_goes_on_at_the_checkpoint,
    a_contract_that_is_added_later_is_read_from_its_own_start_block,
    a_second_writer_fences_the_first_and_leaves_no_hole,
);

fn number(value: &Json) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

// What was asked for, as blocks: ranges with both ends, hashes as the block that has it.
fn ranges(questions: &[Json]) -> Vec<(u64, u64)> {
    questions.iter().filter_map(|q| Some((number(&q["fromBlock"])?, number(&q["toBlock"])?))).collect()
}

fn hashes(world: &World, questions: &[Json]) -> Vec<u64> {
    let blocks = world.branch();
    let number_of =
        |hash: &Json| (0..=world.head()).find(|n| json!(blocks.block(*n).unwrap().block.hash) == *hash);
    // Asked side by side, so in no order.
    let mut asked: Vec<_> = questions.iter().filter_map(|q| number_of(&q["blockHash"])).collect();
    asked.sort_unstable();
    asked
}

async fn the_past_is_read_up_to_exactly_the_first_live_block(world: World) -> anyhow::Result<()> {
    world.ring(11..=20);
    let mut ingest = world.ingest();
    assert!(matches!(ingest.advance().await?, Did::Started { tip } if tip.number == 20));
    // The chain goes on before the past is read.
    world.ring(21..=22);
    settle(&mut ingest).await?;
    world.agrees().await?;
    let questions = world.questions(0);
    // 22 is the head and 4 below it final: up to there by range, above it by hash, and each block once.
    assert_eq!(ranges(&questions), [(0, 18)]);
    assert_eq!(hashes(&world, &questions), [19, 20, 21, 22]);
    let cursors = world.store.contract_cursors(crate::world::CHAIN).await?;
    assert_eq!((cursors[0].next_block, cursors[0].live_from), (21, 21));
    Ok(())
}

async fn a_restart_goes_on_at_the_checkpoint(world: World) -> anyhow::Result<()> {
    world.ring(11..=15);
    settle(&mut world.ingest()).await?;
    world.ring(16..=17);
    let before = world.node.calls().len();
    let mut again = world.ingest();
    let done = settle(&mut again).await?;
    assert!(matches!(done[0], Did::Started { tip } if tip.number == 15), "{done:?}");
    assert_eq!(done[1..], [Did::Followed { blocks: 2, events: 2 }]);
    assert_eq!(hashes(&world, &world.questions(before)), [16, 17], "what was read is not asked for again");
    world.agrees().await
}

async fn a_contract_that_is_added_later_is_read_from_its_own_start_block(world: World) -> anyhow::Result<()> {
    for tx in 11..=30 {
        world.node.mine(vec![ring(BELL, tx), ring(GONG, 100 + tx)]);
    }
    settle(&mut world.ingest()).await?;
    let before = world.node.calls().len();
    let outbox = world.outbox().await?;
    let both = vec![
        contract("bell", &[BELL], StartBlock::Number(0)),
        contract("gong", &[GONG], StartBlock::Number(15)),
    ];
    let mut ingest = world.ingest_of(&world.client, &Arc::new(Catalog::new(both)), |_| {});
    settle(&mut ingest).await?;
    let gongs: Vec<_> = world.truth(GONG).into_iter().filter(|(block, ..)| *block >= 15).collect();
    assert_eq!(world.held(GONG).await?, gongs);
    assert_eq!(world.held(BELL).await?, world.truth(BELL));
    for question in world.questions(before) {
        let asked = question["address"].to_string().to_lowercase();
        assert!(!asked.contains("bebebebe"), "the other contract's past is not read again: {question}");
    }
    assert_eq!(world.outbox().await?, outbox, "nobody is told of the past");
    world.node.mine(vec![ring(BELL, 31), ring(GONG, 131)]);
    assert_eq!(settle(&mut ingest).await?, [Did::Followed { blocks: 1, events: 2 }]);
    Ok(())
}

async fn a_second_writer_fences_the_first_and_leaves_no_hole(world: World) -> anyhow::Result<()> {
    world.ring(11..=15);
    let (mut one, mut two) = (world.ingest(), world.ingest());
    settle(&mut one).await?;
    settle(&mut two).await?;
    for round in 0..6_u64 {
        let from = 16 + 2 * round;
        world.ring(from..=from + 1);
        if round == 3 {
            // A reorg that only the winner of this round has seen.
            world.reorg(3, 100..=104);
        }
        let (winner, loser) = if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        settle(winner).await?;
        let fenced = loser.advance().await.unwrap_err();
        assert!(matches!(fenced, RoomError::Store(store::StoreError::Fenced(_))), "{fenced}");
        assert!(matches!(loser.advance().await?, Did::Started { .. }), "it reads the state again");
        settle(loser).await?;
        world.agrees().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_that_begin_at_once_agree_on_one_beginning() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=30);
    let (mut one, mut two) = (world.ingest(), world.ingest());
    for _ in 0..40 {
        // Whoever is fenced comes again.
        let fenced_at_most = |did: Result<Did, RoomError>| {
            assert!(matches!(&did, Ok(_) | Err(RoomError::Store(store::StoreError::Fenced(_)))), "{did:?}");
        };
        let (first, second) = tokio::join!(one.advance(), two.advance());
        fenced_at_most(first);
        fenced_at_most(second);
    }
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_heads_is_filled() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest_with(|config| config.blocks_max = 4);
    settle(&mut ingest).await?;
    world.node.chain(|chain| chain.finalized_depth = Some(100));
    world.ring(11..=20);
    let done = settle(&mut ingest).await?;
    let followed = |blocks| Did::Followed { blocks, events: blocks };
    assert_eq!(done, [followed(4), followed(4), followed(2)], "in pieces of at most four");
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_is_caught_up_by_range_and_the_rest_by_hash() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest_with(|config| config.blocks_max = 4);
    settle(&mut ingest).await?;
    let before = world.node.calls().len();
    world.ring(11..=40);
    settle(&mut ingest).await?;
    let questions = world.questions(before);
    assert_eq!(ranges(&questions), [(11, 36)]);
    assert_eq!(hashes(&world, &questions), [37, 38, 39, 40]);
    assert!(world.stored().await?.iter().all(|stored| stored.event.origin == domain::Origin::Live));
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_tags_is_final_by_depth() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.node.chain(|chain| (chain.safe_depth, chain.finalized_depth) = (None, None));
    world.ring(11..=30);
    let mut ingest = world.ingest_with(|config| config.finality = FinalityRule::Depth(10));
    settle(&mut ingest).await?;
    assert_eq!(ranges(&world.questions(0)), [(0, 20)]);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_ends_at_the_block_that_it_is_to_end_at() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=20);
    let mut ingest = world.ingest_with(|config| config.until = Some(15));
    settle(&mut ingest).await?;
    assert_eq!(world.tip().await?, 15);
    let truth: Vec<_> = world.truth(BELL).into_iter().filter(|(block, ..)| *block <= 15).collect();
    assert_eq!(world.held(BELL).await?, truth);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_range_is_halved_until_it_is_taken() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=70);
    let mut ingest = world.ingest();
    for _ in 0..3 {
        world.node.next("eth_getLogs", Reply::error(-32005, "query returned more than 10000 results"));
    }
    // A refusal is no failure: it is not the operator's business.
    settle(&mut ingest).await?;
    let asked = ranges(&world.questions(0));
    assert_eq!(asked[..4], [(0, 66), (0, 32), (0, 15), (0, 7)], "{asked:?}");
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_under_a_bloom_that_may_match_is_asked_again() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.node.next("eth_getLogs", Reply::Result(json!([])));
    world.ring(11..=11);
    settle(&mut ingest).await?;
    world.agrees().await?;
    // In the past that is not final, too: the head that we begin at may not be indexed yet.
    let fresh = World::sqlite().await?;
    fresh.node.chain(|chain| chain.finalized_depth = Some(100));
    fresh.ring(11..=11);
    let mut ingest = fresh.ingest_with(|config| config.max_reorg_depth = 100);
    ingest.advance().await?;
    let bloomed = fresh.branch().head().block.hash;
    let mut lies = 1;
    let chain = fresh.branch();
    fresh.node.answer("eth_getLogs", move |params| {
        let about = params[0]["blockHash"] == json!(bloomed);
        let logs = if about && lies == 0 { chain.head().logs_json() } else { Vec::new() };
        lies -= usize::from(about && lies > 0);
        Reply::Result(logs.into())
    });
    settle(&mut ingest).await?;
    fresh.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_announced_and_stays_missing_is_a_fault_and_never_skipped() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let live = client(&world.node.ws_url(), &world.store).await?;
    let mut ingest = world.ingest_of(&live, &world.catalog(), |_| {});
    settle(&mut ingest).await?;
    listen(&world, &mut ingest).await;
    world.node.always("eth_getLogs", Reply::Result(json!([])));
    world.ring(11..=11);
    // Two announcements: the log, and then the head.
    ingest.rest().await;
    ingest.rest().await;
    for _ in 0..3 {
        let before = world.questions(0).len();
        let fault = ingest.advance().await.unwrap_err();
        assert!(matches!(&fault, RoomError::Chain(ChainError::Incoherent { .. })), "{fault}");
        assert!(fault.to_string().contains("lacks a log that the subscription announced"), "{fault}");
        assert_eq!(world.questions(0).len(), before + 2, "it is asked again first");
        assert_eq!(world.tip().await?, 10);
    }
    world.node.restore("eth_getLogs");
    settle(&mut ingest).await?;
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_announced_after_its_block_was_read_without_it_is_read_then() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let live = client(&world.node.ws_url(), &world.store).await?;
    let mut ingest = world.ingest_of(&live, &world.catalog(), |_| {});
    settle(&mut ingest).await?;
    listen(&world, &mut ingest).await;
    let block = world.node.chain(|chain| chain.mine(vec![ring(BELL, 11), ring(BELL, 12)]));
    let half = block.logs_json().remove(0);
    world.node.next("eth_getLogs", Reply::Result(json!([half])));
    settle(&mut ingest).await?;
    assert_eq!(world.held(BELL).await?.len(), 1, "the node left one out");
    for log in block.logs_json() {
        world.node.announce("logs", &log);
    }
    ingest.rest().await;
    ingest.rest().await;
    assert_eq!(settle(&mut ingest).await?, [Did::Followed { blocks: 0, events: 1 }]);
    world.agrees().await?;
    assert_eq!(world.outbox().await?.len(), 2, "and it is told of");
    Ok(())
}

// Waits until the node knows both subscriptions, and what was announced on the way is drained.
async fn listen(world: &World, ingest: &mut pipeline::ingest::Ingest) {
    while world.node.subscriptions().len() < 2 {
        ingest.rest().await;
    }
    for _ in 0..3 {
        ingest.rest().await;
    }
}
