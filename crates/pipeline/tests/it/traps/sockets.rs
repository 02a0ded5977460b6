//! Announcements that fail to come, or say what is not so: what is read comes from questions, from the cursor on.

use pipeline::{Progress, Room as _, ingest::Ingest};
use serde_json::json;

use super::sound;
use crate::world::{BELL, World, client, ring, settle};

/// How often a story looks, at most; a look waits 200 ms for an announcement.
const LOOKS_MAX: usize = 100;

/// A reader that has come to rest and listens.
async fn listening(world: &World) -> anyhow::Result<Ingest> {
    let live = client(&world.node.ws_url(), &world.store).await?;
    let mut ingest = world.ingest_of(&live, &world.catalog(), |_| {});
    settle(&mut ingest).await?;
    listens(world, &mut ingest).await?;
    Ok(ingest)
}

/// Waits for both subscriptions, and works as the room would meanwhile.
async fn listens(world: &World, ingest: &mut Ingest) -> anyhow::Result<()> {
    for _ in 0..LOOKS_MAX {
        if world.node.subscriptions().len() == 2 {
            return Ok(());
        }
        ingest.rest().await;
        let _ = ingest.step().await;
    }
    anyhow::bail!("it does not subscribe: {:?}", world.node.subscriptions())
}

/// Rests and steps, as a running room does, until the tip is there. The clock stands still, so that no poll comes due.
async fn reaches(world: &World, ingest: &mut Ingest, tip: u64) -> anyhow::Result<()> {
    for _ in 0..LOOKS_MAX {
        if world.tip().await? == tip {
            return Ok(());
        }
        ingest.rest().await;
        // While the socket is away a question fails, and is asked again.
        while matches!(ingest.step().await, Ok(Progress::Worked)) {}
    }
    anyhow::bail!("the tip is {} and not {tip}", world.tip().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_the_socket_was_gone_is_read_when_it_is_back() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = listening(&world).await?;
    let mut tx = 10;
    for blocks in [1, 3, 2] {
        world.node.drop_connections();
        // Neither these heads nor their logs are announced to anybody.
        for _ in 0..blocks {
            tx += 1;
            world.node.chain(|chain| drop(chain.mine(vec![ring(BELL, tx)])));
        }
        reaches(&world, &mut ingest, tx).await?;
        listens(&world, &mut ingest).await?;
    }
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_while_the_socket_was_gone_is_followed_when_it_is_back() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = listening(&world).await?;
    world.ring(11..=14);
    reaches(&world, &mut ingest, 14).await?;
    world.node.drop_connections();
    // As high as before, so that no height tells of it, and no log is said to be taken back.
    world.node.chain(|chain| {
        chain.rollback(2);
        chain.mine(vec![ring(BELL, 50)]);
        chain.mine(vec![ring(BELL, 51)]);
    });
    let gone = world.held(BELL).await?[2..].to_vec();
    for _ in 0..LOOKS_MAX {
        if world.held(BELL).await? == world.truth(BELL) {
            break;
        }
        ingest.rest().await;
        while matches!(ingest.step().await, Ok(Progress::Worked)) {}
    }
    let held = world.held(BELL).await?;
    assert!(gone.iter().all(|place| !held.contains(place)), "{held:#?}");
    sound(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_of_taken_back_logs_take_nothing_back() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = listening(&world).await?;
    world.ring(11..=12);
    reaches(&world, &mut ingest, 12).await?;
    // Out of order, one of them twice, and both blocks are where they were.
    for number in [12, 11, 12] {
        let mut log = world.node.chain(|chain| chain.block(number).unwrap().logs_json()).remove(0);
        log["removed"] = json!(true);
        world.node.announce("logs", &log);
    }
    // Heard behind them on the same socket.
    world.ring(13..=13);
    reaches(&world, &mut ingest, 13).await?;
    assert_eq!(world.held(BELL).await?.len(), 3);
    let told = world.outbox().await?;
    assert!(told.iter().all(|message| message.ends_with(":seen")), "{told:?}");
    sound(&world).await
}
