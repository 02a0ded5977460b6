//! `chainbell status`.

use std::time::Duration;

use domain::Clock as _;
use jiff::{SignedDuration, Timestamp};
use pipeline::ingest::{Ingest, audited_contracts};
use serde_json::{Value as Json, json};
use store::{ChainRow, EventQuery, LeaseHolder, ProviderRow, Store, StoreClock, verified};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    commands::{audit::how, reading, set_aside},
    config::Config,
    failure::Failure,
    output::{beside, harmless, print, table},
    servers,
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
const ASIDE_SHOWN_MAX: u32 = 100;
const RECENT_BLOCKS: u64 = 100;
const RECENT_EVENTS_MAX: u32 = 10_000;

/// Says how far everything is.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let store = crate::stores::open(config).await?;
    let now = StoreClock::measure(&store).await?.now();
    let mut chains = Vec::new();
    for row in store.chains().await? {
        let mut status = chain(config, (&store, now), &row).await?;
        reading::add(&store, row.id, &mut status).await?;
        chains.push(status);
    }
    let counts = store.counts().await?;
    let debouncer = servers::debouncer(config, store.clone()).await?;
    let (windows, next_due) = debouncer.outlook().await?;
    let aside = store.all_set_aside(None, ASIDE_SHOWN_MAX).await?;
    let by_room = store.set_aside_by_room().await?;
    let status = json!({
        "set_aside": aside.iter().map(set_aside::json_of).collect::<Vec<_>>(),
        "set_aside_total": by_room.iter().map(|(_, count)| count).sum::<u64>(),
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

/// How long what was noted of a chain counts when no process reads it.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How far clocks may be apart.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

// How far the tip is behind the head, where that is known: what a process that died had noted, or one under another clock, is
// not how it is now.
fn lag(row: &ChainRow, reader: Option<&LeaseHolder>, now: Timestamp) -> Option<u64> {
    let age = now.duration_since(row.noted_at);
    let read = reader.is_some_and(|reader| {
        let its_own = reader.since.is_none_or(|since| row.noted_at.duration_since(since) >= -SKEW);
        reader.until > now && its_own
    });
    let known = age >= -SKEW && (read || age < FRESH);
    row.head.zip(row.tip).filter(|_| known).map(|(head, tip)| head.saturating_sub(tip.number))
}

fn reader(found: Option<&LeaseHolder>, now: Timestamp) -> Json {
    found.map_or(Json::Null, |reader| {
        json!({
            "process": reader.owner, "since": reader.since.map(|since| since.to_string()),
            "until": reader.until.to_string(), "ended": reader.until <= now,
        })
    })
}

async fn chain(config: &Config, (store, now): (&Store, Timestamp), row: &ChainRow) -> Result<Json, Failure> {
    let held = store.lease(&Ingest::lease_of(&row.name)).await?;
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
        "finalized": row.finalized, "lag": lag(row, held.as_ref(), now), "reader": reader(held.as_ref(), now),
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

fn cell(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn all(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

fn for_people(status: &Json) -> Result<(), Failure> {
    show_process(status)?;
    let columns = ["name", "head", "tip", "safe", "finalized", "lag", "events_in_last_100_blocks"];
    let mut chains = table(&["chain", "head", "tip", "safe", "finalized", "lag", "events/100 blocks"]);
    for chain in all(&status["chains"]) {
        chains.add_row(columns.iter().map(|column| cell(&chain[*column])).collect::<Vec<_>>());
    }
    print(&format!("\n{}", chains.trim_fmt()))?;
    for chain in all(&status["chains"]) {
        if let Some(reason) = chain["halted"].as_str() {
            print("")?;
            print(&beside("halted", &format!("{}: {}", cell(&chain["name"]), harmless(reason))))?;
        }
    }
    show_readers(status)?;
    show_contracts(status)?;
    show_providers(status)?;
    show_audits(status)?;
    all(&status["chains"]).try_for_each(reading::show)?;
    show_work(status)
}

// What the running process says of itself. A halt is told in full with its chain.
fn show_process(status: &Json) -> Result<(), Failure> {
    let halts: Vec<_> = all(&status["chains"]).filter_map(|chain| chain["halted"].as_str()).collect();
    match status["process"]["ready"].as_bool() {
        None => print(&beside("process", "none answers at api.listen"))?,
        Some(true) => print(&beside("process", "running, every room is well"))?,
        Some(false) => print(&beside("process", "running, not ready:"))?,
    }
    for waits in all(&status["process"]["standing_by"]) {
        print(&beside(
            "",
            &format!("{} stands by: {}", cell(&waits["part"]), harmless(&cell(&waits["why"]))),
        ))?;
    }
    for fault in all(&status["process"]["faults"]) {
        let why = harmless(&cell(&fault["fault"]));
        let why = if halts.iter().any(|halt| harmless(halt) == why) { "halted, see below" } else { &why };
        print(&beside("", &format!("{}: {why}", cell(&fault["part"]))))?;
    }
    Ok(())
}

// Who reads each chain. A lag that is not shown is not known.
fn show_readers(status: &Json) -> Result<(), Failure> {
    let mut key = "\nreader";
    for chain in all(&status["chains"]) {
        let (name, reader) = (cell(&chain["name"]), &chain["reader"]);
        let [process, since, until] = ["process", "since", "until"].map(|key| cell(&reader[key]));
        let line = match reader["ended"].as_bool() {
            None => format!("{name}: no process reads it"),
            Some(true) => {
                format!("{name}: no process reads it; the lease of process {process} ended at {until}")
            }
            Some(false) => format!("{name}: process {process} since {since}, its lease ends at {until}"),
        };
        print(&beside(key, &line))?;
        key = "";
    }
    Ok(())
}

fn show_contracts(status: &Json) -> Result<(), Failure> {
    let mut contracts = table(&["contract", "chain", "from block", "past read up to", "live from"]);
    for chain in all(&status["chains"]) {
        for contract in all(&chain["contracts"]) {
            let start = contract["start_block"].as_u64();
            let next = contract["next_block"].as_u64().filter(|next| Some(*next) > start);
            let read = next.and_then(|next| next.checked_sub(1));
            contracts.add_row(vec![
                cell(&contract["name"]),
                cell(&chain["name"]),
                cell(&contract["start_block"]),
                read.map_or_else(|| "-".to_owned(), |block| block.to_string()),
                cell(&contract["live_from"]),
            ]);
        }
    }
    if contracts.is_empty() { Ok(()) } else { print(&format!("\n{}", contracts.trim_fmt())) }
}

fn show_providers(status: &Json) -> Result<(), Failure> {
    let mut providers = table(&["node", "chain", "score", "in use", "lag", "errors", "lies"]);
    let mut why = Vec::new();
    for chain in all(&status["chains"]) {
        for row in all(&chain["providers"]) {
            let in_use = if row["in_use"] == true { "yes" } else { "" };
            let [url, score, lag, errors, lies] =
                ["url", "score", "lag_blocks", "errors", "lies"].map(|key| cell(&row[key]));
            if let Some(reason) = row["why"].as_str() {
                why.push(beside("", &format!("{url}: {}", harmless(reason))));
            }
            providers.add_row(vec![url, cell(&chain["name"]), score, in_use.to_owned(), lag, errors, lies]);
        }
    }
    if providers.is_empty() {
        return Ok(());
    }
    print(&format!("\n{}", providers.trim_fmt()))?;
    why.iter().try_for_each(|line| print(line))
}

fn show_audits(status: &Json) -> Result<(), Failure> {
    let mut key = "\naudit";
    for chain in all(&status["chains"]) {
        for range in all(&chain["verified"]) {
            let [from, to, how] = ["from", "to", "how"].map(|key| cell(&range[key]));
            let complete = format!("{} is complete from {from} to {to}, {how}", cell(&chain["name"]));
            print(&beside(key, &complete))?;
            key = "";
        }
    }
    Ok(())
}

fn show_work(status: &Json) -> Result<(), Failure> {
    let (hits, windows, deliveries) = (&status["hits"], &status["windows"], &status["deliveries"]);
    let lines = [
        ("\noutbox", format!("{} messages, {} events unmatched", status["outbox"], status["unmatched"])),
        ("hits", format!("{} waiting, {} pending", hits["waiting"], hits["pending"])),
        ("windows", format!("{} open, next due {}", windows["open"], cell(&windows["next_due"]))),
        (
            "deliveries",
            format!(
                "{} queued, {} scheduled, {} dead",
                deliveries["queued"], deliveries["scheduled"], deliveries["dead"]
            ),
        ),
    ];
    lines.iter().try_for_each(|(key, text)| print(&beside(key, text)))?;
    set_aside::show(status)
}
