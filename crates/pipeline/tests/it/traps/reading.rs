//! A long stop, two ways to fetch one event, a checkpoint that cannot be read, a block of many events.

use std::{collections::BTreeSet, sync::Arc};

use domain::{Catalog, Origin, StartBlock};
use pipeline::{RoomError, ingest::Did};

use super::folded;
use crate::world::{BELL, GONG, World, contract, on_both_stores, ring, settle};

on_both_stores!(a_long_stop_is_caught_up_with_whole_and_as_news);

async fn a_long_stop_is_caught_up_with_whole_and_as_news(world: World) -> anyhow::Result<()> {
    world.ring(11..=15);
    settle(&mut world.ingest()).await?;
    // Far more blocks than any piece, range or page holds.
    world.node.chain(|chain| {
        for tx in 16..=615 {
            chain.mine(if tx % 3 == 0 { vec![ring(BELL, tx)] } else { Vec::new() });
        }
    });
    let mut ingest = world.ingest_with(|config| (config.range_max, config.blocks_max) = (40, 8));
    let mut steps = 0;
    while !matches!(ingest.advance().await?, Did::Idle) {
        steps += 1;
        assert!(steps < 400, "it never comes to rest");
    }
    assert_eq!(world.tip().await?, 615);
    world.agrees().await?;
    let stored = world.stored().await?;
    let late = stored.iter().filter(|stored| stored.event.block.number > 15);
    assert!(late.clone().all(|stored| stored.event.origin == Origin::Live), "late is not past");
    assert_eq!(folded(&world).await?.len(), late.count());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_one_identity_however_it_was_fetched() -> anyhow::Result<()> {
    let (one, two) = (World::sqlite().await?, World::sqlite().await?);
    for tx in 11..=40 {
        one.node.mine(vec![ring(BELL, tx), ring(BELL, tx), ring(GONG, 100 + tx)]);
    }
    two.switch_to(&one.branch());
    // In one range, and block by block; together with another contract, and alone.
    settle(&mut one.ingest()).await?;
    let catalog = Arc::new(Catalog::new(vec![
        contract("gong", &[GONG], StartBlock::Number(0)),
        contract("bell", &[BELL], StartBlock::Number(0)),
    ]));
    settle(&mut two.ingest_of(&two.client, &catalog, |config| config.range_max = 1)).await?;
    let ids = async |world: &World| {
        let stored = world.stored().await?;
        let of = stored.iter().filter(|stored| stored.event.address == BELL);
        anyhow::Ok(of.map(|stored| (stored.event.id, stored.event.logical)).collect::<Vec<_>>())
    };
    let (ids_one, ids_two) = (ids(&one).await?, ids(&two).await?);
    assert_eq!((ids_one.len(), &ids_one), (60, &ids_two));
    // And no identity names two things: another block's events have others.
    two.reorg(2, 500..=502);
    settle(&mut two.ingest_of(&two.client, &catalog, |_| {})).await?;
    let known: BTreeSet<_> = ids_one.iter().map(|(id, _)| *id).collect();
    let ids_now = ids(&two).await?;
    assert_eq!(ids_now.iter().filter(|(id, _)| !known.contains(id)).count(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_read_is_no_beginning() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=15);
    settle(&mut world.ingest()).await?;
    let held = world.held(BELL).await?;
    let hash = world.node.chain(|chain| chain.head().block.hash);
    let path = world.store.url().trim_start_matches("sqlite://").to_owned();
    let set = async |value: String| {
        let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=30); \
            db.execute('PRAGMA ignore_check_constraints = 1'); \
            db.execute('UPDATE chain SET tip_hash = ?', (bytes.fromhex(sys.argv[2]),)); db.commit()";
        let done =
            tokio::process::Command::new("python3").args(["-c", script, &path, &value]).status().await?;
        anyhow::ensure!(done.success(), "{done}");
        anyhow::Ok(())
    };
    set("00".to_owned()).await?;
    world.ring(16..=17);
    let before = world.node.calls().len();
    let mut ingest = world.ingest();
    for _ in 0..3 {
        let error = ingest.advance().await.unwrap_err();
        assert!(matches!(error, RoomError::Store(_)), "{error}");
    }
    assert!(world.questions(before).is_empty(), "nothing is read anew");
    assert_eq!(world.held(BELL).await?, held);
    set(hash.to_string().trim_start_matches("0x").to_owned()).await?;
    let done = settle(&mut ingest).await?;
    assert!(matches!(done[0], Did::Started { tip } if tip.number == 15), "{done:?}");
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_block_costs_does_not_depend_on_how_many_events_it_has() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    let mut costs = Vec::new();
    for events in [1_u64, 200, 0] {
        let before = world.node.calls().len();
        let first = 1_000 * events;
        world.node.mine((0..events).map(|tx| ring(BELL, first + tx)).collect());
        settle(&mut ingest).await?;
        let calls = world.node.calls().into_iter().skip(before);
        costs.push(calls.filter(|call| call.method != "eth_getBlockByNumber").count());
    }
    assert_eq!(costs, [1, 1, 1], "one question for the logs, whatever they are");
    world.agrees().await
}
