//! `chainbell status`.

use std::time::Duration;

use serde_json::{Value as Json, json};
use store::{ChainRow, EventQuery, Store};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
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
        chains.push(chain(&store, &row).await?);
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

async fn chain(store: &Store, row: &ChainRow) -> Result<Json, Failure> {
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
    Ok(json!({
        "name": row.name, "chain_id": row.id, "head": row.head, "tip": tip, "safe": row.safe,
        "finalized": row.finalized, "lag": row.head.zip(tip).map(|(head, tip)| head.saturating_sub(tip)),
        "events_in_last_100_blocks": recent, "contracts": contracts,
    }))
}

fn for_people(status: &Json) -> Result<(), Failure> {
    let cell = |value: &Json| match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns = ["name", "head", "tip", "safe", "finalized", "lag", "events_in_last_100_blocks"];
    let mut chains = table(&["chain", "head", "tip", "safe", "finalized", "lag", "events/100 blocks"]);
    let mut contracts = table(&["contract", "from block", "past read up to", "live from"]);
    for chain in status["chains"].as_array().into_iter().flatten() {
        chains.add_row(columns.iter().map(|column| cell(&chain[*column])).collect::<Vec<_>>());
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
