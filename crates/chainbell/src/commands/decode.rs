//! `chainbell decode`: the events of one transaction, as the node tells it now.

use std::sync::Arc;

use ::abi::{Decoder, to_event};
use alloy_primitives::B256;
use domain::{ChainClient as _, Finality, Origin, event::logical_ids};
use store::{Store, StoreClock};

use crate::{
    config::{Chain, Config},
    failure::Failure,
    output::print,
    wiring::node,
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
    let store = Store::open(&config.raw.store.url).await?;
    let clock = Arc::new(StoreClock::measure(&store).await?);
    for chain in &chains {
        let node = node(chain, Arc::<StoreClock>::clone(&clock)).await?;
        let Some(logs) = node.transaction_logs(args.tx_hash).await? else { continue };
        let decoder = Decoder::new(Arc::clone(&config.catalog));
        let mut foreign = 0;
        for (log, logical) in logs.iter().zip(logical_ids(chain.id, &logs)) {
            let Some(decoded) = decoder.decode(chain.id, log) else {
                foreign += 1;
                continue;
            };
            let time = match log.block_timestamp {
                Some(time) => time,
                None => node
                    .header_by_hash(log.block.hash)
                    .await?
                    .map(|header| header.timestamp)
                    .unwrap_or_default(),
            };
            let event = to_event(chain.id, log, time, Origin::Live, logical, decoded);
            print(&event.to_json(Finality::Seen).to_string())?;
        }
        eprintln!("{} logs on '{}', {foreign} of them of no configured contract", logs.len(), chain.name);
        return Ok(());
    }
    let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
    Err(Failure::world(format!("no mined transaction {} on {}", args.tx_hash, names.join(", "))))
}
