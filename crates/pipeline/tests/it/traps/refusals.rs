//! A node that takes less at once than it is asked for, in whatever words; one that has let go of the past; blocks that
//! nothing proves. The live chain goes on, and so does all that can.

use std::{sync::Arc, time::Duration};

use chain::{Node, NodeConfig};
use domain::{ChainClient, Clock, Learned};
use pipeline::{
    Room as _,
    auditor::{Auditor, AuditorConfig},
    ingest::{Did, Ingest, Replay},
};
use serde_json::{Value as Json, json};
use store::{AuditMethod, Part, StoreClock, verified};
use testkit::scripted_node::{Batches, Reply, ScriptedNode};

use crate::world::{BELL, CHAIN, World, client, name, on_both_stores, ring, settle};

on_both_stores!(
    a_past_that_is_refused_in_any_words_is_read_in_smaller_ranges_and_the_limit_outlives_the_process,
    live_events_go_on_while_the_past_is_refused,
    a_block_whose_receipts_are_fewer_than_its_transactions_is_marked_and_the_audit_goes_on,
    a_block_that_cannot_be_audited_is_set_aside_and_those_behind_it_are_audited,
    an_audit_of_a_node_that_is_away_waits_and_goes_on,
);

const LOGS: &str = "eth_getLogs";

fn span(filter: &Json) -> Option<u64> {
    let number = |key: &str| u64::from_str_radix(filter[key].as_str()?.strip_prefix("0x")?, 16).ok();
    Some(number("toBlock")? - number("fromBlock")? + 1)
}

/// Refuses ranges of more than `most` blocks; the chain is as it is now.
fn limit(world: &World, most: u64, refusal: &Reply) {
    let (chain, refusal) = (world.branch(), refusal.clone());
    world.node.answer(LOGS, move |params| match span(&params[0]) {
        Some(blocks) if blocks > most => refusal.clone(),
        _ => chain.answer(LOGS, params),
    });
}

/// How many ranges of more than `most` blocks were asked for since call `since`.
fn in_vain(world: &World, since: usize, most: u64) -> usize {
    world.questions(since).iter().filter(|filter| span(filter).is_some_and(|blocks| blocks > most)).count()
}

/// Advances until nothing is left to do, whatever fails on the way; returns how much failed.
async fn struggle(ingest: &mut Ingest) -> anyhow::Result<usize> {
    let mut failed = 0;
    for _ in 0..300 {
        match ingest.advance().await {
            Ok(Did::Idle) => return Ok(failed),
            Ok(_) => {}
            Err(error) => {
                failed += 1;
                anyhow::ensure!(failed < 20, "{error}");
            }
        }
    }
    anyhow::bail!("it never comes to rest")
}

/// What nodes were seen to say to a range that is too long, without a word that anybody knows.
fn refusals() -> [Reply; 6] {
    [
        Reply::error(-32602, "range 200 exceeds limit of 100"),
        Reply::error(-32600, "please limit the query to at most 100 blocks"),
        Reply::error(-32000, "execution timeout"),
        Reply::error(-32005, "limit exceeded"),
        Reply::http(500, ""),
        Reply::http(403, "Forbidden"),
    ]
}

async fn a_past_that_is_refused_in_any_words_is_read_in_smaller_ranges_and_the_limit_outlives_the_process(
    world: World,
) -> anyhow::Result<()> {
    world.ring(11..=300);
    limit(&world, 20, &Reply::error(-32000, "execution timeout"));
    let mut ingest = world.ingest();
    let failed = struggle(&mut ingest).await?;
    assert!(failed <= 3, "{failed} failures");
    world.agrees().await?;
    world.clock.advance(Duration::from_secs(10));
    ingest.advance().await?;
    let kept = world.store.limits(CHAIN).await?;
    let Some(Learned { granted, refused, .. }) = kept[0].range else { panic!("{kept:?}") };
    assert!(granted <= 20 && granted * 8 >= 20 * 7 && refused > 20, "{kept:?}");

    // Another process, after a long stop: what it reads live, and once more, keeps to the limit.
    world.ring(301..=700);
    limit(&world, 20, &Reply::error(-32000, "execution timeout"));
    let before = world.node.calls().len();
    let later = client(&world.node.http_url(), &world.store).await?;
    let mut ingest = world.ingest_of(&later, &world.catalog(), |_| {});
    assert_eq!(struggle(&mut ingest).await?, 0);
    world.agrees().await?;
    let vain = in_vain(&world, before, 20);
    assert!(vain <= 2, "{vain} questions in vain");
    let before = world.node.calls().len();
    let another = client(&world.node.http_url(), &world.store).await?;
    let mut replay = world.ingest_of(&another, &world.catalog(), |_| {});
    replay.replay(0, 600, &Replay::default()).await?;
    assert_eq!(in_vain(&world, before, 20), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stop_is_caught_up_with_where_ranges_are_refused_in_any_words() -> anyhow::Result<()> {
    for refusal in refusals() {
        let world = World::sqlite().await?;
        world.ring(11..=15);
        settle(&mut world.ingest()).await?;
        world.ring(16..=515);
        limit(&world, 100, &refusal);
        let later = client(&world.node.http_url(), &world.store).await?;
        let mut ingest = world.ingest_of(&later, &world.catalog(), |_| {});
        let failed = struggle(&mut ingest).await?;
        assert!(failed <= 4, "{refusal:?}: {failed} failures");
        assert_eq!(world.tip().await?, 515, "{refusal:?}");
        world.agrees().await?;
    }
    Ok(())
}

async fn live_events_go_on_while_the_past_is_refused(world: World) -> anyhow::Result<()> {
    world.ring(11..=60);
    let refuse = |world: &World| limit(world, 0, &Reply::error(-32000, "computer says no"));
    refuse(&world);
    let mut ingest = world.ingest();
    for tx in 61..=80 {
        // It is no failure of the room: `/readyz` says ready. The past has its turn when nothing is new.
        ingest.step().await?;
        ingest.step().await?;
        world.ring(tx..=tx);
        refuse(&world);
        world.clock.advance(Duration::from_secs(30));
    }
    ingest.step().await?;
    assert_eq!(world.tip().await?, 80);
    let live = world.held(BELL).await?;
    assert!(live.iter().any(|(number, ..)| *number == 80), "live events are held: {live:?}");
    let stands = world.store.standstills(CHAIN).await?;
    assert_eq!((stands.len(), stands[0].part, stands[0].block), (1, Part::Past, 0));
    assert!(stands[0].reason.contains("computer says no"), "{}", stands[0].reason);

    world.node.restore(LOGS);
    world.clock.advance(Duration::from_secs(30));
    settle(&mut ingest).await?;
    assert_eq!(world.store.standstills(CHAIN).await?, []);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_of_the_past_that_does_not_come_does_not_keep_the_live_chain_waiting() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=60);
    limit(&world, 0, &Reply::Silence);
    let mut ingest = world.ingest();
    for tx in 61..=64 {
        // A question has thirty seconds.
        tokio::time::timeout(Duration::from_secs(20), ingest.step()).await??;
        world.ring(tx..=tx);
        limit(&world, 0, &Reply::Silence);
        world.clock.advance(Duration::from_secs(1));
    }
    tokio::time::timeout(Duration::from_secs(20), ingest.step()).await??;
    assert_eq!(world.tip().await?, 64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_of_nine_blocks_is_read_from_a_node_that_takes_three_questions_at_once() -> anyhow::Result<()> {
    for refusal in [Reply::http(500, ""), Reply::error(-32600, "no"), Reply::http(413, "")] {
        let world = World::sqlite().await?;
        world.node.batches(Batches::AtMost(3, refusal));
        let mut ingest = world.ingest();
        settle(&mut ingest).await?;
        world.ring(11..=20);
        settle(&mut ingest).await?;
        world.agrees().await?;
        world.clock.advance(Duration::from_secs(10));
        world.ring(21..=29);
        settle(&mut ingest).await?;
        world.clock.advance(Duration::from_secs(10));
        ingest.advance().await?;
        let kept = world.store.limits(CHAIN).await?;
        assert_eq!(kept[0].batch.map(|batch| batch.granted), Some(3), "{kept:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_that_one_url_has_let_go_of_is_read_from_the_next_one() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=300);
    let whole = ScriptedNode::start().await?;
    whole.chain(|chain| *chain = world.branch());
    let chain = world.branch();
    world.node.answer(LOGS, move |params| {
        let from = params[0]["fromBlock"].as_str().and_then(|from| u64::from_str_radix(&from[2..], 16).ok());
        match from {
            Some(from) if from < 150 => Reply::error(4444, "pruned history unavailable"),
            _ => chain.answer(LOGS, params),
        }
    });
    let urls = vec![world.node.http_url(), whole.http_url()];
    let config = NodeConfig::new(name(), CHAIN, urls);
    let node = Node::connect(config, Arc::new(StoreClock::measure(&world.store).await?)).await?;
    let node: Arc<dyn ChainClient> = Arc::new(node);
    let mut ingest = world.ingest_of(&node, &world.catalog(), |config| config.range_max = 50);
    settle(&mut ingest).await?;
    world.agrees().await?;
    assert_eq!(node.url(), world.node.http_url(), "newer blocks are its own");
    Ok(())
}

// ---------------------------------------------------------------------------------------------------- audits

/// Twenty blocks of two transactions each, held and mostly final.
async fn held(world: &World) -> anyhow::Result<()> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    for tx in 11..=30 {
        world.node.mine(vec![ring(BELL, tx), ring(BELL, 100 + tx)]);
    }
    settle(&mut ingest).await?;
    Ok(())
}

fn auditor(world: &World) -> Auditor {
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    Auditor::new(world.ingest(), CHAIN, world.store.clone(), clock, AuditorConfig::default())
}

/// Refuses or changes what is said of one block.
fn spoil(world: &World, block: u64, method: &'static str, said: impl Fn(Reply) -> Reply + Send + 'static) {
    let chain = world.branch();
    let hash = json!(chain.block(block).unwrap().block.hash);
    let number = json!(format!("0x{block:x}"));
    world.node.answer(method, move |params| {
        let reply = chain.answer(method, params);
        let asked = [&params[0], &params[0]["blockHash"]];
        if asked.contains(&&hash) || params[0] == number { said(reply) } else { reply }
    });
}

async fn known(world: &World) -> anyhow::Result<Vec<(u64, u64, AuditMethod)>> {
    let rows = world.store.audits(CHAIN, &world.ingest().audited_contracts()).await?;
    Ok(verified(&rows).iter().map(|range| (range.from, range.to, range.method)).collect())
}

async fn a_block_whose_receipts_are_fewer_than_its_transactions_is_marked_and_the_audit_goes_on(
    world: World,
) -> anyhow::Result<()> {
    held(&world).await?;
    spoil(&world, 17, "eth_getBlockReceipts", |reply| match reply {
        Reply::Result(Json::Array(mut receipts)) => {
            receipts.pop();
            Reply::Result(receipts.into())
        }
        other => other,
    });
    let mut auditor = auditor(&world);
    for _ in 0..3 {
        auditor.step().await?;
    }
    assert_eq!(known(&world).await?, [(11, 26, AuditMethod::SameProvider)]);
    let unproved = world.store.unproved(CHAIN).await?;
    assert_eq!((unproved.len(), unproved[0].block), (1, 17));
    assert_eq!(unproved[0].method, Some(AuditMethod::SameProvider));
    assert!(unproved[0].reason.contains("1 receipts for 2 transactions"), "{}", unproved[0].reason);
    assert_eq!(world.client.providers()[0].score, 100);
    assert_eq!(world.store.standstills(CHAIN).await?, []);
    // What another URL's receipts prove is proved.
    let other = ScriptedNode::start().await?;
    other.chain(|chain| *chain = world.branch());
    let config = NodeConfig::new(name(), CHAIN, vec![world.node.http_url(), other.http_url()]);
    let node = Node::connect(config, Arc::new(StoreClock::measure(&world.store).await?)).await?;
    let mut ingest = world.ingest_of(&(Arc::new(node) as Arc<dyn ChainClient>), &world.catalog(), |_| {});
    ingest.audit_bounds().await?;
    let found = ingest.audit(11, 26, true).await?;
    assert_eq!((found.method, found.unproved.len()), (AuditMethod::ReceiptsRoot, 0));
    assert_eq!(world.store.unproved(CHAIN).await?, []);
    Ok(())
}

async fn a_block_that_cannot_be_audited_is_set_aside_and_those_behind_it_are_audited(
    world: World,
) -> anyhow::Result<()> {
    held(&world).await?;
    for method in ["eth_getBlockReceipts", LOGS] {
        spoil(&world, 17, method, |_| Reply::error(-32000, "computer says no"));
    }
    let mut room = auditor(&world);
    for _ in 0..40 {
        room.step().await?;
    }
    let root = AuditMethod::ReceiptsRoot;
    assert_eq!(known(&world).await?, [(11, 16, root), (18, 26, root)]);
    let unproved = world.store.unproved(CHAIN).await?;
    assert_eq!((unproved.len(), unproved[0].block, unproved[0].method), (1, 17, None));
    assert_eq!(world.store.standstills(CHAIN).await?, []);
    // Another process neither begins anew nor stops there.
    let before = world.node.count("eth_getBlockReceipts");
    let mut room = auditor(&world);
    room.step().await?;
    assert_eq!(world.node.count("eth_getBlockReceipts"), before);
    Ok(())
}

async fn an_audit_of_a_node_that_is_away_waits_and_goes_on(world: World) -> anyhow::Result<()> {
    held(&world).await?;
    for method in ["eth_getBlockReceipts", LOGS] {
        world.node.always(method, Reply::http(503, ""));
    }
    let mut room = auditor(&world);
    for _ in 0..12 {
        room.step().await?;
    }
    let stands = world.store.standstills(CHAIN).await?;
    assert_eq!((stands.len(), stands[0].part, stands[0].block), (1, Part::Audit, 11));
    assert_eq!((known(&world).await?, world.store.unproved(CHAIN).await?), (vec![], vec![]));
    for method in ["eth_getBlockReceipts", LOGS] {
        world.node.restore(method);
    }
    for _ in 0..40 {
        room.step().await?;
    }
    assert_eq!(known(&world).await?, [(11, 26, AuditMethod::ReceiptsRoot)]);
    assert_eq!(world.store.standstills(CHAIN).await?, []);
    Ok(())
}
