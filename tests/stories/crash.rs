//! Killed at any time, with the timer index flushed and the streams deleted: nothing is lost, and no message is repeated under another id.

use alloy_primitives::U256;
use anyhow::Context as _;
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    on_both,
    world::{CAP, Stage, World, digest_watch, immediate_watch, told_once},
};

on_both!(
    kill_nine_during_a_burst_tells_each_transfer_once,
    a_failing_endpoint_is_tried_again_and_gets_each_notification_once,
    sigterm_ends_cleanly_and_a_restart_goes_on,
);

const BURST: u64 = 2_000;
const KILLS: u64 = 5;

async fn kill_nine_during_a_burst_tells_each_transfer_once(deployment: Deployment) -> anyhow::Result<()> {
    burst_under_kills(deployment, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_flushed_and_streams_deleted_between_kills_lose_nothing() -> anyhow::Result<()> {
    burst_under_kills(Deployment::servers().await?, true).await
}

async fn burst_under_kills(deployment: Deployment, amnesia: bool) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    // The last twenty are alerts of their own, too.
    let extra = digest_watch("in", to, "1s") + &immediate_watch("alert", "bell", "Transfer", "value > 1980");
    let world = World::new(deployment, &stage, &extra).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;

    let mut running = world.start(&[])?;
    for round in 0..KILLS {
        let from = stage.anvil.account(0);
        let values = (round * BURST / KILLS + 1)..=((round + 1) * BURST / KILLS);
        let calls: Vec<_> = values.map(|value| stage.token.transfer(from, to, U256::from(value))).collect();
        // A different place in the pipeline each time: at once, when a first hit is there, when something is told.
        let kill = async {
            match round % 3 {
                0 => Ok(()),
                1 => some(&store, "a pending hit", "pending").await,
                _ => some(&store, "a told hit", "notified").await,
            }
        };
        let (sent, seen) = tokio::join!(stage.anvil.send_all(&calls), kill);
        sent?;
        seen.with_context(|| world.logged())?;
        running.kill().await?;
        if amnesia {
            world.deployment.flush_redis().await?;
            world.deployment.delete_streams().await?;
        }
        running = world.start(&[])?;
    }
    let head = stage.head().await?;
    world.quiet(&store, head).await?;
    running.terminate().await?;

    let states = store.hits_by_state(Some(&"in".parse()?)).await?;
    assert_eq!(states.get("notified"), Some(&BURST), "{states:?}");
    let inbox = world.receiver.inbox();
    let digests = inbox.values().filter(|body| body["data"]["watch"] == "in");
    let counted: u64 = digests.filter_map(|body| body["data"]["count"].as_u64()).sum();
    assert_eq!(counted, BURST, "the digests' counts add up to the burst");
    assert_eq!(told_once(&inbox, "alert")?.len(), 20);
    Ok(())
}

async fn some(store: &store::Store, what: &str, state: &str) -> anyhow::Result<()> {
    eventually(what, CAP, || async {
        let states = store.hits_by_state(None).await?;
        Ok(if states.contains_key(state) { Ok(()) } else { Err(states) })
    })
    .await
}

async fn a_failing_endpoint_is_tried_again_and_gets_each_notification_once(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let extra = immediate_watch("alert", "bell", "Transfer", "value == 1");
    let world = World::new(deployment, &stage, &extra).await?;
    world.run_through(stage.head().await?).await?;
    world.receiver.fail_next(500, None);
    world.receiver.fail_next(503, Some("1"));
    stage.transfers(stage.anvil.account(3), 1).await?;
    world.run_through(stage.head().await?).await?;
    let received = world.receiver.received();
    let answers: Vec<_> = received.iter().map(|received| received.answered).collect();
    assert_eq!(answers, [500, 503, 204]);
    assert!(received.iter().all(|one| one.id == received[0].id && one.verified), "one stable id, signed");
    let store = world.store().await?;
    let told = store.notifications(&store::NotificationQuery { limit: 10, ..Default::default() }).await?;
    let delivery = store.deliveries_of(told[0].notification.id).await?.remove(0);
    let attempts = store.attempts(delivery.id).await?;
    assert_eq!(
        attempts.iter().map(|(_, end)| end.as_str()).collect::<Vec<_>>(),
        ["retry", "retry", "delivered"]
    );
    Ok(())
}

async fn sigterm_ends_cleanly_and_a_restart_goes_on(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let world = World::new(deployment, &stage, &digest_watch("in", to, "2s")).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let running = world.start(&[])?;
    stage.transfers(to, 50).await?;
    some(&store, "a pending hit", "pending").await.with_context(|| world.logged())?;
    let status = running.terminate().await?;
    assert!(status.success(), "{status}\n{}", world.logged());
    stage.transfers(to, 50).await?;
    world.run_through(stage.head().await?).await?;
    let counted: u64 =
        world.receiver.inbox().values().filter_map(|body| body["data"]["count"].as_u64()).sum();
    assert_eq!(counted, 100);
    Ok(())
}
