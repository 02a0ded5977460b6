//! The same history gives the same events and the same notifications on both kinds of deployment.

use serde_json::Value as Json;
use testkit::deployment::Deployment;

use crate::world::{Stage, World, digest_watch, events, immediate_watch};

#[tokio::test(flavor = "multi_thread")]
async fn both_deployments_tell_the_same_story_of_the_same_chain() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let extra = digest_watch("in", to, "1s") + &immediate_watch("large", "bell", "Transfer", "value >= 20");
    let embedded = World::new(Deployment::embedded()?, &stage, &extra).await?;
    let servers = World::new(Deployment::servers().await?, &stage, &extra).await?;
    let mut told = Vec::new();
    for world in [&embedded, &servers] {
        world.run_through(stage.head().await?).await?;
    }
    stage.transfers(to, 30).await?;
    let head = stage.head().await?;
    for world in [&embedded, &servers] {
        world.run_through(head).await?;
        let store = world.store().await?;
        let mut bodies: Vec<Json> = world.receiver.inbox().into_values().collect();
        for body in &mut bodies {
            // When it was made differs; what it says does not.
            body["timestamp"] = Json::Null;
        }
        let mut bodies: Vec<_> = bodies.iter().map(ToString::to_string).collect();
        bodies.sort();
        told.push((events(&store).await?, bodies));
    }
    assert_eq!(told[0].0.len(), 31, "the mint and 30 transfers");
    assert_eq!(told[0].1.len(), 12, "one digest and 11 alerts: {}", embedded.logged());
    assert_eq!(told[0], told[1]);
    assert!(embedded.receiver.received().iter().all(|received| received.verified));
    Ok(())
}
