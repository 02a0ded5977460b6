//! Contracts: their settled cursors, and the children of factories.

use alloy_primitives::Address;
use domain::{BlockRef, ContractName};
use store::{BackfillCommit, ChainCommit, Child, Publish};

use crate::{
    on_both,
    world::{CHAIN, World, block, cursor, header},
};

on_both!(
    contracts_are_settled_by_what_was_known_of_them,
    a_reorg_below_the_block_from_which_a_contract_was_absent_is_read_again_with_it,
    children_are_read_back_by_page_in_the_order_of_their_blocks,
    a_reorg_takes_children_back_and_the_first_branch_restores_them,
    a_hundred_thousand_children_are_stored_and_loaded,
);

async fn contracts_are_settled_by_what_was_known_of_them(world: &World) -> anyhow::Result<()> {
    let settled =
        world.store.settle_contracts(CHAIN, &[cursor("b", 5, 200), cursor("a", 7, 200)], 200).await?;
    let names: Vec<_> = settled.iter().map(|cursor| cursor.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(settled, [cursor("a", 7, 200), cursor("b", 5, 200)]);
    // The token of the world is not configured any more; it was last read at 200.
    let back = world.store.settle_contracts(CHAIN, &[cursor("token", 0, 300)], 300).await?;
    assert_eq!((back[0].next_block, back[0].live_from), (0, 301));
    let mut other = cursor("a", 7, 400);
    other.fingerprint = "two".to_owned();
    let settled = world.store.settle_contracts(CHAIN, &[other.clone()], 400).await?;
    assert_eq!(settled, [other]);
    assert_eq!(world.store.contract_cursors(CHAIN).await?.len(), 3);
    Ok(())
}

async fn read_past(world: &World, name: &ContractName, from: u64, to: u64) -> anyhow::Result<()> {
    let contracts = [(name.clone(), from, to)];
    let piece = BackfillCommit { contracts: &contracts, ..world.backfill_commit(&[], Publish::No) };
    world.store.commit_backfill(&piece).await?;
    Ok(())
}

async fn a_reorg_below_the_block_from_which_a_contract_was_absent_is_read_again_with_it(
    world: &World,
) -> anyhow::Result<()> {
    read_past(world, &world.contract, 0, 100).await?;
    let headers: Vec<_> = (98..=101).map(|number| header(number, 1, 1)).collect();
    world.commit(None, None, &headers, &[]).await?;
    // It goes at 101. The blocks from 100 on are then replaced without it.
    world.store.settle_contracts(CHAIN, &[cursor("other", 0, 101)], 101).await?;
    let new = [header(100, 2, 1), header(101, 2, 2), header(102, 2, 2)];
    world.commit(Some(block(101, 1)), Some(block(99, 1)), &new, &[]).await?;
    let back = world.store.settle_contracts(CHAIN, &[cursor("token", 0, 102)], 102).await?;
    assert_eq!((back[0].next_block, back[0].live_from), (100, 103));
    Ok(())
}

fn child(world: &World, address: u64, block: BlockRef) -> Child {
    let mut bytes = Address::ZERO;
    bytes.0[12..].copy_from_slice(&address.to_be_bytes());
    Child { contract: world.contract.clone(), address: bytes, block }
}

async fn children_are_read_back_by_page_in_the_order_of_their_blocks(world: &World) -> anyhow::Result<()> {
    world.store.settle_contracts(CHAIN, &[cursor("token", 0, 99), cursor("other", 0, 99)], 99).await?;
    let stranger = Child { contract: "other".parse()?, ..child(world, 9, block(1, 1)) };
    let (first, second, third) =
        (child(world, 7, block(1, 1)), child(world, 8, block(1, 1)), child(world, 3, block(2, 1)));
    let children = [third.clone(), second.clone(), stranger, first.clone(), first.clone()];
    let piece = BackfillCommit { children: &children, ..world.backfill_commit(&[], Publish::No) };
    world.store.commit_backfill(&piece).await?;
    world.store.commit_backfill(&piece).await?;
    let page = world.store.children(CHAIN, &world.contract, None, 2).await?;
    assert_eq!(page, [first, second.clone()]);
    let after = Some((second.block.number, second.address));
    assert_eq!(world.store.children(CHAIN, &world.contract, after, 2).await?, [third]);
    Ok(())
}

async fn a_reorg_takes_children_back_and_the_first_branch_restores_them(world: &World) -> anyhow::Result<()> {
    let held = [child(world, 1, block(1, 1)), child(world, 2, block(2, 1))];
    let (old, new) = ([header(1, 1, 1), header(2, 1, 1)], [header(2, 2, 1)]);
    let commit = ChainCommit { children: &held, ..world.chain_commit(None, None, &old, &[]) };
    world.store.commit_chain(&commit).await?;
    let other = [child(world, 2, block(2, 2))];
    let reorg = world.chain_commit(Some(block(2, 1)), Some(block(1, 1)), &new, &[]);
    world.store.commit_chain(&ChainCommit { children: &other, ..reorg }).await?;
    let now = world.store.children(CHAIN, &world.contract, None, 10).await?;
    assert_eq!(now, [held[0].clone(), other[0].clone()]);
    let back = world.chain_commit(Some(block(2, 2)), Some(block(1, 1)), &old[1..], &[]);
    world.store.commit_chain(&ChainCommit { children: &held[1..], ..back }).await?;
    assert_eq!(world.store.children(CHAIN, &world.contract, None, 10).await?, held);
    Ok(())
}

async fn a_hundred_thousand_children_are_stored_and_loaded(world: &World) -> anyhow::Result<()> {
    const CHILDREN: u64 = 100_000;
    const PAGE: u32 = 10_000;
    for piece in 0..10 {
        let numbers = piece * CHILDREN / 10..(piece + 1) * CHILDREN / 10;
        let children: Vec<_> = numbers.map(|number| child(world, number, block(number / 10, 1))).collect();
        let commit = BackfillCommit { children: &children, ..world.backfill_commit(&[], Publish::No) };
        world.store.commit_backfill(&commit).await?;
    }
    let (mut loaded, mut after) = (0, None);
    loop {
        let page = world.store.children(CHAIN, &world.contract, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.block.number, last.address));
        loaded += page.len() as u64;
    }
    assert_eq!(loaded, CHILDREN);
    Ok(())
}
