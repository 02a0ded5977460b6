//! The room that tells of finality: every event once, in chain order, whatever happens to the room or to the chain.

use std::{sync::Arc, time::Duration};

use domain::Clock;
use pipeline::{
    Bell, Progress, Room as _,
    finality::{Finality, FinalityConfig},
    ingest::{Did, Ingest},
};
use store::Rewind;

use crate::world::{BELL, CHAIN, World, name, on_both_stores, settle};

on_both_stores!(
    events_are_told_to_be_final_once_and_in_order_by_any_number_of_rooms,
    what_left_the_chain_before_it_was_final_is_never_told_to_be,
    what_an_operator_takes_back_is_told_anew_where_it_comes_again,
    few_blocks_are_told_behind_new_ones_and_many_at_full_speed,
);

fn room(world: &World, bell: &Bell, batch: u32) -> Finality {
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let config = FinalityConfig { batch, pages: 0, ..FinalityConfig::default() };
    let chains = vec![(CHAIN, name())];
    Finality::new(world.store.clone(), chains, clock, bell.clone(), Bell::new(), config)
}

async fn drain(room: &mut Finality) -> anyhow::Result<()> {
    while room.step().await? == Progress::Worked {}
    Ok(())
}

/// The blocks of the events that were told to be final, in the order of the telling.
async fn told(world: &World) -> anyhow::Result<Vec<u64>> {
    let rows = world.store.outbox_page(&store::Store::lane_of_chain(&name()), 10_000).await?;
    let messages = rows.iter().flat_map(|row| &row.messages);
    let of_kind = messages.filter(|message| message.id.contains(":finalized"));
    of_kind
        .map(|message| {
            let payload: serde_json::Value = serde_json::from_str(&message.payload)?;
            anyhow::ensure!(payload["type"] == "chainbell.event.finalized.v1", "{payload}");
            anyhow::ensure!(payload["data"]["finality"] == "finalized", "{payload}");
            Ok(payload["data"]["block_number"].as_u64().unwrap_or_default())
        })
        .collect()
}

async fn started(world: &World) -> anyhow::Result<Ingest> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    Ok(ingest)
}

async fn events_are_told_to_be_final_once_and_in_order_by_any_number_of_rooms(
    world: World,
) -> anyhow::Result<()> {
    let mut ingest = started(&world).await?;
    let bell = Bell::new();
    let (mut one, mut two) = (room(&world, &bell, 2), room(&world, &bell, 3));
    drain(&mut one).await?;
    world.ring(11..=20);
    settle(&mut ingest).await?;
    // Final up to 16.
    assert_eq!(one.step().await?, Progress::Worked, "a batch of two");
    let (first, second) = tokio::join!(drain(&mut one), drain(&mut two));
    first.and(second)?;
    assert_eq!(told(&world).await?, (11..=16).collect::<Vec<_>>());
    assert_eq!(one.step().await?, Progress::Idle);
    world.ring(21..=23);
    settle(&mut ingest).await?;
    // Another process, which knows nothing but the store.
    drain(&mut room(&world, &bell, 100)).await?;
    drain(&mut two).await?;
    assert_eq!(told(&world).await?, (11..=19).collect::<Vec<_>>());
    Ok(())
}

async fn few_blocks_are_told_behind_new_ones_and_many_at_full_speed(world: World) -> anyhow::Result<()> {
    let mut ingest = started(&world).await?;
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let (pause, patience) = (Duration::from_millis(20), Duration::from_secs(5));
    let config =
        FinalityConfig { batch: 100, page: 2, pages: 4, pause, patience, poll: Duration::from_secs(1) };
    let (chains, committed) = (vec![(CHAIN, name())], Bell::new());
    let store = world.store.clone();
    let mut room = Finality::new(store, chains, clock, Bell::new(), committed.clone(), config);
    assert_eq!(room.step().await?, Progress::Idle);
    world.ring(11..=24);
    settle(&mut ingest).await?;
    // Final up to 20: ten events, of which small pages tell two each.
    for (told_to, rings) in [(12, true), (14, false), (16, true)] {
        assert_eq!(room.step().await?, Progress::Idle, "a small page, and then a rest");
        assert_eq!(told(&world).await?, (11..=told_to).collect::<Vec<_>>());
        committed.ring();
        let mut rest = room.rest();
        assert!(futures::poll!(&mut rest).is_pending());
        world.clock.advance(pause);
        assert!(futures::poll!(&mut rest).is_pending(), "a block that came before is none to go behind");
        if rings {
            committed.ring();
            assert!(futures::poll!(&mut rest).is_pending(), "what it brought comes first");
        }
        world.clock.advance(if rings { pause } else { patience });
        assert!(futures::poll!(&mut rest).is_ready());
    }
    assert_eq!(room.step().await?, Progress::Worked, "the last small page is the end of the patience");
    assert_eq!(room.step().await?, Progress::Idle, "all that is left at once");
    assert_eq!(told(&world).await?, (11..=20).collect::<Vec<_>>());
    Ok(())
}

async fn what_left_the_chain_before_it_was_final_is_never_told_to_be(world: World) -> anyhow::Result<()> {
    let mut ingest = started(&world).await?;
    let mut finality = room(&world, &Bell::new(), 100);
    world.ring(11..=16);
    settle(&mut ingest).await?;
    drain(&mut finality).await?;
    let dead: Vec<_> = world.held(BELL).await?.split_off(2);
    world.reorg(4, 30..=45);
    settle(&mut ingest).await?;
    drain(&mut finality).await?;
    assert_eq!(told(&world).await?, (11..=24).collect::<Vec<_>>());
    let rows = world.store.outbox_page(&store::Store::lane_of_chain(&name()), 10_000).await?;
    let messages = rows.iter().flat_map(|row| &row.messages);
    for message in messages.filter(|message| message.id.contains(":finalized")) {
        assert!(!dead.iter().any(|(_, hash, _)| message.payload.contains(&hash.to_string())), "{message:?}");
    }
    Ok(())
}

async fn what_an_operator_takes_back_is_told_anew_where_it_comes_again(world: World) -> anyhow::Result<()> {
    let mut ingest = started(&world).await?;
    let mut finality = room(&world, &Bell::new(), 100);
    world.ring(11..=20);
    settle(&mut ingest).await?;
    drain(&mut finality).await?;
    // Final blocks are taken back: a person decides.
    world.reorg(7, 40..=52);
    assert!(ingest.advance().await.is_err());
    drain(&mut finality).await?;
    assert_eq!(told(&world).await?, (11..=16).collect::<Vec<_>>());
    let to = world.node.chain(|chain| chain.block(13).unwrap().block);
    let rewind = Rewind { chain: CHAIN, name: &name(), to, now: world.now() };
    world.store.rewind_chain(&rewind).await?;
    drain(&mut finality).await?;
    let done = settle(&mut ingest).await?;
    assert!(done.iter().any(|did| matches!(did, Did::Followed { .. })), "{done:?}");
    drain(&mut finality).await?;
    // The new events of 14 to 22 are others than those of before.
    assert_eq!(told(&world).await?, (11..=16).chain(14..=22).collect::<Vec<_>>());
    Ok(())
}
