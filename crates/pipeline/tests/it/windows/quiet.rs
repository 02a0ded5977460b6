//! Quiet hours: what they hold, and what they put off.

use std::time::Duration;

use domain::{DeliverAt, Held, HitState, Strategy, Telling, WindowRule};
use jiff::Timestamp;
use serde_json::json;
use store::Hold;

use super::{Scene, lossy};
use crate::rooms::{Rooms, window};

everywhere!(
    quiet_hours_hold_everything_but_what_is_critical,
    a_window_that_is_due_in_quiet_hours_is_put_off_to_their_end,
    a_crash_while_a_window_is_put_off_tells_nothing_twice_and_loses_nothing,
);

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
            now,
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
