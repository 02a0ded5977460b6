//! `chainbell token`: what tokens say of themselves.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::Address;
use clap::Subcommand;
use domain::{ChainClient, Clock};
use pipeline::tokens::{Refreshed, Tokens};
use store::{Store, StoreClock, TokenRow};

use crate::{
    config::{Chain, Config},
    failure::Failure,
    output::{harmless, print, table},
};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask a token for its name, symbol and decimals now, and keep what it says
    #[command(
        after_help = "Example: chainbell token refresh 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 --chain mainnet\n\n\
        Tokens are asked again by themselves, see run.token_refresh. A running chainbell follows within seconds."
    )]
    Refresh {
        /// The token's address
        #[arg(value_parser = domain::parse_address)]
        address: Address,
        /// Chain, by its name in the configuration [default: the only one]
        #[arg(long, value_name = "NAME")]
        chain: Option<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// When the token answers nothing, and else see [`Failure`].
pub async fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    let Command::Refresh { address, chain } = command;
    let chain = match (chain, config.chains.as_slice()) {
        (Some(name), _) => config.chain(name)?,
        (None, [only]) => only,
        (None, chains) => {
            let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
            let known = if names.is_empty() { "none is configured".to_owned() } else { names.join(", ") };
            return Err(Failure::usage(format!("--chain: name the token's chain; the chains are: {known}")));
        }
    };
    let store = crate::stores::open(config).await?;
    let refreshed = refresh(&store, chain, *address).await?;
    say(chain, *address, &refreshed)
}

async fn refresh(store: &Store, chain: &Chain, address: Address) -> Result<Refreshed, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(store).await?);
    let node = Arc::new(crate::nodes::node(chain, Arc::clone(&clock)).await?) as Arc<dyn ChainClient>;
    let tokens = Tokens::new(store.clone(), HashMap::from([(chain.id, node)]), clock);
    Ok(tokens.refresh(chain.id, address).await?)
}

fn say(chain: &Chain, address: Address, refreshed: &Refreshed) -> Result<(), Failure> {
    let Refreshed { before, now, unanswered } = refreshed;
    let before = before.clone().unwrap_or_default();
    let mut people = table(&["", "before", "now"]);
    for (what, of) in [("name", name as fn(&TokenRow) -> String), ("symbol", symbol), ("decimals", decimals)]
    {
        people.add_row(vec![what.to_owned(), of(&before), of(now)]);
    }
    print(&people.trim_fmt())?;
    let token = format!("the contract at {address} on chain '{}'", chain.name);
    match unanswered.as_slice() {
        [] => eprintln!("the token answered"),
        all if all.len() == 3 => {
            return Err(Failure::world(format!(
                "{token} answers neither name, symbol nor decimals now: what was known stays, and it is asked again \
                 by itself"
            )));
        }
        some => eprintln!("{token} does not answer {}: what was known of that stays", some.join(" and ")),
    }
    Ok(())
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), harmless)
}

fn name(row: &TokenRow) -> String {
    shown(row.name.as_deref())
}

fn symbol(row: &TokenRow) -> String {
    shown(row.symbol.as_deref())
}

fn decimals(row: &TokenRow) -> String {
    row.decimals.map_or_else(|| "-".to_owned(), |decimals| decimals.to_string())
}
