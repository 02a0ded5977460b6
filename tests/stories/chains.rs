//! Several chains in one process: what happens to one is nothing to the other.

use anyhow::Context as _;
use store::Store;
use testkit::{deployment::Deployment, scripted_node::ScriptedNode, wait::eventually};

use crate::{
    on_both,
    scripted::{BELL, bell, chain, held, ring, stored, told, world},
    world::{CAP, World},
};

on_both!(a_chain_that_halts_and_a_chain_that_reorgs_leave_the_other_alone,);

async fn agree(world: &World, store: &Store, node: &ScriptedNode) -> anyhow::Result<()> {
    eventually("the store agrees with the node", CAP, || async {
        let (held, told) = (held(store, node, BELL).await?, told(node, BELL));
        Ok(if held == told { Ok(()) } else { Err((held.len(), told.len())) })
    })
    .await
    .with_context(|| world.logged())
}

async fn a_chain_that_halts_and_a_chain_that_reorgs_leave_the_other_alone(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let (one, two) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    two.chain(|chain| chain.id = 31_338);
    for (node, first) in [(&one, 100), (&two, 200)] {
        for tx in first..first + 10 {
            node.mine(vec![ring(tx)]);
        }
    }
    let tables = chain("one", &one, "")
        + &chain("two", &two, "")
        + &bell("bell", "one", "")
        + &bell("gong", "two", "");
    let world = world(deployment, &tables).await?;
    let running = world.start(&[])?;
    let store = world.store().await?;
    for node in [&one, &two] {
        agree(&world, &store, node).await?;
    }

    // A reorg of the second: the first one's rows are as they were, each in its first turn.
    let rows = stored(&store, &one).await?;
    two.chain(|chain| chain.rollback(2));
    for tx in 300..303 {
        two.mine(vec![ring(tx)]);
    }
    agree(&world, &store, &two).await?;
    assert_eq!(format!("{:?}", stored(&store, &one).await?), format!("{rows:?}"));

    // The first one halts: what was final there is taken back. The second goes on meanwhile, through another reorg.
    one.chain(|chain| chain.rollback(8));
    for tx in 400..412 {
        one.mine(vec![ring(tx)]);
    }
    let id = domain::ChainId(31_337);
    let halted = eventually("the first chain halts", CAP, || async {
        let row = store.chain(id).await?.context("the chain")?;
        Ok(row.halted.clone().ok_or(row))
    });
    let reason = halted.await.with_context(|| world.logged())?;
    assert!(reason.contains("'one'") && reason.contains("recover --chain one"), "{reason}");
    for tx in 500..505 {
        two.mine(vec![ring(tx)]);
    }
    agree(&world, &store, &two).await?;
    two.chain(|chain| chain.rollback(3));
    for tx in 600..606 {
        two.mine(vec![ring(tx)]);
    }
    agree(&world, &store, &two).await?;
    assert_eq!(format!("{:?}", stored(&store, &one).await?), format!("{rows:?}"), "nothing was changed");
    assert_eq!(store.chain(domain::ChainId(31_338)).await?.context("the chain")?.halted, None);

    // The operator's word is about that chain alone.
    let of_two = stored(&store, &two).await?;
    let recover = ["recover", "--chain", "one", "--to-block", "12"];
    crate::commands::say(Some(&world.config), &recover).await?.well()?;
    agree(&world, &store, &one).await?;
    assert_eq!(stored(&store, &two).await?.len(), of_two.len());
    running.terminate().await?;
    Ok(())
}
