//! `chainbell audit`: final blocks read again, by a stronger way where there is one, and compared with the store.

use std::sync::Arc;

use domain::{ChainClient, Clock};
use pipeline::{
    Bell,
    ingest::{Audited, Ingest, IngestDeps},
};
use serde_json::{Value as Json, json};
use store::{AuditMethod, Store, StoreClock};

use crate::{
    config::{Chain, Config},
    failure::Failure,
    nodes::node,
    output::print,
    progress::Progress,
    wiring::ingest_config,
};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chainbell audit --chain mainnet --from-block 18600000 --to-block 18600100\n  \
    chainbell audit --repair\n  chainbell audit --hits"
)]
pub struct Args {
    /// The states of hits instead: whether every event that satisfies a watch has its one hit, in the state that it should
    #[arg(long, conflicts_with_all = ["to_block", "repair"])]
    hits: bool,
    /// Only this chain, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    pub(super) chain: Option<String>,
    /// First block [default: the first one read]
    #[arg(long, value_name = "N")]
    pub(super) from_block: Option<u64>,
    /// Last block [default: the last one that is final]
    #[arg(long, value_name = "N")]
    to_block: Option<u64>,
    /// Mend what differs: add what is missing, mark what does not belong
    #[arg(long)]
    repair: bool,
    /// Each difference as a JSON object, one per line
    #[arg(long)]
    pub(super) json: bool,
}

/// Audits chains.
///
/// # Errors
/// When something differs and was not repaired, and as [`Failure`] says.
pub async fn run(config: Arc<Config>, args: Args) -> Result<(), Failure> {
    if args.hits {
        return super::audit_hits::run(&config, &args).await;
    }
    let chains: Vec<Chain> = match &args.chain {
        Some(name) => vec![config.chain(name)?.clone()],
        None => config.chains.clone(),
    };
    let store = crate::stores::open(&config).await?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    let mut left = 0;
    for chain in &chains {
        left += audit(&config, chain, &store, &clock, &args).await?;
    }
    match left {
        0 => Ok(()),
        1 => Err(Failure::world("one event differs from the chain: --repair mends it")),
        left => Err(Failure::world(format!("{left} events differ from the chain: --repair mends them"))),
    }
}

async fn audit(
    config: &Arc<Config>,
    chain: &Chain,
    store: &Store,
    clock: &Arc<dyn Clock>,
    args: &Args,
) -> Result<u64, Failure> {
    let client = Arc::new(node(chain, Arc::clone(clock)).await?);
    let deps = IngestDeps {
        client: client as Arc<dyn ChainClient>,
        store: store.clone(),
        catalog: Arc::clone(&config.catalog),
        decoder: Arc::new(::abi::Decoder::new(Arc::clone(&config.catalog))),
        clock: Arc::clone(clock),
        relay: Bell::new(),
        committed: Bell::new(),
    };
    let mut ingest = Ingest::new(deps, ingest_config(chain, None));
    let world = |error: pipeline::RoomError| Failure::world(error.to_string());
    let Some((_, last)) = ingest.audit_bounds().await.map_err(world)? else {
        let detail = format!("nothing of '{}' was ever read: start `chainbell run` first", chain.name);
        return Err(Failure::usage(detail));
    };
    let cursors = store.contract_cursors(chain.id).await?;
    for contract in config.catalog.of_chain(chain.id) {
        let fingerprint = config.catalog.fingerprint(contract);
        if !cursors.iter().any(|cursor| cursor.name == contract.name && cursor.fingerprint == fingerprint) {
            let name = &contract.name;
            let detail = format!("contract '{name}' is new or changed: let `chainbell run` meet it first");
            return Err(Failure::usage(detail));
        }
    }
    let first = cursors.iter().map(|cursor| cursor.start_block).min();
    let (from, to) = (args.from_block.or(first).unwrap_or(0), args.to_block.unwrap_or(last));
    if to > last {
        return Err(Failure::usage(format!(
            "--to-block: only final blocks can be audited; the last one is {last}"
        )));
    }
    if args.from_block.is_some_and(|first| first > to) && args.to_block.is_some() {
        return Err(Failure::usage(format!("--from-block: {from} is above --to-block, {to}")));
    }
    if from > to {
        eprintln!("'{}': no block from {from} on is final yet (the last one is {to})", chain.name);
        return Ok(0);
    }
    let progress = Progress::new(to - from + 1);
    let (mut next, mut sum) = (from, Sum::default());
    while next <= to {
        let audited = ingest.audit(next, to, args.repair).await.map_err(world)?;
        show(&audited, args.json)?;
        sum.add(&audited);
        next = audited.to + 1;
        progress.at(next - from, &format!("{} events, {} differ", sum.compared, sum.differences));
    }
    progress.done();
    eprintln!(
        "'{}': {} events of blocks {from} to {to} compared, {}: {} missing, {} extra, {} different, {} repaired",
        chain.name, sum.compared, sum.how, sum.missing, sum.extra, sum.different, sum.repaired
    );
    Ok(sum.differences - sum.repaired)
}

#[derive(Default)]
struct Sum {
    compared: u64,
    missing: u64,
    extra: u64,
    different: u64,
    differences: u64,
    repaired: u64,
    weakest: Option<AuditMethod>,
    how: &'static str,
}

impl Sum {
    fn add(&mut self, audited: &Audited) {
        self.compared += audited.compared;
        self.missing += audited.missing.len() as u64;
        self.extra += audited.extra.len() as u64;
        self.different += audited.different.len() as u64;
        self.differences = self.missing + self.extra + self.different;
        self.repaired += audited.repaired;
        if self.weakest.is_none_or(|weakest| audited.method > weakest) {
            self.weakest = Some(audited.method);
            self.how = how(audited.method);
        }
    }
}

/// How blocks were verified, in words.
pub const fn how(method: AuditMethod) -> &'static str {
    match method {
        AuditMethod::ReceiptsRoot => "verified by receipts",
        AuditMethod::ReceiptsWord => "verified by receipts that could not be hashed",
        AuditMethod::OtherProvider => "verified by another provider's logs",
        AuditMethod::SameProvider => "verified by asking the same provider again",
    }
}

fn show(audited: &Audited, json: bool) -> Result<(), Failure> {
    let missing = audited.missing.iter().map(|event| ("missing", event));
    let extra = audited.extra.iter().map(|stored| ("extra", &stored.event));
    let different = audited.different.iter().map(|event| ("different", event));
    for (what, event) in missing.chain(extra).chain(different) {
        if json {
            let mut line: Json = event.to_json(domain::Finality::Finalized);
            line["difference"] = json!(what);
            line["repaired"] = json!(audited.repaired > 0);
            print(&line.to_string())?;
        } else {
            let (block, index) = (event.block, event.log_index);
            print(&format!("{what}  block {block}  log {index}  {}  tx {}", event.contract, event.tx_hash))?;
        }
    }
    Ok(())
}
