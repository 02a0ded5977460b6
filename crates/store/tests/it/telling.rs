//! What blocks tell: one row of the outbox each, and the messages that it becomes.

use domain::message::{Lifecycle, event_message};
use store::Store;

use crate::{
    on_both,
    world::{World, block, header},
};

on_both!(
    a_block_is_one_row_of_the_outbox_whose_messages_are_its_events,
    a_page_holds_whole_blocks_and_at_least_one,
    what_comes_with_a_block_the_second_time_is_told_once_and_in_order,
    events_that_are_final_already_are_told_to_be_so,
    a_block_that_two_chains_share_is_told_of_both,
);

async fn a_block_is_one_row_of_the_outbox_whose_messages_are_its_events(world: &World) -> anyhow::Result<()> {
    let (zero, one) = (header(0, 1, 1), header(1, 1, 1));
    let events: Vec<_> = (0..3).map(|log| world.event(one.block, log * 2, 1)).collect();
    world.commit(None, None, &[zero], &[]).await?;
    let committed = world.commit(Some(zero.block), None, &[one], &events).await?;
    assert_eq!((committed.seen, committed.orphaned), (3, 0));
    let rows = world.store.outbox_page(&Store::lane_of_chain(&world.name), 100).await?;
    assert_eq!(rows.len(), 1);
    let told: Vec<_> =
        events.iter().map(|event| event_message(&world.name, event, Lifecycle::Seen, 1)).collect();
    assert_eq!(rows[0].messages, told);
    assert_eq!(world.store.counts().await?.outbox, 3, "figures are of messages, not of rows");
    assert_eq!(world.store.outbox_lanes().await?[0].depth, 3);
    world.store.outbox_delete(&[rows[0].id]).await?;
    assert!(!world.store.outbox_has(&Store::lane_of_chain(&world.name)).await?);
    Ok(())
}

async fn a_page_holds_whole_blocks_and_at_least_one(world: &World) -> anyhow::Result<()> {
    let headers: Vec<_> = (0..4).map(|number| header(number, 1, 1)).collect();
    let events: Vec<_> = headers[1..]
        .iter()
        .flat_map(|header| (0..3).map(|log| world.event(header.block, log, log as u8)))
        .collect();
    world.commit(None, None, &headers[..1], &[]).await?;
    world.commit(Some(headers[0].block), None, &headers[1..], &events).await?;
    let lane = Store::lane_of_chain(&world.name);
    for (limit, messages) in [(1, 3), (3, 3), (4, 6), (100, 9)] {
        let rows = world.store.outbox_page(&lane, limit).await?;
        assert_eq!(rows.iter().map(|row| row.messages.len()).sum::<usize>(), messages, "of {limit}");
    }
    Ok(())
}

async fn what_comes_with_a_block_the_second_time_is_told_once_and_in_order(
    world: &World,
) -> anyhow::Result<()> {
    let (zero, one, other) = (header(0, 1, 1), header(1, 1, 1), header(1, 2, 1));
    let (first, second) = (world.event(one.block, 0, 1), world.event(one.block, 1, 2));
    world.commit(None, None, &[zero], &[]).await?;
    world.commit(Some(zero.block), None, &[one], std::slice::from_ref(&first)).await?;
    world.commit(Some(one.block), Some(zero.block), &[other], &[]).await?;
    world.commit(Some(other.block), Some(zero.block), &[one], &[first.clone(), second.clone()]).await?;
    let told = [
        (&first, Lifecycle::Seen, 1),
        (&first, Lifecycle::Orphaned, 1),
        (&second, Lifecycle::Seen, 1),
        (&first, Lifecycle::Seen, 2),
    ];
    let told: Vec<_> = told
        .into_iter()
        .map(|(event, stage, turn)| event_message(&world.name, event, stage, turn).id)
        .collect();
    assert_eq!(world.messages().await?, told);
    Ok(())
}

async fn events_that_are_final_already_are_told_to_be_so(world: &World) -> anyhow::Result<()> {
    let headers: Vec<_> = (0..3).map(|number| header(number, 1, 1)).collect();
    world.commit(None, None, &headers[..2], &[]).await?;
    world.finalize(1).await?;
    while !world.store.tell_finalized(crate::world::CHAIN, &world.name, 10, world.now).await?.done {}
    // A reader that is behind what was told: the tip goes back by an operator's hand, and comes again.
    let event = world.event(block(1, 1), 0, 1);
    let mut commit =
        world.chain_commit(Some(headers[1].block), None, &headers[1..2], std::slice::from_ref(&event));
    commit.tip = headers[1].block;
    world.store.commit_chain(&commit).await?;
    let told: Vec<_> = [Lifecycle::Seen, Lifecycle::Finalized]
        .map(|stage| event_message(&world.name, &event, stage, 1).id)
        .into();
    assert_eq!(world.messages().await?, told);
    Ok(())
}

async fn a_block_that_two_chains_share_is_told_of_both(world: &World) -> anyhow::Result<()> {
    let (zero, one) = (header(0, 1, 1), header(1, 1, 1));
    let (chain, name): (domain::ChainId, domain::ChainName) = (domain::ChainId(7), "twin".parse()?);
    world.store.register_chain(chain, &name, world.now).await?;
    world.store.settle_contracts(chain, &[crate::world::cursor("token", 0, 99)], 99).await?;
    let event = world.event(one.block, 0, 1);
    let id = domain::EventId::derive(chain, one.block.hash, 0);
    let twin = domain::Event { chain, id, ..event.clone() };
    for (chain, name, event) in [(crate::world::CHAIN, &world.name, &event), (chain, &name, &twin)] {
        let of = |expected, headers, events| store::ChainCommit {
            chain,
            name,
            ..world.chain_commit(expected, None, headers, events)
        };
        world.store.commit_chain(&of(None, std::slice::from_ref(&zero), &[])).await?;
        let events = std::slice::from_ref(event);
        world.store.commit_chain(&of(Some(zero.block), std::slice::from_ref(&one), events)).await?;
        assert_eq!(world.store.outbox_page(&Store::lane_of_chain(name), 10).await?.len(), 1, "of {name}");
    }
    Ok(())
}
