//! `chainbell watch dry-run`: what a watch would have sent over what is held. Owns the words; the rehearsal is
//! `dry_run`'s.

use std::path::Path;

use domain::{Recipient, Spam, Watch};
use serde::Deserialize;
use store::Store;

use crate::{
    config::{Config, WatchTable, people},
    dry_run::{Outcome, Rehearsal, Suspected, chain_of, gathers, rehearse},
    failure::Failure,
    output::{harmless, print},
};

/// Arguments of `watch dry-run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A watch's id, or a TOML file with one `[[watch]]`
    watch: String,
    /// First block
    #[arg(long, value_name = "N")]
    from_block: u64,
    /// Last block [default: the last one held]
    #[arg(long, value_name = "M")]
    to_block: Option<u64>,
    /// After how many matching events to end
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    events: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    watch: Vec<WatchTable>,
}

/// Rehearses the watch, and prints what it came to.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, store: &Store, args: &Args) -> Result<(), Failure> {
    let watch = Watch { paused: false, ..wanted(store, &args.watch).await? };
    let chain = chain_of(&config.catalog, &watch)?;
    let name = config.chain_names().remove(&chain);
    let name = name.ok_or_else(|| Failure::usage(format!("chain {chain} is not in the configuration")))?;
    let recipient = recipient(config, store, &watch).await?;
    let Some(tip) = store.chain(chain).await?.and_then(|row| row.tip) else {
        return Err(Failure::usage(format!(
            "nothing is held of chain '{name}': let `chainbell run` read it first"
        )));
    };
    let to = args.to_block.unwrap_or(tip.number).min(tip.number);
    if args.from_block > to {
        let detail =
            format!("--from-block: block {} is above {to}, the last one to look at", args.from_block);
        return Err(Failure::usage(detail));
    }
    let events_max = args.events.max(1);
    let rehearsal = Rehearsal { watch, recipient, chain, name, from: args.from_block, to, events_max };
    let folder = tempfile::tempdir()?;
    let outcome = rehearse(config, store, &rehearsal, folder.path()).await?;
    if args.json {
        let json = serde_json::to_string(&outcome).map_err(|error| Failure::world(error.to_string()))?;
        return print(&json);
    }
    print(&in_words(&outcome, gathers(&rehearsal.watch)))
}

// A file is told from an id by being there.
async fn wanted(store: &Store, wanted: &str) -> Result<Watch, Failure> {
    let path = Path::new(wanted);
    if path.is_file() {
        let text = std::fs::read_to_string(path)?;
        let file: File = figment::Figment::new()
            .merge(<figment::providers::Toml as figment::providers::Format>::string(&text))
            .extract()
            .map_err(|error| Failure::usage(format!("{wanted}: {error}")))?;
        let [table] = file.watch.as_slice() else {
            return Err(Failure::usage(format!(
                "{wanted}: it must hold one [[watch]], not {}",
                file.watch.len()
            )));
        };
        return Ok(people::watch(table, false)?);
    }
    let missing = || {
        Failure::usage(format!(
            "'{wanted}' is no file and no watch: `chainbell watch list` shows the watches"
        ))
    };
    let id = wanted.parse().map_err(|_| missing())?;
    store.watch(&id).await?.ok_or_else(missing)
}

async fn recipient(config: &Config, store: &Store, watch: &Watch) -> Result<Recipient, Failure> {
    let id = &watch.recipient;
    if let Some(held) = store.recipients_by_id(std::slice::from_ref(id)).await?.pop() {
        return Ok(held);
    }
    let of_file = config.recipients.iter().find(|recipient| recipient.id == *id).cloned();
    of_file.ok_or_else(|| {
        Failure::usage(format!(
            "watch '{}': there is no recipient '{id}': add it with `chainbell recipient add {id}`",
            watch.id
        ))
    })
}

fn in_words(outcome: &Outcome, gathers: bool) -> String {
    let Outcome { watch, recipient, chain, from_block, to_block, events, blocks, notifications, .. } =
        outcome;
    let mut lines = vec![
        format!(
            "watch '{watch}' for {recipient}, over blocks {from_block} to {to_block} of {chain}; nothing was sent"
        ),
        format!("events         {events} in {blocks} blocks satisfy it"),
    ];
    if outcome.cut {
        lines.push("               there are more: --events raises the limit".to_owned());
    }
    lines.push(format!("notifications  {notifications}"));
    if gathers && outcome.largest > 1 {
        lines.push(format!("               the largest tells of {} events", outcome.largest));
    }
    lines.extend(of_spam(outcome));
    if let Some(sure) = &outcome.deliver_at {
        lines.push(format!(
            "deliver_at     \"{sure}\" is not waited for here: in truth each is told that much after its block, and a digest \
             may gather others"
        ));
    }
    if let Some((day, count)) = outcome.days.iter().max_by_key(|(_, count)| **count) {
        let days = outcome.days.len();
        lines.push(format!("days           {days} with any; at most {count}, on {day}"));
    }
    if let Some((hour, count)) = &outcome.noisiest_hour {
        lines.push(format!("noisiest hour  {hour}, with {count}"));
    }
    for sample in &outcome.samples {
        lines.push(String::new());
        lines.push(format!("{}  {}", sample.at, harmless(&sample.title)));
        lines.extend(sample.body.lines().map(|line| format!("  {}", harmless(line))));
    }
    lines.join("\n")
}

fn of_spam(outcome: &Outcome) -> Vec<String> {
    if outcome.spam == Spam::Tell {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let count: u64 = outcome.suspected.iter().map(|one| one.count).sum();
    if count > 0 {
        let ending = if outcome.spam == Spam::Drop { "not told" } else { "gathered, and told once a day" };
        lines.push(format!("spam           {count} of the events look like spam and are {ending}"));
        let why = |one: &Suspected| format!("               {}: {}", one.count, one.reason.in_words());
        lines.extend(outcome.suspected.iter().map(why));
        let from = outcome.from_block;
        lines.push(format!(
            "               as a new watch would judge: it knows whom it told of since block {from}"
        ));
    }
    if outcome.tokens_unknown > 0 {
        let tokens = outcome.tokens_unknown;
        lines.push(format!(
            "tokens         {tokens} of them never said their names to us: whether those are lures is not judged here"
        ));
    }
    lines
}
