//! Killed at every crash point, one after the other, on both deployments: each was really reached, and what everybody
//! believes in the end is what the final chain says.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context as _;
use domain::crash;
use testkit::{
    deployment::Deployment,
    process::{Running, names_crash_point},
    scripted_node::ScriptedNode,
};

use crate::{
    commands::say,
    on_both,
    ordeal::{Ordeal, Round},
    scripted::{bell, chain, configure, ten_pairs_without, told_blocks, world},
    world::{Stage, World, events, immediate_watch},
};

on_both!(
    killed_while_it_reads,
    killed_while_it_publishes_and_matches,
    killed_while_it_gathers,
    killed_while_it_corrects_and_sends,
    killed_while_it_replays,
    killed_while_it_audits,
    a_run_until_a_block_reads_what_one_that_died_at_its_start_had_not_met,
    what_got_through_before_a_death_is_taken_back_when_the_chain_takes_it_back_meanwhile,
);

/// What is killed where, and what goes on meanwhile. In an order in which each is come by: the past is read first, and
/// what one death leaves undone is what the next process sweeps up.
const READING: &[(&str, Round)] = &[
    ("sync.recipients", Round::Plain),
    ("sync.watches", Round::Plain),
    ("ingest.leased", Round::Plain),
    ("ingest.begun", Round::Plain),
    ("ingest.contracts_settled", Round::Plain),
    ("ingest.backfill.before_commit", Round::Plain),
    ("ingest.backfill.committed", Round::Plain),
    ("ingest.before_commit", Round::Plain),
    ("ingest.committed", Round::Plain),
    ("ingest.noted", Round::Plain),
    ("ingest.recover.before_commit", Round::Fork),
    ("ingest.recover.committed", Round::Fork),
    ("finality.told", Round::Plain),
    ("audit.noted", Round::Plain),
];

const TELLING: &[(&str, Round)] = &[
    ("relay.leased", Round::Plain),
    ("relay.published", Round::Plain),
    ("relay.deleted", Round::Fork),
    ("matching.fetched", Round::Plain),
    ("matching.sweep", Round::Unheard),
    ("matching.orphaned", Round::Fork),
    ("matching.before_commit", Round::Plain),
    ("matching.committed", Round::Fork),
    ("matching.joined", Round::Plain),
    ("matching.acked", Round::Fork),
];

const GATHERING: &[(&str, Round)] = &[
    ("confirm.before_release", Round::Plain),
    ("confirm.released", Round::Plain),
    ("confirm.joined", Round::Fork),
    ("digest.claimed", Round::Plain),
    ("digest.before_close", Round::Plain),
    ("digest.closed", Round::Fork),
    ("digest.acked", Round::Plain),
    ("digest.sweep.marked", Round::Forgetful),
    ("digest.sweep.put_back", Round::Forgetful),
];

const SENDING: &[(&str, Round)] = &[
    ("deliver.leased", Round::Plain),
    ("deliver.acked", Round::Plain),
    ("deliver.swept", Round::Refused),
    ("deliver.before_send", Round::Plain),
    ("deliver.sent", Round::Plain),
    ("deliver.recorded", Round::Plain),
    ("amend.before_commit", Round::TakenBack),
    ("amend.committed", Round::TakenBack),
];

/// Those of commands, and those that need a node that lies.
const OF_THEIR_OWN: &[&str] =
    &["replay.before_commit", "replay.committed", "audit.compared", "audit.repaired"];

#[test]
fn every_crash_point_has_its_story() {
    let tables = [READING, TELLING, GATHERING, SENDING].into_iter().flatten().map(|(point, _)| *point);
    let told: BTreeSet<_> = tables.chain(OF_THEIR_OWN.iter().copied()).collect();
    assert_eq!(told, crash::POINTS.iter().map(|(point, _)| *point).collect());
}

#[test]
fn the_list_of_crash_points_and_the_code_agree() -> anyhow::Result<()> {
    let mut used: Vec<String> = Vec::new();
    for file in crate::house::rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates"))? {
        let text = std::fs::read_to_string(&file)?;
        let places = text.split("domain::crash_point!(\"").skip(1);
        used.extend(places.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    used.sort_unstable();
    let mut listed: Vec<_> = crash::POINTS.iter().map(|(point, _)| (*point).to_owned()).collect();
    listed.sort_unstable();
    assert_eq!(used, listed, "each point is in the code once, and in the list");
    Ok(())
}

#[test]
fn the_line_of_a_crash_point_is_found_among_the_lines_of_other_threads() {
    let line = format!("{} ingest.noted\n", crash::LAST_WORDS);
    for (before, after) in [
        ("", ""),
        ("INFO a block is held\n", ""),
        ("", "INFO another thread writes on\n"),
        ("INFO a block is held\n", "INFO another thread writes on\nINFO a line that the abort cu"),
        ("INFO a line that another thread has beg", "INFO another thread writes on\n"),
    ] {
        let written = format!("{before}{line}{after}");
        assert!(names_crash_point(&written, "ingest.noted"), "{written}");
        assert!(!names_crash_point(&written, "ingest.note"), "{written}");
        assert!(!names_crash_point(&written, "noted"), "{written}");
    }
    assert!(!names_crash_point("INFO a block is held\n", "ingest.noted"));
}

async fn killed_while_it_reads(deployment: Deployment) -> anyhow::Result<()> {
    killed_at(deployment, READING).await
}

async fn killed_while_it_publishes_and_matches(deployment: Deployment) -> anyhow::Result<()> {
    killed_at(deployment, TELLING).await
}

async fn killed_while_it_gathers(deployment: Deployment) -> anyhow::Result<()> {
    killed_at(deployment, GATHERING).await
}

async fn killed_while_it_corrects_and_sends(deployment: Deployment) -> anyhow::Result<()> {
    killed_at(deployment, SENDING).await
}

async fn killed_at(deployment: Deployment, points: &[(&str, Round)]) -> anyhow::Result<()> {
    let mut ordeal = Ordeal::begin(deployment).await?;
    for (point, round) in points {
        if *round == Round::Unheard {
            ordeal.hush().await?;
        }
        let World { config, log, .. } = &ordeal.world;
        let mut running = Running::start_doomed(config, &["run"], log, point)?;
        let status = ordeal.until_over(&mut running, *round).await;
        if *round == Round::Unheard {
            ordeal.unhush().await?;
        }
        let status = status.with_context(|| format!("{point} was not reached\n{}", ordeal.world.logged()))?;
        running.died_at(point, status).with_context(|| ordeal.world.logged())?;
    }
    ordeal.ends_exact().await
}

async fn killed_while_it_replays(deployment: Deployment) -> anyhow::Result<()> {
    let mut ordeal = Ordeal::begin(deployment).await?;
    let mut running = ordeal.world.start(&[])?;
    ordeal.reads_on(&mut running).await?;
    ordeal.round(Round::Plain).await?;
    let store = ordeal.world.store().await?;
    ordeal.world.quiet(&store, ordeal.stage.head().await?).await?;
    let (config, log) = (&ordeal.world.config, &ordeal.world.log);
    let replay = ["replay", "--chain", "local", "--from-block", "0", "--notify", "--publish"];
    running.kill().await?;
    for point in ["replay.before_commit", "replay.committed"] {
        let mut replaying = Running::start_doomed(config, &replay, log, point)?;
        let status = replaying.ended().await?;
        replaying.died_at(point, status).with_context(|| ordeal.world.logged())?;
    }
    say(Some(config), &replay).await?.well()?;
    // What was the past until now is told, too: everybody asked for it.
    ordeal.from_block = 0;
    running = ordeal.world.start(&[])?;
    ordeal.round(Round::Plain).await?;
    running.kill().await?;
    ordeal.ends_exact().await
}

async fn a_run_until_a_block_reads_what_one_that_died_at_its_start_had_not_met(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    stage.transfers(stage.anvil.account(1), 3).await?;
    let world = World::new(deployment, &stage, "").await?;
    let point = "ingest.begun";
    let mut running = Running::start_doomed(&world.config, &["run"], &world.log, point)?;
    let status = running.ended().await?;
    running.died_at(point, status)?;
    world.run_through(stage.head().await?).await?;
    anyhow::ensure!(
        events(&world.store().await?).await?.len() >= 3,
        "it ended before it read\n{}",
        world.logged()
    );
    Ok(())
}

// The endpoint has answered, the store knows of no try, and the event is gone before the next process looks.
async fn what_got_through_before_a_death_is_taken_back_when_the_chain_takes_it_back_meanwhile(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let mut ordeal = Ordeal::begin(deployment).await?;
    let World { config, log, .. } = &ordeal.world;
    let mut running = Running::start_doomed(config, &["run"], log, "deliver.sent")?;
    ordeal.reads_on(&mut running).await?;
    ordeal.pay_all().await?;
    let status = running.ended().await.with_context(|| ordeal.world.logged())?;
    running.died_at("deliver.sent", status)?;
    anyhow::ensure!(!ordeal.world.receiver.inbox().is_empty(), "something got through");
    ordeal.fall_out().await?;
    ordeal.world.receiver.fail_next(500, None);
    ordeal.ends_exact().await
}

async fn killed_while_it_audits(deployment: Deployment) -> anyhow::Result<()> {
    let node = ScriptedNode::start().await?;
    let rest = bell("bell", "local", "") + &immediate_watch("all", "bell", "Ring", "block_number > 0");
    let world = world(deployment, &(chain("local", &node, "audit = \"off\"") + &rest)).await?;
    world.run_through(10).await?;
    // Blocks 12 and 13 come without their second log.
    ten_pairs_without(&node, &[("0xc", "0x1"), ("0xd", "0x1")]);
    world.run_through(20).await?;
    // Now somebody looks, first thing.
    configure(&world, &(chain("local", &node, "") + &rest))?;
    for point in ["audit.compared", "audit.repaired"] {
        let mut running = Running::start_doomed(&world.config, &["run"], &world.log, point)?;
        let status = running.ended().await.with_context(|| world.logged())?;
        running.died_at(point, status).with_context(|| world.logged())?;
    }
    world.run_through(20).await?;
    let store = world.store().await?;
    let blocks: Vec<_> = (11..=20).flat_map(|block| [block, block]).collect();
    assert_eq!(told_blocks(&world, &store, &node, "all").await?, blocks, "{}", world.logged());
    Ok(())
}
