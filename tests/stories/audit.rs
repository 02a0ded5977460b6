//! `chainbell audit`: what it finds, what it mends, and what `status` says of it.

use serde_json::{Value as Json, json};
use testkit::{deployment::Deployment, scripted_node::ScriptedNode};

use crate::{
    commands::say,
    on_both,
    scripted::{BELL, bell, chain, held, ten_pairs_without, told, told_blocks, world},
    world::{Stage, World, immediate_watch},
};

on_both!(
    a_clean_audit_by_receipts_makes_the_status_say_complete,
    an_audit_names_what_a_node_left_out_and_its_repair_is_told,
);

async fn a_clean_audit_by_receipts_makes_the_status_say_complete(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(deployment, &stage, "").await?;
    let config = Some(world.config.as_path());
    let nothing = say(config, &["audit"]).await?;
    nothing.refused(2, &["nothing of 'local' was ever read", "chainbell run"]);
    stage.transfers(stage.anvil.account(3), 12).await?;
    stage.anvil.mine(70).await?;
    world.run_through(stage.head().await?).await?;
    let last = world
        .store()
        .await?
        .chain(crate::world::CHAIN)
        .await?
        .and_then(|row| row.finalized)
        .unwrap_or_default();
    assert!(last > 3);

    let done = say(config, &["audit"]).await?.well()?;
    assert!(
        done.err.contains("verified by receipts: 0 missing, 0 extra, 0 different, 0 repaired"),
        "{done:?}"
    );
    assert!(done.err.contains(&format!("13 events of blocks 0 to {last} compared")), "{done:?}");
    assert!(done.out.is_empty(), "{done:?}");
    let status = say(config, &["status"]).await?.well()?;
    let complete = format!("local is complete from 0 to {last}, verified by receipts");
    assert!(status.out.contains(&complete), "{}", status.out);
    let status: Json = serde_json::from_str(&say(config, &["status", "--json"]).await?.well()?.out)?;
    let expected = json!([{ "from": 0, "to": last, "how": "verified by receipts" }]);
    assert_eq!(status["chains"][0]["verified"], expected);

    let above = (last + 1).to_string();
    say(config, &["audit", "--to-block", &above])
        .await?
        .refused(2, &["--to-block", "only final", &last.to_string()]);
    say(config, &["audit", "--from-block", "9", "--to-block", "8"])
        .await?
        .refused(2, &["--from-block", "9", "8"]);
    say(config, &["audit", "--chain", "locl"]).await?.refused(2, &["--chain", "locl", "local"]);
    // Nothing else is claimed of other contracts.
    let text = std::fs::read_to_string(&world.config)?;
    std::fs::write(
        &world.config,
        text.replace("\"event PriceSet(bytes32 indexed market, uint256 price)\",", ""),
    )?;
    let status: Json = serde_json::from_str(&say(config, &["status", "--json"]).await?.well()?.out)?;
    assert_eq!(status["chains"][0]["verified"], json!([]));
    Ok(())
}

async fn an_audit_names_what_a_node_left_out_and_its_repair_is_told(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let tables = chain("local", &node, "audit = \"off\"")
        + &bell("bell", "local", "")
        + &immediate_watch("all", "bell", "Ring", "block_number > 0");
    let world = world(deployment, &tables).await?;
    let config = Some(world.config.as_path());
    world.run_through(10).await?;
    // Blocks 12 and 15 come without their second log.
    ten_pairs_without(&node, &[("0xc", "0x1"), ("0xf", "0x1")]);
    world.run_through(20).await?;
    node.restore("eth_getLogs");
    let store = world.store().await?;
    assert_eq!(held(&store, &node, BELL).await?.len(), 18);

    let found = say(config, &["audit"]).await?;
    assert_eq!(found.status, Some(1), "{found:?}");
    assert!(found.err.contains("2 events differ from the chain: --repair mends them"), "{found:?}");
    let lines: Vec<_> = found.out.lines().collect();
    assert_eq!(lines.len(), 2, "{found:?}");
    assert!(lines[0].starts_with("missing") && lines[0].contains("block 12"), "{found:?}");
    let found = say(config, &["audit", "--json", "--from-block", "13"]).await?;
    assert_eq!(found.status, Some(1), "{found:?}");
    assert!(found.err.contains("one event differs from the chain: --repair mends it"), "{found:?}");
    let lines = found.lines()?;
    assert_eq!(lines.len(), 1, "{found:?}");
    assert_eq!((&lines[0]["difference"], &lines[0]["block_number"]), (&json!("missing"), &json!(15)));
    assert_eq!((&lines[0]["contract"], &lines[0]["repaired"]), (&json!("bell"), &json!(false)));
    let status = say(config, &["status"]).await?.well()?;
    assert!(!status.out.contains("is complete from 0 to 16"), "{}", status.out);

    let mended = say(config, &["audit", "--repair"]).await?.well()?;
    assert!(mended.err.contains("2 missing, 0 extra, 0 different, 2 repaired"), "{mended:?}");
    assert_eq!(held(&store, &node, BELL).await?, told(&node, BELL));
    let clean = say(config, &["audit"]).await?.well()?;
    assert!(clean.out.is_empty() && clean.err.contains("0 missing"), "{clean:?}");
    let status = say(config, &["status"]).await?.well()?;
    assert!(status.out.contains("local is complete from 0 to 16, verified by receipts"), "{}", status.out);
    // What was missed is news: each event is told, once.
    world.run_through(20).await?;
    let blocks: Vec<_> = (11..=20).flat_map(|block| [block, block]).collect();
    assert_eq!(told_blocks(&world, &store, &node, "all").await?, blocks, "{}", world.logged());
    Ok(())
}
