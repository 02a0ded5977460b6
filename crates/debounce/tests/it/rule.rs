//! When a window is due: as the pure rule says, in SQL's terms and in the script's.

use std::{collections::BTreeSet, time::Duration};

use domain::{
    Clock as _, WindowAdd,
    window::{WindowRule, WindowState},
};
use jiff::{SignedDuration, Timestamp};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRng, TestRunner},
};

use crate::{
    on_each,
    world::{MINUTE, World, hit, hits, key},
};

on_each!(
    due_times_are_those_of_the_rule_over_random_histories,
    adding_a_hit_again_changes_nothing,
    enough_hits_make_a_window_due_at_once,
    a_sliding_window_waits_for_its_last_hit_but_no_longer_than_it_may,
    the_sweep_makes_a_window_due_at_once,
    a_window_that_nobody_joins_is_none,
    the_longest_durations_do_no_harm,
    the_outlook_counts_open_and_claimed_windows_and_names_the_earliest,
);

/// Seconds since the last add, the rule, and the numbers of the hits that join.
type Step = (u64, WindowRule, Vec<u64>);

fn rule() -> impl Strategy<Value = WindowRule> {
    let own =
        (0..90_u64, 0..200_u64, 1..12_u32, any::<bool>()).prop_map(|(window, max_wait, max_count, slide)| {
            WindowRule {
                window: Duration::from_secs(window),
                max_wait: Duration::from_secs(max_wait),
                max_count,
                slide,
            }
        });
    prop_oneof![6 => own, 1 => Just(WindowRule::NOW)]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    // A watch keeps its rule mostly, and hits repeat.
    (
        rule(),
        prop::collection::vec(
            (0..40_u64, prop::option::weighted(0.2, rule()), prop::collection::vec(0..15_u64, 1..4)),
            1..9,
        ),
    )
        .prop_map(|(usual, steps)| {
            steps.into_iter().map(|(gap, other, joining)| (gap, other.unwrap_or(usual), joining)).collect()
        })
}

/// 250 histories from a fixed seed, each in a window of its own.
async fn due_times_are_those_of_the_rule_over_random_histories(world: &World) -> anyhow::Result<()> {
    let config = Config::default();
    let mut runner =
        TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(config.rng_algorithm));
    for number in 0..250_u64 {
        let history = history().new_tree(&mut runner).map_err(|why| anyhow::anyhow!("{why}"))?.current();
        let mut state: Option<WindowState> = None;
        let mut members = BTreeSet::new();
        for (gap, rule, joining) in &history {
            world.advance(*gap);
            let now = world.now();
            world.add(&key(number), *rule, joining.iter().map(|n| hit(*n))).await?;
            let fresh = joining.iter().filter(|n| members.insert(hit(**n))).count();
            state = Some(rule.join(state, now, u32::try_from(fresh)?));
            let expected = state.map(|state| state.due);
            assert_eq!(world.due().await?, expected, "history {number}: {history:?}");
        }
        let due = state.map_or(Timestamp::MIN, |state| state.due).max(world.now());
        let claims = world.debouncer.claim(due, 10, Duration::from_secs(1)).await?;
        assert_eq!(claims.len(), 1);
        assert_eq!(world.members(&claims[0]).await?, members.into_iter().collect::<Vec<_>>());
        world.debouncer.ack(&claims[0]).await?;
    }
    Ok(())
}

fn later(from: Timestamp, seconds: i64) -> Timestamp {
    from + SignedDuration::from_secs(seconds)
}

async fn adding_a_hit_again_changes_nothing(world: &World) -> anyhow::Result<()> {
    let start = world.now();
    let sliding = WindowRule { slide: true, max_count: 3, ..MINUTE };
    world.add(&key(1), sliding, [hit(1), hit(2), hit(1)]).await?;
    for _ in 0..5 {
        world.advance(1);
        world.add(&key(1), sliding, [hit(2), hit(1)]).await?;
    }
    assert_eq!(world.due().await?, Some(later(start, 60)));
    world.advance(55);
    assert_eq!(world.members(&world.claim_one().await?).await?, hits([1, 2]));
    Ok(())
}

async fn enough_hits_make_a_window_due_at_once(world: &World) -> anyhow::Result<()> {
    let three = WindowRule { max_count: 3, ..MINUTE };
    world.add(&key(1), three, [hit(1), hit(2)]).await?;
    world.advance(5);
    assert_eq!(world.claim(10).await?, []);
    world.add(&key(1), three, [hit(3)]).await?;
    assert_eq!(world.members(&world.claim_one().await?).await?, hits([1, 2, 3]));
    Ok(())
}

async fn a_sliding_window_waits_for_its_last_hit_but_no_longer_than_it_may(
    world: &World,
) -> anyhow::Result<()> {
    let start = world.now();
    let sliding = WindowRule { slide: true, max_wait: Duration::from_secs(100), ..MINUTE };
    for (n, due) in [(1, 60), (2, 90), (3, 100), (4, 100)] {
        world.add(&key(1), sliding, [hit(n)]).await?;
        assert_eq!(world.due().await?, Some(later(start, due)));
        world.advance(30);
    }
    assert_eq!(world.members(&world.claim_one().await?).await?.len(), 4);
    Ok(())
}

async fn the_sweep_makes_a_window_due_at_once(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule { slide: true, ..MINUTE }, [hit(1)]).await?;
    world.advance(10);
    assert_eq!(world.claim(10).await?, []);
    world.add(&key(1), WindowRule::NOW, [hit(1), hit(2)]).await?;
    assert_eq!(world.members(&world.claim_one().await?).await?, hits([1, 2]));
    Ok(())
}

async fn a_window_that_nobody_joins_is_none(world: &World) -> anyhow::Result<()> {
    world.add(&key(1), WindowRule::NOW, []).await?;
    world.debouncer.add(vec![]).await?;
    assert_eq!(world.debouncer.outlook().await?, (0, None));
    assert_eq!(world.claim(10).await?, []);
    Ok(())
}

async fn the_longest_durations_do_no_harm(world: &World) -> anyhow::Result<()> {
    let never = WindowRule { window: Duration::MAX, max_wait: Duration::MAX, max_count: 2, slide: true };
    world.add(&key(1), never, [hit(1)]).await?;
    world.advance(1_000_000);
    assert_eq!(world.claim(10).await?, []);
    assert_eq!(world.debouncer.outlook().await?.0, 1);
    world.add(&key(1), never, [hit(2)]).await?;
    let claim = world.claim_one().await?;
    world.debouncer.release(&claim, world.now(), Duration::MAX).await?;
    assert_eq!(world.claim(10).await?, []);
    Ok(())
}

async fn the_outlook_counts_open_and_claimed_windows_and_names_the_earliest(
    world: &World,
) -> anyhow::Result<()> {
    let start = world.clock.now();
    let adds = (1..=3).map(|n| WindowAdd {
        key: key(n),
        rule: WindowRule { window: Duration::from_secs(n * 20), ..MINUTE },
        hits: vec![hit(n)],
        now: start,
    });
    world.debouncer.add(adds.collect()).await?;
    assert_eq!(world.debouncer.outlook().await?, (3, Some(later(start, 20))));
    world.advance(20);
    let claim = world.claim_one().await?;
    // A lease of 30 s ends at 50 s, after the next window's due time.
    assert_eq!(world.debouncer.outlook().await?, (3, Some(later(start, 40))));
    world.debouncer.ack(&claim).await?;
    assert_eq!(world.debouncer.outlook().await?, (2, Some(later(start, 40))));
    Ok(())
}
