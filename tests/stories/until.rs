//! Running until a block: it ends once that block is through, and waits for nothing that only higher blocks could bring.

use alloy_primitives::U256;
use devnet::Reorg;
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    on_both,
    world::{CAP, Stage, World, immediate_watch},
};

on_both!(what_only_higher_blocks_could_settle_holds_up_no_end);

async fn what_only_higher_blocks_could_settle_holds_up_no_end(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (bank, me) = (stage.anvil.account(0), stage.anvil.account(3));
    let watches = [
        immediate_watch("alert", "bell", "Transfer", &format!("to == {me}")),
        format!("{}deliver_at = 50\n", immediate_watch("sure", "bell", "Transfer", &format!("to == {me}"))),
    ];
    let world = World::new(deployment, &stage, &watches.concat()).await?;
    world.run_through(stage.head().await?).await?;
    // Told, and not delivered: the endpoint is down.
    for _ in 0..100 {
        world.receiver.fail_next(503, None);
    }
    let running = world.start(&[])?;
    stage.anvil.send(stage.token.transfer(bank, me, U256::from(5))).await?;
    let store = world.store().await?;
    eventually("the endpoint was tried", CAP, || async {
        let tried = world.receiver.received().len();
        Ok(if tried > 0 { Ok(()) } else { Err((tried, world.logged())) })
    })
    .await?;
    running.kill().await?;
    // The event leaves the chain, and no block comes that would settle it.
    let other = stage.token.transfer(bank, stage.anvil.account(4), U256::from(1));
    stage.anvil.reorg(Reorg::new(1).send(&other, 0)).await?;
    world.run_through(stage.head().await?).await?;
    let hits = store.hits_by_state(None).await?;
    assert_eq!((hits.get("notified"), hits.get("orphaned")), (Some(&1), Some(&1)), "{hits:?}");

    // One that waits for fifty blocks is there at the end, and told when they have come.
    stage.anvil.send(stage.token.transfer(bank, me, U256::from(6))).await?;
    world.run_through(stage.head().await?).await?;
    assert_eq!(store.hits_by_state(None).await?.get("waiting"), Some(&1));
    stage.anvil.mine(50).await?;
    world.run_through(stage.head().await?).await?;
    assert_eq!(store.hits_by_state(None).await?.get("waiting"), None);
    Ok(())
}
