//! What is gathered, and until when: schedules, groups, windows that slide.

use std::time::Duration;

use domain::{DeliverAt, HitState, Strategy, Telling, WindowRule};
use serde_json::json;

use super::{Scene, by_transaction, lossy};
use crate::{
    rooms::{Rooms, window},
    world::BELL,
};

everywhere!(
    a_scheduled_digest_is_told_at_its_time_in_its_recipients_zone,
    what_the_timer_index_lost_of_a_schedule_brings_nothing_forward,
    each_group_has_its_own_window_and_the_notification_says_which,
    a_full_sliding_window_of_a_group_closes_by_itself,
);

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
