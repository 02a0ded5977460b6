//! `chainbell events`: canonical events, oldest first.

use std::io::{ErrorKind, Write, stdout};

use domain::ContractName;
use store::{EventQuery, Store, StoredEvent};

use crate::{
    config::Config,
    failure::Failure,
    output::{harmless, table},
};

const PAGE: u32 = 1_000;

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: chainbell events --chain mainnet --from-block 18600000 --format jsonl")]
pub struct Args {
    /// Chain, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    chain: String,
    /// First block
    #[arg(long, default_value_t = 0, value_name = "N")]
    from_block: u64,
    /// Last block [default: the last one held]
    #[arg(long, value_name = "N")]
    to_block: Option<u64>,
    /// Only this contract
    #[arg(long, value_name = "NAME")]
    contract: Option<ContractName>,
    /// Only this event
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values, with a header
    Csv,
}

const COLUMNS: [&str; 14] = [
    "chain_id",
    "block_number",
    "block_hash",
    "block_timestamp",
    "tx_hash",
    "tx_index",
    "log_index",
    "address",
    "contract",
    "event",
    "signature",
    "params",
    "event_id",
    "finality",
];

/// Prints events.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let chain = config.chain(&args.chain)?;
    let store = crate::stores::open(config).await?;
    if let Some(name) = &args.contract {
        known_contract(config, &store, chain.id, name).await?;
    }
    let mut query = EventQuery {
        chain: chain.id,
        from: args.from_block,
        to: args.to_block.unwrap_or(u64::MAX),
        contract: args.contract.clone(),
        after: None,
        limit: PAGE,
    };
    let mut printer = Printer::new(args.format)?;
    loop {
        let page = store.events(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some((last.event.block.number, last.event.log_index));
        let wanted =
            page.iter().filter(|stored| args.event.is_none() || stored.event.name() == args.event.as_deref());
        for stored in wanted {
            if !printer.print(stored)? {
                return Ok(());
            }
        }
    }
    printer.finish()
}

async fn known_contract(
    config: &Config,
    store: &Store,
    chain: domain::ChainId,
    name: &ContractName,
) -> Result<(), Failure> {
    let held = store.contract_cursors(chain).await?;
    if held.iter().any(|cursor| cursor.name == *name) {
        return Ok(());
    }
    let known: Vec<_> = config.catalog.of_chain(chain).map(|contract| contract.name.as_str()).collect();
    let mend = domain::suggest::mend(name.as_str(), &known, "the contracts are");
    Err(Failure::usage(format!("--contract: nothing was read of a contract '{name}'; {mend}")))
}

enum Printer {
    Table(comfy_table::Table),
    Jsonl,
    Csv(Box<csv::Writer<std::io::Stdout>>),
}

impl Printer {
    fn new(format: Format) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => Self::Table(table(&["block", "log", "contract", "event", "params", "finality"])),
            Format::Jsonl => Self::Jsonl,
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(stdout());
                writer.write_record(COLUMNS).map_err(|error| Failure::world(error.to_string()))?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    /// Says whether anybody still reads.
    fn print(&mut self, stored: &StoredEvent) -> Result<bool, Failure> {
        let json = stored.event.to_json(stored.finality);
        match self {
            Self::Table(table) => {
                let params = json.get("params").map(ToString::to_string).unwrap_or_default();
                table.add_row(vec![
                    stored.event.block.number.to_string(),
                    stored.event.log_index.to_string(),
                    stored.event.contract.to_string(),
                    harmless(stored.event.name().unwrap_or("(undecoded)")),
                    harmless(&params),
                    stored.finality.to_string(),
                ]);
                Ok(true)
            }
            Self::Jsonl => match writeln!(stdout(), "{json}") {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
                other => Ok(other.map(|()| true)?),
            },
            Self::Csv(writer) => {
                let cell = |column: &&str| match json.get(*column) {
                    None | Some(serde_json::Value::Null) => String::new(),
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                match writer.write_record(COLUMNS.iter().map(cell)) {
                    Ok(()) => Ok(true),
                    Err(error) if is_closed(&error) => Ok(false),
                    Err(error) => Err(Failure::world(error.to_string())),
                }
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Table(table) => crate::output::print(&table.trim_fmt()),
            Self::Jsonl => Ok(()),
            Self::Csv(mut writer) => match writer.flush() {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
                _ => Ok(()),
            },
        }
    }
}

fn is_closed(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(io) if io.kind() == ErrorKind::BrokenPipe)
}
