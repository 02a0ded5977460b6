//! The past as rows that were made beforehand: they are what the events would have become.

use domain::{Content, Event};
use store::{BackfillCommit, ContractCursor, EventQuery, Publish, StoreError};

use crate::{
    on_both,
    world::{CHAIN, World, all, block, cursor, header},
};

on_both!(
    rows_made_beforehand_are_the_events,
    rows_of_several_contracts_and_of_logs_that_nobody_can_read_are_the_events,
    rows_do_not_pass_a_cursor_that_moved,
    rows_bring_back_what_a_reorg_took_and_double_nothing,
);

/// Enough for more than one statement of either dialect, and for an uneven rest.
const MANY: u64 = 701;

fn events(world: &World) -> Vec<Event> {
    (0..MANY).map(|index| world.event(block(1 + index / 100, 1), index % 100, 1)).collect()
}

async fn commit_rows(world: &World, events: &[Event]) -> anyhow::Result<u64> {
    let rows = world.store.event_rows(CHAIN, events).await?;
    assert_eq!(rows.len(), events.len());
    let piece = world.backfill_commit(&[], Publish::No);
    Ok(world.store.commit_backfill_rows(&piece, &rows).await?.seen)
}

async fn held(world: &World) -> anyhow::Result<Vec<Event>> {
    let stored = world.store.events(&EventQuery { limit: 10_000, ..all() }).await?;
    Ok(stored.into_iter().map(|stored| stored.event).collect())
}

async fn rows_made_beforehand_are_the_events(world: &World) -> anyhow::Result<()> {
    let events = events(world);
    assert_eq!(commit_rows(world, &events).await?, MANY);
    assert_eq!(held(world).await?, events);
    assert_eq!(world.messages().await?, Vec::<String>::new(), "nobody is told");
    assert_eq!(commit_rows(world, &[]).await?, 0);
    Ok(())
}

async fn rows_of_several_contracts_and_of_logs_that_nobody_can_read_are_the_events(
    world: &World,
) -> anyhow::Result<()> {
    let cursors: [ContractCursor; 2] = [cursor("token", 0, 99), cursor("other", 0, 99)];
    world.store.settle_contracts(CHAIN, &cursors, 99).await?;
    let mut events = events(world);
    for event in events.iter_mut().step_by(3) {
        event.contract = "other".parse()?;
        event.address = alloy_primitives::Address::repeat_byte(0x33);
    }
    for event in events.iter_mut().step_by(7) {
        let (topics, data) = (vec![event.tx_hash], alloy_primitives::Bytes::from_static(&[1, 2]));
        event.content = Content::Undecoded { topics, data, reason: "it is \"odd\"".to_owned() };
    }
    assert_eq!(commit_rows(world, &events).await?, MANY);
    assert_eq!(held(world).await?, events);
    Ok(())
}

async fn rows_do_not_pass_a_cursor_that_moved(world: &World) -> anyhow::Result<()> {
    let rows = world.store.event_rows(CHAIN, &events(world)).await?;
    let contracts = [(world.contract.clone(), 50, 60)];
    let piece = BackfillCommit { contracts: &contracts, ..world.backfill_commit(&[], Publish::No) };
    let refused = world.store.commit_backfill_rows(&piece, &rows).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert!(held(world).await?.is_empty(), "nothing changed");
    Ok(())
}

async fn rows_bring_back_what_a_reorg_took_and_double_nothing(world: &World) -> anyhow::Result<()> {
    let events = [world.event(block(1, 1), 0, 1), world.event(block(2, 1), 0, 2)];
    world.commit(None, None, &[header(1, 1, 1), header(2, 1, 1)], &events).await?;
    world.commit(Some(block(2, 1)), Some(block(1, 1)), &[header(2, 2, 1)], &[]).await?;
    assert_eq!(commit_rows(world, &events).await?, 1, "the one that was taken back");
    let turns: Vec<_> = world.canonical().await?.iter().map(|stored| stored.turn).collect();
    assert_eq!(turns, [1, 2]);
    Ok(())
}
