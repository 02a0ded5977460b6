//! `chainbell ledger`: what passed through an address, token by token, as the canonical chain has it.

use alloy_primitives::Address;
use domain::transfer::in_units;
use serde_json::{Value as Json, json};
use store::{ChainRow, Store, TokenRow};

use crate::{
    accounts,
    config::{Chain, Config},
    failure::Failure,
    output::{harmless, print, table},
};

/// Arguments of `ledger`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: chainbell ledger 0x28C6c06298d514Db089934071355E5743bf21d60 --chain mainnet\n\n\
    It sums the transfers (ERC-20, ERC-721, ERC-1155) that were read of the contracts in the configuration, and of a token\n\
    the Deposit and Withdrawal of wrapped ether where no transfer stands beside them. What else may change balances is\n\
    named below the table. Where a contract is read from a later block than its first, `net` is not the balance."
)]
pub struct Args {
    /// The address
    #[arg(value_parser = domain::parse_address)]
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
    let store = crate::stores::open(config).await?;
    let mut rows = Vec::new();
    for chain in chains {
        rows.extend(of_chain(config, &store, chain, args).await?);
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
    print(&table.trim_fmt())?;
    for row in &rows {
        for left_out in row["left_out"].as_array().into_iter().flatten() {
            let text = |of: &Json| harmless(of.as_str().unwrap_or_default());
            let (token, event, why) = (text(&row["token"]), text(&left_out["event"]), text(&left_out["why"]));
            eprintln!("note: net of {token} leaves out {event}: {why}");
        }
    }
    Ok(())
}

async fn of_chain(config: &Config, store: &Store, chain: &Chain, args: &Args) -> Result<Vec<Json>, Failure> {
    let tip = store.chain(chain.id).await?.and_then(|row: ChainRow| row.tip);
    let Some(tip) = tip else { return Ok(Vec::new()) };
    let at = args.at_block.unwrap_or(tip.number);
    if at > tip.number {
        let detail =
            format!("block {at} of chain {} is not held: the last one is {}", chain.name, tip.number);
        return Err(Failure::usage(format!("--at-block: {detail}")));
    }
    let mut rows = Vec::new();
    for (token, passed, left_out) in accounts::ledger(config, store, (chain.id, args.address), at).await? {
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
            "left_out": left_out.iter().map(|(event, why)| json!({ "event": event, "why": why })).collect::<Vec<_>>(),
        }));
    }
    Ok(rows)
}
