//! Branches that die: whoever reads, at whichever height, from whichever node, nothing of them stays.

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::U256;
use devnet::Reorg;
use domain::{Catalog, StartBlock};
use pipeline::{RoomError, ingest::Did};
use store::Rewind;
use testkit::anvil::TestAnvil;

use super::{Unknown, branch, honest, sound, struggle, switching, ten_live};
use crate::world::{BELL, CHAIN, GONG, World, client, contract, name, on_both_stores, ring, settle};

on_both_stores!(
    one_reorg_is_one_for_every_contract_wherever_each_is_read,
    the_same_transactions_at_the_same_heights_in_other_blocks_are_read_again,
    a_rollback_asks_nothing_about_the_branch_that_died,
    what_was_read_ahead_on_a_branch_that_died_is_not_committed,
);

async fn one_reorg_is_one_for_every_contract_wherever_each_is_read(world: World) -> anyhow::Result<()> {
    world.node.chain(|chain| chain.finalized_depth = Some(6));
    let both = |first: u64, last: u64| {
        for tx in first..=last {
            world.node.mine(vec![ring(BELL, tx), ring(GONG, 1_000 + tx)]);
        }
    };
    both(11, 30);
    settle(&mut world.ingest()).await?;
    let catalog = Arc::new(Catalog::new(vec![
        contract("bell", &[BELL], StartBlock::Number(0)),
        contract("gong", &[GONG], StartBlock::Number(0)),
    ]));
    let mut ingest = world.ingest_of(&world.client, &catalog, |config| config.range_max = 8);
    // One contract is followed live, the other one's past is read meanwhile; after each step the chain reorganises.
    let mut tx = 100;
    let mut steps = 0;
    while !matches!(ingest.advance().await, Ok(Did::Idle)) {
        world.node.chain(|chain| chain.rollback(3));
        both(tx, tx + 3);
        tx += 4;
        steps += 1;
        assert!(steps < 40, "the past is never read");
        for _ in 0..2 {
            // An error is one of a step, not the end.
            let _ = ingest.advance().await;
        }
        if steps > 8 {
            break;
        }
    }
    struggle(&mut ingest).await?;
    assert_eq!(world.held(GONG).await?, world.truth(GONG));
    assert_eq!(world.held(BELL).await?, world.truth(BELL));
    assert!(steps > 3);
    Ok(())
}

async fn the_same_transactions_at_the_same_heights_in_other_blocks_are_read_again(
    world: World,
) -> anyhow::Result<()> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=14);
    settle(&mut ingest).await?;
    let before = world.stored().await?;
    // Same heights, same transactions, same log indexes: nothing but the hashes differs.
    world.reorg(3, 12..=14);
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 3, orphaned: 3 }]);
    sound(&world).await?;
    let after = world.stored().await?;
    for (one, two) in before.iter().zip(&after).skip(1) {
        assert_eq!(one.event.logical, two.event.logical);
        assert_ne!(one.event.id, two.event.id);
    }
    assert_eq!(before.len(), after.len());
    Ok(())
}

async fn a_rollback_asks_nothing_about_the_branch_that_died(world: World) -> anyhow::Result<()> {
    let mut ingest = ten_live(&world).await?;
    let dead: BTreeSet<_> =
        world.truth(BELL).into_iter().filter(|(number, ..)| *number > 15).map(|(_, hash, _)| hash).collect();
    let new = branch(&world.branch(), 5, 100..=107);
    let before = world.node.calls().len();
    // Pruned: no logs, no header, no error of blocks that are not in the chain.
    switching(&world, std::slice::from_ref(&new), &[], Unknown::NoLogs);
    assert_eq!(settle(&mut ingest).await?, [Did::Recovered { depth: 5, orphaned: 5 }]);
    for call in world.node.calls().into_iter().skip(before) {
        let asked = call.params.to_string();
        assert!(!dead.iter().any(|hash| asked.contains(&hash.to_string())), "{call:?}");
    }
    honest(&world, &new);
    sound(&world).await
}

async fn what_was_read_ahead_on_a_branch_that_died_is_not_committed(world: World) -> anyhow::Result<()> {
    world.ring(11..=120);
    let mut ingest = world.ingest_with(|config| config.range_max = 5);
    while !matches!(ingest.advance().await?, Did::Backfilled { .. }) {}
    // The node turns out to serve another chain from block 30 on, far below what was final.
    let other = branch(&world.branch(), 91, 1_000..=1_110);
    world.switch_to(&other);
    assert!(matches!(ingest.advance().await, Err(RoomError::Halted(_))));
    let to = other.block(29).unwrap().block;
    let rewind = Rewind { chain: CHAIN, name: &name(), to, now: world.now() };
    world.store.rewind_chain(&rewind).await?;
    settle(&mut ingest).await?;
    assert_eq!(world.tip().await?, 140);
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_anvil_shrinks_in_silence_is_followed_when_it_grows() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let anvil = TestAnvil::start().await?;
    let token = anvil.token().await?;
    let (bank, to) = (anvil.account(0), anvil.account(3));
    let schema =
        abi::parse_signature("event Transfer(address indexed from, address indexed to, uint256 value)")?;
    let token_contract = domain::Contract {
        events: vec![Arc::new(schema)],
        ..contract("token", &[token.address], StartBlock::Number(0))
    };
    let catalog = Arc::new(Catalog::new(vec![token_contract]));
    let node = client(&anvil.ws_url(), &world.store).await?;
    let mut ingest = world.ingest_of(&node, &catalog, |_| {});
    settle(&mut ingest).await?;
    for value in 1..=4_u64 {
        anvil.send(token.transfer(bank, to, U256::from(value))).await?;
    }
    settle(&mut ingest).await?;
    anvil.rollback(3).await?;
    anvil.send(token.transfer(bank, to, U256::from(50))).await?;
    settle(&mut ingest).await?;
    anvil.reorg(Reorg::new(1).send(&token.transfer(bank, to, U256::from(60)), 0)).await?;
    anvil.mine(1).await?;
    settle(&mut ingest).await?;
    let told = anvil.logs(token.address, 0, anvil.head().await?.number).await?;
    let told: Vec<_> =
        told.iter().map(|log| log["blockHash"].as_str().unwrap_or_default().to_owned()).collect();
    let held: Vec<_> = world.held(token.address).await?.iter().map(|(_, hash, _)| hash.to_string()).collect();
    assert_eq!(held, told);
    Ok(())
}
