//! Two processes on one chain, the reading one killed at random: another takes over, with no hole and no double.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use anyhow::{Context as _, ensure};
use devnet::Reorg;
use domain::Clock as _;
use jiff::SignedDuration;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;
use store::{Store, StoreClock};
use testkit::{deployment::Deployment, process::Running, wait::eventually};

use crate::{
    commands::say,
    scripted::{get, listen},
    world::{CAP, Stage, World, events, immediate_watch},
};

/// How long the traffic goes on, in seconds; `scripts/soak` sets minutes.
const SECONDS: &str = "CHAINBELL_SOAK_SECONDS";
const SEED: &str = "CHAINBELL_SEED";

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_reader_of_two_at_random_leaves_no_hole_and_no_double() -> anyhow::Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number(SECONDS).unwrap_or(15));
    let seed = number(SEED).unwrap_or(7);
    println!("{SEED}={seed} {SECONDS}={} scripts/test killing_the_reader  # runs it again", time.as_secs());
    let mut rng = StdRng::seed_from_u64(seed);

    let stage = Stage::set().await?;
    let (bank, to) = (stage.anvil.account(0), stage.anvil.account(3));
    let watch = immediate_watch("alert", "bell", "Transfer", &format!("to == {to}"));
    let world = World::new(Deployment::servers().await?, &stage, &watch).await?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let mut processes = vec![world.start(&[])?, world.start(&[])?];

    let (mut value, mut kills, mut reorgs) = (0_u64, 0_u32, 0_u32);
    // How long people asked it to go on; what it checks does not depend on it.
    #[expect(clippy::disallowed_methods, reason = "the length of a soak")]
    let began = Instant::now();
    while began.elapsed() < time {
        for _ in 0..rng.random_range(1..8) {
            value += 1;
            stage.anvil.send(stage.token.transfer(bank, to, U256::from(value))).await?;
        }
        if rng.random_bool(0.3) {
            value += 1;
            let other = stage.token.transfer(bank, to, U256::from(value));
            stage.anvil.reorg(Reorg::new(rng.random_range(1..6)).send(&other, 0)).await?;
            reorgs += 1;
        }
        if rng.random_bool(0.15) {
            kill_the_reader(&world, &store, &mut processes).await?;
            kills += 1;
        }
    }
    if kills == 0 {
        kill_the_reader(&world, &store, &mut processes).await?;
        kills += 1;
    }
    // What was orphaned and mined again at the very end must have come to rest.
    stage.anvil.mine(3).await?;
    world.quiet(&store, stage.head().await?).await?;
    println!("{value} transfers, {reorgs} reorgs, {kills} kills");
    for process in processes {
        process.terminate().await?;
    }
    no_hole_and_no_double(&stage, &world, &store).await
}

/// kill -9 for whoever holds the chain's lease, and another process in its place.
async fn kill_the_reader(world: &World, store: &Store, processes: &mut Vec<Running>) -> anyhow::Result<()> {
    let reader = eventually("one of the two reads the chain", CAP, || async {
        let holder = store.lease_holder("ingest:local").await?;
        let process = holder.and_then(|(owner, _)| owner.split('-').next()?.parse::<u32>().ok());
        let place = process.and_then(|id| processes.iter().position(|running| running.id() == Some(id)));
        Ok(place.ok_or(process))
    });
    let reader = reader.await.with_context(|| world.logged())?;
    processes.remove(reader).kill().await?;
    processes.push(world.start(&[])?);
    Ok(())
}

async fn no_hole_and_no_double(stage: &Stage, world: &World, store: &Store) -> anyhow::Result<()> {
    let truth = stage.anvil.logs(stage.token.address, 0, stage.head().await?).await?;
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let truth: Vec<_> =
        truth.iter().map(|log| (text(&log["blockHash"]), text(&log["transactionHash"]))).collect();
    let held: Vec<Json> =
        events(store).await?.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let places: Vec<_> =
        held.iter().map(|event| (text(&event["block_hash"]), text(&event["tx_hash"]))).collect();
    ensure!(
        places == truth,
        "held {} events, the chain has {}\n{}",
        places.len(),
        truth.len(),
        world.logged()
    );
    // Every transfer of the final chain was told, under one notification.
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, body) in world.receiver.inbox() {
        for event in body["data"]["events"].as_array().context("a body has events")? {
            told.entry(text(event)).or_default().insert(id.clone());
        }
    }
    let twice: Vec<_> = told.iter().filter(|(_, ids)| ids.len() > 1).collect();
    ensure!(twice.is_empty(), "told twice: {twice:?}");
    Ok(())
}

/// A process died under a clock that was a day ahead: its lease ends tomorrow, and so does what it noted.
#[tokio::test(flavor = "multi_thread")]
async fn who_stands_by_says_for_whom_and_shows_no_lag_that_it_does_not_know() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(Deployment::embedded()?, &stage, "").await?;
    let port = listen(&world).await?;
    let text = std::fs::read_to_string(&world.config)?;
    std::fs::write(&world.config, text.replace("lease = \"1s\"", "lease = \"8s\""))?;
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    let tomorrow = StoreClock::measure(&store).await?.now() + SignedDuration::from_hours(24);
    let head = stage.head().await?;
    store.note_heads(domain::ChainId(31337), head, None, None, tomorrow).await?;
    let relay = format!("relay:{}", Store::lane_of_chain(&"local".parse()?));
    for lease in ["ingest:local", &relay] {
        assert!(store.take_lease(lease, "9-dead", tomorrow, Duration::from_secs(8)).await?);
    }

    let running = world.start(&[])?;
    let status = async || {
        let said = say(Some(&world.config), &["status", "--json"]).await?.well()?;
        anyhow::Ok(serde_json::from_str::<Json>(&said.out)?)
    };
    let waits = eventually("it says for whom it stands by", CAP, || async {
        let json = status().await?;
        let waits = json["process"]["standing_by"].to_string();
        let said =
            ["\"relay\"", &format!("for the lease {relay}"), "ingest:local", "process 9-dead", "since"];
        Ok(if said.iter().all(|part| waits.contains(part)) { Ok(json) } else { Err(json) })
    });
    let json = waits.await.with_context(|| world.logged())?;
    assert_eq!(json["chains"][0]["lag"], Json::Null, "{json:#}");
    assert_eq!(json["chains"][0]["reader"]["process"], "9-dead", "{json:#}");
    let ready = get(port, "/readyz").await?;
    assert!(ready.1["standing_by"].to_string().contains("9-dead"), "{ready:?}");
    assert!(!ready.1["faults"].to_string().contains("ingest"), "who stands by is no fault: {ready:?}");
    assert!(world.logged().contains("standing by"), "{}", world.logged());
    let reads = eventually("its lease is over, and the chain is read", CAP, || async {
        let json = status().await?;
        let read = json["chains"][0]["lag"] == 0 && json["process"]["standing_by"] == Json::Array(Vec::new());
        Ok(if read { Ok(()) } else { Err(json) })
    });
    reads.await.with_context(|| world.logged())?;
    running.terminate().await?;
    Ok(())
}
