//! `chainbell recover`: the operator's word on a chain that halted. Owns the question where the two chains part; what is
//! taken back walks the same way as any reorg.

use std::sync::Arc;

use domain::{BlockRef, ChainClient, Clock};
use store::{ChainRow, Rewind, Store, StoreClock};

use crate::{config::Config, failure::Failure, wiring::node};

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chainbell recover --chain mainnet                       finds the last block that both agree on\n  \
    chainbell recover --chain mainnet --to-block 18600000   takes the node's chain from there on"
)]
pub struct Args {
    /// Chain, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    chain: String,
    /// The last block to keep: everything above it is marked as orphaned, and read again from the node
    #[arg(long, value_name = "N")]
    to_block: Option<u64>,
}

/// Without a block, says where the stored chain and the node's part. With one, goes back to it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let chain = config.chain(&args.chain)?.clone();
    let store = Store::open(&config.raw.store.url).await?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    let row = store.chain(chain.id).await?.filter(|row| row.tip.is_some()).ok_or_else(|| {
        Failure::usage(format!("nothing of '{}' was ever read: there is nothing to recover", chain.name))
    })?;
    let client = node(&chain, Arc::clone(&clock)).await?;
    match &row.halted {
        Some(reason) => eprintln!("'{}' is halted: {reason}", chain.name),
        None => eprintln!("'{}' is not halted", chain.name),
    }
    let Some(to) = args.to_block else { return tell_where_they_part(&client, &store, &row).await };
    let tip = row.tip.map_or(0, |tip| tip.number);
    if to > tip {
        return Err(Failure::usage(format!(
            "--to-block: the stored chain of '{}' ends at block {tip}",
            chain.name
        )));
    }
    let header = client.headers_by_number(&[to]).await?.into_iter().flatten().next();
    let header = header.ok_or_else(|| {
        Failure::usage(format!(
            "--to-block: the node of '{}' has no block {to}: name a lower one",
            chain.name
        ))
    })?;
    if let Some(held) = store.canonical_block(chain.id, to).await?.filter(|held| *held != header.block) {
        return Err(Failure::usage(format!(
            "--to-block: block {to} is {} in the store and {} at the node: name a block that both agree on; \
             `chainbell recover --chain {}` finds it",
            held.hash, header.block.hash, chain.name
        )));
    }
    let rewind = Rewind { chain: chain.id, name: &chain.name, to: header.block, now: clock.now() };
    let undone = store.rewind_chain(&rewind).await?;
    eprintln!(
        "'{}' goes on from block {}: {} events above it are marked as orphaned, and ingest reads the node's blocks next",
        chain.name, header.block, undone.orphaned
    );
    Ok(())
}

// Walks down the blocks that are held, until the node has one of them too.
async fn tell_where_they_part(
    client: &impl ChainClient,
    store: &Store,
    row: &ChainRow,
) -> Result<(), Failure> {
    const BATCH: usize = 64;
    let held: Vec<BlockRef> = store.recent_blocks(row.id, u32::MAX >> 1).await?;
    for blocks in held.rchunks(BATCH) {
        let numbers: Vec<_> = blocks.iter().map(|block| block.number).collect();
        let theirs = client.headers_by_number(&numbers).await?;
        let shared = blocks
            .iter()
            .zip(theirs)
            .rev()
            .find(|(ours, theirs)| theirs.is_some_and(|it| it.block == **ours));
        if let Some((block, _)) = shared {
            let (name, tip) = (&row.name, row.tip.map_or(0, |tip| tip.number));
            if block.number == tip {
                eprintln!(
                    "the node has block {block}, the last one that is stored: nothing is to be recovered"
                );
            } else {
                eprintln!(
                    "the last block that both have is {block}; the stored chain goes on to {tip}. To take the node's chain \
                     from there on, run `chainbell recover --chain {name} --to-block {}`",
                    block.number
                );
            }
            return Ok(());
        }
    }
    Err(Failure::world(format!(
        "the node of '{}' has none of the blocks that are held: it serves another network, or a development chain that \
         began anew; point rpc or store.url elsewhere",
        row.name
    )))
}
