//! Contracts that a factory creates: from the block of their creation on, through reorgs, in the past and live.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes};
use domain::{Catalog, Contract, FactoryRule, StartBlock};
use pipeline::ingest::{Did, Ingest, IngestConfig};
use store::{BackfillCommit, Child, Publish};
use testkit::scripted_node::LogSpec;

use crate::world::{CHAIN, World, contract, name, on_both_stores, ring, settle};

on_both_stores!(
    a_child_is_read_from_the_block_of_its_creation_live_and_in_the_past,
    a_child_of_a_dead_branch_is_none_and_one_that_comes_back_is_one,
    a_contract_of_children_that_is_added_later_is_read_from_its_own_start,
    a_factory_that_is_added_to_a_followed_chain_holds_live_reading_until_its_past_is_known,
);

const FACTORY: Address = Address::repeat_byte(0xfa);

fn pool(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// The factory tells of a pool.
fn created(number: u8, tx: u64) -> LogSpec {
    let schema = abi::parse_signature("event PoolCreated(address indexed pool)").unwrap();
    let mut log = LogSpec::new(FACTORY, schema.topic0(), tx);
    log.topics.push(B256::left_padding_from(pool(number).as_slice()));
    log.data = Bytes::new();
    log
}

fn factory() -> Contract {
    let schema = abi::parse_signature("event PoolCreated(address indexed pool)").unwrap();
    Contract { events: vec![Arc::new(schema)], ..contract("factory", &[FACTORY], StartBlock::Number(0)) }
}

fn pools() -> Contract {
    let rule = FactoryRule {
        contract: "factory".parse().unwrap(),
        event: "PoolCreated".to_owned(),
        parameter: "pool".to_owned(),
    };
    Contract { factory: Some(rule), ..contract("pools", &[], StartBlock::Number(0)) }
}

fn reader(world: &World, contracts: Vec<Contract>, change: impl FnOnce(&mut IngestConfig)) -> Ingest {
    world.ingest_of(&world.client, &Arc::new(Catalog::new(contracts)), change)
}

/// Block numbers of the events of each pool that is asked for.
async fn held(world: &World, numbers: &[u8]) -> anyhow::Result<Vec<Vec<u64>>> {
    let mut all = Vec::new();
    for number in numbers {
        all.push(world.held(pool(*number)).await?.into_iter().map(|(block, ..)| block).collect());
    }
    Ok(all)
}

async fn a_child_is_read_from_the_block_of_its_creation_live_and_in_the_past(
    world: World,
) -> anyhow::Result<()> {
    // A stranger emits the same event, and pool 2 does before it is created.
    world.node.mine(vec![ring(pool(9), 11), ring(pool(2), 12)]);
    // The child speaks before the factory tells of it, in one block.
    world.node.mine(vec![ring(pool(1), 13), created(1, 13)]);
    world.node.mine(vec![ring(pool(1), 14), ring(pool(9), 15)]);
    for tx in 0..20 {
        world.node.mine(vec![ring(pool(1), 100 + tx)]);
    }
    let mut ingest = reader(&world, vec![factory(), pools()], |config| config.range_max = 3);
    settle(&mut ingest).await?;
    world.node.mine(vec![created(2, 200), ring(pool(2), 201)]);
    world.node.mine(vec![ring(pool(2), 202), ring(pool(9), 203)]);
    settle(&mut ingest).await?;
    let told = held(&world, &[1, 2, 9]).await?;
    assert_eq!(told, [(12..=33).collect::<Vec<_>>(), vec![34, 35], vec![]]);
    // Another process knows them from the store.
    world.node.mine(vec![ring(pool(1), 300), ring(pool(2), 301)]);
    let mut again = reader(&world, vec![factory(), pools()], |_| {});
    settle(&mut again).await?;
    assert_eq!(held(&world, &[2]).await?, [vec![34, 35, 36]]);
    Ok(())
}

async fn a_child_of_a_dead_branch_is_none_and_one_that_comes_back_is_one(world: World) -> anyhow::Result<()> {
    let mut ingest = reader(&world, vec![factory(), pools()], |_| {});
    settle(&mut ingest).await?;
    world.node.mine(vec![created(1, 11)]);
    world.node.mine(vec![ring(pool(1), 12)]);
    let first = world.branch();
    settle(&mut ingest).await?;
    world.node.chain(|chain| chain.rollback(2));
    for tx in 20..23 {
        world.node.mine(vec![ring(pool(1), tx)]);
    }
    assert!(matches!(settle(&mut ingest).await?[..], [Did::Recovered { depth: 2, orphaned: 2 }]));
    assert_eq!(held(&world, &[1]).await?, [Vec::<u64>::new()], "it was never created on this branch");
    world.switch_to(&first);
    world.node.mine(vec![ring(pool(1), 13)]);
    world.node.mine(vec![ring(pool(1), 14)]);
    settle(&mut ingest).await?;
    assert_eq!(held(&world, &[1]).await?, [vec![12, 13, 14]]);
    Ok(())
}

async fn a_contract_of_children_that_is_added_later_is_read_from_its_own_start(
    world: World,
) -> anyhow::Result<()> {
    world.node.mine(vec![created(1, 11)]);
    for tx in 12..40 {
        world.node.mine(vec![ring(pool(1), tx)]);
    }
    settle(&mut reader(&world, vec![factory()], |_| {})).await?;
    assert_eq!(held(&world, &[1]).await?, [Vec::<u64>::new()]);
    let mut both = reader(&world, vec![factory(), pools()], |_| {});
    settle(&mut both).await?;
    assert_eq!(held(&world, &[1]).await?, [(12..=39).collect::<Vec<_>>()]);
    Ok(())
}

async fn a_factory_that_is_added_to_a_followed_chain_holds_live_reading_until_its_past_is_known(
    world: World,
) -> anyhow::Result<()> {
    world.node.mine(vec![created(1, 11)]);
    for tx in 12..40 {
        world.node.mine(vec![ring(pool(1), tx)]);
    }
    settle(&mut reader(&world, vec![contract("gong", &[pool(7)], StartBlock::Number(0))], |_| {})).await?;
    let mut ingest = reader(
        &world,
        vec![contract("gong", &[pool(7)], StartBlock::Number(0)), factory(), pools()],
        |config| config.range_max = 4,
    );
    ingest.advance().await?;
    // A live log of a pool whose creation lies in the past that is yet to be read.
    world.node.mine(vec![ring(pool(1), 50)]);
    let done = settle(&mut ingest).await?;
    let followed = done.iter().position(|did| matches!(did, Did::Followed { .. })).unwrap();
    assert!(done[..followed].iter().all(|did| matches!(did, Did::Backfilled { .. })), "{done:?}");
    assert_eq!(held(&world, &[1]).await?, [(12..=40).collect::<Vec<_>>()]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_children_cost_one_question_a_block() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let of = |number: u32| Address::left_padding_from(&number.to_be_bytes());
    settle(&mut reader(&world, vec![factory(), pools()], |_| {})).await?;
    let block = world.node.chain(|chain| chain.block(3).unwrap().block);
    let children =
        (1..=100_000).map(|number| Child { contract: "pools".parse().unwrap(), address: of(number), block });
    let commit = BackfillCommit {
        chain: CHAIN,
        name: &name(),
        contracts: &[],
        block: None,
        events: &[],
        children: &children.collect::<Vec<_>>(),
        publish: Publish::No,
        fence: None,
        now: world.now(),
    };
    world.store.commit_backfill(&commit).await?;
    let mut ingest = reader(&world, vec![factory(), pools()], |_| {});
    settle(&mut ingest).await?;
    let before = world.node.calls().len();
    world.node.mine(vec![ring(of(77_777), 1), ring(of(100_001), 2)]);
    settle(&mut ingest).await?;
    assert_eq!(world.held(of(77_777)).await?.len(), 1);
    assert_eq!(world.held(of(100_001)).await?.len(), 0);
    let questions = world.questions(before);
    assert_eq!(questions.len(), 2, "one filter by address, and one by topic: {questions:?}");
    assert!(questions.iter().all(|filter| filter.to_string().len() < 1_000));
    Ok(())
}
