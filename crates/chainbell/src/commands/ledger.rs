//! `chainbell ledger`: what passed through an address, token by token, as the canonical chain has it.

use alloy_primitives::Address;
use domain::{account::Account, transfer::in_units, transfers};
use serde_json::{Value as Json, json};
use store::{ChainRow, Store, TokenRow};

use crate::{
    config::{Chain, Config},
    failure::Failure,
    output::{harmless, print, table},
};

const PAGE: u32 = 5_000;

/// Arguments of `ledger`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: chainbell ledger 0x28C6c06298d514Db089934071355E5743bf21d60 --chain mainnet\n\n\
    It sums the transfers (ERC-20, ERC-721, ERC-1155) that were read of the contracts in the configuration: where a\n\
    contract is read from a later block than its first, `net` is not the balance."
)]
pub struct Args {
    /// The address
    address: Address,
    /// Chain, by its name in the configuration [default: every chain]
    #[arg(long, value_name = "NAME")]
    chain: Option<String>,
    /// As of this block, which must be held [default: the last one held]
    #[arg(long, value_name = "N")]
    at_block: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the ledger.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let chains: Vec<_> = match &args.chain {
        Some(name) => vec![config.chain(name)?],
        None if args.at_block.is_some() && config.chains.len() > 1 => {
            return Err(Failure::usage("--at-block: a block is of one chain: name it with --chain"));
        }
        None => config.chains.iter().collect(),
    };
    let store = Store::open(&config.raw.store.url).await?;
    let mut rows = Vec::new();
    for chain in chains {
        rows.extend(of_chain(&store, chain, args).await?);
    }
    if args.json {
        let ledger = json!({ "address": args.address.to_checksum(None), "tokens": rows });
        return print(&ledger.to_string());
    }
    if rows.is_empty() {
        return print("nothing that is held passed through this address");
    }
    let mut table = table(&["chain", "at block", "token", "standard", "in", "out", "net", "transfers"]);
    for row in &rows {
        let text = |key: &str| harmless(row[key].as_str().unwrap_or_default());
        let token = match row["symbol"].as_str() {
            Some(symbol) => format!("{} ({})", harmless(symbol), text("token")),
            None => text("token"),
        };
        table.add_row(vec![
            text("chain"),
            row["at_block"].to_string(),
            token,
            text("standard"),
            text("in"),
            text("out"),
            text("net"),
            row["count"].to_string(),
        ]);
    }
    print(&table.trim_fmt())
}

async fn of_chain(store: &Store, chain: &Chain, args: &Args) -> Result<Vec<Json>, Failure> {
    let tip = store.chain(chain.id).await?.and_then(|row: ChainRow| row.tip);
    let Some(tip) = tip else { return Ok(Vec::new()) };
    let at = args.at_block.unwrap_or(tip.number);
    if at > tip.number {
        let detail =
            format!("block {at} of chain {} is not held: the last one is {}", chain.name, tip.number);
        return Err(Failure::usage(format!("--at-block: {detail}")));
    }
    let mut account = Account::new(args.address);
    let mut after = None;
    loop {
        let page = store.transfers_naming(chain.id, args.address, at, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.event.block.number, last.event.log_index));
        for stored in &page {
            let Some(standard) = domain::Standard::of(&stored.event) else { continue };
            for transfer in transfers(&stored.event) {
                account.add(standard, &transfer);
            }
        }
    }
    let mut rows = Vec::new();
    for (token, passed) in account.tokens() {
        // What it says of itself was asked when it was first told of; nobody is asked here.
        let said = store.token(chain.id, token).await?.unwrap_or_default();
        let TokenRow { symbol, decimals, .. } = said;
        let fungible = passed.standard == domain::Standard::Erc20;
        let units = |digits: &str| match decimals.filter(|_| fungible) {
            Some(decimals) => in_units(digits, decimals),
            None => digits.to_owned(),
        };
        rows.push(json!({
            "chain": chain.name, "at_block": at, "token": token.to_checksum(None), "symbol": symbol,
            "decimals": decimals.filter(|_| fungible), "standard": passed.standard.as_str(),
            "in": units(&passed.incoming.to_string()), "out": units(&passed.outgoing.to_string()),
            "net": units(&passed.net()), "count": passed.count,
        }));
    }
    Ok(rows)
}
