//! The backlog of unmatched events: a row for a new block, rows for its events once some of them are matched.

use domain::Event;
use jiff::Timestamp;
use store::{EventKey, StoredEvent};

use crate::{
    on_both,
    world::{World, block, header},
};

on_both!(
    matching_some_events_of_a_block_leaves_the_others,
    a_page_of_the_backlog_ends_inside_a_block,
    an_event_orphaned_before_it_was_matched_is_matched_as_orphaned,
    what_matching_saw_before_an_orphaning_forgets_nothing_of_it,
    a_block_that_comes_back_with_more_events_has_all_of_them_in_the_backlog,
    two_that_match_parts_of_a_block_at_once_leave_nothing_and_lose_nothing,
);

// A block of events on block 0.
async fn block_of(world: &World, logs: u64) -> anyhow::Result<Vec<StoredEvent>> {
    let events: Vec<_> = (0..logs).map(|log| world.event(block(1, 1), log, 1)).collect();
    world.commit(None, None, &[header(0, 1, 1)], &[]).await?;
    world.commit(Some(block(0, 1)), None, &[header(1, 1, 1)], &events).await?;
    stored(world, &events).await
}

async fn stored(world: &World, events: &[Event]) -> anyhow::Result<Vec<StoredEvent>> {
    let keys: Vec<_> = events.iter().map(EventKey::of).collect();
    Ok(world.store.events_by_keys(&keys).await?)
}

async fn ledger(world: &World) -> anyhow::Result<Vec<u64>> {
    let keys = world.store.unmatched(Timestamp::MAX, 1_000).await?;
    let known = world.store.in_backlog(&keys).await?;
    assert_eq!(known.len(), keys.len(), "asked about by key, the ledger says the same");
    assert!(world.store.counts().await?.unmatched >= keys.len() as u64);
    Ok(keys.into_iter().map(|key| key.log_index).collect())
}

async fn matching_some_events_of_a_block_leaves_the_others(world: &World) -> anyhow::Result<()> {
    let events = block_of(world, 5).await?;
    assert_eq!(ledger(world).await?, [0, 1, 2, 3, 4]);
    assert_eq!(world.store.counts().await?.unmatched, 5, "figures are of events, not of rows");
    world.store.mark_matched(&events[1..3]).await?;
    assert_eq!(ledger(world).await?, [0, 3, 4]);
    let asked: Vec<_> = events.iter().map(|stored| EventKey::of(&stored.event)).collect();
    assert_eq!(world.store.in_backlog(&asked).await?.len(), 3);
    world.store.mark_matched(&events[1..3]).await?;
    assert_eq!(ledger(world).await?, [0, 3, 4], "what is matched twice is matched once");
    world.store.mark_matched(&events).await?;
    assert!(ledger(world).await?.is_empty());
    assert_eq!(world.store.counts().await?.unmatched, 0);
    Ok(())
}

async fn a_page_of_the_backlog_ends_inside_a_block(world: &World) -> anyhow::Result<()> {
    let events = block_of(world, 5).await?;
    let page = world.store.unmatched(Timestamp::MAX, 2).await?;
    assert_eq!(page.iter().map(|key| key.log_index).collect::<Vec<_>>(), [0, 1]);
    world.store.mark_matched(&events[..2]).await?;
    assert_eq!(ledger(world).await?, [2, 3, 4]);
    let none = world.store.unmatched(world.now, 10).await?;
    assert!(none.is_empty(), "what is left keeps the age of its block: {none:?}");
    Ok(())
}

async fn an_event_orphaned_before_it_was_matched_is_matched_as_orphaned(world: &World) -> anyhow::Result<()> {
    let events = block_of(world, 2).await?;
    world.commit(Some(block(1, 1)), Some(block(0, 1)), &[header(1, 2, 1)], &[]).await?;
    assert_eq!(ledger(world).await?, [0, 1], "each once, though the block has its row still");
    let orphans: Vec<_> = events.into_iter().map(|stored| stored.event).collect();
    let orphans = stored(world, &orphans).await?;
    world.store.orphan_hits(&orphans).await?;
    assert!(ledger(world).await?.is_empty());
    assert_eq!(world.store.counts().await?.unmatched, 0);
    Ok(())
}

async fn what_matching_saw_before_an_orphaning_forgets_nothing_of_it(world: &World) -> anyhow::Result<()> {
    let seen = block_of(world, 3).await?;
    world.commit(Some(block(1, 1)), Some(block(0, 1)), &[header(1, 2, 1)], &[]).await?;
    world.store.mark_matched(&seen[..2]).await?;
    assert_eq!(ledger(world).await?, [0, 1, 2], "their ends are still to be matched");
    let after: Vec<_> = seen.iter().map(|stored| stored.event.clone()).collect();
    world.store.orphan_hits(&stored(world, &after).await?).await?;
    assert!(ledger(world).await?.is_empty());
    Ok(())
}

async fn a_block_that_comes_back_with_more_events_has_all_of_them_in_the_backlog(
    world: &World,
) -> anyhow::Result<()> {
    let events = block_of(world, 2).await?;
    world.commit(Some(block(1, 1)), Some(block(0, 1)), &[header(1, 2, 1)], &[]).await?;
    let mut again: Vec<_> = events.iter().map(|stored| stored.event.clone()).collect();
    again.push(world.event(block(1, 1), 2, 1));
    world.commit(Some(block(1, 2)), Some(block(0, 1)), &[header(1, 1, 1)], &again).await?;
    assert_eq!(ledger(world).await?, [0, 1, 2]);
    let now = stored(world, &again).await?;
    world.store.mark_matched(&now[2..]).await?;
    assert_eq!(ledger(world).await?, [0, 1]);
    world.store.mark_matched(&events).await?;
    assert_eq!(ledger(world).await?, [0, 1], "seen the first time is not seen again");
    world.store.mark_matched(&now).await?;
    assert!(ledger(world).await?.is_empty());
    Ok(())
}

async fn two_that_match_parts_of_a_block_at_once_leave_nothing_and_lose_nothing(
    world: &World,
) -> anyhow::Result<()> {
    let mut events = block_of(world, 90).await?;
    let late = events.split_off(60);
    let (one, other) = events.split_at(30);
    let store = &world.store;
    tokio::try_join!(store.mark_matched(one), store.mark_matched(other))?;
    assert_eq!(ledger(world).await?, (60..90).collect::<Vec<_>>());
    store.mark_matched(&late).await?;
    assert_eq!(store.counts().await?.unmatched, 0);
    Ok(())
}
