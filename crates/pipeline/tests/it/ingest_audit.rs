//! The audit: what a node left out or made up under the right hash is found by the receipts, and mended.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use alloy_primitives::{Address, U256};
use domain::{Catalog, ChainClient, Contract, Finality, RawLog, StartBlock};
use pipeline::{
    Room as _,
    auditor::{Auditor, AuditorConfig},
    ingest::{Did, Ingest},
};
use store::{AuditMethod, EventKey, Rewind, verified};
use testkit::{anvil::TestAnvil, meddled::MeddledNode};

use crate::world::{BELL, CHAIN, GONG, World, client, contract, name, on_both_stores, ring, settle};

on_both_stores!(
    an_audit_by_receipts_finds_and_mends_what_a_node_left_out,
    an_audit_marks_what_a_node_made_up,
    an_auditor_goes_once_over_what_is_final,
    an_audit_leaves_alone_what_left_the_configuration,
    an_audit_says_nothing_of_blocks_in_which_a_contract_is_yet_to_be_read,
    blocks_that_an_operator_takes_back_are_audited_again,
);

const HONEST: u8 = 0;
const FORGETS: u8 = 1;
const INVENTS: u8 = 2;

/// A node that is right about everything but the logs.
fn liar(node: Arc<dyn ChainClient>, lies: &Arc<AtomicU8>) -> Arc<dyn ChainClient> {
    let lies = Arc::clone(lies);
    Arc::new(MeddledNode::new(node, move |logs| std::future::ready(told(logs, lies.load(Ordering::Relaxed)))))
}

fn told(mut logs: Vec<RawLog>, lie: u8) -> Vec<RawLog> {
    match lie {
        FORGETS => {
            logs.pop();
        }
        INVENTS => {
            let mut more = logs.clone();
            for log in &mut more {
                log.log_index += 1_000;
            }
            logs.extend(more);
            logs.sort_by_key(|log| (log.block.number, log.log_index));
        }
        _ => {}
    }
    logs
}

struct Scene {
    world: World,
    anvil: TestAnvil,
    lies: Arc<AtomicU8>,
    node: Arc<dyn ChainClient>,
    catalog: Arc<Catalog>,
}

impl Scene {
    /// Ten blocks of transfers, read through a node that lies, and made final since.
    async fn set(world: World, lies: u8) -> anyhow::Result<Self> {
        let anvil = TestAnvil::start().await?;
        let token = anvil.token().await?;
        let schema =
            abi::parse_signature("event Transfer(address indexed from, address indexed to, uint256 value)")?;
        let token_contract = Contract {
            events: vec![Arc::new(schema)],
            ..contract("token", &[token.address], StartBlock::Number(0))
        };
        let catalog = Arc::new(Catalog::new(vec![token_contract]));
        let told = Arc::new(AtomicU8::new(HONEST));
        let node = liar(client(&anvil.http_url(), &world.store).await?, &told);
        let scene = Self { world, anvil, lies: told, node, catalog };
        let mut ingest = scene.ingest();
        settle(&mut ingest).await?;
        scene.lies.store(lies, Ordering::Relaxed);
        let (bank, to) = (scene.anvil.account(0), scene.anvil.account(3));
        for value in 1..=10 {
            scene.anvil.send(token.transfer_many(bank, to, U256::from(value), 3)).await?;
        }
        settle(&mut ingest).await?;
        scene.lies.store(HONEST, Ordering::Relaxed);
        scene.anvil.mine(80).await?;
        settle(&mut ingest).await?;
        Ok(scene)
    }

    fn ingest(&self) -> Ingest {
        self.world.ingest_of(&self.node, &self.catalog, |_| {})
    }

    async fn stored(&self) -> anyhow::Result<usize> {
        Ok(self.world.stored().await?.len())
    }
}

async fn an_audit_by_receipts_finds_and_mends_what_a_node_left_out(world: World) -> anyhow::Result<()> {
    let scene = Scene::set(world, FORGETS).await?;
    // The mint, and two of three transfers in each block.
    assert_eq!(scene.stored().await?, 21);
    let mut auditor = scene.ingest();
    let (_, last) = auditor.audit_bounds().await?.unwrap();
    let found = auditor.audit(0, last, false).await?;
    assert_eq!((found.method, found.missing.len(), found.extra.len()), (AuditMethod::ReceiptsRoot, 10, 0));
    assert!(!found.is_clean() && found.repaired == 0);
    let rows = scene.world.store.audits(CHAIN, &auditor.audited_contracts()).await?;
    assert!(verified(&rows).is_empty(), "a range that differs is not verified: {rows:?}");
    let told = scene.world.outbox().await?.len();
    let mended = auditor.audit(0, last, true).await?;
    assert_eq!((mended.missing.len(), mended.repaired), (10, 10));
    assert_eq!(scene.stored().await?, 31);
    let new = &scene.world.outbox().await?[told..];
    let seen = new.iter().filter(|id| id.ends_with(":seen")).count();
    assert_eq!(seen, 10, "what was missed is news: {new:?}");
    assert!(auditor.audit(0, last, false).await?.is_clean());
    let rows = scene.world.store.audits(CHAIN, &auditor.audited_contracts()).await?;
    let verified = verified(&rows);
    assert_eq!(verified.len(), 1, "{verified:?}");
    assert_eq!((verified[0].from, verified[0].method), (0, AuditMethod::ReceiptsRoot));
    Ok(())
}

async fn an_audit_marks_what_a_node_made_up(world: World) -> anyhow::Result<()> {
    let scene = Scene::set(world, INVENTS).await?;
    assert_eq!(scene.stored().await?, 61);
    let invented: Vec<_> = scene
        .world
        .stored()
        .await?
        .iter()
        .filter(|stored| stored.event.log_index >= 1_000)
        .map(|stored| EventKey::of(&stored.event))
        .collect();
    let mut auditor = scene.ingest();
    let (_, last) = auditor.audit_bounds().await?.unwrap();
    let mended = auditor.audit(0, last, true).await?;
    assert_eq!((mended.extra.len(), mended.missing.len(), mended.repaired), (30, 0, 30));
    assert_eq!(scene.stored().await?, 31);
    let marked = scene.world.store.events_by_keys(&invented).await?;
    assert!(marked.len() == 30 && marked.iter().all(|stored| stored.finality == Finality::Orphaned));
    Ok(())
}

async fn an_auditor_goes_once_over_what_is_final(world: World) -> anyhow::Result<()> {
    let scene = Scene::set(world, FORGETS).await?;
    let config = AuditorConfig::default();
    let room = || {
        let clock = Arc::clone(&scene.world.clock) as Arc<dyn domain::Clock>;
        Auditor::new(scene.ingest(), CHAIN, scene.world.store.clone(), clock, config)
    };
    let mut auditor = room();
    for _ in 0..5 {
        auditor.step().await?;
    }
    assert_eq!(scene.stored().await?, 31, "it mends by itself");
    let ingest = scene.ingest();
    let rows = scene.world.store.audits(CHAIN, &ingest.audited_contracts()).await?;
    let finalized = scene.world.store.chain(CHAIN).await?.unwrap().finalized.unwrap();
    assert_eq!(verified(&rows).last().map(|range| range.to), Some(finalized));
    // Another one begins where this one ended.
    let mut again = room();
    again.step().await?;
    assert_eq!(scene.world.store.audits(CHAIN, &ingest.audited_contracts()).await?, rows);
    Ok(())
}

// Twenty blocks with a ring of the bell and one of the gong, mostly final.
fn bell_and_gong(world: &World) {
    for tx in 11..=30 {
        world.node.mine(vec![ring(BELL, tx), ring(GONG, 100 + tx)]);
    }
}

fn of(world: &World, contracts: Vec<Contract>) -> Ingest {
    world.ingest_of(&world.client, &Arc::new(Catalog::new(contracts)), |config| config.range_max = 4)
}

async fn an_audit_leaves_alone_what_left_the_configuration(world: World) -> anyhow::Result<()> {
    let (bell, gong) =
        (contract("bell", &[BELL], StartBlock::Number(0)), contract("gong", &[GONG], StartBlock::Number(0)));
    let drum = Address::repeat_byte(0xd0);
    let two = contract("bell", &[BELL, drum], StartBlock::Number(0));
    bell_and_gong(&world);
    world.node.mine(vec![ring(drum, 500)]);
    for _ in 0..8 {
        world.node.mine(Vec::new());
    }
    settle(&mut of(&world, vec![bell.clone(), gong])).await?;
    // A contract was removed from the file; then one lost an address, and a process has not met the change yet.
    for contracts in [vec![bell.clone()], vec![two], vec![bell]] {
        let mut auditor = of(&world, contracts.clone());
        auditor.audit_bounds().await?;
        assert!(auditor.audit(0, 35, true).await?.is_clean());
        settle(&mut of(&world, contracts)).await?;
        auditor.audit_bounds().await?;
        assert!(auditor.audit(0, 35, true).await?.is_clean());
        assert_eq!(
            (world.held(BELL).await?, world.held(GONG).await?),
            (world.truth(BELL), world.truth(GONG))
        );
    }
    assert_eq!(world.held(drum).await?, world.truth(drum));
    Ok(())
}

async fn an_audit_says_nothing_of_blocks_in_which_a_contract_is_yet_to_be_read(
    world: World,
) -> anyhow::Result<()> {
    let bell = contract("bell", &[BELL], StartBlock::Number(0));
    let both = || vec![bell.clone(), contract("gong", &[GONG], StartBlock::Number(0))];
    bell_and_gong(&world);
    settle(&mut of(&world, vec![bell.clone()])).await?;
    let mut ingest = of(&world, both());
    while !matches!(ingest.advance().await?, Did::Backfilled { from: 12, .. }) {}
    // The gong is read up to block 15.
    let mut auditor = of(&world, both());
    assert_eq!(auditor.audit_bounds().await?, Some((31, 26)));
    let known = async || {
        let rows = world.store.audits(CHAIN, &of(&world, both()).audited_contracts()).await?;
        anyhow::Ok(verified(&rows).iter().map(|range| (range.from, range.to)).collect::<Vec<_>>())
    };
    assert!(auditor.audit(0, 26, true).await?.is_clean());
    assert_eq!(known().await?, []);
    auditor.audit(0, 15, true).await?;
    assert_eq!(known().await?, [(0, 15)]);
    settle(&mut ingest).await?;
    auditor.audit_bounds().await?;
    auditor.audit(16, 26, true).await?;
    assert_eq!(known().await?, [(0, 26)]);
    // An earlier start is another claim.
    let later = vec![
        contract("bell", &[BELL], StartBlock::Number(5)),
        contract("gong", &[GONG], StartBlock::Number(0)),
    ];
    let rows = world.store.audits(CHAIN, &of(&world, later).audited_contracts()).await?;
    assert!(rows.is_empty());
    Ok(())
}

async fn blocks_that_an_operator_takes_back_are_audited_again(world: World) -> anyhow::Result<()> {
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=30);
    settle(&mut ingest).await?;
    let clock = Arc::clone(&world.clock) as Arc<dyn domain::Clock>;
    let config = AuditorConfig::default();
    let mut auditor = Auditor::new(world.ingest(), CHAIN, world.store.clone(), clock, config);
    let known = async || {
        let rows = world.store.audits(CHAIN, &world.ingest().audited_contracts()).await?;
        anyhow::Ok(verified(&rows).iter().map(|range| (range.from, range.to)).collect::<Vec<_>>())
    };
    auditor.step().await?;
    assert_eq!(known().await?, [(11, 26)]);
    world.reorg(8, 100..=120);
    assert!(ingest.advance().await.is_err(), "what was final was taken back");
    let to = world.node.chain(|chain| chain.block(22).unwrap().block);
    world.store.rewind_chain(&Rewind { chain: CHAIN, name: &name(), to, now: world.now() }).await?;
    assert_eq!(known().await?, [(11, 21)], "nothing is known of the blocks that come instead");
    settle(&mut ingest).await?;
    let last = world.store.chain(CHAIN).await?.unwrap().finalized.unwrap();
    assert!(last > 26);
    auditor.step().await?;
    assert_eq!(known().await?, [(11, last)]);
    world.agrees().await
}
