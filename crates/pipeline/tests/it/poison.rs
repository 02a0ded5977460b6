//! One event, watch, recipient, message, delivery or correction that cannot be handled: it is set aside with its reason and
//! tried again by itself, and every room goes on with the others.

use std::time::Duration;

use domain::{DeliverAt, DeliveryState, HitState, Strategy};
use pipeline::{
    Bell,
    amend::{Amend, AmendConfig, AmendDeps},
};
use store::testing::tamper;

use crate::{
    rooms::{Does, Rooms, drain, window},
    world::{CHAIN, World, on_both_stores, settle},
};

on_both_stores!(
    an_event_that_cannot_be_read_is_set_aside_and_the_others_are_published_and_matched,
    a_hit_that_the_store_refuses_keeps_no_other_watch_from_its_hit,
    a_watch_that_cannot_be_read_is_left_out_and_the_others_go_on,
    a_recipient_that_cannot_be_read_keeps_no_other_from_being_told,
    a_waiting_hit_that_cannot_be_released_keeps_no_other_waiting,
    a_digest_closes_without_the_hit_whose_event_cannot_be_read,
    a_delivery_that_cannot_be_made_ready_rests_and_the_others_are_sent,
    a_channel_that_panics_over_one_notification_tries_it_again,
    a_correction_that_cannot_be_made_keeps_no_other_from_being_made,
);

/// Longer than any grace, so that every sweep looks.
const SWEPT: u64 = 20;

async fn spoil(rooms: &Rooms, statement: &str) -> anyhow::Result<()> {
    let changed = tamper(&rooms.world.store, statement).await?;
    assert!(changed > 0, "it changes something: {statement}");
    Ok(())
}

/// What is set aside, as room, item and reason.
async fn aside(rooms: &Rooms) -> anyhow::Result<Vec<(String, String, String)>> {
    let rows = rooms.world.store.all_set_aside(None, 100).await?;
    Ok(rows.into_iter().map(|row| (row.room, row.item, row.reason)).collect())
}

async fn rooms_of(rooms: &Rooms) -> anyhow::Result<Vec<String>> {
    Ok(aside(rooms).await?.into_iter().map(|(room, ..)| room).collect())
}

async fn an_event_that_cannot_be_read_is_set_aside_and_the_others_are_published_and_matched(
    world: World,
) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching, mut relay) =
        (rooms.world.ingest(), rooms.matching(|_| {}), rooms.relay("relay"));
    settle(&mut ingest).await?;
    rooms.world.ring(11..=14);
    settle(&mut ingest).await?;
    spoil(&rooms, "UPDATE event SET schema_id = 9999 WHERE block_number = 12").await?;
    drain(&mut relay).await?;
    drain(&mut matching).await?;
    assert_eq!(rooms.hits("now", HitState::Notified).await?, 3);
    rooms.pass(SWEPT);
    drain(&mut matching).await?;
    assert_eq!(rooms_of(&rooms).await?, ["relay", "matching"]);
    let all = aside(&rooms).await?;
    assert!(all.iter().all(|(_, _, why)| why.contains("schema")), "{all:?}");
    assert!(all[1].1.contains("/12/"), "{all:?}");
    let counts = rooms.world.store.counts().await?;
    assert_eq!((counts.unmatched, counts.outbox > 0), (1, true), "nothing is lost");

    // It rests, and the next ones do not wait for it.
    rooms.bring(&mut ingest, &mut matching, 15..=16).await?;
    assert_eq!(rooms.hits("now", HitState::Notified).await?, 5);
    spoil(&rooms, "UPDATE event SET schema_id = (SELECT e.schema_id FROM event e WHERE e.block_number = 11) WHERE block_number = 12")
        .await?;
    rooms.pass(SWEPT);
    drain(&mut relay).await?;
    drain(&mut matching).await?;
    assert_eq!(rooms.hits("now", HitState::Notified).await?, 6);
    assert_eq!(aside(&rooms).await?, []);
    assert_eq!(rooms.world.store.counts().await?.unmatched, 0);
    Ok(())
}

async fn a_hit_that_the_store_refuses_keeps_no_other_watch_from_its_hit(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    for watch in ["bad", "good", "well"] {
        rooms.watch(watch, Strategy::Immediate, DeliverAt::Seen).await?;
    }
    let statement = if rooms.world.store.is_postgres() {
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON hit FOR EACH ROW WHEN (NEW.watch_id = 'bad') EXECUTE FUNCTION refuse()"
    } else {
        "CREATE TRIGGER refuse BEFORE INSERT ON hit WHEN NEW.watch_id = 'bad' BEGIN SELECT RAISE(ABORT, 'refused'); END"
    };
    tamper(&rooms.world.store, statement).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=13).await?;
    for watch in ["good", "well"] {
        assert_eq!(rooms.hits(watch, HitState::Notified).await?, 3, "{watch}");
    }
    let all = aside(&rooms).await?;
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|(room, _, why)| room == "matching" && why.contains("watch bad")), "{all:?}");
    let on_hit = if rooms.world.store.is_postgres() { " ON hit" } else { "" };
    tamper(&rooms.world.store, &format!("DROP TRIGGER refuse{on_hit}")).await?;
    rooms.pass(SWEPT);
    drain(&mut matching).await?;
    assert_eq!(rooms.hits("bad", HitState::Notified).await?, 3, "it is told late, and not lost");
    assert_eq!(rooms.told().await?.len(), 9, "and the others once");
    assert_eq!(aside(&rooms).await?, []);
    Ok(())
}

async fn a_watch_that_cannot_be_read_is_left_out_and_the_others_go_on(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    for watch in ["bad", "well"] {
        rooms.watch(watch, Strategy::Immediate, DeliverAt::Seen).await?;
    }
    spoil(&rooms, "UPDATE watch SET definition = '{}' WHERE id = 'bad'").await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=12).await?;
    assert_eq!(rooms.hits("well", HitState::Notified).await?, 2);
    let all = aside(&rooms).await?;
    assert_eq!((all[0].0.as_str(), all[0].1.as_str()), ("watches", "watch bad"), "{all:?}");
    // It is put again, as it should be.
    rooms.watch("bad", Strategy::Immediate, DeliverAt::Seen).await?;
    rooms.pass(1);
    rooms.bring(&mut ingest, &mut matching, 13..=13).await?;
    assert_eq!(rooms.hits("bad", HitState::Notified).await?, 1);
    assert_eq!(aside(&rooms).await?, []);
    Ok(())
}

async fn a_recipient_that_cannot_be_read_keeps_no_other_from_being_told(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.recipient("broken", "UTC", None, None).await?;
    rooms.watch("well", Strategy::Immediate, DeliverAt::Seen).await?;
    rooms.watch_of("broken", "bad", Strategy::Immediate, domain::Telling::default(), DeliverAt::Seen).await?;
    spoil(&rooms, "UPDATE recipient SET quiet_hours = 'never ever' WHERE id = 'broken'").await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=12).await?;
    assert_eq!(rooms.hits("well", HitState::Notified).await?, 2);
    assert_eq!(rooms_of(&rooms).await?, ["matching", "matching"]);
    Ok(())
}

async fn a_waiting_hit_that_cannot_be_released_keeps_no_other_waiting(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("late", Strategy::Immediate, DeliverAt::Depth(2)).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=14).await?;
    assert_eq!(rooms.hits("late", HitState::Waiting).await?, 2);
    spoil(&rooms, "UPDATE event SET schema_id = 9999 WHERE block_number = 13").await?;
    for _ in 0..3 {
        rooms.world.node.mine(Vec::new());
        settle(&mut ingest).await?;
    }
    let mut confirm = rooms.confirm();
    drain(&mut confirm).await?;
    assert_eq!(rooms.hits("late", HitState::Notified).await?, 3, "the one behind it does not wait");
    let all = aside(&rooms).await?;
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].0 == "confirm" && all[0].1.contains("of watch late"), "{all:?}");
    spoil(&rooms, "UPDATE event SET schema_id = (SELECT e.schema_id FROM event e WHERE e.block_number = 12) WHERE block_number = 13")
        .await?;
    rooms.pass(SWEPT);
    drain(&mut confirm).await?;
    assert_eq!(rooms.hits("late", HitState::Notified).await?, 4);
    assert_eq!(aside(&rooms).await?, []);
    Ok(())
}

async fn a_digest_closes_without_the_hit_whose_event_cannot_be_read(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("often", window(10), DeliverAt::Seen).await?;
    let (mut ingest, mut matching, mut digest) =
        (rooms.world.ingest(), rooms.matching(|_| {}), rooms.digest());
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=15).await?;
    spoil(&rooms, "UPDATE event SET schema_id = 9999 WHERE block_number = 13").await?;
    for _ in 0..5 {
        rooms.pass(31);
        // A window that fails says so.
        while matches!(pipeline::Room::step(&mut digest).await, Ok(pipeline::Progress::Worked)) {}
    }
    assert_eq!(rooms.hits("often", HitState::Notified).await?, 4);
    assert_eq!(rooms.hits("often", HitState::Dead).await?, 1);
    let told = rooms.told().await?;
    assert_eq!(told.iter().map(|row| row.notification.count).collect::<Vec<_>>(), [4]);
    Ok(())
}

async fn a_delivery_that_cannot_be_made_ready_rests_and_the_others_are_sent(
    world: World,
) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching, mut deliver) =
        (rooms.world.ingest(), rooms.matching(|_| {}), rooms.deliver("deliver"));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=14).await?;
    let poisoned = rooms.told().await?[1].notification.id;
    let (id, quoted) = (poisoned.0.simple(), if rooms.world.store.is_postgres() { "'" } else { "x'" });
    let broken = format!(
        "UPDATE notification SET finality = finality, state = state, watch_id = '' WHERE id = {quoted}{id}'"
    );
    spoil(&rooms, &broken).await?;
    // No message comes: the sweep finds them all at once.
    rooms.pass(SWEPT);
    for _ in 0..4 {
        drain(&mut deliver).await?;
        deliver.drain().await?;
    }
    assert_eq!(rooms.channel.sent().len(), 3);
    let rests = rooms.world.store.deliveries_of(poisoned).await?.remove(0);
    assert_eq!((rests.state, rests.tries), (DeliveryState::Scheduled, 0));
    assert!(rests.reason.is_some_and(|why| why.contains("notification")));
    spoil(&rooms, &broken.replace("watch_id = ''", "watch_id = 'now'")).await?;
    rooms.pass(SWEPT * 2);
    drain(&mut deliver).await?;
    deliver.drain().await?;
    assert_eq!(rooms.channel.sent().len(), 4);
    Ok(())
}

async fn a_channel_that_panics_over_one_notification_tries_it_again(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching, mut deliver) =
        (rooms.world.ingest(), rooms.matching(|_| {}), rooms.deliver("deliver"));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=11).await?;
    rooms.channel.next(Does::Panic);
    drain(&mut rooms.relay("relay")).await?;
    drain(&mut deliver).await?;
    deliver.drain().await?;
    let id = rooms.told().await?[0].notification.id;
    let delivery = rooms.world.store.deliveries_of(id).await?.remove(0);
    assert_eq!((delivery.state, delivery.tries), (DeliveryState::Scheduled, 1));
    assert!(delivery.reason.is_some_and(|why| why.contains("a bug in the channel")));
    rooms.pass(6);
    drain(&mut deliver).await?;
    deliver.drain().await?;
    let delivery = rooms.world.store.deliveries_of(id).await?.remove(0);
    assert_eq!(delivery.state, DeliveryState::Delivered);
    Ok(())
}

async fn a_correction_that_cannot_be_made_keeps_no_other_from_being_made(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    rooms.world.node.chain(|chain| chain.finalized_depth = Some(60));
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=13).await?;
    let poisoned = rooms.told().await?[1].notification.id;
    rooms.world.reorg(3, 21..=23);
    settle(&mut ingest).await?;
    drain(&mut rooms.relay("relay")).await?;
    drain(&mut matching).await?;
    // Long enough for what is gone to be gone for good.
    for _ in 0..3 {
        rooms.world.node.mine(Vec::new());
        settle(&mut ingest).await?;
    }
    let (id, quoted) = (poisoned.0.simple(), if rooms.world.store.is_postgres() { "'" } else { "x'" });
    spoil(&rooms, &format!("UPDATE notification SET watch_id = '' WHERE id = {quoted}{id}'")).await?;
    let deps = AmendDeps {
        store: rooms.world.store.clone(),
        notifier: rooms.notifier(),
        clock: rooms.clock(),
        relay: Bell::new(),
    };
    let mut amend = Amend::new(deps, vec![(CHAIN, 2)], AmendConfig::default());
    drain(&mut amend).await?;
    let all = aside(&rooms).await?;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        (all[0].0.as_str(), all[0].1.as_str()),
        ("amend", format!("notification {poisoned}").as_str())
    );
    spoil(&rooms, &format!("UPDATE notification SET watch_id = 'now' WHERE id = {quoted}{id}'")).await?;
    let retracted = async || {
        let told = rooms.told().await?;
        anyhow::Ok(told.iter().filter(|row| row.notification.corrects.is_some()).count())
    };
    assert_eq!(retracted().await?, 2);
    rooms.world.clock.advance(Duration::from_secs(SWEPT));
    drain(&mut amend).await?;
    assert_eq!(retracted().await?, 3);
    assert_eq!(aside(&rooms).await?, []);
    Ok(())
}
