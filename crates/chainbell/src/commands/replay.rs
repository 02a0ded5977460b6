//! `chainbell replay`: blocks of the past once more, through the same rooms.

use std::sync::Arc;

use ::abi::Decoder;
use domain::{ChainClient, ChainId, Clock, ContractName};
use pipeline::{
    Bell,
    ingest::{Ingest, IngestDeps, Replay},
};
use store::{ReplayPlan, ReplayRow, ReplayState, Store, StoreClock};

use crate::{
    commands::run::signalled,
    config::{Chain, Config},
    failure::Failure,
    nodes::node,
    progress::Progress,
    wiring::ingest_config,
};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chainbell replay --chain mainnet --from-block 18600000 --to-block 18600100\n  \
    chainbell replay --chain mainnet --from-block 18600000 --publish"
)]
pub struct Args {
    /// Chain, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    chain: String,
    /// First block
    #[arg(long, value_name = "N")]
    from_block: u64,
    /// Last block [default: the last one held]
    #[arg(long, value_name = "N")]
    to_block: Option<u64>,
    /// Only this contract
    #[arg(long, value_name = "NAME")]
    contract: Option<ContractName>,
    /// Publish the events on the broker again, under ids of this replay
    #[arg(long)]
    publish: bool,
    /// Notify of what was never notified
    #[arg(long)]
    notify: bool,
    /// Only count the events, and change nothing
    #[arg(long, conflicts_with_all = ["publish", "notify", "cancel"])]
    dry_run: bool,
    /// Give up an unfinished replay of the same blocks and options
    #[arg(long)]
    cancel: bool,
}

/// Reads blocks again. What the store lacks is added; what it holds stays as it is.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: Arc<Config>, args: Args) -> Result<(), Failure> {
    let chain = config.chain(&args.chain)?.clone();
    check_contract(&config, &chain, args.contract.as_ref())?;
    let store = crate::stores::open(&config).await?;
    let to = last_block(&store, &chain, &args).await?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    let plan = ReplayPlan {
        chain: chain.id,
        from: args.from_block,
        to,
        contract: args.contract.clone(),
        publish: args.publish,
        notify: args.notify,
        now: clock.now(),
    };
    if args.cancel {
        return cancel(&store, &chain, &plan).await;
    }
    all_met(&config, &store, chain.id, args.contract.as_ref()).await?;
    let node = Arc::new(node(&chain, Arc::clone(&clock)).await?);
    let deps = IngestDeps {
        client: node as Arc<dyn ChainClient>,
        store: store.clone(),
        catalog: Arc::clone(&config.catalog),
        decoder: Arc::new(Decoder::new(Arc::clone(&config.catalog))),
        clock: Arc::clone(&clock),
        relay: Bell::new(),
        committed: Bell::new(),
    };
    let ingest = Ingest::new(deps, ingest_config(&chain, None));
    if args.dry_run { count(ingest, &plan).await } else { replay(ingest, &store, &clock, &plan).await }
}

fn check_contract(config: &Config, chain: &Chain, only: Option<&ContractName>) -> Result<(), Failure> {
    let Some(name) = only else { return Ok(()) };
    if config.catalog.get(name).is_some_and(|contract| contract.chain == chain.id) {
        return Ok(());
    }
    let known: Vec<_> = config.catalog.of_chain(chain.id).map(|contract| contract.name.as_str()).collect();
    let mend = domain::suggest::mend(name.as_str(), &known, "the contracts are");
    Err(Failure::usage(format!("--contract: '{}' has no contract '{name}'; {mend}", chain.name)))
}

// The last block to replay: only what is held can be.
async fn last_block(store: &Store, chain: &Chain, args: &Args) -> Result<u64, Failure> {
    let tip = store.chain(chain.id).await?.and_then(|row| row.tip).map(|tip| tip.number);
    let Some(tip) = tip else {
        let detail = format!("nothing of '{}' was ever read: start `chainbell run` first", chain.name);
        return Err(Failure::usage(detail));
    };
    let to = args.to_block.unwrap_or(tip);
    if to > tip {
        let detail = format!("block {to} is not held; the last one of '{}' is {tip}", chain.name);
        return Err(Failure::usage(format!("--to-block: {detail}")));
    }
    if args.from_block > to {
        let from = args.from_block;
        return Err(Failure::usage(format!("--from-block: {from} is above the last block to replay, {to}")));
    }
    Ok(to)
}

async fn cancel(store: &Store, chain: &Chain, plan: &ReplayPlan) -> Result<(), Failure> {
    let rows = store.replays(chain.id).await?;
    let unfinished = rows.into_iter().find(|row| row.state == ReplayState::Running && is_of(row, plan));
    let Some(row) = unfinished else {
        let detail = format!(
            "--cancel: there is no unfinished replay of blocks {} to {} with these options",
            plan.from, plan.to
        );
        return Err(Failure::usage(detail));
    };
    store.end_replay(row.id, ReplayState::Cancelled, plan.now).await?;
    eprintln!("the replay of blocks {} to {} was given up before block {}", row.from, row.to, row.next_block);
    Ok(())
}

fn is_of(row: &ReplayRow, plan: &ReplayPlan) -> bool {
    (row.from, row.to, &row.contract, row.publish, row.notify)
        == (plan.from, plan.to, &plan.contract, plan.publish, plan.notify)
}

async fn count(mut ingest: Ingest, plan: &ReplayPlan) -> Result<(), Failure> {
    let counted = Replay { contract: plan.contract.clone(), ..Replay::default() };
    let done = tokio::select! {
        done = read(&mut ingest, &counted, (plan.from, plan.from, plan.to), (0, 0)) => done?,
        signal = signalled() => return signal,
    };
    eprintln!(
        "blocks {} to {} have {} events, {} of them new; nothing was changed",
        plan.from, plan.to, done.read, done.added
    );
    Ok(())
}

async fn replay(
    mut ingest: Ingest,
    store: &Store,
    clock: &Arc<dyn Clock>,
    plan: &ReplayPlan,
) -> Result<(), Failure> {
    let row = store.begin_replay(plan).await?;
    if row.next_block > row.from {
        eprintln!("going on with an unfinished replay at block {}; --cancel gives it up", row.next_block);
    }
    let (publish, notify) = (plan.publish, plan.notify);
    let replay = Replay { contract: plan.contract.clone(), id: Some(row.id), publish, notify };
    let done = tokio::select! {
        done = read(&mut ingest, &replay, (row.from, row.next_block, row.to), (row.read, row.added)) => done?,
        signal = signalled() => {
            signal?;
            eprintln!("stopped; the same command goes on where this one ended, and --cancel gives it up");
            return Ok(());
        }
    };
    store.end_replay(row.id, ReplayState::Done, clock.now()).await?;
    let published = if publish { ", published again" } else { "" };
    let notified = if notify { ", given to matching" } else { "" };
    eprintln!(
        "replayed blocks {} to {}: {} events{published}{notified}, {} of them new",
        plan.from, plan.to, done.read, done.added
    );
    Ok(())
}

struct Done {
    read: u64,
    added: u64,
}

async fn read(
    ingest: &mut Ingest,
    replay: &Replay,
    (first, from, to): (u64, u64, u64),
    (mut read, mut added): (u64, u64),
) -> Result<Done, Failure> {
    let progress = Progress::new(to - first + 1);
    let mut next = from;
    while next <= to {
        let piece =
            ingest.replay(next, to, replay).await.map_err(|error| Failure::world(error.to_string()))?;
        read += piece.events;
        added += piece.added;
        next = piece.to + 1;
        progress.at(next - first, &format!("{read} events, {added} of them new"));
    }
    progress.done();
    Ok(Done { read, added })
}

async fn all_met(
    config: &Config,
    store: &Store,
    chain: ChainId,
    only: Option<&ContractName>,
) -> Result<(), Failure> {
    let met = store.contract_cursors(chain).await?;
    let wanted = config.catalog.of_chain(chain).map(|contract| &contract.name);
    for name in wanted.filter(|name| only.is_none_or(|only| only == *name)) {
        if !met.iter().any(|cursor| cursor.name == *name) {
            let detail = format!("contract '{name}' was never read: let `chainbell run` meet it first");
            return Err(Failure::usage(detail));
        }
    }
    Ok(())
}
