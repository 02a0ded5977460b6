//! Who closes a window, and what others may still do to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::window::WindowRule;
use tokio::task::JoinSet;

use crate::{
    on_each,
    world::{LEASE, MINUTE, World, hit, hits, key},
};

on_each!(
    a_claim_closes_the_generation_and_a_late_hit_opens_the_next,
    a_window_is_claimed_by_one_until_its_lease_ends,
    the_ack_of_a_lost_lease_changes_nothing,
    the_release_of_a_lost_lease_changes_nothing,
    what_is_given_back_is_claimed_again_after_its_delay,
    an_acked_window_is_forgotten_with_its_members,
    members_come_in_pages_in_the_order_of_their_ids,
    a_claim_takes_no_more_than_its_limit_and_what_was_lost_first,
    windows_of_different_keys_are_apart,
    eight_claim_at_once_and_each_window_is_claimed_by_one,
    eight_add_and_claim_at_once_and_no_hit_gets_lost,
    many_hits_join_and_are_read_at_once,
);

async fn a_claim_closes_the_generation_and_a_late_hit_opens_the_next(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), MINUTE, [hit(1)]).await?;
    world.advance(60);
    let first = world.claim_one().await?;
    world.add(&key(1), MINUTE, [hit(2), hit(1)]).await?;
    assert_eq!(world.members(&first).await?, hits([1]), "a claimed window does not change any more");
    assert_eq!(world.claim(10).await?, [], "the next generation has a minute of its own");
    world.debouncer.ack(&first).await?;
    world.advance(60);
    let second = world.claim_one().await?;
    assert_ne!(second.generation, first.generation);
    assert_eq!((second.key.clone(), second.claims), (key(1), 1));
    assert_eq!(world.members(&second).await?, hits([1, 2]));
    Ok(())
}

async fn a_window_is_claimed_by_one_until_its_lease_ends(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    let first = world.claim_one().await?;
    assert_eq!(first.claims, 1);
    world.advance(LEASE.as_secs() - 1);
    assert_eq!(world.claim(10).await?, []);
    world.advance(1);
    let second = world.claim_one().await?;
    assert_eq!((second.generation, second.claims), (first.generation, 2));
    assert_ne!(second.token, first.token);
    assert_eq!(world.members(&second).await?, hits([1]));
    Ok(())
}

async fn the_ack_of_a_lost_lease_changes_nothing(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    let stale = world.claim_one().await?;
    world.advance(LEASE.as_secs());
    let current = world.claim_one().await?;
    world.debouncer.ack(&stale).await?;
    assert_eq!(world.members(&current).await?, hits([1]));
    assert_eq!(world.debouncer.outlook().await?.0, 1);
    world.debouncer.ack(&current).await?;
    assert_eq!(world.debouncer.outlook().await?, (0, None));
    // Once more, with the window gone and the next one open.
    world.add(&key(1), MINUTE, [hit(2)]).await?;
    world.debouncer.ack(&current).await?;
    assert_eq!(world.debouncer.outlook().await?.0, 1);
    Ok(())
}

async fn the_release_of_a_lost_lease_changes_nothing(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    let stale = world.claim_one().await?;
    world.advance(LEASE.as_secs());
    let current = world.claim_one().await?;
    world.debouncer.release(&stale, world.now(), Duration::ZERO).await?;
    assert_eq!(world.claim(10).await?, []);
    world.debouncer.ack(&current).await?;
    world.debouncer.release(&current, world.now(), Duration::ZERO).await?;
    assert_eq!(world.debouncer.outlook().await?, (0, None));
    Ok(())
}

async fn what_is_given_back_is_claimed_again_after_its_delay(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    let claim = world.claim_one().await?;
    world.debouncer.release(&claim, world.now(), Duration::from_secs(5)).await?;
    world.advance(4);
    assert_eq!(world.claim(10).await?, []);
    world.advance(1);
    let again = world.claim_one().await?;
    assert_eq!((again.generation, again.claims), (claim.generation, 2));
    assert_eq!(world.members(&again).await?, hits([1]));
    Ok(())
}

async fn an_acked_window_is_forgotten_with_its_members(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, (0..10).map(hit)).await?;
    let claim = world.claim_one().await?;
    world.debouncer.ack(&claim).await?;
    assert_eq!(world.members(&claim).await?, []);
    assert_eq!(world.debouncer.outlook().await?, (0, None));
    world.advance(1_000);
    assert_eq!(world.claim(10).await?, []);
    Ok(())
}

async fn members_come_in_pages_in_the_order_of_their_ids(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, (0..25).map(hit)).await?;
    let claim = world.claim_one().await?;
    let mut members = Vec::new();
    for expected in [10, 10, 5, 0] {
        let page = world.debouncer.members(&claim, members.last().copied(), 10).await?;
        assert_eq!(page.len(), expected);
        members.extend(page);
    }
    assert_eq!(members, hits(0..25));
    Ok(())
}

async fn a_claim_takes_no_more_than_its_limit_and_what_was_lost_first(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    let lost = world.claim_one().await?;
    world.advance(LEASE.as_secs());
    for n in 2..=4 {
        world.add(&key(n), WindowRule::NOW, [hit(n)]).await?;
    }
    let claims = world.claim(2).await?;
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().any(|claim| claim.key == lost.key && claim.claims == 2), "{claims:?}");
    assert_eq!(world.claim(10).await?.len(), 2);
    assert_eq!(world.claim(10).await?, []);
    Ok(())
}

async fn windows_of_different_keys_are_apart(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), MINUTE, [hit(1), hit(9)]).await?;
    world.advance(30);
    world.add(&key(11), MINUTE, [hit(2), hit(9)]).await?;
    world.advance(30);
    let first = world.claim_one().await?;
    assert_eq!((&first.key, world.members(&first).await?), (&key(1), hits([1, 9])));
    world.advance(29);
    assert_eq!(world.claim(10).await?, []);
    world.debouncer.ack(&first).await?;
    world.advance(1);
    let second = world.claim_one().await?;
    assert_eq!((&second.key, world.members(&second).await?), (&key(11), hits([2, 9])));
    Ok(())
}

async fn eight_claim_at_once_and_each_window_is_claimed_by_one(world: &World) -> anyhow::Result<()> {
    for n in 0..60 {
        world.add(&key(n), WindowRule::NOW, [hit(n)]).await?;
    }
    let now = world.now();
    let workers = (0..8).map(|_| {
        let debouncer = Arc::clone(&world.debouncer);
        async move {
            let mut claimed = Vec::new();
            loop {
                let claims = debouncer.claim(now, 3, LEASE).await?;
                if claims.is_empty() {
                    return Ok::<_, domain::DebounceError>(claimed);
                }
                claimed.extend(claims);
            }
        }
    });
    let mut workers: JoinSet<_> = workers.collect();
    let mut claimed = BTreeMap::new();
    while let Some(worker) = workers.join_next().await {
        for claim in worker?? {
            assert_eq!(claim.claims, 1);
            assert_eq!(claimed.insert(claim.key.clone(), claim), None);
        }
    }
    assert_eq!(world.claim(100).await?, [], "with {} claimed nothing is left", claimed.len());
    assert_eq!(claimed.len(), 60);
    Ok(())
}

async fn eight_add_and_claim_at_once_and_no_hit_gets_lost(world: &World) -> anyhow::Result<()> {
    let now = world.now();
    let workers = (0..8_u64).map(|worker| {
        let debouncer = Arc::clone(&world.debouncer);
        async move {
            let mut told = Vec::new();
            for n in 0..25 {
                let add = |key, n| domain::WindowAdd { key, rule: WindowRule::NOW, hits: vec![hit(n)], now };
                let n = worker * 1_000 + n;
                // In two orders, so that transactions that lock both windows would lock them crosswise.
                let mut adds = vec![add(key(1), n), add(key(2), n)];
                if worker % 2 == 0 {
                    adds.reverse();
                }
                debouncer.add(adds).await?;
                for claim in debouncer.claim(now, 2, LEASE).await? {
                    let members = debouncer.members(&claim, None, 1_000).await?;
                    told.extend(members.into_iter().map(|hit| (claim.key.clone(), hit)));
                    debouncer.ack(&claim).await?;
                }
            }
            Ok::<_, domain::DebounceError>(told)
        }
    });
    let mut workers: JoinSet<_> = workers.collect();
    let mut told = Vec::new();
    while let Some(worker) = workers.join_next().await {
        told.extend(worker??);
    }
    for claim in world.claim(10).await? {
        told.extend(world.members(&claim).await?.into_iter().map(|hit| (claim.key.clone(), hit)));
    }
    let mut expected: Vec<_> = (0..8)
        .flat_map(|worker| (0..25).map(move |n| hit(worker * 1_000 + n)))
        .flat_map(|hit| [(key(1), hit), (key(2), hit)])
        .collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    Ok(())
}

async fn many_hits_join_and_are_read_at_once(world: &World) -> anyhow::Result<()> {
    let rule = WindowRule { max_count: u32::MAX, ..MINUTE };
    world.add(&key(1), rule, (0..12_000).map(hit)).await?;
    world.advance(60);
    assert_eq!(world.members(&world.claim_one().await?).await?, hits(0..12_000));
    Ok(())
}
