//! Killed in the middle of a long past: no hole, no double.

use std::path::PathBuf;

use anyhow::Context as _;
use domain::ChainId;
use store::{EventQuery, Store};
use testkit::{
    deployment::Deployment,
    fixture_node::{CHAIN_ID, FixtureNode, Shape, token},
    process::Running,
    wait::eventually,
};

use crate::{on_both, world::CAP};

on_both!(kill_nine_in_the_middle_of_the_past_leaves_no_hole_and_no_double);

const BLOCKS: u64 = 600;
const LOGS_PER_BLOCK: u64 = 100;
const CHAIN: ChainId = ChainId(CHAIN_ID);
const PAGE: u32 = 10_000;

async fn kill_nine_in_the_middle_of_the_past_leaves_no_hole_and_no_double(
    deployment: Deployment,
) -> anyhow::Result<()> {
    // Short ranges, so that there are many places to be killed at.
    let shape = Shape { results_max: Some(2_000), ..Shape::new(BLOCKS + 1, LOGS_PER_BLOCK) };
    let node = FixtureNode::start(shape).await?;
    let (config, log) = configured(&deployment, &node)?;
    let store = Store::open(&deployment.store).await?;
    for part in 1..=3 {
        let running = Running::start(&config, &[], &log)?;
        let enough = BLOCKS * part / 5;
        let read = eventually("a part of the past is read", CAP, || async {
            let next = next_block(&store).await?;
            Ok(if next >= enough { Ok(()) } else { Err(next) })
        });
        read.await.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        running.kill().await?;
        assert!(next_block(&store).await? <= BLOCKS, "it was killed in the middle");
    }
    let mut running = Running::start(&config, &["--until-block", &BLOCKS.to_string()], &log)?;
    let status = running.ended().await?;
    assert!(status.success(), "{status}\n{}", std::fs::read_to_string(&log)?);
    assert_eq!(places(&store).await?, expected());
    Ok(())
}

fn configured(deployment: &Deployment, node: &FixtureNode) -> anyhow::Result<(PathBuf, PathBuf)> {
    let text = format!(
        "{sections}[api]\nlisten = \"127.0.0.1:0\"\n[run]\nlease = \"500ms\"\n\
         [[chain]]\nname = \"local\"\nchain_id = {CHAIN_ID}\nrpc = [\"{rpc}\"]\npoll = \"300ms\"\n\
         [[contract]]\nname = \"token\"\nchain = \"local\"\naddress = \"{token}\"\nabi = \"abi/erc20.json\"\n\
         start_block = 0\n",
        sections = deployment.sections(),
        rpc = node.http_url(),
        token = token(),
    );
    let config = deployment.folder.path().join("chainbell.toml");
    std::fs::write(&config, text)?;
    Ok((config, deployment.folder.path().join("log.txt")))
}

async fn next_block(store: &Store) -> anyhow::Result<u64> {
    Ok(store.contract_cursors(CHAIN).await?.first().map_or(0, |cursor| cursor.next_block))
}

/// Every event's place, in order, doubles included.
async fn places(store: &Store) -> anyhow::Result<Vec<(u64, u64)>> {
    let (mut places, mut after) = (Vec::new(), None);
    loop {
        let query = EventQuery { chain: CHAIN, from: 0, to: u64::MAX, contract: None, after, limit: PAGE };
        let page = store.events(&query).await?;
        places.extend(page.iter().map(|stored| (stored.event.block.number, stored.event.log_index)));
        match places.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(*last),
            _ => return Ok(places),
        }
    }
}

fn expected() -> Vec<(u64, u64)> {
    (1..=BLOCKS).flat_map(|block| (0..LOGS_PER_BLOCK).map(move |index| (block, index))).collect()
}
