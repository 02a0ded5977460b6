//! Contracts that change in the file between two runs: what is missing of their past is read once.

use alloy_primitives::{Address, keccak256};
use testkit::{
    deployment::Deployment,
    scripted_node::{LogSpec, ScriptedNode},
};

use crate::{
    on_both,
    scripted::{BELL, bell, chain, configure, held, ring, told, told_blocks, world},
    world::immediate_watch,
};

on_both!(a_contract_that_changes_in_the_file_has_no_hole_afterwards,);

const GONG: Address = Address::repeat_byte(0x60);
const DRUM: Address = Address::repeat_byte(0xd0);

/// Two events of the bell, one of the gong and one of the drum in a block.
fn mine(node: &ScriptedNode, blocks: std::ops::RangeInclusive<u64>) {
    for block in blocks {
        let tx = 10 * block;
        let dong = LogSpec { topics: vec![keccak256("Dong()")], ..ring(tx) };
        let of = |address, tx| LogSpec { address, ..ring(tx) };
        node.mine(vec![ring(tx), dong, of(GONG, tx + 1), of(DRUM, tx + 2)]);
    }
}

async fn a_contract_that_changes_in_the_file_has_no_hole_afterwards(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let local = chain("local", &node, "range_max = 7");
    let watch = immediate_watch("all", "bell", "Ring", "block_number > 0");
    let drum = |start: u64| bell("drum", "local", &format!("address = \"{DRUM}\"\nstart_block = {start}"));
    let both = "events = [\"event Ring()\", \"event Dong()\"]";
    let two = format!("address = [\"{BELL}\", \"{GONG}\"]\n{both}");

    mine(&node, 11..=40);
    let world = world(deployment, &(local.clone() + &bell("bell", "local", "") + &drum(35) + &watch)).await?;
    world.run_through(40).await?;
    let store = world.store().await?;
    assert_eq!(held(&store, &node, BELL).await?.len(), 30, "one of two events");
    assert_eq!(held(&store, &node, DRUM).await?.len(), 6);

    // Another event.
    mine(&node, 41..=43);
    configure(&world, &(local.clone() + &bell("bell", "local", both) + &drum(35) + &watch))?;
    world.run_through(43).await?;
    assert_eq!(held(&store, &node, BELL).await?, told(&node, BELL), "{}", world.logged());

    // Another address, and an earlier start.
    mine(&node, 44..=46);
    configure(&world, &(local.clone() + &bell("bell", "local", &two) + &drum(20) + &watch))?;
    world.run_through(46).await?;
    assert_eq!(held(&store, &node, BELL).await?, told(&node, BELL));
    assert_eq!(held(&store, &node, GONG).await?, told(&node, GONG));
    assert_eq!(held(&store, &node, DRUM).await?.len(), 27);

    // Gone for a while, in which the chain goes on and reorganises; and back.
    configure(&world, &(local.clone() + &bell("bell", "local", &two) + &watch))?;
    mine(&node, 47..=60);
    world.run_through(60).await?;
    assert_eq!(held(&store, &node, DRUM).await?.len(), 27);
    node.chain(|chain| chain.rollback(2));
    mine(&node, 159..=163);
    world.run_through(63).await?;
    configure(&world, &(local + &bell("bell", "local", &two) + &drum(20) + &watch))?;
    mine(&node, 164..=165);
    world.run_through(65).await?;
    for address in [BELL, GONG] {
        assert_eq!(held(&store, &node, address).await?, told(&node, address), "{}", world.logged());
    }
    let since = told(&node, DRUM).split_off(20 - 11);
    assert_eq!(held(&store, &node, DRUM).await?, since, "{}", world.logged());

    // The past was told to nobody; what was read live, of the events and addresses of its time, was.
    let blocks = told_blocks(&world, &store, &node, "all").await?;
    let first = (41..=43).chain(44..=65);
    // The gong came while blocks 44 to 46 were yet to be read.
    let second = 44..=65;
    let mut expected: Vec<_> = first.chain(second).collect();
    expected.sort_unstable();
    assert_eq!(blocks, expected);
    Ok(())
}
