//! `chainbell replay`: blocks of the past once more, through the same rooms.

use std::{io::IsTerminal as _, io::stderr, sync::Arc};

use ::abi::Decoder;
use domain::{ChainClient, ChainId, Clock, ContractName};
use indicatif::{ProgressBar, ProgressStyle};
use pipeline::{
    Bell,
    ingest::{Ingest, IngestDeps, Replay},
};
use store::{Store, StoreClock};
use uuid::Uuid;

use crate::{
    config::Config,
    failure::Failure,
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
        clock,
        relay: Bell::new(),
    };
    let replay = Replay {
        contract: args.contract,
        publish: args.publish.then(|| Uuid::new_v4().simple().to_string()),
        notify: args.notify,
    };
    let mut ingest = Ingest::new(deps, ingest_config(&chain, None));
    let bar = progress(to - args.from_block + 1);
    let (mut next, mut read, mut added) = (args.from_block, 0, 0);
    while next <= to {
        let piece =
            ingest.replay(next, to, &replay).await.map_err(|error| Failure::world(error.to_string()))?;
        read += piece.events;
        added += piece.added;
        next = piece.to + 1;
        bar.set_position(next - args.from_block);
        bar.set_message(format!("{read} events"));
        if !stderr().is_terminal() {
            eprintln!("blocks up to {}: {read} events read, {added} of them new", piece.to);
        }
    }
    bar.finish_and_clear();
    let published = if args.publish { ", published again" } else { "" };
    let notified = if args.notify { ", given to matching" } else { "" };
    eprintln!(
        "replayed blocks {} to {to}: {read} events{published}{notified}, {added} of them new",
        args.from_block
    );
    Ok(())
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

fn progress(blocks: u64) -> ProgressBar {
    let template = "{bar:40} {pos}/{len} blocks  {msg}  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(blocks).with_style(style)
}
