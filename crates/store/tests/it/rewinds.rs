//! Halts, rewinds, and the fence of a lease.

use std::time::Duration;

use domain::BlockRef;
use store::{BackfillCommit, ChainCommit, Committed, Fence, Publish, Rewind, StoreError};

use crate::{
    on_both,
    world::{CHAIN, World, block, cursor, header},
};

on_both!(
    a_halt_stays_until_it_is_cleared,
    a_rewind_orphans_what_is_above_it_and_lets_the_chain_go_on,
    a_rewind_to_another_block_of_the_same_height_reads_that_block_again,
    a_rewind_above_the_tip_is_refused,
    a_commit_without_its_lease_is_refused_and_changes_nothing,
);

async fn a_halt_stays_until_it_is_cleared(world: &World) -> anyhow::Result<()> {
    assert_eq!(world.row().await?.halted, None);
    world.store.halt_chain(CHAIN, "a reorg deeper than finalized", world.now).await?;
    world.finalize(1).await?;
    assert_eq!(world.row().await?.halted.as_deref(), Some("a reorg deeper than finalized"));
    assert!(world.store.chains().await?[0].halted.is_some());
    world.store.clear_halt(CHAIN, world.now).await?;
    assert_eq!(world.row().await?.halted, None);
    Ok(())
}

async fn three_blocks(world: &World) -> anyhow::Result<()> {
    let headers = [header(99, 1, 1), header(100, 1, 1), header(101, 1, 1)];
    let events: Vec<_> = (99..=101).map(|number| world.event(block(number, 1), 0, 1)).collect();
    world.commit(None, None, &headers, &events).await?;
    Ok(())
}

async fn rewind(world: &World, to: BlockRef) -> Result<Committed, StoreError> {
    world.store.rewind_chain(&Rewind { chain: CHAIN, name: &world.name, to, now: world.now }).await
}

async fn a_rewind_orphans_what_is_above_it_and_lets_the_chain_go_on(world: &World) -> anyhow::Result<()> {
    three_blocks(world).await?;
    // Met when the tip was at 101, and not read at all yet; and one that starts later than all that.
    let wanted = [cursor("late", 0, 101), cursor("future", 500, 101), cursor("token", 0, 101)];
    world.store.settle_contracts(CHAIN, &wanted, 101).await?;
    world.finalize(101).await?;
    world.store.tell_finalized(CHAIN, &world.name, 10, world.now).await?;
    world.store.halt_chain(CHAIN, "deep", world.now).await?;
    assert_eq!(rewind(world, block(99, 1)).await?, Committed { seen: 0, orphaned: 2 });
    let row = world.row().await?;
    assert_eq!((row.tip, row.halted, row.finalized), (Some(block(99, 1)), None, Some(99)));
    assert_eq!(world.canonical().await?.len(), 1);
    assert_eq!(world.store.recent_blocks(CHAIN, 10).await?, [block(99, 1)]);
    let told = world.messages().await?;
    // Three seen and three final came before.
    assert!(told.len() == 8 && told[6..].iter().all(|id| id.ends_with(":orphaned")), "{told:?}");
    let cursors = world.store.contract_cursors(CHAIN).await?;
    let blocks: Vec<_> = cursors.iter().map(|cursor| (cursor.next_block, cursor.live_from)).collect();
    // By name: future, late, token.
    assert_eq!(blocks, [(500, 500), (0, 100), (0, 100)]);
    // What comes in their place is news, and final no sooner than its block.
    let event = world.event(block(100, 2), 0, 2);
    world.commit(Some(block(99, 1)), None, &[header(100, 2, 1)], std::slice::from_ref(&event)).await?;
    assert_eq!(world.messages().await?[8..], [format!("{}:seen", event.id)]);
    Ok(())
}

async fn a_rewind_to_another_block_of_the_same_height_reads_that_block_again(
    world: &World,
) -> anyhow::Result<()> {
    three_blocks(world).await?;
    let contracts = [(world.contract.clone(), 0, 100)];
    world
        .store
        .commit_backfill(&BackfillCommit { contracts: &contracts, ..world.backfill_commit(&[], Publish::No) })
        .await?;
    assert_eq!(rewind(world, block(100, 2)).await?, Committed { seen: 0, orphaned: 2 });
    assert_eq!(world.row().await?.tip, Some(block(100, 2)));
    assert_eq!(world.canonical().await?[0].event.block, block(99, 1));
    let cursor = &world.store.contract_cursors(CHAIN).await?[0];
    assert_eq!((cursor.next_block, cursor.live_from), (100, 100));
    assert_eq!(rewind(world, block(99, 3)).await?, Committed { seen: 0, orphaned: 1 });
    let cursor = &world.store.contract_cursors(CHAIN).await?[0];
    assert_eq!((cursor.next_block, cursor.live_from), (99, 100));
    Ok(())
}

async fn a_rewind_above_the_tip_is_refused(world: &World) -> anyhow::Result<()> {
    let refused = rewind(world, block(1, 1)).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    three_blocks(world).await?;
    let refused = rewind(world, block(102, 1)).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert_eq!(world.row().await?.tip, Some(block(101, 1)));
    Ok(())
}

async fn a_commit_without_its_lease_is_refused_and_changes_nothing(world: &World) -> anyhow::Result<()> {
    let term = Duration::from_secs(10);
    let later = world.now + jiff::SignedDuration::from_secs(11);
    let (one, two) = (Fence { lease: "ingest", owner: "one" }, Fence { lease: "ingest", owner: "two" });
    let event = world.event(block(1, 1), 0, 1);
    let (headers, events) = ([header(1, 1, 1)], std::slice::from_ref(&event));
    let live = |fence| ChainCommit { fence: Some(fence), ..world.chain_commit(None, None, &headers, events) };
    let past = |fence| BackfillCommit { fence: Some(fence), ..world.backfill_commit(events, Publish::No) };
    assert!(matches!(world.store.commit_chain(&live(one)).await, Err(StoreError::Fenced(_))));
    assert!(world.store.take_lease("ingest", "one", world.now, term).await?);
    assert!(world.store.take_lease("ingest", "two", later, term).await?);
    for refused in [world.store.commit_chain(&live(one)).await, world.store.commit_backfill(&past(one)).await]
    {
        let detail = refused.expect_err("it is refused").to_string();
        assert!(detail.contains("one does not hold the lease ingest"), "{detail}");
    }
    assert!(world.canonical().await?.is_empty() && world.messages().await?.is_empty());
    assert_eq!(world.row().await?.tip, None);
    assert_eq!(world.store.commit_backfill(&past(two)).await?.seen, 1);
    assert_eq!(world.store.commit_chain(&live(two)).await?.seen, 0);
    Ok(())
}
