//! Blocks, events, checkpoint and outbox.

use domain::{Content, EventId, Finality, Origin};
use store::{BackfillCommit, ChainCommit, Committed, EventKey, EventQuery, Publish, StoreError};

use crate::{
    on_both,
    world::{CHAIN, World, all, block, header},
};

on_both!(
    a_commit_stores_blocks_events_messages_and_checkpoint_together,
    a_commit_on_another_tip_is_refused_and_changes_nothing,
    a_reorg_marks_events_orphaned_and_tells_it_in_order,
    a_block_that_comes_back_restores_its_events_under_a_new_turn,
    an_event_reads_back_exactly_and_in_abi_order,
    an_undecoded_log_is_kept_raw_with_its_reason,
    backfill_moves_only_its_own_cursor_and_publishes_only_when_asked,
    pages_of_events_join_without_gap_or_repeat,
    a_lease_has_one_holder_until_it_ends,
    finality_never_moves_back,
    what_was_never_told_is_not_taken_back,
    the_past_that_a_reorg_brings_is_told_only_when_asked,
);

async fn a_commit_stores_blocks_events_messages_and_checkpoint_together(world: &World) -> anyhow::Result<()> {
    let event = world.event(block(1, 1), 0, 1);
    let done = world.commit(None, None, &[header(1, 1, 1)], std::slice::from_ref(&event)).await?;
    assert_eq!(done, Committed { seen: 1, orphaned: 0 });
    let chain = world.store.chain(CHAIN).await?.expect("registered");
    assert_eq!(chain.tip, Some(block(1, 1)));
    assert_eq!(world.store.recent_blocks(CHAIN, 10).await?, [block(1, 1)]);
    assert_eq!(world.messages().await?, [format!("{}:seen", event.id)]);
    assert_eq!(world.store.unmatched(jiff::Timestamp::MAX, 10).await?.len(), 1);
    Ok(())
}

async fn a_commit_on_another_tip_is_refused_and_changes_nothing(world: &World) -> anyhow::Result<()> {
    world.commit(None, None, &[header(1, 1, 1)], &[]).await?;
    let refused =
        world.commit(Some(block(1, 9)), None, &[header(2, 1, 1)], &[world.event(block(2, 1), 0, 1)]).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    let refused = world.commit(None, None, &[header(2, 1, 1)], &[]).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert_eq!(world.store.chain(CHAIN).await?.expect("registered").tip, Some(block(1, 1)));
    assert!(world.store.events(&all()).await?.is_empty());
    Ok(())
}

async fn a_reorg_marks_events_orphaned_and_tells_it_in_order(world: &World) -> anyhow::Result<()> {
    let old = world.event(block(2, 1), 0, 1);
    let new = world.event(block(2, 2), 0, 2);
    world.commit(None, None, &[header(1, 1, 1), header(2, 1, 1)], std::slice::from_ref(&old)).await?;
    let done = world
        .commit(Some(block(2, 1)), Some(block(1, 1)), &[header(2, 2, 1)], std::slice::from_ref(&new))
        .await?;
    assert_eq!(done, Committed { seen: 1, orphaned: 1 });
    assert_eq!(
        world.messages().await?,
        [format!("{}:seen", old.id), format!("{}:orphaned", old.id), format!("{}:seen", new.id)]
    );
    assert_eq!(world.store.recent_blocks(CHAIN, 10).await?, [block(1, 1), block(2, 2)]);
    let stored = world.store.events(&all()).await?;
    assert_eq!(stored.iter().map(|stored| stored.event.id).collect::<Vec<_>>(), [new.id]);
    let orphan = world.store.events_of_transaction(old.tx_hash).await?;
    assert_eq!(orphan[0].finality, Finality::Orphaned);
    Ok(())
}

async fn a_block_that_comes_back_restores_its_events_under_a_new_turn(world: &World) -> anyhow::Result<()> {
    let event = world.event(block(2, 1), 0, 1);
    let events = std::slice::from_ref(&event);
    world.commit(None, None, &[header(1, 1, 1), header(2, 1, 1)], events).await?;
    world.commit(Some(block(2, 1)), Some(block(1, 1)), &[header(2, 2, 1)], &[]).await?;
    world.commit(Some(block(2, 2)), Some(block(1, 1)), &[header(2, 1, 1)], events).await?;
    assert_eq!(
        world.messages().await?,
        [format!("{}:seen", event.id), format!("{}:orphaned", event.id), format!("{}:seen:2", event.id)]
    );
    let stored = world.store.events(&all()).await?;
    assert_eq!((stored.len(), stored[0].turn), (1, 2));
    Ok(())
}

async fn an_event_reads_back_exactly_and_in_abi_order(world: &World) -> anyhow::Result<()> {
    let event = world.event(block(1, 1), 3, 1);
    world.commit(None, None, &[header(1, 1, 1)], std::slice::from_ref(&event)).await?;
    let stored = world.store.events(&all()).await?;
    assert_eq!(stored[0].event, event);
    assert_eq!(
        stored[0].event.to_json(Finality::Seen).to_string(),
        event.to_json(Finality::Seen).to_string()
    );
    Ok(())
}

async fn an_undecoded_log_is_kept_raw_with_its_reason(world: &World) -> anyhow::Result<()> {
    let mut event = world.event(block(1, 1), 0, 1);
    event.content = Content::Undecoded {
        topics: vec![alloy_primitives::B256::repeat_byte(7), alloy_primitives::B256::repeat_byte(8)],
        data: vec![1, 2, 3].into(),
        reason: "too few topics".into(),
    };
    world.commit(None, None, &[header(1, 1, 1)], std::slice::from_ref(&event)).await?;
    assert_eq!(world.store.events(&all()).await?[0].event, event);
    Ok(())
}

async fn backfill_moves_only_its_own_cursor_and_publishes_only_when_asked(
    world: &World,
) -> anyhow::Result<()> {
    let event = world.event(block(5, 1), 0, 1);
    let contracts = [(world.contract.clone(), 0, 10)];
    let piece = |publish| BackfillCommit {
        contracts: &contracts,
        ..world.backfill_commit(std::slice::from_ref(&event), publish)
    };
    assert_eq!(world.store.commit_backfill(&piece(Publish::No)).await?.seen, 1);
    assert!(world.messages().await?.is_empty());
    let again = world.store.commit_backfill(&piece(Publish::Yes)).await;
    assert!(matches!(again, Err(StoreError::Fenced(_))), "{again:?}");
    let cursor = &world.store.contract_cursors(CHAIN).await?[0];
    assert_eq!((cursor.next_block, cursor.live_from), (10, 100));
    Ok(())
}

async fn pages_of_events_join_without_gap_or_repeat(world: &World) -> anyhow::Result<()> {
    let events: Vec<_> = (1..=3_u64)
        .flat_map(|number| (0..5_u64).map(move |log| (number, log)))
        .map(|(number, log)| {
            world.event(block(number, 1), log, u8::try_from(number * 10 + log).expect("small"))
        })
        .collect();
    world.commit(None, None, &[header(1, 1, 1), header(2, 1, 1), header(3, 1, 1)], &events).await?;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = world.store.events(&EventQuery { after, limit: 4, ..all() }).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.event.block.number, last.event.log_index));
        seen.extend(page.into_iter().map(|stored| stored.event));
    }
    assert_eq!(seen, events);
    Ok(())
}

async fn a_lease_has_one_holder_until_it_ends(world: &World) -> anyhow::Result<()> {
    let term = std::time::Duration::from_secs(10);
    let later = world.now + jiff::SignedDuration::from_secs(11);
    assert!(world.store.take_lease("lane", "one", world.now, term).await?);
    assert!(world.store.take_lease("lane", "one", world.now, term).await?);
    assert!(!world.store.take_lease("lane", "two", world.now, term).await?);
    assert!(world.store.take_lease("lane", "two", later, term).await?);
    assert!(!world.store.take_lease("lane", "one", later, term).await?);
    world.store.release_lease("lane", "two").await?;
    assert!(world.store.take_lease("lane", "one", later, term).await?);
    Ok(())
}

async fn finality_never_moves_back(world: &World) -> anyhow::Result<()> {
    world.store.note_heads(CHAIN, 10, None, None, world.now).await?;
    assert_eq!(world.store.chain(CHAIN).await?.expect("registered").finalized, None);
    world.store.note_heads(CHAIN, 10, Some(8), Some(6), world.now).await?;
    world.store.note_heads(CHAIN, 9, Some(7), None, world.now).await?;
    let chain = world.store.chain(CHAIN).await?.expect("registered");
    assert_eq!((chain.head, chain.safe, chain.finalized), (Some(9), Some(8), Some(6)));
    Ok(())
}

// The last of blocks 1 and 2 is of the past; a reorg replaces it.
async fn reorg_of_the_past(world: &World, publish: Publish) -> anyhow::Result<[domain::Event; 2]> {
    let past =
        |branch| domain::Event { origin: Origin::Backfill, ..world.event(block(2, branch), 0, branch) };
    let (old, new) = (past(1), past(2));
    world.commit(None, None, &[header(1, 1, 1), header(2, 1, 1)], &[]).await?;
    world.store.commit_backfill(&world.backfill_commit(std::slice::from_ref(&old), publish)).await?;
    let live = world.event(block(3, 2), 0, 3);
    let (headers, events) = ([header(2, 2, 1), header(3, 2, 2)], [new.clone(), live]);
    let reorg = world.chain_commit(Some(block(2, 1)), Some(block(1, 1)), &headers, &events);
    let done = world.store.commit_chain(&ChainCommit { publish, ..reorg }).await?;
    assert_eq!(done, Committed { seen: 2, orphaned: 1 });
    Ok([old, new])
}

async fn what_was_never_told_is_not_taken_back(world: &World) -> anyhow::Result<()> {
    let [old, _] = reorg_of_the_past(world, Publish::News).await?;
    let live = EventId::derive(CHAIN, block(3, 2).hash, 0);
    assert_eq!(world.messages().await?, [format!("{live}:seen")]);
    // Matching looks at it all the same: a replay may have made hits.
    assert!(world.store.unmatched(jiff::Timestamp::MAX, 10).await?.contains(&EventKey::of(&old)));
    Ok(())
}

async fn the_past_that_a_reorg_brings_is_told_only_when_asked(world: &World) -> anyhow::Result<()> {
    let [old, new] = reorg_of_the_past(world, Publish::Yes).await?;
    let live = EventId::derive(CHAIN, block(3, 2).hash, 0);
    let expected = [
        format!("{}:seen", old.id),
        format!("{}:orphaned", old.id),
        format!("{}:seen", new.id),
        format!("{live}:seen"),
    ];
    assert_eq!(world.messages().await?, expected);
    Ok(())
}
