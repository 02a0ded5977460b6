//! Three nodes of one chain, of which one lies and one lags: the store ends as if there were only the honest one, and the
//! status names the liar.

use std::path::PathBuf;

use alloy_primitives::{Address, keccak256};
use anyhow::Context as _;
use serde_json::{Value as Json, json};
use testkit::{
    deployment::Deployment,
    process::{Running, output},
    scripted_node::{LogSpec, Reply, ScriptedNode},
    wait::eventually,
};

use crate::{
    on_both,
    world::{CAP, events},
};

on_both!(
    a_liar_and_a_laggard_beside_an_honest_node_change_nothing,
    a_start_asks_again_for_a_node_that_broke_off,
);

const BELL: Address = Address::repeat_byte(0xbe);

fn ring(tx: u64) -> LogSpec {
    LogSpec::new(BELL, keccak256("Ring()"), tx)
}

fn config(deployment: &Deployment, nodes: &[&ScriptedNode]) -> anyhow::Result<PathBuf> {
    let urls: Vec<_> = nodes.iter().map(|node| node.ws_url()).collect();
    let text = format!(
        "{}\n[api]\nlisten = \"127.0.0.1:0\"\n[run]\nlease = \"1s\"\n[[chain]]\nname = \"local\"\nchain_id = 31337\n\
         rpc = {urls:?}\npoll = \"300ms\"\n[[contract]]\nname = \"bell\"\nchain = \"local\"\naddress = \"{BELL}\"\n\
         events = [\"event Ring()\"]\nstart_block = 0\n",
        deployment.sections()
    );
    let path = deployment.folder.path().join("chainbell.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

async fn a_liar_and_a_laggard_beside_an_honest_node_change_nothing(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let liar = ScriptedNode::start().await?;
    let (laggard, honest) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    for node in [&laggard, &honest] {
        node.chain(|chain| *chain = liar.chain(|chain| chain.clone()));
    }
    let path = config(&deployment, &[&liar, &laggard, &honest])?;
    let log = deployment.folder.path().join("log.txt");
    let logged = || std::fs::read_to_string(&log).unwrap_or_default();
    let running = Running::start(&path, &[], &log)?;
    let store = store::Store::open(&deployment.store).await?;
    let tip = async |at_least: u64| {
        let reached = eventually("the checkpoint gets there", CAP, || async {
            let tip = store.chain(domain::ChainId(31_337)).await?.and_then(|chain| chain.tip);
            let tip = tip.map_or(0, |tip| tip.number);
            Ok(if tip >= at_least { Ok(()) } else { Err(tip) })
        });
        reached.await.with_context(logged)
    };
    tip(10).await?;

    // From here on the first leaves out every log, and the second stays behind.
    liar.always("eth_getLogs", Reply::Result(json!([])));
    for tx in 11..=40_u64 {
        let block = honest.mine(vec![ring(tx)]);
        let whole = honest.chain(|chain| chain.clone());
        liar.chain(|chain| *chain = whole.clone());
        liar.announce("newHeads", &block.header_json());
        if tx > 18 {
            laggard.chain(|chain| {
                *chain = whole;
                chain.rollback(8);
            });
        }
    }
    tip(40).await?;
    let truth: Vec<_> = honest.chain(|chain| {
        (11..=40).filter_map(|number| chain.block(number)).map(|block| block.block.hash).collect()
    });
    let held: Vec<Json> =
        events(&store).await?.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let hashes: Vec<_> = held.iter().map(|event| event["block_hash"].as_str().unwrap_or_default()).collect();
    let expected: Vec<_> = truth.iter().map(ToString::to_string).collect();
    assert_eq!(hashes, expected, "{}", logged());

    let named = eventually("the status names the liar", CAP, || async {
        let status = output(Some(&path), &["status", "--json"]).await?;
        let status: Json = serde_json::from_slice(&status.stdout)?;
        let providers = status["chains"][0]["providers"].clone();
        Ok(if providers[0]["lies"].as_u64() >= Some(1) { Ok(providers) } else { Err(providers) })
    });
    let providers = named.await.with_context(logged)?;
    assert!(providers[0]["why"].as_str().is_some_and(|why| why.contains("left out")), "{providers:#}");
    assert_eq!(
        (providers[1]["lies"].as_u64(), providers[2]["lies"].as_u64()),
        (Some(0), Some(0)),
        "{providers:#}"
    );
    running.terminate().await?;
    Ok(())
}

async fn a_start_asks_again_for_a_node_that_broke_off(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    node.mine(vec![ring(1)]);
    let id = json!("0x7a69");
    let mut breaks = 2;
    node.answer("eth_chainId", move |_| {
        if breaks == 0 {
            return Reply::Result(id.clone());
        }
        breaks -= 1;
        Reply::Close
    });
    let path = config(&deployment, &[&node])?;
    let head = node.chain(|chain| chain.head().block.number).to_string();
    let run = output(Some(&path), &["run", "--until-block", &head]).await?;
    anyhow::ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(said.matches("no node answers at").count(), 2, "{said}");
    let store = store::Store::open(&deployment.store).await?;
    assert_eq!(events(&store).await?.len(), 1);
    Ok(())
}
