//! Replays that resume, and what is thought of providers.

use std::time::Duration;

use domain::ProviderStatus;
use jiff::SignedDuration;
use store::{ReplayCommit, ReplayPlan, ReplayState, StoreError};
use uuid::Uuid;

use crate::{
    on_both,
    world::{CHAIN, World, block, header},
};

on_both!(
    an_unfinished_replay_of_the_same_plan_is_taken_up_again,
    a_replay_moves_in_the_transaction_of_what_it_read,
    a_replay_that_was_ended_commits_nothing_more,
    a_reorg_during_a_replay_refuses_what_was_read_of_the_dead_branch,
    providers_are_noted_in_their_order_and_those_that_are_gone_forgotten,
);

fn plan(world: &World) -> ReplayPlan {
    ReplayPlan {
        chain: CHAIN,
        from: 10,
        to: 19,
        contract: Some(world.contract.clone()),
        publish: true,
        notify: false,
        now: world.now,
    }
}

async fn an_unfinished_replay_of_the_same_plan_is_taken_up_again(world: &World) -> anyhow::Result<()> {
    let first = world.store.begin_replay(&plan(world)).await?;
    assert_eq!((first.next_block, first.state, first.read), (10, ReplayState::Running, 0));
    assert_eq!(first.contract.as_ref(), Some(&world.contract));
    let later = ReplayPlan { now: world.now + SignedDuration::from_secs(5), ..plan(world) };
    assert_eq!(world.store.begin_replay(&later).await?, first);
    let whole = ReplayPlan { contract: None, ..later.clone() };
    let second = world.store.begin_replay(&whole).await?;
    assert_ne!(second.id, first.id);
    assert!(world.store.end_replay(first.id, ReplayState::Cancelled, later.now).await?);
    assert!(!world.store.end_replay(first.id, ReplayState::Done, later.now).await?);
    let third = world
        .store
        .begin_replay(&ReplayPlan { now: later.now + SignedDuration::from_secs(5), ..later })
        .await?;
    assert_ne!(third.id, first.id);
    let all = world.store.replays(CHAIN).await?;
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [third.id, second.id, first.id]);
    assert_eq!(all[2].state, ReplayState::Cancelled);
    let empty = world.store.begin_replay(&ReplayPlan { from: 20, ..plan(world) }).await;
    assert!(matches!(empty, Err(StoreError::Refused { .. })), "{empty:?}");
    Ok(())
}

fn piece<'a>(world: &'a World, events: &'a [domain::Event], progress: (Uuid, u64, u64)) -> ReplayCommit<'a> {
    ReplayCommit {
        chain: CHAIN,
        name: &world.name,
        events,
        publish: Some("r"),
        notify: false,
        children: &[],
        progress: Some(progress),
        now: world.now,
    }
}

async fn a_replay_moves_in_the_transaction_of_what_it_read(world: &World) -> anyhow::Result<()> {
    let id = world.store.begin_replay(&plan(world)).await?.id;
    let events = [world.event(block(10, 1), 0, 1), world.event(block(11, 1), 0, 2)];
    world.store.commit_backfill(&world.backfill_commit(&events[..1], store::Publish::No)).await?;
    assert_eq!(world.store.commit_replay(&piece(world, &events, (id, 12, 2))).await?, 1);
    assert_eq!(world.store.commit_replay(&piece(world, &[], (id, 20, 0))).await?, 0);
    let row = &world.store.replays(CHAIN).await?[0];
    assert_eq!((row.next_block, row.read, row.added), (20, 2, 1));
    // Another process that is behind does not move it back.
    let behind = world.store.commit_replay(&piece(world, &events, (id, 12, 2))).await;
    assert!(matches!(behind, Err(StoreError::Fenced(_))), "{behind:?}");
    Ok(())
}

async fn a_replay_that_was_ended_commits_nothing_more(world: &World) -> anyhow::Result<()> {
    let id = world.store.begin_replay(&plan(world)).await?.id;
    world.store.end_replay(id, ReplayState::Cancelled, world.now).await?;
    let events = [world.event(block(10, 1), 0, 1)];
    let refused = world.store.commit_replay(&piece(world, &events, (id, 11, 1))).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert!(world.canonical().await?.is_empty() && world.messages().await?.is_empty());
    Ok(())
}

async fn a_reorg_during_a_replay_refuses_what_was_read_of_the_dead_branch(
    world: &World,
) -> anyhow::Result<()> {
    world.commit(None, None, &[header(9, 1, 1), header(10, 1, 1)], &[]).await?;
    let id = world.store.begin_replay(&plan(world)).await?.id;
    let read = [world.event(block(10, 1), 0, 1)];
    world.commit(Some(block(10, 1)), Some(block(9, 1)), &[header(10, 2, 1)], &[]).await?;
    let refused = world.store.commit_replay(&piece(world, &read, (id, 11, 1))).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert!(world.canonical().await?.is_empty());
    let again = [world.event(block(10, 2), 0, 1)];
    assert_eq!(world.store.commit_replay(&piece(world, &again, (id, 11, 1))).await?, 1);
    Ok(())
}

fn provider(url: &str) -> ProviderStatus {
    ProviderStatus {
        url: url.to_owned(),
        score: 100,
        pinned: false,
        lag_blocks: 0,
        errors: 0,
        lies: 0,
        quarantined_for: None,
        why: None,
        latency: None,
        concurrency: 8,
    }
}

async fn providers_are_noted_in_their_order_and_those_that_are_gone_forgotten(
    world: &World,
) -> anyhow::Result<()> {
    let liar = ProviderStatus {
        score: 3,
        pinned: true,
        lag_blocks: 2,
        errors: 5,
        lies: 1,
        quarantined_for: Some(Duration::from_secs(60)),
        why: Some("it left out a log".to_owned()),
        latency: Some(Duration::from_millis(12)),
        ..provider("https://same.example/…")
    };
    // Two keys at one provider look alike.
    let three = [liar, provider("https://same.example/…"), provider("wss://third.example")];
    world.store.note_providers(CHAIN, &three, world.now).await?;
    let rows = world.store.providers(CHAIN).await?;
    assert_eq!(
        rows.iter().map(|row| (row.url.as_str(), row.score)).collect::<Vec<_>>(),
        [("https://same.example/…", 3), ("https://same.example/…", 100), ("wss://third.example", 100)]
    );
    let worst = &rows[0];
    assert_eq!((worst.pinned, worst.lag_blocks, worst.errors, worst.lies), (true, 2, 5, 1));
    assert_eq!(worst.quarantined_until, Some(world.now + SignedDuration::from_secs(60)));
    assert_eq!(worst.why.as_deref(), Some("it left out a log"));
    assert_eq!((worst.latency, worst.concurrency), (Some(Duration::from_millis(12)), 8));
    world.store.note_providers(CHAIN, &three[2..], world.now).await?;
    let rows = world.store.providers(CHAIN).await?;
    assert_eq!(rows.iter().map(|row| row.url.as_str()).collect::<Vec<_>>(), ["wss://third.example"]);
    world.store.note_providers(CHAIN, &[], world.now).await?;
    assert!(world.store.providers(CHAIN).await?.is_empty());
    Ok(())
}
