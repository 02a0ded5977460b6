//! `chainbell status`.

use std::time::Duration;

use pipeline::ingest::audited_contracts;
use serde_json::{Value as Json, json};
use store::{ChainRow, EventQuery, ProviderRow, Store, verified};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    commands::audit::how,
    config::Config,
    failure::Failure,
    output::{harmless, print, table},
};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: chainbell status --json")]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How long a running process may take to say how it fares.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
const RECENT_BLOCKS: u64 = 100;
const RECENT_EVENTS_MAX: u32 = 10_000;

/// Says how far everything is.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let store = Store::open(&config.raw.store.url).await?;
    let mut chains = Vec::new();
    for row in store.chains().await? {
        chains.push(chain(config, &store, &row).await?);
    }
    let counts = store.counts().await?;
    let debouncer =
        debounce::open(&config.raw.debounce.url, &config.raw.debounce.prefix, store.clone()).await?;
    let (windows, next_due) = debouncer.outlook().await?;
    let status = json!({
        "process": process(&config.raw.api.listen).await,
        "chains": chains,
        "outbox": counts.outbox,
        "unmatched": counts.unmatched,
        "hits": { "waiting": counts.hits_waiting, "pending": counts.hits_pending },
        "windows": { "open": windows, "next_due": next_due.map(|due| due.to_string()) },
        "deliveries": {
            "queued": counts.deliveries_queued,
            "scheduled": counts.deliveries_scheduled,
            "dead": counts.deliveries_dead,
        },
    });
    if args.json { print(&status.to_string()) } else { for_people(&status) }
}

// What the process that serves `api.listen` says of itself: null when none answers there.
async fn process(listen: &str) -> Json {
    let asked = timeout(ASK_TIMEOUT, async {
        let mut stream = TcpStream::connect(listen).await.ok()?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: chainbell\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str::<Json>(body).ok().filter(|json| json.get("ready").is_some())
    });
    asked.await.ok().flatten().unwrap_or(Json::Null)
}

async fn chain(config: &Config, store: &Store, row: &ChainRow) -> Result<Json, Failure> {
    let tip = row.tip.map(|tip| tip.number);
    let from = tip.unwrap_or_default().saturating_sub(RECENT_BLOCKS);
    let query = EventQuery {
        chain: row.id,
        from,
        to: u64::MAX,
        contract: None,
        after: None,
        limit: RECENT_EVENTS_MAX,
    };
    let recent = store.events(&query).await?.len();
    let contracts: Vec<_> = store
        .contract_cursors(row.id)
        .await?
        .into_iter()
        .map(|cursor| {
            json!({
                "name": cursor.name, "start_block": cursor.start_block, "next_block": cursor.next_block,
                "live_from": cursor.live_from, "past_is_read": !cursor.is_behind(),
            })
        })
        .collect();
    let providers = store.providers(row.id).await?;
    let providers: Vec<_> = providers.iter().map(provider).collect();
    let audits = store.audits(row.id, &audited_contracts(&config.catalog, row.id)).await?;
    let verified = verified(&audits)
        .into_iter()
        .map(|range| json!({ "from": range.from, "to": range.to, "how": how(range.method) }));
    Ok(json!({
        "halted": row.halted, "providers": providers, "verified": verified.collect::<Vec<_>>(),
        "name": row.name, "chain_id": row.id, "head": row.head, "tip": tip, "safe": row.safe,
        "finalized": row.finalized, "lag": row.head.zip(tip).map(|(head, tip)| head.saturating_sub(tip)),
        "events_in_last_100_blocks": recent, "contracts": contracts,
    }))
}

fn provider(row: &ProviderRow) -> Json {
    json!({
        "url": row.url, "score": row.score, "in_use": row.pinned, "lag_blocks": row.lag_blocks, "errors": row.errors,
        "lies": row.lies, "quarantined_until": row.quarantined_until.map(|until| until.to_string()), "why": row.why,
        "latency_ms": row.latency.map(|latency| latency.as_millis()), "concurrency": row.concurrency,
        "noted_at": row.updated_at.to_string(),
    })
}

fn for_people(status: &Json) -> Result<(), Failure> {
    let cell = |value: &Json| match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns = ["name", "head", "tip", "safe", "finalized", "lag", "events_in_last_100_blocks"];
    let mut chains = table(&["chain", "head", "tip", "safe", "finalized", "lag", "events/100 blocks"]);
    let mut providers = table(&["chain", "node", "score", "in use", "lag", "errors", "lies", "why"]);
    let mut notes = Vec::new();
    let mut contracts = table(&["contract", "from block", "past read up to", "live from"]);
    for chain in status["chains"].as_array().into_iter().flatten() {
        chains.add_row(columns.iter().map(|column| cell(&chain[*column])).collect::<Vec<_>>());
        let name = cell(&chain["name"]);
        for row in chain["providers"].as_array().into_iter().flatten() {
            let in_use = if row["in_use"] == true { "yes" } else { "" };
            let why = harmless(row["why"].as_str().unwrap_or_default());
            let [score, lag, errors, lies] =
                ["score", "lag_blocks", "errors", "lies"].map(|key| cell(&row[key]));
            let url = cell(&row["url"]);
            providers.add_row(vec![name.clone(), url, score, in_use.to_owned(), lag, errors, lies, why]);
        }
        if let Some(reason) = chain["halted"].as_str() {
            notes.push(format!("halted      {}", harmless(reason)));
        }
        for range in chain["verified"].as_array().into_iter().flatten() {
            let [from, to, how] = ["from", "to", "how"].map(|key| cell(&range[key]));
            notes.push(format!("audit       {name} is complete from {from} to {to}, {how}"));
        }
        for contract in chain["contracts"].as_array().into_iter().flatten() {
            let next =
                contract["next_block"].as_u64().filter(|next| Some(*next) > contract["start_block"].as_u64());
            let read = next.and_then(|next| next.checked_sub(1));
            contracts.add_row(vec![
                cell(&contract["name"]),
                cell(&contract["start_block"]),
                read.map_or_else(|| "-".to_owned(), |block| block.to_string()),
                cell(&contract["live_from"]),
            ]);
        }
    }
    match status["process"]["ready"].as_bool() {
        None => print("process     none answers at api.listen\n")?,
        Some(true) => print("process     running, every room is well\n")?,
        Some(false) => print("process     running, not ready:")?,
    }
    for fault in status["process"]["faults"].as_array().into_iter().flatten() {
        print(&format!("            {}: {}\n", cell(&fault["part"]), harmless(&cell(&fault["fault"]))))?;
    }
    print(&chains.trim_fmt())?;
    print(&format!("\n{}", contracts.trim_fmt()))?;
    print(&format!("\n{}\n", providers.trim_fmt()))?;
    for note in notes {
        print(&note)?;
    }
    print(&format!("\noutbox      {} messages, {} events unmatched", status["outbox"], status["unmatched"]))?;
    print(&format!(
        "hits        {} waiting, {} pending",
        status["hits"]["waiting"], status["hits"]["pending"]
    ))?;
    print(&format!(
        "windows     {} open, next due {}",
        status["windows"]["open"],
        cell(&status["windows"]["next_due"])
    ))?;
    let deliveries = &status["deliveries"];
    print(&format!(
        "deliveries  {} queued, {} scheduled, {} dead",
        deliveries["queued"], deliveries["scheduled"], deliveries["dead"]
    ))
}
