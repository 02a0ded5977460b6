//! Delivery and relay: leases, retries, dead letters, and the order of a lane.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use broker::ConsumerConfig;
use domain::{
    BrokerError, Clock, DeliverAt, DeliveryState, Message, Publisher, Strategy,
    message::{STREAM_CHAIN, STREAM_NOTIFY},
};
use pipeline::{
    Bell, Progress, Room,
    relay::{Relay, RelayConfig},
};
use store::Store;

use crate::{
    rooms::{Does, Rooms, drain},
    world::{World, name, on_both_stores, settle},
};

on_both_stores!(
    a_lease_that_ends_while_a_channel_hangs_records_one_success,
    a_delivery_becomes_a_dead_letter_after_its_schedule_and_can_be_tried_again,
    two_workers_never_send_the_same_delivery_at_once,
    of_two_relays_one_is_active_and_the_lane_keeps_its_order,
);

// A notification in the store, and its message at the broker.
async fn told(rooms: &Rooms, count: u64) -> anyhow::Result<()> {
    rooms.watch("now", Strategy::Immediate, DeliverAt::Seen).await?;
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    // The consumer must be there before the message comes.
    rooms.broker.consumer(STREAM_NOTIFY, "deliver", ConsumerConfig::default());
    settle(&mut ingest).await?;
    rooms.bring(&mut ingest, &mut matching, 11..=10 + count).await?;
    drain(&mut rooms.relay("relay")).await?;
    Ok(())
}

async fn states(rooms: &Rooms) -> anyhow::Result<Vec<(DeliveryState, Vec<String>)>> {
    let mut states = Vec::new();
    for row in rooms.told().await? {
        for delivery in rooms.world.store.deliveries_of(row.notification.id).await? {
            let attempts = rooms.world.store.attempts(delivery.id).await?;
            states.push((delivery.state, attempts.into_iter().map(|(_, outcome)| outcome).collect()));
        }
    }
    Ok(states)
}

async fn a_lease_that_ends_while_a_channel_hangs_records_one_success(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    told(&rooms, 1).await?;
    rooms.channel.next(Does::Hang);
    let (mut slow, mut quick) = (rooms.deliver("slow"), rooms.deliver("quick"));
    slow.step().await?;
    rooms.channel.hangs().await;
    quick.step().await?;
    quick.drain().await?;
    assert_eq!(rooms.channel.sent().len(), 1, "it is the slow one's");
    rooms.pass(61);
    quick.step().await?;
    quick.drain().await?;
    let one = [(DeliveryState::Delivered, vec!["delivered".to_owned()])];
    assert_eq!(states(&rooms).await?, one);
    // The slow one ends well, too, and must not say so.
    rooms.channel.go_on();
    slow.drain().await?;
    assert_eq!(states(&rooms).await?, one);
    let sent = rooms.channel.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].delivery, sent[1].delivery, "the receiver can tell that it is the same");
    Ok(())
}

async fn a_delivery_becomes_a_dead_letter_after_its_schedule_and_can_be_tried_again(
    world: World,
) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    told(&rooms, 1).await?;
    let mut deliver = rooms.deliver("worker");
    for _ in 0..3 {
        rooms.channel.next(Does::Retry);
    }
    for tries in 1..=3 {
        deliver.step().await?;
        deliver.drain().await?;
        assert_eq!(rooms.channel.sent().len(), tries);
        deliver.step().await?;
        deliver.drain().await?;
        assert_eq!(rooms.channel.sent().len(), tries, "not before its time");
        rooms.pass(6);
    }
    let outcomes = ["retry", "retry", "permanent"].map(str::to_owned).to_vec();
    assert_eq!(states(&rooms).await?, [(DeliveryState::Dead, outcomes)]);
    let letters = rooms.world.store.dead_letters(10).await?;
    let reason = letters[0].delivery.reason.clone().unwrap_or_default();
    assert_eq!(reason, "given up after 3 tries: HTTP 500");
    let attempts: Vec<_> = rooms.channel.sent().iter().map(|sent| sent.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    // A retry begins the schedule anew.
    rooms.channel.next(Does::Retry);
    assert_eq!(rooms.world.store.retry_dead_letters(None, rooms.world.clock.now()).await?, 1);
    for _ in 0..2 {
        rooms.pass(6);
        deliver.step().await?;
        deliver.drain().await?;
    }
    assert_eq!(states(&rooms).await?[0].0, DeliveryState::Delivered);
    // One that is refused for good is not tried again.
    rooms.channel.next(Does::Refuse);
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    rooms.bring(&mut ingest, &mut matching, 50..=50).await?;
    drain(&mut rooms.relay("relay")).await?;
    deliver.step().await?;
    deliver.drain().await?;
    let letters = rooms.world.store.dead_letters(10).await?;
    assert_eq!(letters.iter().map(|letter| letter.delivery.attempts).collect::<Vec<_>>(), [1]);
    Ok(())
}

async fn two_workers_never_send_the_same_delivery_at_once(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    told(&rooms, 20).await?;
    // The messages come to both, as after a redelivery, and the sweeps of both look as well.
    rooms.pass(11);
    let (mut one, mut two) = (rooms.deliver("one"), rooms.deliver("two"));
    for _ in 0..4 {
        let (first, second) = tokio::join!(one.step(), two.step());
        first?;
        second?;
    }
    tokio::try_join!(one.drain(), two.drain())?;
    let mut sent: Vec<_> = rooms.channel.sent().iter().map(|sent| sent.delivery).collect();
    assert_eq!(sent.len(), 20);
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), 20, "each once");
    Ok(())
}

/// A broker that keeps what came, and does as it is told.
#[derive(Debug, Default)]
struct Notebook {
    kept: Mutex<Vec<String>>,
    // Ids that it will never take, and whether it is away after so many more.
    refuses: Vec<String>,
    away_after: Mutex<Option<usize>>,
}

impl Notebook {
    fn kept(&self) -> Vec<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Publisher for Notebook {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), BrokerError>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut away = self.away_after.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take = |message: Message| {
            if self.refuses.contains(&message.id) {
                return Err(BrokerError::Refused { id: message.id, detail: "too large".into() });
            }
            if let Some(left) = away.as_mut() {
                if *left == 0 {
                    return Err(BrokerError::Unavailable {
                        url: "test:".into(),
                        detail: "it went away".into(),
                    });
                }
                *left -= 1;
            }
            // As a broker that deduplicates by id.
            if !kept.contains(&message.id) {
                kept.push(message.id);
            }
            Ok(())
        };
        messages.into_iter().map(&mut take).collect()
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

fn relay(rooms: &Rooms, owner: &str, publisher: &Arc<Notebook>, window: u32) -> Relay {
    let lanes = vec![Store::lane_of_chain(&name())];
    let config = RelayConfig { window, ..RelayConfig::default() };
    let publisher = Arc::clone(publisher) as Arc<dyn Publisher>;
    Relay::new(
        rooms.world.store.clone(),
        publisher,
        rooms.clock(),
        lanes,
        (owner.to_owned(), Bell::new()),
        config,
    )
}

async fn of_two_relays_one_is_active_and_the_lane_keeps_its_order(world: World) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    let mut ingest = rooms.world.ingest();
    settle(&mut ingest).await?;
    rooms.world.ring(11..=20);
    settle(&mut ingest).await?;
    let expected = rooms.world.outbox().await?;
    let notebook = Arc::new(Notebook::default());
    let (mut one, mut two) = (relay(&rooms, "one", &notebook, 2), relay(&rooms, "two", &notebook, 2));
    assert_eq!(one.step().await?, Progress::Worked);
    assert_eq!(two.step().await?, Progress::Idle, "the lane is the other's");
    // The active one dies without a word; its lease ends by itself.
    drop(one);
    rooms.pass(11);
    drain(&mut two).await?;
    assert_eq!(notebook.kept(), expected);
    assert!(rooms.world.outbox().await?.is_empty());
    // One that ends in order gives the lane back at once.
    two.finish().await;
    rooms.world.ring(21..=21);
    settle(&mut ingest).await?;
    assert_eq!(relay(&rooms, "three", &notebook, 2).step().await?, Progress::Worked);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_did_not_acknowledge_is_published_again_and_what_it_refuses_is_dropped()
-> anyhow::Result<()> {
    let rooms = Rooms::around(World::sqlite().await?).await?;
    rooms.broker.consumer(STREAM_CHAIN, "matching", ConsumerConfig::default());
    let mut ingest = rooms.world.ingest();
    settle(&mut ingest).await?;
    rooms.world.ring(11..=20);
    settle(&mut ingest).await?;
    let expected = rooms.world.outbox().await?;
    let notebook = Notebook {
        refuses: vec![expected[2].clone()],
        away_after: Mutex::new(Some(5)),
        ..Notebook::default()
    };
    let notebook = Arc::new(notebook);
    let mut relay = relay(&rooms, "one", &notebook, 100);
    relay.step().await.unwrap_err();
    assert_eq!(
        rooms.world.outbox().await?,
        expected[6..],
        "what was acknowledged or refused is gone, the rest stays"
    );
    *notebook.away_after.lock().unwrap_or_else(PoisonError::into_inner) = None;
    drain(&mut relay).await?;
    let mut all = expected;
    all.remove(2);
    assert_eq!(notebook.kept(), all);
    Ok(())
}
