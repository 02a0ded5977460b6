//! Traps that a node lays between two of our questions, and what a restart, a replay or another reader can fall into.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use devnet::Reorg;
use domain::{
    BlockReceipts, BlockRef, Catalog, ChainClient, ChainError, ChainId, Header, Heads, LogFilter, LogQuery,
    Origin, Providers, RawLog, StartBlock, Wake,
};
use futures::future::BoxFuture;
use pipeline::{
    RoomError,
    ingest::{Did, Ingest, Replay},
};
use serde_json::json;
use store::{ReplayPlan, Rewind};
use testkit::{
    anvil::TestAnvil,
    scripted_node::{Reply, ScriptedChain},
};

use crate::world::{BELL, CHAIN, GONG, World, client, contract, name, on_both_stores, ring, settle};

on_both_stores!(
    one_reorg_is_one_for_every_contract_wherever_each_is_read,
    the_same_transactions_at_the_same_heights_in_other_blocks_are_read_again,
    a_rollback_asks_nothing_about_the_branch_that_died,
    what_was_read_ahead_on_a_branch_that_died_is_not_committed,
    what_a_replay_read_of_a_branch_that_died_meanwhile_is_refused,
    a_long_stop_is_caught_up_with_whole_and_as_news,
    a_chain_that_grows_between_any_two_questions_has_no_hole,
);

const METHODS: [&str; 4] =
    ["eth_getBlockByNumber", "eth_getBlockByHash", "eth_getLogs", "eth_getBlockReceipts"];

/// How a node speaks of a block that is not in its chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// An error, as go-ethereum and Anvil do.
    Error,
    /// No logs, as Ganache does.
    NoLogs,
}

/// Answers every question from one of `chains`: from the one behind the question's number in `switches` on, the next.
fn switching(
    world: &World,
    chains: &[ScriptedChain],
    switches: &[usize],
    unknown: Unknown,
) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let chains = Arc::new(chains.to_vec());
    for method in METHODS {
        let (count, chains, switches) = (Arc::clone(&asked), Arc::clone(&chains), switches.to_vec());
        world.node.answer(method, move |params| {
            let question = count.fetch_add(1, Ordering::Relaxed);
            let which = switches.iter().filter(|at| **at <= question).count();
            match chains[which].answer(method, params) {
                Reply::Error { message, .. } if unknown == Unknown::NoLogs && message == "unknown block" => {
                    Reply::Result(json!([]))
                }
                reply => reply,
            }
        });
    }
    asked
}

fn honest(world: &World, chain: &ScriptedChain) {
    for method in METHODS {
        world.node.restore(method);
    }
    world.switch_to(chain);
}

/// How many questions it takes to follow a node to another branch, when it stays there.
async fn questions_of(world: &World, ingest: &mut Ingest, branch: &ScriptedChain) -> anyhow::Result<usize> {
    let asked = switching(world, std::slice::from_ref(branch), &[], Unknown::Error);
    struggle(ingest).await?;
    honest(world, branch);
    let asked = asked.load(Ordering::Relaxed);
    anyhow::ensure!(asked > 5, "a rollback has questions");
    Ok(asked)
}

/// Advances until nothing is left to do; errors on the way are allowed, a halt is not.
async fn struggle(ingest: &mut Ingest) -> anyhow::Result<()> {
    let mut last = None;
    for _ in 0..200 {
        match ingest.advance().await {
            Ok(Did::Idle) => return Ok(()),
            Ok(_) => {}
            Err(error @ RoomError::Halted(_)) => return Err(error.into()),
            Err(error) => last = Some(error),
        }
    }
    anyhow::bail!("it never comes to rest: {last:?}")
}

/// What the published messages, folded in their order, say is in the chain.
async fn folded(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for message in world.outbox().await? {
        let (id, what) = message.split_once(':').unwrap_or_default();
        if what.starts_with("seen") {
            anyhow::ensure!(seen.insert(id.to_owned()), "{message} was seen already");
        } else if what.starts_with("orphaned") {
            anyhow::ensure!(seen.remove(id), "{message} was never seen");
        }
    }
    Ok(seen)
}

/// The store agrees with the chain, and so does whoever listens to the messages.
async fn sound(world: &World) -> anyhow::Result<()> {
    world.agrees().await?;
    let held: BTreeSet<_> = world.stored().await?.iter().map(|stored| stored.event.id.to_string()).collect();
    let told = folded(world).await?;
    anyhow::ensure!(held == told, "held: {held:#?}\ntold: {told:#?}");
    Ok(())
}

/// A world whose chain is final nowhere near the head, and whose ten newest blocks were read live.
async fn ten_live(world: &World) -> anyhow::Result<Ingest> {
    world.node.chain(|chain| chain.finalized_depth = Some(100_000));
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    world.ring(11..=20);
    settle(&mut ingest).await?;
    Ok(ingest)
}

/// Another branch of `chain`: `depth` blocks off, these transactions on.
fn branch(chain: &ScriptedChain, depth: usize, transactions: std::ops::RangeInclusive<u64>) -> ScriptedChain {
    let mut branch = chain.clone();
    branch.rollback(depth);
    for tx in transactions {
        branch.mine(vec![ring(BELL, tx)]);
    }
    branch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_changes_its_branch_between_any_two_questions_of_a_rollback_leaves_no_hole()
-> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = ten_live(&world).await?;
    let questions = questions_of(&world, &mut ingest, &branch(&world.branch(), 3, 100..=104)).await?;
    for at in 1..=questions {
        let (old, tx) = (world.branch(), 1_000 * at as u64);
        // The second branch leaves the first below where the first left ours; the third is the first one, grown.
        let one = branch(&old, 3, tx..=tx + 4);
        let two = branch(&old, 6, tx + 100..=tx + 108);
        let back = branch(&one, 0, tx + 200..=tx + 206);
        switching(&world, &[one, two, back.clone()], &[at, at + 9], Unknown::Error);
        struggle(&mut ingest).await?;
        honest(&world, &back);
        struggle(&mut ingest).await?;
        sound(&world).await.map_err(|error| error.context(format!("switched at question {at}")))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_logs_of_a_block_that_left_the_nodes_chain_meanwhile_are_not_believed() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = ten_live(&world).await?;
    let questions = questions_of(&world, &mut ingest, &branch(&world.branch(), 2, 100..=102)).await?;
    for at in 1..=questions {
        let (old, tx) = (world.branch(), 1_000 * at as u64);
        let one = branch(&old, 2, tx..=tx + 2);
        let two = branch(&old, 4, tx + 100..=tx + 101);
        // Away from the branch for a few questions, in which its blocks have no logs, and back.
        let chains = [one.clone(), two, one.clone()];
        switching(&world, &chains, &[at, at + 4], Unknown::NoLogs);
        struggle(&mut ingest).await?;
        let grown = branch(&one, 0, tx + 200..=tx + 201);
        honest(&world, &grown);
        struggle(&mut ingest).await?;
        sound(&world).await.map_err(|error| error.context(format!("away from question {at} on")))?;
    }
    Ok(())
}

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
async fn a_node_that_changes_its_branch_during_a_replay_changes_nothing_that_is_held() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut live = ten_live(&world).await?;
    for at in 0.. {
        let (old, before, tx) = (world.branch(), world.held(BELL).await?, 1_000 * (at as u64 + 1));
        let (from, to) = (world.head() - 8, world.head());
        let new = branch(&old, 6, tx..=tx + 7);
        let asked = switching(&world, &[old, new.clone()], &[at], Unknown::NoLogs);
        let mut replay = world.ingest();
        let plan = ReplayPlan {
            chain: CHAIN,
            from,
            to,
            contract: None,
            publish: false,
            notify: false,
            now: world.now(),
        };
        let id = world.store.begin_replay(&plan).await?.id;
        let wanted = Replay { id: Some(id), ..Replay::default() };
        let mut next = from;
        // A block that is not there any more ends the replay with an error; it is the live reader's to follow.
        while let Ok(piece) = replay.replay(next, to, &wanted).await {
            next = piece.to + 1;
            if next > to {
                break;
            }
        }
        let enough = asked.load(Ordering::Relaxed);
        assert_eq!(world.held(BELL).await?, before, "switched at question {at}");
        honest(&world, &new);
        struggle(&mut live).await?;
        sound(&world).await?;
        if enough <= at {
            assert!(at > 5, "a replay has questions");
            break;
        }
    }
    Ok(())
}

/// A node beside whose answer something else happens.
struct Meanwhile {
    node: Arc<dyn ChainClient>,
    then: tokio::sync::Mutex<Option<BoxFuture<'static, ()>>>,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.node.fmt(f)
    }
}

impl Providers for Meanwhile {}

#[async_trait]
impl ChainClient for Meanwhile {
    async fn chain_id(&self) -> Result<ChainId, ChainError> {
        self.node.chain_id().await
    }

    async fn heads(&self) -> Result<Heads, ChainError> {
        self.node.heads().await
    }

    async fn headers_by_number(&self, numbers: &[u64]) -> Result<Vec<Option<Header>>, ChainError> {
        self.node.headers_by_number(numbers).await
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, ChainError> {
        self.node.header_by_hash(hash).await
    }

    async fn logs(&self, query: LogQuery, filter: &LogFilter) -> Result<Vec<RawLog>, ChainError> {
        let logs = self.node.logs(query, filter).await?;
        if let Some(then) = self.then.lock().await.take() {
            then.await;
        }
        Ok(logs)
    }

    async fn receipts(&self, block: BlockRef) -> Result<Option<BlockReceipts>, ChainError> {
        self.node.receipts(block).await
    }

    async fn transaction_logs(&self, tx_hash: B256) -> Result<Option<Vec<RawLog>>, ChainError> {
        self.node.transaction_logs(tx_hash).await
    }

    async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, ChainError> {
        self.node.call(to, input).await
    }

    async fn next_wake(&self, _filters: &[LogFilter], _limit: Duration) -> Option<Wake> {
        None
    }
}

async fn what_a_replay_read_of_a_branch_that_died_meanwhile_is_refused(world: World) -> anyhow::Result<()> {
    world.node.chain(|chain| chain.finalized_depth = Some(100));
    let mut live = world.ingest();
    settle(&mut live).await?;
    // The node leaves a log out, which the replay would add.
    let block = world.node.chain(|chain| chain.mine(vec![ring(BELL, 11), ring(BELL, 12)]));
    world.node.next("eth_getLogs", Reply::Result(json!([block.logs_json().remove(0)])));
    settle(&mut live).await?;
    assert_eq!(world.held(BELL).await?.len(), 1);
    let node = Arc::new(Meanwhile { node: Arc::clone(&world.client), then: tokio::sync::Mutex::new(None) });
    let reader = Arc::clone(&node) as Arc<dyn ChainClient>;
    let mut replay = world.ingest_of(&reader, &world.catalog(), |_| {});
    let plan = ReplayPlan {
        chain: CHAIN,
        from: 11,
        to: 11,
        contract: None,
        publish: true,
        notify: false,
        now: world.now(),
    };
    let id = world.store.begin_replay(&plan).await?.id;
    // The live reader follows a reorg after the replay's question was answered, and before it is committed.
    let old = world.branch();
    let new = branch(&old, 1, 50..=51);
    let (went, follows) = tokio::sync::oneshot::channel();
    let (done, followed) = tokio::sync::oneshot::channel::<()>();
    *node.then.lock().await = Some(Box::pin(async move {
        let _ = went.send(());
        let _ = followed.await;
    }));
    let wanted = Replay { id: Some(id), publish: true, ..Replay::default() };
    let meanwhile = async {
        follows.await?;
        world.switch_to(&new);
        struggle(&mut live).await?;
        let _ = done.send(());
        anyhow::Ok(())
    };
    let (replayed, followed) = tokio::join!(replay.replay(11, 11, &wanted), meanwhile);
    followed?;
    let refused = replayed.unwrap_err();
    assert!(matches!(refused, RoomError::Store(store::StoreError::Fenced(_))), "{refused}");
    sound(&world).await
}

async fn a_long_stop_is_caught_up_with_whole_and_as_news(world: World) -> anyhow::Result<()> {
    world.ring(11..=15);
    settle(&mut world.ingest()).await?;
    // Far more blocks than any piece, range or page holds.
    world.node.chain(|chain| {
        for tx in 16..=615 {
            chain.mine(if tx % 3 == 0 { vec![ring(BELL, tx)] } else { Vec::new() });
        }
    });
    let mut ingest = world.ingest_with(|config| (config.range_max, config.blocks_max) = (40, 8));
    let mut steps = 0;
    while !matches!(ingest.advance().await?, Did::Idle) {
        steps += 1;
        assert!(steps < 400, "it never comes to rest");
    }
    assert_eq!(world.tip().await?, 615);
    world.agrees().await?;
    let stored = world.stored().await?;
    let late = stored.iter().filter(|stored| stored.event.block.number > 15);
    assert!(late.clone().all(|stored| stored.event.origin == Origin::Live), "late is not past");
    assert_eq!(folded(&world).await?.len(), late.count());
    Ok(())
}

async fn a_chain_that_grows_between_any_two_questions_has_no_hole(world: World) -> anyhow::Result<()> {
    world.ring(11..=30);
    let growing = Arc::new(Mutex::new((world.branch(), 60_u64)));
    for method in METHODS {
        let growing = Arc::clone(&growing);
        world.node.answer(method, move |params| {
            let mut growing = growing.lock().unwrap_or_else(PoisonError::into_inner);
            let (chain, left) = &mut *growing;
            if *left > 0 {
                *left -= 1;
                chain.mine(vec![ring(BELL, 1_000 + *left)]);
            }
            chain.answer(method, params)
        });
    }
    let mut ingest = world.ingest_with(|config| (config.range_max, config.blocks_max) = (7, 3));
    struggle(&mut ingest).await?;
    let (chain, left) = growing.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(left, 0, "it grew all the while");
    honest(&world, &chain);
    settle(&mut ingest).await?;
    world.agrees().await?;
    let cursor = world.store.contract_cursors(CHAIN).await?.remove(0);
    let stored = world.stored().await?;
    for stored in stored {
        let past = stored.event.block.number < cursor.live_from;
        assert_eq!(stored.event.origin == Origin::Backfill, past, "{stored:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_one_identity_however_it_was_fetched() -> anyhow::Result<()> {
    let (one, two) = (World::sqlite().await?, World::sqlite().await?);
    for tx in 11..=40 {
        one.node.mine(vec![ring(BELL, tx), ring(BELL, tx), ring(GONG, 100 + tx)]);
    }
    two.switch_to(&one.branch());
    // In one range, and block by block; together with another contract, and alone.
    settle(&mut one.ingest()).await?;
    let catalog = Arc::new(Catalog::new(vec![
        contract("gong", &[GONG], StartBlock::Number(0)),
        contract("bell", &[BELL], StartBlock::Number(0)),
    ]));
    settle(&mut two.ingest_of(&two.client, &catalog, |config| config.range_max = 1)).await?;
    let ids = async |world: &World| {
        let stored = world.stored().await?;
        let of = stored.iter().filter(|stored| stored.event.address == BELL);
        anyhow::Ok(of.map(|stored| (stored.event.id, stored.event.logical)).collect::<Vec<_>>())
    };
    let (ids_one, ids_two) = (ids(&one).await?, ids(&two).await?);
    assert_eq!((ids_one.len(), &ids_one), (60, &ids_two));
    // And no identity names two things: another block's events have others.
    two.reorg(2, 500..=502);
    settle(&mut two.ingest_of(&two.client, &catalog, |_| {})).await?;
    let known: BTreeSet<_> = ids_one.iter().map(|(id, _)| *id).collect();
    let ids_now = ids(&two).await?;
    assert_eq!(ids_now.iter().filter(|(id, _)| !known.contains(id)).count(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_read_is_no_beginning() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    world.ring(11..=15);
    settle(&mut world.ingest()).await?;
    let held = world.held(BELL).await?;
    let hash = world.node.chain(|chain| chain.head().block.hash);
    let path = world.store.url().trim_start_matches("sqlite://").to_owned();
    let set = async |value: String| {
        let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=30); \
            db.execute('PRAGMA ignore_check_constraints = 1'); \
            db.execute('UPDATE chain SET tip_hash = ?', (bytes.fromhex(sys.argv[2]),)); db.commit()";
        let done =
            tokio::process::Command::new("python3").args(["-c", script, &path, &value]).status().await?;
        anyhow::ensure!(done.success(), "{done}");
        anyhow::Ok(())
    };
    set("00".to_owned()).await?;
    world.ring(16..=17);
    let before = world.node.calls().len();
    let mut ingest = world.ingest();
    for _ in 0..3 {
        let error = ingest.advance().await.unwrap_err();
        assert!(matches!(error, RoomError::Store(_)), "{error}");
    }
    assert!(world.questions(before).is_empty(), "nothing is read anew");
    assert_eq!(world.held(BELL).await?, held);
    set(hash.to_string().trim_start_matches("0x").to_owned()).await?;
    let done = settle(&mut ingest).await?;
    assert!(matches!(done[0], Did::Started { tip } if tip.number == 15), "{done:?}");
    world.agrees().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_block_costs_does_not_depend_on_how_many_events_it_has() -> anyhow::Result<()> {
    let world = World::sqlite().await?;
    let mut ingest = world.ingest();
    settle(&mut ingest).await?;
    let mut costs = Vec::new();
    for events in [1_u64, 200, 0] {
        let before = world.node.calls().len();
        let first = 1_000 * events;
        world.node.mine((0..events).map(|tx| ring(BELL, first + tx)).collect());
        settle(&mut ingest).await?;
        let calls = world.node.calls().into_iter().skip(before);
        costs.push(calls.filter(|call| call.method != "eth_getBlockByNumber").count());
    }
    assert_eq!(costs, [1, 1, 1], "one question for the logs, whatever they are");
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
