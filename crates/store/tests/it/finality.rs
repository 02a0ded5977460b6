//! Finality, told once.

use anyhow::Context as _;
use domain::{Event, Origin};
use store::{Publish, Told};

use crate::{
    on_both,
    world::{CHAIN, World, block, header},
};

on_both!(
    a_new_chain_tells_of_every_event_from_its_first_on,
    final_events_are_told_once_in_whole_blocks,
    a_block_with_more_events_than_a_page_is_one_page,
    what_was_not_told_as_seen_is_not_told_as_final,
    nothing_is_told_above_the_tip,
    an_event_that_is_published_below_what_was_told_is_final_at_once,
    two_tellers_tell_each_event_once,
);

async fn tell(world: &World, limit: u32) -> anyhow::Result<Told> {
    Ok(world.store.tell_finalized(CHAIN, &world.name, limit, world.now).await?)
}

async fn told(world: &World) -> anyhow::Result<Vec<String>> {
    let mut messages = world.messages().await?;
    messages.retain(|message| message.ends_with(":finalized"));
    Ok(messages)
}

fn finalized<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    events.into_iter().map(|event| format!("{}:finalized", event.id)).collect()
}

// Blocks 1 to 5, with as many events as each has in its number.
async fn five_blocks(world: &World) -> anyhow::Result<Vec<Event>> {
    let headers: Vec<_> = (1..=5).map(|number| header(number, 1, 1)).collect();
    let events: Vec<_> = (1..=5)
        .flat_map(|number| (0..number).map(move |log| (number, log)))
        .map(|(number, log)| world.event(block(number, 1), log, u8::try_from(number).expect("small")))
        .collect();
    world.commit(None, None, &headers, &events).await?;
    Ok(events)
}

// The chain is known from a time before its first event.
async fn begin(world: &World) -> anyhow::Result<()> {
    world.commit(None, None, &[header(0, 1, 1)], &[]).await?;
    world.finalize(0).await?;
    assert_eq!(tell(world, 10).await?, Told { to: 0, events: 0, done: true });
    Ok(())
}

async fn grow(world: &World) -> anyhow::Result<Vec<Event>> {
    let headers: Vec<_> = (1..=3).map(|number| header(number, 1, 1)).collect();
    let events: Vec<_> = (1..=3_u8)
        .flat_map(|number| [(number, 0), (number, 1)])
        .map(|(number, log)| world.event(block(number.into(), 1), log, number))
        .collect();
    world.commit(Some(block(0, 1)), None, &headers, &events).await?;
    Ok(events)
}

async fn a_new_chain_tells_of_every_event_from_its_first_on(world: &World) -> anyhow::Result<()> {
    assert_eq!(tell(world, 10).await?, Told { to: 0, events: 0, done: true });
    let events = five_blocks(world).await?;
    // Nobody looked while these became final.
    world.finalize(3).await?;
    assert_eq!(tell(world, 10).await?, Told { to: 3, events: 6, done: true });
    world.finalize(4).await?;
    assert_eq!(tell(world, 10).await?, Told { to: 4, events: 4, done: true });
    assert_eq!(told(world).await?, finalized(&events[..10]));
    Ok(())
}

#[tokio::test]
async fn a_chain_that_was_followed_before_begins_at_what_is_final_now() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let events = five_blocks(&world).await?;
    let pool = sqlx::SqlitePool::connect(world.store.url()).await?;
    sqlx::query("UPDATE chain SET finalized_told = NULL").execute(&pool).await?;
    pool.close().await;
    world.finalize(3).await?;
    assert_eq!(tell(&world, 10).await?, Told { to: 3, events: 0, done: true });
    world.finalize(4).await?;
    assert_eq!(tell(&world, 10).await?, Told { to: 4, events: 4, done: true });
    assert_eq!(told(&world).await?, finalized(&events[6..10]));
    Ok(())
}

async fn final_events_are_told_once_in_whole_blocks(world: &World) -> anyhow::Result<()> {
    begin(world).await?;
    let events = grow(world).await?;
    world.finalize(3).await?;
    let unmatched = world.store.unmatched(jiff::Timestamp::MAX, 100).await?.len();
    assert_eq!(tell(world, 3).await?, Told { to: 1, events: 2, done: false });
    assert_eq!(tell(world, 4).await?, Told { to: 3, events: 4, done: true });
    assert_eq!(tell(world, 4).await?, Told { to: 3, events: 0, done: true });
    assert_eq!(told(world).await?, finalized(&events));
    // Matching has nothing to do with it.
    assert_eq!(world.store.unmatched(jiff::Timestamp::MAX, 100).await?.len(), unmatched);
    let rows = world.store.outbox_page(&store::Store::lane_of_chain(&world.name), 100).await?;
    let last = rows.iter().flat_map(|row| &row.messages).next_back().context("messages")?;
    let payload: serde_json::Value = serde_json::from_str(&last.payload)?;
    assert_eq!(payload["type"], "chainbell.event.finalized.v1");
    assert_eq!(payload["data"]["finality"], "finalized");
    Ok(())
}

async fn a_block_with_more_events_than_a_page_is_one_page(world: &World) -> anyhow::Result<()> {
    begin(world).await?;
    let events = grow(world).await?;
    world.finalize(3).await?;
    assert_eq!(tell(world, 1).await?, Told { to: 1, events: 2, done: false });
    assert_eq!(tell(world, 1).await?, Told { to: 2, events: 2, done: false });
    assert_eq!(tell(world, 1).await?, Told { to: 3, events: 2, done: true });
    assert_eq!(told(world).await?, finalized(&events));
    Ok(())
}

async fn what_was_not_told_as_seen_is_not_told_as_final(world: &World) -> anyhow::Result<()> {
    begin(world).await?;
    grow(world).await?;
    let mut past = [world.event(block(2, 1), 7, 7), world.event(block(2, 1), 8, 8)];
    for event in &mut past {
        event.origin = Origin::Backfill;
    }
    world.store.commit_backfill(&world.backfill_commit(&past[..1], Publish::No)).await?;
    // Of the past, and published all the same.
    world.store.commit_backfill(&world.backfill_commit(&past[1..], Publish::Yes)).await?;
    world.finalize(3).await?;
    assert_eq!(tell(world, 100).await?.events, 7);
    let told = told(world).await?;
    assert!(!told.contains(&finalized(&past)[0]) && told.contains(&finalized(&past)[1]), "{told:?}");
    Ok(())
}

async fn nothing_is_told_above_the_tip(world: &World) -> anyhow::Result<()> {
    begin(world).await?;
    grow(world).await?;
    world.finalize(100).await?;
    assert_eq!(tell(world, 100).await?, Told { to: 3, events: 6, done: true });
    // A reorg of what the node calls final: what comes above is told when it is held.
    let event = world.event(block(4, 1), 0, 4);
    world.commit(Some(block(3, 1)), None, &[header(4, 1, 1)], std::slice::from_ref(&event)).await?;
    assert_eq!(tell(world, 100).await?, Told { to: 4, events: 1, done: true });
    Ok(())
}

async fn an_event_that_is_published_below_what_was_told_is_final_at_once(
    world: &World,
) -> anyhow::Result<()> {
    begin(world).await?;
    grow(world).await?;
    world.finalize(2).await?;
    tell(world, 100).await?;
    let before = world.messages().await?.len();
    let late = [world.event(block(2, 1), 7, 7), world.event(block(3, 1), 7, 8)];
    world.store.commit_backfill(&world.backfill_commit(&late, Publish::Yes)).await?;
    let [one, two] = [late[0].id, late[1].id];
    let expected = [format!("{one}:seen"), format!("{two}:seen"), format!("{one}:finalized")];
    assert_eq!(world.messages().await?[before..], expected);
    world.finalize(3).await?;
    assert_eq!(tell(world, 100).await?.events, 3);
    assert_eq!(told(world).await?.len(), 8);
    Ok(())
}

async fn two_tellers_tell_each_event_once(world: &World) -> anyhow::Result<()> {
    begin(world).await?;
    let events = grow(world).await?;
    world.finalize(3).await?;
    let all = || async {
        while !tell(world, 2).await?.done {}
        anyhow::Ok(())
    };
    let (one, two) = tokio::join!(all(), all());
    one.and(two)?;
    assert_eq!(told(world).await?, finalized(&events));
    Ok(())
}
