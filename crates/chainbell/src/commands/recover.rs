//! `chainbell recover`: the operator's word on a chain that halted. Owns the question where the two chains part; what is
//! taken back walks the same way as any reorg.

use std::sync::Arc;

use domain::{BlockRef, ChainClient, ChainId, Clock};
use store::{ChainRow, EventQuery, Rewind, Store, StoreClock};

use crate::{config::Config, failure::Failure, nodes::node};

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
    let store = crate::stores::open(config).await?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    let row = store.chain(chain.id).await?.filter(|row| row.tip.is_some()).ok_or_else(|| {
        Failure::usage(format!("nothing of '{}' was ever read: there is nothing to recover", chain.name))
    })?;
    let client = node(&chain, Arc::clone(&clock)).await?;
    let Some(to) = args.to_block else {
        match &row.halted {
            Some(reason) => eprintln!("'{}' is halted: {reason}", chain.name),
            None => eprintln!("'{}' is not halted", chain.name),
        }
        return tell_where_they_part(&client, &store, &row).await;
    };
    let tip = row.tip.map_or(0, |tip| tip.number);
    if to > tip {
        return Err(Failure::usage(format!(
            "--to-block: the stored chain of '{}' ends at block {tip}",
            chain.name
        )));
    }
    let to = agreed(&client, &store, &row, to).await?;
    let rewind = Rewind { chain: chain.id, name: &chain.name, to, now: clock.now() };
    let undone = store.rewind_chain(&rewind).await?;
    eprintln!(
        "'{}' goes on from block {}: {} events above it are marked as orphaned, and ingest reads the node's blocks next",
        chain.name, to, undone.orphaned
    );
    Ok(())
}

// The node's block at this height, if nothing that is stored there or next below says otherwise.
async fn agreed(
    client: &impl ChainClient,
    store: &Store,
    row: &ChainRow,
    to: u64,
) -> Result<BlockRef, Failure> {
    let name = &row.name;
    let header = client.headers_by_number(&[to]).await?.into_iter().flatten().next();
    let header = header.ok_or_else(|| {
        Failure::usage(format!("--to-block: the node of '{name}' has no block {to}: name a lower one"))
    })?;
    let held = match store.canonical_block(row.id, to).await? {
        Some(held) => Some(held),
        // Of blocks that were read by range, only those with events are known.
        None => newest_with_events(store, row.id, to).await?,
    };
    let Some(held) = held else { return Ok(header.block) };
    let theirs = client.headers_by_number(&[held.number]).await?.into_iter().flatten().next();
    match theirs.map(|theirs| theirs.block) {
        Some(theirs) if theirs == held => Ok(header.block),
        theirs => {
            let theirs = theirs.map_or_else(|| "none".to_owned(), |theirs| theirs.hash.to_string());
            Err(Failure::usage(format!(
                "--to-block: block {} is {} in the store and {theirs} at the node: name a block that both agree on; \
                 `chainbell recover --chain {name}` finds it",
                held.number, held.hash
            )))
        }
    }
}

// The highest block at or below `number` that has stored events.
async fn newest_with_events(store: &Store, chain: ChainId, number: u64) -> Result<Option<BlockRef>, Failure> {
    const PAGE: u32 = 10_000;
    let (mut to, mut blocks) = (number, 1_000);
    loop {
        let from = to.saturating_sub(blocks);
        let (mut newest, mut after) = (None, None);
        loop {
            let query = EventQuery { chain, from, to, contract: None, after, limit: PAGE };
            let page = store.events(&query).await?;
            let Some(last) = page.last().map(|stored| &stored.event) else { break };
            after = Some((last.block.number, last.log_index));
            newest = Some(last.block);
        }
        if newest.is_some() || from == 0 {
            return Ok(newest);
        }
        (to, blocks) = (from - 1, blocks.saturating_mul(4));
    }
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
    let lowest = held.first().map_or(0, |block| block.number);
    tell_of_events(client, store, row, lowest).await
}

// Below the blocks that are held one by one, what is stored was read by range: the blocks of its events can be compared.
async fn tell_of_events(
    client: &impl ChainClient,
    store: &Store,
    row: &ChainRow,
    lowest: u64,
) -> Result<(), Failure> {
    let name = &row.name;
    let mut below = lowest.checked_sub(1);
    let mut contradicted = false;
    while let Some(number) = below {
        let Some(block) = newest_with_events(store, row.id, number).await? else { break };
        let theirs = client.headers_by_number(&[block.number]).await?.into_iter().flatten().next();
        if theirs.is_some_and(|theirs| theirs.block == block) {
            eprintln!(
                "the node has none of the blocks that are held from {lowest} on, and agrees on block {block}, the last one \
                 below with events. To take the node's chain from there on, run `chainbell recover --chain {name} \
                 --to-block {}`",
                block.number
            );
            return Ok(());
        }
        contradicted = true;
        below = block.number.checked_sub(1);
    }
    if let (false, Some(number)) = (contradicted, lowest.checked_sub(1)) {
        eprintln!(
            "the node has none of the blocks that are held from {lowest} on, and no event is stored below them. If it \
             serves the right network, run `chainbell recover --chain {name} --to-block {number}`"
        );
        return Ok(());
    }
    Err(Failure::world(format!(
        "the node of '{name}' has none of the blocks that are stored: it serves another network, or a development chain \
         that began anew; point rpc or store.url elsewhere"
    )))
}
