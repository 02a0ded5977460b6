//! `chainbell decode`: the events of one transaction, as the node tells it now.

use std::sync::Arc;

use ::abi::{Decoder, to_event};
use alloy_primitives::B256;
use chain::Node;
use domain::{
    ChainClient as _, Children, Event, Finality, Origin, RawLog, children::born, event::logical_ids,
};
use pipeline::ingest::known_children;
use store::{Store, StoreClock};

use crate::{
    config::{Chain, Config},
    failure::Failure,
    nodes::node,
    output::print,
};

/// Arguments of `decode`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: chainbell decode 0x5c50…beef --chain mainnet")]
pub struct Args {
    /// Hash of the transaction
    tx_hash: B256,
    /// Chain, by its name in the configuration [default: all, one after the other]
    #[arg(long, value_name = "NAME")]
    chain: Option<String>,
}

/// Prints the transaction's events, one JSON object per line.
///
/// # Errors
/// When no chain knows the transaction, and as [`Failure`] says.
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let chains: Vec<&Chain> = match &args.chain {
        Some(name) => vec![config.chain(name)?],
        None => config.chains.iter().collect(),
    };
    let store = crate::stores::open(config).await?;
    let clock = Arc::new(StoreClock::measure(&store).await?);
    for chain in &chains {
        let node = node(chain, Arc::<StoreClock>::clone(&clock)).await?;
        let Some(logs) = node.transaction_logs(args.tx_hash).await? else { continue };
        let events = decode(config, &store, (chain, &node), &logs).await?;
        for event in &events {
            print(&event.to_json(Finality::Seen).to_string())?;
        }
        let foreign = logs.len() - events.len();
        eprintln!("{} logs on '{}', {foreign} of them of no configured contract", logs.len(), chain.name);
        return Ok(());
    }
    let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
    Err(Failure::world(format!("no mined transaction {} on {}", args.tx_hash, names.join(", "))))
}

// As ingest would: logs of the children that the store knows, and of those that this transaction creates, are decoded too.
async fn decode(
    config: &Config,
    store: &Store,
    (chain, node): (&Chain, &Node),
    logs: &[RawLog],
) -> Result<Vec<Event>, Failure> {
    let mut children = known_children(store, chain.id, &config.catalog)
        .await
        .map_err(|error| Failure::world(error.to_string()))?;
    let Some(first) = logs.first() else { return Ok(Vec::new()) };
    let time = match first.block_timestamp {
        Some(time) => time,
        None => node.header_by_hash(first.block.hash).await?.map_or(0, |header| header.timestamp),
    };
    let decoder = Decoder::new(Arc::clone(&config.catalog));
    let logical = logical_ids(chain.id, logs);
    let events = |children: &Children| -> Vec<Event> {
        let decoded = logs.iter().zip(&logical).filter_map(|(log, logical)| {
            let decoded = decoder.decode_among(chain.id, log, children)?;
            Some(to_event(chain.id, log, time, Origin::Live, *logical, decoded))
        });
        decoded.collect()
    };
    for event in events(&children) {
        for (contract, address) in born(&config.catalog, chain.id, &event) {
            children.insert(contract, address, event.block.number);
        }
    }
    Ok(events(&children))
}
