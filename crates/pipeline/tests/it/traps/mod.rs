//! Traps that a node lays between two of our questions, and what a restart, a replay or another reader can fall into. Here
//! is what the stories share: a node that changes its mind, and what must hold whatever it did.

mod announced;
mod answers;
mod audits;
mod branches;
mod changes;
mod lies;
mod reading;
mod refusals;
mod sockets;
mod steps;
mod voids;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pipeline::{
    RoomError,
    ingest::{Did, Ingest},
};
use serde_json::json;
use testkit::scripted_node::{Reply, ScriptedChain};

use crate::world::{BELL, World, ring, settle};

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
