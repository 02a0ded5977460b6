//! Heights without a block, as where a round passes without one: passed where the links say so, and only there.

use domain::ChainError;
use pipeline::{
    RoomError,
    ingest::{Did, Replay},
};
use serde_json::Value as Json;
use testkit::scripted_node::Reply;

use super::{sound, struggle};
use crate::world::{BELL, World, on_both_stores, settle};

on_both_stores!(heights_without_a_block_are_passed_live_and_in_a_reorg_and_after_a_restart);

fn pass(world: &World, rounds: u64) {
    world.node.chain(|chain| chain.pass(rounds));
}

/// Rings so many blocks, each of transactions of its own, with `rounds` void heights below each.
fn ring_over(world: &World, rounds: &[u64]) {
    for passed in rounds {
        pass(world, *passed);
        let number = world.head() + 1 + passed;
        world.ring(number..=number);
    }
}

async fn heights_without_a_block_are_passed_live_and_in_a_reorg_and_after_a_restart(
    world: World,
) -> anyhow::Result<()> {
    world.node.chain(|chain| chain.finalized_depth = Some(100));
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=11);
    settle(&mut ingest).await?;
    // 14 is built on 11.
    ring_over(&world, &[2]);
    assert_eq!(settle(&mut ingest).await?, [Did::Followed { blocks: 1, events: 1 }]);
    assert_eq!(world.tip().await?, 14);
    // Several at once, the first of them behind a void.
    ring_over(&world, &[1, 0, 3, 0, 0, 1]);
    settle(&mut ingest).await?;
    sound(&world).await?;
    // A branch that has blocks where the other had none, and the other way round.
    let tip = world.tip().await?;
    world.node.chain(|chain| chain.rollback(4));
    for tx in 1_000..1_006 {
        pass(&world, u64::from(tx % 3 == 0));
        world.ring(tx..=tx);
    }
    let done = settle(&mut ingest).await?;
    assert!(matches!(done[0], Did::Recovered { depth: 4, .. }), "{tip}: {done:?}");
    sound(&world).await?;
    // The reader begins anew from what it stored, and the reorg goes across a void.
    let mut again = world.ingest();
    settle(&mut again).await?;
    world.node.chain(|chain| chain.rollback(6));
    pass(&world, 2);
    world.ring(2_000..=2_003);
    let done = settle(&mut again).await?;
    assert!(matches!(done[0], Did::Recovered { depth: 6, .. }), "{done:?}");
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_has_no_block_at_our_tip_is_followed() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.node.chain(|chain| chain.finalized_depth = Some(100));
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=14);
    settle(&mut ingest).await?;
    world.node.chain(|chain| chain.rollback(2));
    pass(&world, 3);
    world.ring(50..=53);
    let done = settle(&mut ingest).await?;
    assert!(matches!(done[0], Did::Recovered { depth: 2, orphaned: 2 }), "{done:?}");
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lags_is_not_taken_for_one_whose_rounds_had_no_block() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=11);
    settle(&mut ingest).await?;
    world.ring(12..=16);
    let chain = world.branch();
    // The machine that is asked by number has neither 12 nor 13.
    world.node.answer("eth_getBlockByNumber", move |params| match params[0].as_str() {
        Some("0xc" | "0xd") => Reply::Result(Json::Null),
        _ => chain.answer("eth_getBlockByNumber", params),
    });
    let mut said = Vec::new();
    for _ in 0..6 {
        said.extend(ingest.advance().await.err());
    }
    assert_eq!(world.tip().await?, 11);
    let said = said.pop().expect("it says so");
    assert!(
        matches!(&said, RoomError::Chain(ChainError::UnknownBlock { block, .. }) if block == "12"),
        "{said}"
    );
    world.node.restore("eth_getBlockByNumber");
    struggle(&mut ingest).await?;
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn heights_without_a_block_are_passed_at_the_start_in_the_past_and_in_catching_up() -> anyhow::Result<()>
{
    let world = World::sqlite().await?;
    ring_over(&world, &[2, 0, 1, 0, 3, 0, 0, 1, 2, 0, 5, 0, 0]);
    let mut ingest = world.ingest_with(|config| config.blocks_max = 4);
    settle(&mut ingest).await?;
    world.agrees().await?;
    // A long stop: what is final is read by range, whose ends may have no block.
    for range_max in [1, 2, 3, 7, 1_000] {
        let rounds: Vec<u64> = (0..24).map(|block| [0, 2, 0, 1, 0, 0, 3][block % 7]).collect();
        ring_over(&world, &rounds);
        let mut again = world.ingest_with(|config| (config.blocks_max, config.range_max) = (4, range_max));
        struggle(&mut again).await?;
        assert_eq!(world.tip().await?, world.head(), "{range_max}");
        world.agrees().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_that_is_not_final_yet_passes_heights_without_a_block() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.node.chain(|chain| chain.finalized_depth = Some(1_000));
    ring_over(&world, &[2, 0, 1, 0, 3, 0, 0, 1, 2]);
    let mut ingest = world.ingest();
    struggle(&mut ingest).await?;
    world.agrees().await?;
    let cursors = world.store.contract_cursors(crate::world::CHAIN).await?;
    assert_eq!(cursors[0].next_block, cursors[0].live_from, "the past is read to its end");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn heights_without_a_block_are_audited_and_replayed_like_others() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    ring_over(&world, &[2, 0, 1, 0, 3, 0, 0, 1, 2, 0, 5, 0, 0, 0, 0, 0]);
    let mut ingest = world.ingest();
    struggle(&mut ingest).await?;
    let (_, last) = ingest.audit_bounds().await?.expect("bounds");
    for from in 1..=last {
        for to in [from, last.min(from + 2), last] {
            let audited = ingest.audit(from, to, false).await?;
            assert!(audited.is_clean() && audited.to == to, "{from} to {to}: {audited:?}");
        }
    }
    let mut from = 0;
    while from <= last {
        let piece = ingest.replay(from, last, &Replay::default()).await?;
        assert_eq!(piece.added, 0);
        from = piece.to + 1;
    }
    assert_eq!(world.held(BELL).await?, world.truth(BELL));
    // Blocks that the node lost are missing, and no void.
    let chain = world.branch();
    world.node.answer("eth_getBlockByNumber", move |params| match params[0].as_str() {
        Some("0xe" | "0xf") => Reply::Result(Json::Null),
        _ => chain.answer("eth_getBlockByNumber", params),
    });
    assert!(ingest.audit(11, last, false).await.is_err());
    Ok(())
}

/// The ways in which a node says that a height has no block: with nothing, or with an error, whose words are known or not.
fn ways() -> [Option<Reply>; 4] {
    [
        None,
        Some(Reply::error(-32000, "requested epoch was a null round (14)")),
        Some(Reply::error(12, "requested epoch was a null round")),
        Some(Reply::error(1, "nobody was elected")),
    ]
}

fn of_void(world: &World, says: Option<&Reply>) {
    world.node.chain(|chain| chain.of_void = says.cloned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_until_a_height_without_a_block_ends_with_the_block_above_it() -> anyhow::Result<()> {
    for says in ways() {
        for already_there in [false, true] {
            let world = World::sqlite().await?;
            of_void(&world, says.as_ref());
            let mut ingest = world.ingest_with(|config| config.until = Some(13));
            if !already_there {
                struggle(&mut ingest).await?;
            }
            world.ring(11..=11);
            // 14 is built on 11.
            ring_over(&world, &[2, 0, 0]);
            struggle(&mut ingest).await?;
            assert_eq!(
                world.tip().await?,
                14,
                "{says:?}, {already_there}: nothing else shows that 13 has none"
            );
        }
        // Far behind, what is final is read by range up to there.
        let world = World::sqlite().await?;
        of_void(&world, says.as_ref());
        struggle(&mut world.ingest()).await?;
        ring_over(&world, &[0; 40]);
        ring_over(&world, &[200, 0, 0, 0, 0, 0, 0]);
        for until in [60, 250] {
            let mut ingest = world.ingest_with(|config| (config.until, config.blocks_max) = (Some(until), 4));
            struggle(&mut ingest).await?;
            assert_eq!(world.tip().await?, 251, "{says:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_heights_without_a_block_are_passed_in_steps_that_ask_for_a_bounded_number()
-> anyhow::Result<()> {
    for says in ways() {
        let world = World::sqlite().await?;
        of_void(&world, says.as_ref());
        let mut ingest = world.ingest();
        struggle(&mut ingest).await?;
        // Live; then in catching up, where the void is inside what is read by range.
        for rounds in [&[3_000, 0, 1][..], &[0, 0, 0, 0, 0, 0, 5_000, 0, 0, 0, 0, 0, 0, 0]] {
            ring_over(&world, rounds);
            let mut again = world.ingest_with(|config| config.blocks_max = 4);
            let mut steps = 0;
            while world.store.chain(world.chain).await?.and_then(|row| row.tip).map(|tip| tip.number)
                != Some(world.head())
            {
                let before = world.node.count("eth_getBlockByNumber");
                let _ = again.advance().await;
                let asked = world.node.count("eth_getBlockByNumber") - before;
                assert!(asked <= 8_000, "{says:?}: one step asked for {asked} heights");
                steps += 1;
                assert!(steps < 60, "{says:?}, {rounds:?}: it does not come through");
            }
            world.agrees().await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_and_a_reorg_below_thousands_of_heights_without_a_block_find_the_block_there()
-> anyhow::Result<()> {
    for says in ways() {
        let world = World::sqlite().await?;
        of_void(&world, says.as_ref());
        world.node.chain(|chain| chain.finalized_depth = Some(100_000));
        ring_over(&world, &[0, 0, 3_000, 0]);
        let mut ingest = world.ingest_with(|config| config.until = Some(1_000));
        struggle(&mut ingest).await?;
        let mut ingest = world.ingest();
        struggle(&mut ingest).await?;
        world.agrees().await?;
        // The branch has no block at our tip, nor for long above it.
        world.node.chain(|chain| chain.rollback(1));
        pass(&world, 2_000);
        world.ring(900..=901);
        struggle(&mut ingest).await?;
        world.agrees().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn heights_that_a_node_refuses_as_having_no_block_are_passed_where_the_links_say_so()
-> anyhow::Result<()> {
    for says in ways() {
        let world = World::sqlite().await?;
        of_void(&world, says.as_ref());
        let mut ingest = world.ingest();
        struggle(&mut ingest).await?;
        world.ring(11..=11);
        ring_over(&world, &[2, 0, 1, 0, 3, 0, 0, 1, 2, 0, 5, 0, 0, 0, 0, 0]);
        struggle(&mut ingest).await?;
        assert_eq!(world.tip().await?, world.head(), "{says:?}");
        // Ranges that begin or end where there is none.
        for range_max in [1, 2, 3, 7, 1_000] {
            let rounds: Vec<u64> = (0..24).map(|block| [0, 2, 0, 1, 0, 0, 3][block % 7]).collect();
            ring_over(&world, &rounds);
            let mut again =
                world.ingest_with(|config| (config.blocks_max, config.range_max) = (4, range_max));
            struggle(&mut again).await?;
            assert_eq!(world.tip().await?, world.head(), "{says:?}, {range_max}");
            world.agrees().await?;
        }
        let limits = world.client.limits();
        assert!(limits.iter().all(|url| url.range.is_none() && url.batch.is_none()), "{says:?}: {limits:?}");
        // The past of a contract, and what an audit reads again.
        let other = World::sqlite().await?;
        other.switch_to(&world.branch());
        let mut past = other.ingest_with(|config| config.range_max = 3);
        struggle(&mut past).await?;
        other.agrees().await?;
        let (_, last) = past.audit_bounds().await?.expect("bounds");
        for from in 10..=20 {
            let audited = past.audit(from, last.min(from + 3), false).await?;
            assert!(audited.is_clean(), "{says:?}, {from}: {audited:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_height_that_is_refused_though_it_has_a_block_is_no_void() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=16);
    let chain = world.branch();
    world.node.answer("eth_getBlockByNumber", move |params| match params[0].as_str() {
        Some("0xc" | "0xd") => Reply::error(-32000, "requested epoch was a null round"),
        _ => chain.answer("eth_getBlockByNumber", params),
    });
    for _ in 0..6 {
        let _ = ingest.advance().await;
    }
    assert_eq!(world.tip().await?, 11, "14 is not built on 11");
    world.node.restore("eth_getBlockByNumber");
    struggle(&mut ingest).await?;
    sound(&world).await
}
