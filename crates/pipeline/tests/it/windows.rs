//! When people are told: the first at once, at certain times, by group, not at night, and not more often than they asked
//! for; each hit once, whatever is lost or comes twice.

use std::{sync::Arc, time::Duration};

use debounce::RedisDebouncer;
use domain::{DeliverAt, Held, HitState, Strategy, Telling, WindowRule};
use jiff::Timestamp;
use pipeline::{ingest::Ingest, matching::Matching};
use serde_json::json;
use store::{EventKey, Hold, NotificationRow};

use crate::{
    rooms::{Rooms, drain, window},
    world::{BELL, World, ring, settle},
};

/// Runs a story on both stores, and with the timer index in Redis.
macro_rules! everywhere {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                let world = crate::world::World::sqlite().await?;
                super::$name(crate::rooms::Rooms::around(world).await?).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                let world = crate::world::World::postgres().await?;
                super::$name(crate::rooms::Rooms::around(world).await?).await
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() -> anyhow::Result<()> {
                super::$name(super::with_redis().await?).await
            })*
        }
    };
}

everywhere!(
    a_leading_digest_tells_its_first_hit_at_once_and_gathers_what_follows,
    a_leader_that_comes_again_leads_nothing_and_a_follower_that_comes_back_is_told_once,
    a_full_window_behind_a_leader_closes_before_its_time,
    a_leading_hit_that_waited_for_depth_leads_when_it_is_released,
    a_scheduled_digest_is_told_at_its_time_in_its_recipients_zone,
    what_the_timer_index_lost_of_a_schedule_brings_nothing_forward,
    each_group_has_its_own_window_and_the_notification_says_which,
    quiet_hours_hold_everything_but_what_is_critical,
    a_window_that_is_due_in_quiet_hours_is_put_off_to_their_end,
    a_crash_while_a_window_is_put_off_tells_nothing_twice_and_loses_nothing,
    a_budgets_overflow_joins_the_next_digest_and_is_counted_there,
    windows_that_a_budget_holds_back_are_told_in_the_order_of_their_age,
    a_full_sliding_window_of_a_group_closes_by_itself,
);

async fn with_redis() -> anyhow::Result<Rooms> {
    let mut rooms = Rooms::around(World::sqlite().await?).await?;
    let url = testkit::deployment::server("CHAINBELL_TEST_REDIS")?;
    let prefix = format!("windows-{}:", uuid::Uuid::new_v4().simple());
    rooms.debouncer = Arc::new(RedisDebouncer::connect(&url, &prefix).await?);
    Ok(rooms)
}

/// The rooms with an ingest and a matching that have begun.
struct Scene {
    rooms: Rooms,
    ingest: Ingest,
    matching: Matching,
}

impl Scene {
    async fn set(rooms: Rooms) -> anyhow::Result<Self> {
        let (mut ingest, matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
        settle(&mut ingest).await?;
        Ok(Self { rooms, ingest, matching })
    }

    async fn ring(&mut self, transactions: std::ops::RangeInclusive<u64>) -> anyhow::Result<()> {
        self.rooms.bring(&mut self.ingest, &mut self.matching, transactions).await
    }

    /// One block with a ring for each of these transactions.
    async fn ring_at_once(&mut self, transactions: &[u64]) -> anyhow::Result<()> {
        self.rooms.world.node.mine(transactions.iter().map(|tx| ring(BELL, *tx)).collect());
        settle(&mut self.ingest).await?;
        drain(&mut self.rooms.relay("relay")).await?;
        drain(&mut self.matching).await?;
        Ok(())
    }

    /// Time passes, and whatever is due is told.
    async fn pass(&mut self, seconds: u64) -> anyhow::Result<()> {
        self.rooms.pass(seconds);
        drain(&mut self.matching).await?;
        Ok(drain(&mut self.rooms.digest()).await?)
    }

    /// Time passes up to a moment, in steps in which the sweep looks.
    async fn pass_to(&mut self, moment: &str) -> anyhow::Result<()> {
        let moment: Timestamp = moment.parse()?;
        let left = moment.duration_since(self.rooms.world.now());
        self.pass(u64::try_from(left.as_secs())?).await?;
        anyhow::ensure!(self.rooms.world.now() == moment, "the clock shows {}", self.rooms.world.now());
        Ok(())
    }

    /// What was told of a watch, oldest first.
    async fn told(&self, watch: &str) -> anyhow::Result<Vec<NotificationRow>> {
        let mut told = self.rooms.told().await?;
        told.retain(|row| row.notification.watch.as_str() == watch);
        told.sort_by_key(|row| row.notification.created_at);
        Ok(told)
    }

    async fn counts(&self, watch: &str) -> anyhow::Result<Vec<u64>> {
        Ok(self.told(watch).await?.iter().map(|row| row.notification.count).collect())
    }

    async fn keys(&self) -> anyhow::Result<Vec<EventKey>> {
        Ok(self.rooms.world.stored().await?.iter().map(|stored| EventKey::of(&stored.event)).collect())
    }
}

fn leading() -> Telling {
    Telling { leading: true, ..Telling::default() }
}

fn by_transaction() -> Telling {
    Telling { group_by: vec!["tx_hash".to_owned()], ..Telling::default() }
}

async fn a_leading_digest_tells_its_first_hit_at_once_and_gathers_what_follows(
    rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=11).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    assert_eq!(scene.told("w").await?[0].notification.window, None);
    scene.pass(10).await?;
    scene.ring(12..=12).await?;
    scene.pass(10).await?;
    scene.ring(13..=13).await?;
    scene.pass(39).await?;
    assert_eq!(scene.counts("w").await?, [1], "it gathers for a minute from its leader on");
    scene.pass(2).await?;
    assert_eq!(scene.counts("w").await?, [1, 2]);
    // This is no quiet: something was told a moment ago.
    scene.ring(14..=14).await?;
    assert_eq!(scene.counts("w").await?, [1, 2]);
    scene.pass(60).await?;
    assert_eq!(scene.counts("w").await?, [1, 2, 1]);
    scene.pass(120).await?;
    scene.ring(15..=15).await?;
    assert_eq!(scene.counts("w").await?, [1, 2, 1, 1], "after a quiet the first is told at once again");
    scene.pass(120).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 5);
    Ok(())
}

async fn a_leader_that_comes_again_leads_nothing_and_a_follower_that_comes_back_is_told_once(
    rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // Both in one batch: the first leads.
    scene.ring_at_once(&[11, 12]).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    let keys = scene.keys().await?;
    scene.matching.handle(&keys).await?;
    scene.rooms.matching(|_| {}).handle(&keys).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    // Their block goes, and a later one has the follower again.
    scene.rooms.world.node.chain(|chain| chain.rollback(1));
    scene.ring_at_once(&[11]).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Orphaned).await?, 1);
    scene.ring_at_once(&[12]).await?;
    scene.pass(121).await?;
    scene.matching.handle(&keys).await?;
    scene.pass(300).await?;
    assert_eq!(scene.counts("w").await?, [1, 1]);
    assert_eq!(scene.rooms.hits("w", HitState::Notified).await?, 2);
    Ok(())
}

async fn a_full_window_behind_a_leader_closes_before_its_time(rooms: Rooms) -> anyhow::Result<()> {
    let Strategy::Digest(rule) = window(60) else { unreachable!() };
    let three = Strategy::Digest(WindowRule { max_count: 3, ..rule });
    rooms.watch_of("ops", "w", three, leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=13).await?;
    scene.pass(1).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    scene.ring(14..=14).await?;
    scene.pass(1).await?;
    assert_eq!(scene.counts("w").await?, [1, 3]);
    scene.ring(15..=15).await?;
    scene.pass(120).await?;
    assert_eq!(scene.counts("w").await?, [1, 3, 1]);
    Ok(())
}

async fn a_leading_hit_that_waited_for_depth_leads_when_it_is_released(rooms: Rooms) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), leading(), DeliverAt::Depth(2)).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring_at_once(&[11, 12, 13]).await?;
    assert_eq!(scene.rooms.hits("w", HitState::Waiting).await?, 3);
    for _ in 0..2 {
        scene.rooms.world.node.mine(Vec::new());
        settle(&mut scene.ingest).await?;
    }
    drain(&mut scene.rooms.confirm()).await?;
    assert_eq!(scene.counts("w").await?, [1]);
    assert_eq!(scene.rooms.hits("w", HitState::Pending).await?, 2);
    scene.pass(61).await?;
    assert_eq!(scene.counts("w").await?, [1, 2]);
    Ok(())
}

fn daily() -> anyhow::Result<Telling> {
    Ok(Telling { schedule: Some("0 9 * * *".parse()?), ..Telling::default() })
}

async fn a_scheduled_digest_is_told_at_its_time_in_its_recipients_zone(rooms: Rooms) -> anyhow::Result<()> {
    rooms.recipient("berlin", "Europe/Berlin", None, None).await?;
    rooms.watch_of("berlin", "w", window(60), daily()?, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // It is 22:13 UTC.
    scene.ring(11..=12).await?;
    scene.pass(3600).await?;
    scene.ring(13..=13).await?;
    scene.pass_to("2023-11-15T07:59:59.000Z").await?;
    assert_eq!(scene.counts("w").await?, [0; 0]);
    scene.pass(1).await?;
    assert_eq!(scene.counts("w").await?, [3], "nine o'clock in Berlin is eight in UTC");
    scene.ring(14..=14).await?;
    scene.pass(23 * 3600).await?;
    assert_eq!(scene.counts("w").await?, [3]);
    scene.pass(3600).await?;
    assert_eq!(scene.counts("w").await?, [3, 1]);
    Ok(())
}

async fn what_the_timer_index_lost_of_a_schedule_brings_nothing_forward(
    mut rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), daily()?, DeliverAt::Seen).await?;
    rooms.debouncer = lossy(&rooms).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=11).await?;
    // The index is emptied before nine, and another window opens right after.
    scene.rooms.debouncer = lossy(&scene.rooms).await?;
    scene.matching = scene.rooms.matching(|_| {});
    scene.rooms.world.clock.advance(Duration::from_secs(11 * 3600));
    scene.ring(12..=12).await?;
    for _ in 0..20 {
        scene.pass(10).await?;
    }
    assert_eq!(scene.counts("w").await?, [1], "what was overdue, and not what is due tomorrow");
    assert_eq!(scene.rooms.hits("w", HitState::Pending).await?, 1);
    scene.pass(24 * 3600).await?;
    assert_eq!(scene.counts("w").await?, [1, 1]);
    Ok(())
}

/// An empty timer index of the same kind.
async fn lossy(rooms: &Rooms) -> anyhow::Result<Arc<dyn domain::Debouncer>> {
    rooms.world.store.window_clear().await?;
    if !format!("{:?}", rooms.debouncer).contains("Redis") {
        return Ok(Arc::clone(&rooms.debouncer));
    }
    let url = testkit::deployment::server("CHAINBELL_TEST_REDIS")?;
    let prefix = format!("windows-{}:", uuid::Uuid::new_v4().simple());
    Ok(Arc::new(RedisDebouncer::connect(&url, &prefix).await?))
}

async fn each_group_has_its_own_window_and_the_notification_says_which(rooms: Rooms) -> anyhow::Result<()> {
    rooms.watch_of("ops", "w", window(60), by_transaction(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring_at_once(&[11, 11, 12, 12, 12]).await?;
    // The sweep makes the same windows again.
    scene.rooms.debouncer = lossy(&scene.rooms).await?;
    scene.pass(70).await?;
    scene.pass(10).await?;
    let mut told = scene.told("w").await?;
    told.sort_by_key(|row| row.notification.count);
    assert_eq!(told.iter().map(|row| row.notification.count).collect::<Vec<_>>(), [2, 3]);
    for row in &told {
        let group = &row.notification.facts["group"];
        assert_eq!(group.as_array().map(Vec::len), Some(1), "{group}");
        assert_eq!(group[0]["name"], "tx_hash");
        let hash = group[0]["value"].as_str().unwrap_or_default();
        assert_eq!(
            row.notification.facts["transactions"]["newest"],
            json!([hash.trim_start_matches("hash ")])
        );
        assert!(row.notification.title.ends_with(']'), "{}", row.notification.title);
        assert!(row.notification.body.contains("tx_hash: "), "{}", row.notification.body);
    }
    assert_ne!(told[0].notification.title, told[1].notification.title);
    Ok(())
}

async fn quiet_hours_hold_everything_but_what_is_critical(rooms: Rooms) -> anyhow::Result<()> {
    rooms.recipient("ops", "UTC", Some("22:00-07:00"), None).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    rooms.watch("later", window(60), DeliverAt::Seen).await?;
    let critical = Telling { critical: true, ..Telling::default() };
    rooms.watch_of("ops", "alarm", Strategy::Immediate, critical, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    for tx in 11..=13 {
        scene.ring(tx..=tx).await?;
        scene.pass(600).await?;
    }
    assert_eq!(scene.counts("alarm").await?, [1, 1, 1]);
    assert_eq!((scene.counts("now").await?, scene.counts("later").await?), (vec![], vec![]));
    assert_eq!(scene.rooms.debouncer.outlook().await?.1, Some("2023-11-15T07:00:00Z".parse()?));
    // What is lost meanwhile is not told early either.
    scene.rooms.debouncer = lossy(&scene.rooms).await?;
    scene.pass(3600).await?;
    assert_eq!(scene.counts("now").await?, [0; 0]);
    scene.pass(8 * 3600).await?;
    scene.pass(10).await?;
    assert_eq!((scene.counts("now").await?, scene.counts("later").await?), (vec![3], vec![3]));
    let digest = scene.told("now").await?.remove(0).notification;
    assert_eq!(digest.facts["held_back"], json!({ "count": 3, "reason": "quiet_hours" }));
    assert!(digest.window.is_some());
    assert!(digest.body.contains("Held back until the end of quiet hours: 3 of 3"), "{}", digest.body);
    scene.ring(14..=14).await?;
    assert_eq!(scene.counts("now").await?, [3, 1]);
    assert_eq!(scene.told("now").await?[1].notification.facts.get("held_back"), None);
    Ok(())
}

async fn a_window_that_is_due_in_quiet_hours_is_put_off_to_their_end(rooms: Rooms) -> anyhow::Result<()> {
    rooms.watch("later", window(60), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=12).await?;
    // They were not there when the window opened.
    scene.rooms.recipient("ops", "UTC", Some("22:00-23:00"), None).await?;
    scene.pass(61).await?;
    scene.ring(13..=13).await?;
    for _ in 0..10 {
        scene.pass(60).await?;
    }
    assert_eq!(scene.counts("later").await?, [0; 0]);
    assert_eq!(scene.rooms.debouncer.outlook().await?, (1, Some("2023-11-14T23:00:00Z".parse()?)));
    scene.pass(3600).await?;
    assert_eq!(scene.counts("later").await?, [3]);
    Ok(())
}

async fn a_crash_while_a_window_is_put_off_tells_nothing_twice_and_loses_nothing(
    rooms: Rooms,
) -> anyhow::Result<()> {
    for watch in ["w0", "w1", "w2"] {
        rooms.watch(watch, window(60), DeliverAt::Seen).await?;
    }
    let mut scene = Scene::set(rooms).await?;
    scene.ring(11..=12).await?;
    scene.rooms.recipient("ops", "UTC", Some("22:00-23:00"), None).await?;
    scene.rooms.pass(61);
    // A worker claims them all, and dies at another step of each.
    let now = scene.rooms.world.now();
    let claims = scene.rooms.debouncer.claim(now, 10, Duration::from_secs(30)).await?;
    assert_eq!(claims.len(), 3);
    let due: Timestamp = "2023-11-14T23:00:00Z".parse()?;
    for claim in &claims {
        let hits = scene.rooms.debouncer.members(claim, None, 10).await?;
        let recipient = "ops".parse()?;
        let hold = Hold {
            window: &claim.key,
            recipient: &recipient,
            hits: &hits,
            since: now,
            due,
            why: Held::QuietHours,
        };
        if claim.key.as_str() != "ops w0" {
            scene.rooms.world.store.hold_window(&hold).await?;
        }
        if claim.key.as_str() == "ops w2" {
            let add = domain::WindowAdd {
                key: claim.key.clone(),
                rule: WindowRule::until(due, now),
                hits: hits.clone(),
                now,
            };
            scene.rooms.debouncer.add(vec![add]).await?;
        }
    }
    // Others go on, before the end of the quiet hours and after it.
    for _ in 0..5 {
        scene.pass(20).await?;
    }
    scene.pass(3600).await?;
    scene.pass(60).await?;
    for watch in ["w0", "w1", "w2"] {
        assert_eq!(scene.counts(watch).await?, [2], "{watch}");
        assert_eq!(scene.rooms.hits(watch, HitState::Notified).await?, 2, "{watch}");
    }
    assert_eq!(scene.rooms.debouncer.outlook().await?.0, 0);
    Ok(())
}

async fn a_budgets_overflow_joins_the_next_digest_and_is_counted_there(rooms: Rooms) -> anyhow::Result<()> {
    rooms.recipient("ops", "UTC", None, Some("2/hour")).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let critical = Telling { critical: true, ..Telling::default() };
    rooms.watch_of("ops", "alarm", Strategy::Immediate, critical, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // In one batch, and one by one; and again, which costs nothing.
    scene.ring_at_once(&[11, 12, 13]).await?;
    scene.ring(14..=14).await?;
    scene.ring(15..=15).await?;
    let keys = scene.keys().await?;
    scene.matching.handle(&keys).await?;
    assert_eq!(scene.counts("now").await?, [1, 1]);
    assert_eq!(scene.counts("alarm").await?, [1; 5]);
    assert_eq!(scene.rooms.hits("now", HitState::Pending).await?, 3);
    // It is 22:13; nothing is told before 23:00, also not by the sweep.
    scene.rooms.debouncer = lossy(&scene.rooms).await?;
    scene.matching = scene.rooms.matching(|_| {});
    scene.pass(46 * 60).await?;
    assert_eq!(scene.counts("now").await?, [1, 1]);
    scene.pass(60).await?;
    scene.pass(10).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 3]);
    let digest = scene.told("now").await?.remove(2).notification;
    assert_eq!(digest.facts["held_back"], json!({ "count": 3, "reason": "budget" }));
    assert!(digest.body.contains("3 of 3"), "{}", digest.body);
    // One of two is left of this hour.
    scene.ring_at_once(&[16, 17]).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 3, 1]);
    scene.pass(3600).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 3, 1, 1]);
    assert_eq!(scene.rooms.hits("now", HitState::Notified).await?, 7);
    Ok(())
}

async fn windows_that_a_budget_holds_back_are_told_in_the_order_of_their_age(
    rooms: Rooms,
) -> anyhow::Result<()> {
    rooms.recipient("ops", "UTC", None, Some("1/hour")).await?;
    rooms.watch_of("ops", "w", window(60), by_transaction(), DeliverAt::Seen).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    // Younger ones have names that sort before older ones' as often as not.
    for tx in 11..=15 {
        scene.ring(tx..=tx).await?;
        scene.pass(61).await?;
    }
    // The first immediate hit had the budget; all else waits, five windows and one of four.
    assert_eq!((scene.counts("now").await?, scene.counts("w").await?), (vec![1], vec![]));
    let mut order = Vec::new();
    for hour in 0..8 {
        // Somebody who is always loud does not get before those who wait.
        scene.pass(3600 - 60).await?;
        scene.ring(20 + hour..=20 + hour).await?;
        scene.pass(60).await?;
        let told = scene.told("w").await?;
        order = told.iter().map(|row| row.notification.facts["first"]["block"].as_u64()).collect();
        let all = scene.rooms.told().await?.len();
        assert!(all <= usize::try_from(hour)? + 2, "{all} in {} hours", hour + 1);
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(order, sorted, "the oldest first");
    assert!(order.len() >= 5, "all of them in the end: {order:?}");
    let held: u64 = scene.counts("now").await?.iter().sum();
    assert!(held >= 5, "and the loud one too: {:?}", scene.counts("now").await?);
    Ok(())
}

async fn a_full_sliding_window_of_a_group_closes_by_itself(rooms: Rooms) -> anyhow::Result<()> {
    let Strategy::Digest(rule) = window(60) else { unreachable!() };
    let sliding = WindowRule { max_count: 3, slide: true, max_wait: Duration::from_secs(150), ..rule };
    let by_address = Telling { group_by: vec!["address".to_owned()], ..Telling::default() };
    rooms.watch_of("ops", "w", Strategy::Digest(sliding), by_address, DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.ring_at_once(&[11, 12]).await?;
    scene.ring_at_once(&[13]).await?;
    scene.pass(1).await?;
    assert_eq!(scene.counts("w").await?, [3], "it is full");
    scene.ring_at_once(&[14]).await?;
    scene.pass(58).await?;
    scene.ring_at_once(&[15]).await?;
    scene.pass(58).await?;
    assert_eq!(scene.counts("w").await?, [3], "it slid");
    scene.pass(3).await?;
    assert_eq!(scene.counts("w").await?, [3, 2]);
    let group = scene.told("w").await?[0].notification.facts["group"].clone();
    assert_eq!(group, json!([{ "name": "address", "value": BELL.to_checksum(None) }]));
    Ok(())
}

/// Two processes that match the hits of one moment: one leads, and nobody overdraws a budget.
async fn races(rooms: Rooms) -> anyhow::Result<()> {
    rooms.recipient("thrifty", "UTC", None, Some("3/day")).await?;
    rooms.watch_of("thrifty", "now", Strategy::Immediate, Telling::default(), DeliverAt::Seen).await?;
    rooms.watch_of("ops", "lead", window(60), leading(), DeliverAt::Seen).await?;
    let mut scene = Scene::set(rooms).await?;
    scene.rooms.world.ring(11..=22);
    settle(&mut scene.ingest).await?;
    let keys = scene.keys().await?;
    let mut workers: Vec<_> = (0..4).map(|_| scene.rooms.matching(|_| {})).collect();
    for worker in &mut workers {
        worker.handle(&[]).await?;
    }
    let mut going = Vec::new();
    for (start, mut worker) in workers.into_iter().enumerate() {
        let mut keys = keys.clone();
        keys.rotate_left(start * 3);
        going.push(tokio::spawn(async move {
            for key in keys.chunks(2) {
                worker.handle(key).await?;
            }
            Ok::<_, pipeline::RoomError>(())
        }));
    }
    for worker in going {
        worker.await??;
    }
    assert_eq!(scene.counts("lead").await?, [1]);
    assert_eq!(scene.counts("now").await?, [1, 1, 1]);
    scene.pass(121).await?;
    assert_eq!(scene.counts("lead").await?, [1, 11]);
    scene.pass(24 * 3600).await?;
    assert_eq!(scene.counts("now").await?, [1, 1, 1, 9]);
    Ok(())
}

mod racing {
    #[tokio::test(flavor = "multi_thread")]
    async fn one_of_several_processes_leads_and_none_overdraws_a_budget_on_sqlite() -> anyhow::Result<()> {
        super::races(crate::rooms::Rooms::around(crate::world::World::sqlite().await?).await?).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_of_several_processes_leads_and_none_overdraws_a_budget_on_postgres() -> anyhow::Result<()> {
        super::races(crate::rooms::Rooms::around(crate::world::World::postgres().await?).await?).await
    }
}
