//! The node changes its mind between any two questions of a rollback, a replay or a catch-up.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};

use domain::{ChainClient, Origin};
use futures::future::BoxFuture;
use pipeline::{
    RoomError,
    ingest::{Ingest, Replay},
};
use serde_json::json;
use store::ReplayPlan;
use testkit::{
    meddled::MeddledNode,
    scripted_node::{Reply, ScriptedChain},
};

use super::{METHODS, Unknown, branch, honest, sound, struggle, switching, ten_live};
use crate::world::{BELL, CHAIN, World, on_both_stores, ring, settle};

on_both_stores!(
    what_a_replay_read_of_a_branch_that_died_meanwhile_is_refused,
    a_chain_that_grows_between_any_two_questions_has_no_hole,
);

/// How many questions it takes to follow a node to another branch, when it stays there.
async fn questions_of(world: &World, ingest: &mut Ingest, branch: &ScriptedChain) -> anyhow::Result<usize> {
    let asked = switching(world, std::slice::from_ref(branch), &[], Unknown::Error);
    struggle(ingest).await?;
    honest(world, branch);
    let asked = asked.load(Ordering::Relaxed);
    anyhow::ensure!(asked > 5, "a rollback has questions");
    Ok(asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_changes_its_branch_between_any_two_questions_of_a_rollback_leaves_no_hole()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = ten_live(&world).await?;
    let questions = questions_of(&world, &mut ingest, &branch(&world.branch(), 3, 100..=104)).await?;
    for at in 1..=questions {
        let (old, tx) = (world.branch(), 1_000 * at as u64);
        // The second branch leaves the first below where the first left ours; the third is the first one, grown.
        let one = branch(&old, 3, tx..=tx + 4);
        let two = branch(&old, 6, tx + 100..=tx + 108);
        let back = branch(&one, 0, tx + 200..=tx + 206);
        switching(&world, &[one, two, back.clone()], &[at, at + 9], Unknown::Error);
        struggle(&mut ingest).await?;
        honest(&world, &back);
        struggle(&mut ingest).await?;
        sound(&world).await.map_err(|error| error.context(format!("switched at question {at}")))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_logs_of_a_block_that_left_the_nodes_chain_meanwhile_are_not_believed() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = ten_live(&world).await?;
    let questions = questions_of(&world, &mut ingest, &branch(&world.branch(), 2, 100..=102)).await?;
    for at in 1..=questions {
        let (old, tx) = (world.branch(), 1_000 * at as u64);
        let one = branch(&old, 2, tx..=tx + 2);
        let two = branch(&old, 4, tx + 100..=tx + 101);
        // Away from the branch for a few questions, in which its blocks have no logs, and back.
        let chains = [one.clone(), two, one.clone()];
        switching(&world, &chains, &[at, at + 4], Unknown::NoLogs);
        struggle(&mut ingest).await?;
        let grown = branch(&one, 0, tx + 200..=tx + 201);
        honest(&world, &grown);
        struggle(&mut ingest).await?;
        sound(&world).await.map_err(|error| error.context(format!("away from question {at} on")))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_changes_its_branch_during_a_replay_changes_nothing_that_is_held() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut live = ten_live(&world).await?;
    for at in 0.. {
        let (old, before, tx) = (world.branch(), world.held(BELL).await?, 1_000 * (at as u64 + 1));
        let (from, to) = (world.head() - 8, world.head());
        let new = branch(&old, 6, tx..=tx + 7);
        let asked = switching(&world, &[old, new.clone()], &[at], Unknown::NoLogs);
        let mut replay = world.ingest();
        let plan = ReplayPlan {
            chain: CHAIN,
            from,
            to,
            contract: None,
            publish: false,
            notify: false,
            now: world.now(),
        };
        let id = world.store.begin_replay(&plan).await?.id;
        let wanted = Replay { id: Some(id), ..Replay::default() };
        let mut next = from;
        // A block that is not there any more ends the replay with an error; it is the live reader's to follow.
        while let Ok(piece) = replay.replay(next, to, &wanted).await {
            next = piece.to + 1;
            if next > to {
                break;
            }
        }
        let enough = asked.load(Ordering::Relaxed);
        assert_eq!(world.held(BELL).await?, before, "switched at question {at}");
        honest(&world, &new);
        struggle(&mut live).await?;
        sound(&world).await?;
        if enough <= at {
            assert!(at > 5, "a replay has questions");
            break;
        }
    }
    Ok(())
}

async fn what_a_replay_read_of_a_branch_that_died_meanwhile_is_refused(world: World) -> anyhow::Result<()> {
    world.node.chain(|chain| chain.finalized_depth = Some(100));
    let mut live = world.ingest();
    settle(&mut live).await?;
    // The node leaves a log out, which the replay would add.
    let block = world.node.chain(|chain| chain.mine(vec![ring(BELL, 11), ring(BELL, 12)]));
    world.node.next("eth_getLogs", Reply::Result(json!([block.logs_json().remove(0)])));
    settle(&mut live).await?;
    assert_eq!(world.held(BELL).await?.len(), 1);
    // What happens once, between an answer and whoever asked.
    let meanwhile = Arc::new(Mutex::new(None::<BoxFuture<'static, ()>>));
    let then = Arc::clone(&meanwhile);
    let node = MeddledNode::new(Arc::clone(&world.client), move |logs| {
        let then = then.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            if let Some(then) = then {
                then.await;
            }
            logs
        }
    });
    let reader: Arc<dyn ChainClient> = Arc::new(node);
    let mut replay = world.ingest_of(&reader, &world.catalog(), |_| {});
    let plan = ReplayPlan {
        chain: CHAIN,
        from: 11,
        to: 11,
        contract: None,
        publish: true,
        notify: false,
        now: world.now(),
    };
    let id = world.store.begin_replay(&plan).await?.id;
    // The live reader follows a reorg after the replay's question was answered, and before it is committed.
    let old = world.branch();
    let new = branch(&old, 1, 50..=51);
    let (went, follows) = tokio::sync::oneshot::channel();
    let (done, followed) = tokio::sync::oneshot::channel::<()>();
    *meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(async move {
        let _ = went.send(());
        let _ = followed.await;
    }));
    let wanted = Replay { id: Some(id), publish: true, ..Replay::default() };
    let live_reader = async {
        follows.await?;
        world.switch_to(&new);
        struggle(&mut live).await?;
        let _ = done.send(());
        anyhow::Ok(())
    };
    let (replayed, followed) = tokio::join!(replay.replay(11, 11, &wanted), live_reader);
    followed?;
    let refused = replayed.unwrap_err();
    assert!(matches!(refused, RoomError::Store(store::StoreError::Fenced(_))), "{refused}");
    sound(&world).await
}

async fn a_chain_that_grows_between_any_two_questions_has_no_hole(world: World) -> anyhow::Result<()> {
    world.ring(11..=30);
    let growing = Arc::new(Mutex::new((world.branch(), 60_u64)));
    for method in METHODS {
        let growing = Arc::clone(&growing);
        world.node.answer(method, move |params| {
            let mut growing = growing.lock().unwrap_or_else(PoisonError::into_inner);
            let (chain, left) = &mut *growing;
            if *left > 0 {
                *left -= 1;
                chain.mine(vec![ring(BELL, 1_000 + *left)]);
            }
            chain.answer(method, params)
        });
    }
    let mut ingest = world.ingest_with(|config| (config.range_max, config.blocks_max) = (7, 3));
    struggle(&mut ingest).await?;
    let (chain, left) = growing.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(left, 0, "it grew all the while");
    honest(&world, &chain);
    settle(&mut ingest).await?;
    world.agrees().await?;
    let cursor = world.store.contract_cursors(CHAIN).await?.remove(0);
    let stored = world.stored().await?;
    for stored in stored {
        let past = stored.event.block.number < cursor.live_from;
        assert_eq!(stored.event.origin == Origin::Backfill, past, "{stored:?}");
    }
    Ok(())
}
