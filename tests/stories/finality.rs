//! Finality on the broker: one message per event, when its block is final.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use alloy_primitives::U256;
use anyhow::Context as _;
use broker::{Broker, ConsumerConfig};
use devnet::{Options, Reorg};
use domain::message::{CloudEvent, STREAM_CHAIN};
use store::StoreClock;
use testkit::{anvil::TestAnvil, deployment::Deployment, wait::eventually};

use crate::world::{CAP, CHAIN, Stage, World};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_that_became_final_is_published_as_final_once() -> anyhow::Result<()> {
    let anvil = TestAnvil::start_with(Options { slots_in_an_epoch: 2, ..Options::default() }).await?;
    let (token, exchange) = (anvil.token().await?, anvil.exchange().await?);
    let stage = Stage { anvil, token, exchange };
    let world = World::new(Deployment::servers().await?, &stage, "").await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    // Two of the same deployment: one reads, and neither tells twice.
    let running = [world.start(&[])?, world.start(&[])?];
    let (bank, to) = (stage.anvil.account(0), stage.anvil.account(3));
    for value in 1..=6_u64 {
        stage.anvil.send(token.transfer(bank, to, U256::from(value))).await?;
    }
    world.reached(&store, stage.head().await?).await?;
    // The last two leave the chain before they are final.
    stage.anvil.reorg(Reorg::new(2).send(&token.transfer(bank, to, U256::from(50)), 1)).await?;
    stage.anvil.mine(10).await?;
    let head = stage.head().await?;
    world.quiet(&store, head).await?;
    eventually("what is final is noted", CAP, || async {
        let row = store.chain(CHAIN).await?.and_then(|row| row.finalized);
        Ok(if row >= Some(head - 4) { Ok(()) } else { Err(row) })
    })
    .await?;

    let clock = Arc::new(StoreClock::measure(&store).await?);
    let broker = Broker::open(&world.deployment.broker, &world.deployment.prefix, clock).await?;
    let consumer = broker.consumer(STREAM_CHAIN, "another-service", ConsumerConfig::default()).await?;
    let mut messages = Vec::new();
    let finals = |messages: &[domain::Message]| -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        for message in messages {
            let event: CloudEvent = serde_json::from_str(&message.payload)?;
            if event.kind == "chainbell.event.finalized.v1" {
                anyhow::ensure!(event.data["finality"] == "finalized", "{event:?}");
                ids.push(event.data["params"]["value"].as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(ids)
    };
    while finals(&messages)?.len() < 5 {
        let fetched = consumer.fetch(100, Duration::from_secs(10)).await?;
        anyhow::ensure!(!fetched.is_empty(), "only {messages:#?}\n{}", world.logged());
        messages.extend(fetched.into_iter().map(|incoming| incoming.message));
    }
    for process in running {
        process.terminate().await?;
    }
    // Whatever else they published before they ended.
    messages.extend(
        consumer.fetch(100, Duration::from_secs(1)).await?.into_iter().map(|incoming| incoming.message),
    );
    let finals = finals(&messages).context("messages are CloudEvents")?;
    assert_eq!(finals, ["1", "2", "3", "4", "50"], "in chain order, each once, and none that left the chain");
    let ids: BTreeSet<_> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), messages.len(), "no message comes twice");
    Ok(())
}
