//! `chainbell replay`: blocks of the past once more, through the same rooms.

use std::sync::Arc;

use ::abi::Decoder;
use domain::{ChainClient, ChainId, Clock, ContractName};
use pipeline::{
    Bell,
    ingest::{Ingest, IngestDeps, Replay},
};
use store::{ReplayPlan, ReplayState, Store, StoreClock};

use crate::{
    commands::run::signalled,
    config::Config,
    failure::Failure,
    progress::Progress,
    wiring::{ingest_config, node},
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
    if let Some(name) = &args.contract
        && config.catalog.get(name).is_none_or(|contract| contract.chain != chain.id)
    {
        let known: Vec<_> =
            config.catalog.of_chain(chain.id).map(|contract| contract.name.as_str()).collect();
        let mend = domain::suggest::mend(name.as_str(), &known, "the contracts are");
        return Err(Failure::usage(format!("--contract: '{}' has no contract '{name}'; {mend}", chain.name)));
    }
    let store = Store::open(&config.raw.store.url).await?;
    let tip = store.chain(chain.id).await?.and_then(|row| row.tip).map(|tip| tip.number);
    let Some(tip) = tip else {
        return Err(Failure::usage(format!(
            "nothing of '{}' was ever read: start `chainbell run` first",
            chain.name
        )));
    };
    let to = args.to_block.unwrap_or(tip);
    if to > tip || args.from_block > to {
        let detail = format!("blocks {} to {to} are not all held; the last one is {tip}", args.from_block);
        return Err(Failure::usage(format!("--from-block, --to-block: {detail}")));
    }
    all_met(&config, &store, chain.id, args.contract.as_ref()).await?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    let node = Arc::new(node(&chain, Arc::clone(&clock)).await?);
    let deps = IngestDeps {
        client: node as Arc<dyn ChainClient>,
        store: store.clone(),
        catalog: Arc::clone(&config.catalog),
        decoder: Arc::new(Decoder::new(Arc::clone(&config.catalog))),
        clock: Arc::clone(&clock),
        relay: Bell::new(),
    };
    let (mut ingest, now) = (Ingest::new(deps, ingest_config(&chain, None)), clock.now());
    if args.dry_run {
        let counted = Replay { contract: args.contract.clone(), ..Replay::default() };
        let done = read(&mut ingest, &counted, (args.from_block, args.from_block, to), (0, 0)).await?;
        eprintln!(
            "blocks {} to {to} have {} events, {} of them new; nothing was changed",
            args.from_block, done.read, done.added
        );
        return Ok(());
    }
    let plan = ReplayPlan {
        chain: chain.id,
        from: args.from_block,
        to,
        contract: args.contract.clone(),
        publish: args.publish,
        notify: args.notify,
        now,
    };
    let row = store.begin_replay(&plan).await?;
    if args.cancel {
        store.end_replay(row.id, ReplayState::Cancelled, now).await?;
        eprintln!("the replay of blocks {} to {to} was given up before block {}", row.from, row.next_block);
        return Ok(());
    }
    if row.next_block > row.from {
        eprintln!("going on with an unfinished replay at block {}; --cancel gives it up", row.next_block);
    }
    let replay =
        Replay { contract: args.contract, id: Some(row.id), publish: args.publish, notify: args.notify };
    let done = tokio::select! {
        done = read(&mut ingest, &replay, (row.from, row.next_block, to), (row.read, row.added)) => done?,
        signal = signalled() => {
            signal?;
            eprintln!("stopped; the same command goes on where this one ended, and --cancel gives it up");
            return Ok(());
        }
    };
    store.end_replay(row.id, ReplayState::Done, clock.now()).await?;
    let published = if args.publish { ", published again" } else { "" };
    let notified = if args.notify { ", given to matching" } else { "" };
    eprintln!(
        "replayed blocks {} to {to}: {} events{published}{notified}, {} of them new",
        args.from_block, done.read, done.added
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
