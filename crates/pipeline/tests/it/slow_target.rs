//! One endpoint that never answers, and the others, which must not notice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use broker::ConsumerConfig;
use domain::{
    Channel, ChannelError, DeliverAt, DeliveryState, Outgoing, Receipt, Strategy, Target, Telling,
    message::STREAM_NOTIFY, retry::RetrySchedule,
};
use pipeline::{
    Room as _,
    deliver::{Deliver, DeliverConfig, DeliverDeps},
};
use tokio::sync::watch;

use crate::{
    rooms::{Rooms, drain},
    world::{World, on_both_stores, settle},
};

on_both_stores!(a_target_that_never_answers_keeps_no_other_waiting_and_loses_nothing);

const SLOW: u64 = 40;

/// Whoever sends to `slow` waits until it is let go.
#[derive(Debug)]
struct Tar {
    free: watch::Sender<bool>,
    sent: Mutex<Vec<Outgoing>>,
}

impl Tar {
    fn sent_to(&self, recipient: &str) -> Vec<Outgoing> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().filter(|sent| sent.notification.recipient.as_str() == recipient).cloned().collect()
    }
}

#[async_trait]
impl Channel for Tar {
    fn name(&self) -> &'static str {
        "test"
    }

    fn check(&self, _target: &Target) -> Result<(), String> {
        Ok(())
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, ChannelError> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing.clone());
        if outgoing.notification.recipient.as_str() == "slow" {
            let _ = self.free.subscribe().wait_for(|free| *free).await;
        }
        Ok(Receipt { detail: "HTTP 204".into() })
    }
}

fn deliver(rooms: &Rooms, channel: &Arc<Tar>) -> Deliver {
    let channel = Arc::clone(channel) as Arc<dyn Channel>;
    let deps = DeliverDeps {
        store: rooms.world.store.clone(),
        consumer: rooms.broker.consumer(STREAM_NOTIFY, "deliver", ConsumerConfig::default()),
        channels: Arc::new(HashMap::from([("test", channel)])),
        clock: rooms.clock(),
        owner: "deliver".to_owned(),
    };
    let retry = RetrySchedule { delays: vec![Duration::from_secs(5); 2], jitter: 0.0 };
    let config = DeliverConfig {
        parallel: 16,
        per_target: 2,
        wait: Duration::ZERO,
        retry,
        ..DeliverConfig::default()
    };
    Deliver::new(deps, config)
}

async fn a_target_that_never_answers_keeps_no_other_waiting_and_loses_nothing(
    world: World,
) -> anyhow::Result<()> {
    let rooms = Rooms::around(world).await?;
    for recipient in ["slow", "good"] {
        rooms.recipient(recipient, "UTC", None, None).await?;
        let telling = Telling::default();
        rooms.watch_of(recipient, recipient, Strategy::Immediate, telling, DeliverAt::Seen).await?;
    }
    let channel = Arc::new(Tar { free: watch::Sender::new(false), sent: Mutex::default() });
    let mut deliver = deliver(&rooms, &channel);
    let (mut ingest, mut matching) = (rooms.world.ingest(), rooms.matching(|_| {}));
    settle(&mut ingest).await?;
    // Many more than may be under way at all, so that whoever holds on to each has nothing left.
    rooms.bring(&mut ingest, &mut matching, 11..=10 + SLOW).await?;
    drain(&mut rooms.relay("relay")).await?;
    let steps = async {
        for _ in 0..40 {
            deliver.step().await?;
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), steps).await??;
    testkit::wait::eventually("the good one has all", Duration::from_secs(20), || async {
        let sent = channel.sent_to("good").len() as u64;
        Ok(if sent == SLOW { Ok(()) } else { Err(sent) })
    })
    .await?;
    assert_eq!(channel.sent_to("slow").len(), 2, "no more at once to one target");
    // It answers again: what waited in its line, or was put off, goes out, each once.
    channel.free.send_replace(true);
    for _ in 0..60 {
        deliver.step().await?;
        deliver.drain().await?;
        rooms.pass(6);
    }
    let mut sent: Vec<_> = channel.sent_to("slow").iter().map(|sent| sent.delivery).collect();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!((sent.len() as u64, channel.sent_to("slow").len() as u64), (SLOW, SLOW));
    for row in rooms.told().await? {
        let deliveries = rooms.world.store.deliveries_of(row.notification.id).await?;
        let ended = deliveries.iter().map(|delivery| (delivery.state, delivery.attempts));
        assert_eq!(ended.collect::<Vec<_>>(), [(DeliveryState::Delivered, 1)], "waiting is no try");
    }
    Ok(())
}
