//! Running until a block: it ends once that block is through, and waits for nothing that only higher blocks could bring.

use alloy_primitives::U256;
use devnet::Reorg;
use testkit::{
    deployment::Deployment,
    process::output,
    scripted_node::{Reply, ScriptedNode},
    wait::eventually,
};

use crate::{
    on_both, scripted,
    world::{CAP, Stage, World, immediate_watch},
};

on_both!(
    what_only_higher_blocks_could_settle_holds_up_no_end,
    a_height_without_a_block_is_through_with_the_block_above_it,
);

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

async fn a_height_without_a_block_is_through_with_the_block_above_it(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    node.chain(|chain| {
        chain.of_void = Some(Reply::error(-32000, "requested epoch was a null round"));
        chain.mine(vec![scripted::ring(1)]);
        // 700 is void, and what shows it is 1012.
        chain.pass(1_000);
        chain.mine(vec![scripted::ring(2)]);
        (0..3).for_each(|_| drop(chain.mine(Vec::new())));
    });
    let tables = [scripted::chain("local", &node, ""), scripted::bell("bell", "local", "")].concat();
    let world = scripted::world(deployment, &tables).await?;
    let run = output(Some(&world.config), &["run", "--until-block", "700"]).await?;
    anyhow::ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let tip = world.store().await?.chain(domain::ChainId(31_337)).await?.and_then(|chain| chain.tip);
    assert_eq!(tip.map(|tip| tip.number), Some(1_012));
    let told = scripted::held(&world.store().await?, &node, scripted::BELL).await?;
    assert_eq!(told, scripted::told(&node, scripted::BELL));
    Ok(())
}
