//! `chainbell abi`: works without any server.

use std::{io::BufRead as _, path::PathBuf, sync::Arc};

use abi::{AbiFile, Layouts, clash};
use alloy_primitives::{B256, Bytes, hex};
use clap::Subcommand;
use domain::{BlockRef, ChainId, Content, EventId, RawLog, parse_address};
use serde_json::{Value as Json, json};

use crate::{
    failure::Failure,
    output::{print, table},
};

/// What to do with an ABI.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the events of an ABI with their topics
    #[command(after_help = "Example: chainbell abi inspect abi/erc20.json")]
    Inspect {
        /// A JSON ABI, or a compiler's artifact that holds one
        file: PathBuf,
    },
    /// Decode logs: RPC log objects as JSON lines in, events as JSON lines out
    #[command(after_help = "Example: chainbell abi decode abi/erc20.json < logs.jsonl")]
    Decode {
        /// A JSON ABI, or a compiler's artifact that holds one
        file: PathBuf,
        /// The chain id that goes into the events and their ids
        #[arg(long, value_name = "ID")]
        chain_id: Option<u64>,
    },
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(command: &Command) -> Result<(), Failure> {
    let load = |file: &PathBuf| AbiFile::load(file).map_err(|error| Failure::usage(error.to_string()));
    match command {
        Command::Inspect { file } => inspect(&load(file)?),
        Command::Decode { file, chain_id } => decode(load(file)?, chain_id.map(ChainId)),
    }
}

fn inspect(file: &AbiFile) -> Result<(), Failure> {
    let mut people = table(&["event", "topic 0", "topics"]);
    for event in &file.events {
        let topic0 = if event.anonymous { "(anonymous)".to_owned() } else { event.topic0().to_string() };
        people.add_row(vec![event.declaration(), topic0, event.topic_count().to_string()]);
    }
    print(&people.trim_fmt())?;
    eprintln!("{} events, {} functions", file.events.len(), file.functions);
    for note in file.notes() {
        eprintln!("note: {note}");
    }
    let events: Vec<_> = file.events.iter().cloned().map(Arc::new).collect();
    if let Some([one, two]) = clash(&events.iter().collect::<Vec<_>>()) {
        let (one, two) = (one.declaration(), two.declaration());
        eprintln!("note: logs of '{one}' and of '{two}' have one shape: a log that both read is not decoded");
    }
    Ok(())
}

fn decode(file: AbiFile, chain: Option<ChainId>) -> Result<(), Failure> {
    let events: Vec<_> = file.events.into_iter().map(Arc::new).collect();
    let layouts = Layouts::new(&events);
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let bad = |why: String| Failure::usage(format!("line {}: {why}", number + 1));
        let json: Json =
            serde_json::from_str(&line).map_err(|error| bad(format!("it is no JSON: {error}")))?;
        let log = raw_log(&json).map_err(bad)?;
        print(&event_json(&json, &log, &layouts.decode(&log), chain).to_string())?;
    }
    Ok(())
}

fn raw_log(json: &Json) -> Result<RawLog, String> {
    let text = |key: &str| json.get(key).and_then(Json::as_str);
    let needed =
        |key: &str| text(key).ok_or_else(|| format!("'{key}' is missing: give log objects as a node does"));
    let address = parse_address(needed("address")?).map_err(|bad| format!("'address': {bad}"))?;
    let data: Bytes = needed("data")?.parse().map_err(|_| "'data' is no hex".to_owned())?;
    let topics = json.get("topics").and_then(Json::as_array).ok_or("'topics' is missing")?;
    let topic = |topic: &Json| topic.as_str().and_then(|text| text.parse::<B256>().ok());
    let topics: Option<Vec<B256>> = topics.iter().map(topic).collect();
    let hash = |key: &str| text(key).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(RawLog {
        address,
        topics: topics.ok_or("a topic is not 32 bytes of hex")?,
        data,
        block: BlockRef::new(quantity(json, "blockNumber").unwrap_or_default(), hash("blockHash")),
        block_timestamp: quantity(json, "blockTimestamp"),
        tx_hash: hash("transactionHash"),
        tx_index: quantity(json, "transactionIndex").unwrap_or_default(),
        log_index: quantity(json, "logIndex").unwrap_or_default(),
        removed: false,
    })
}

fn quantity(json: &Json, key: &str) -> Option<u64> {
    let text = json.get(key)?.as_str()?;
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

// What the log does not say is null.
fn event_json(json: &Json, log: &RawLog, content: &Content, chain: Option<ChainId>) -> Json {
    let given = |key: &str| json.get(key).cloned().unwrap_or(Json::Null);
    let number = |key: &str| quantity(json, key).map_or(Json::Null, Json::from);
    let (event, signature, params) = match content {
        Content::Decoded { schema, params } => {
            (Json::String(schema.name.clone()), Json::String(schema.signature()), params.to_json())
        }
        Content::Undecoded { .. } => (Json::Null, Json::Null, Json::Null),
    };
    let known = !json["blockHash"].is_null() && !json["logIndex"].is_null();
    let id = chain.filter(|_| known).map(|chain| EventId::derive(chain, log.block.hash, log.log_index));
    let mut line = json!({
        "chain_id": chain, "block_number": number("blockNumber"), "block_hash": given("blockHash"),
        "block_timestamp": number("blockTimestamp"), "tx_hash": given("transactionHash"),
        "tx_index": number("transactionIndex"), "log_index": number("logIndex"),
        "address": log.address.to_checksum(None), "contract": Json::Null,
        "event": event, "signature": signature, "params": params, "event_id": id, "finality": Json::Null,
    });
    if let Content::Undecoded { topics, data, reason } = content {
        line["reason"] = Json::String(reason.clone());
        line["topics"] = topics.iter().map(hex::encode_prefixed).collect();
        line["data"] = Json::String(hex::encode_prefixed(data));
    }
    line
}
