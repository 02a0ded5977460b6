//! `chainbell set-aside`: what rooms could not handle, with the reasons. What is done with it is the rooms' to know.

use clap::Subcommand;
use domain::Clock as _;
use serde_json::{Value as Json, json};
use store::{SetAside, Store, StoreClock};

use crate::{
    config::Config,
    failure::Failure,
    output::{beside, harmless, print, table},
    stores,
};

/// What to do with what rooms set aside.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List it, the oldest first
    #[command(after_help = "Example: chainbell set-aside list --limit 20")]
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Try all of it again at once, after what the reasons name is mended
    #[command(after_help = "Example: chainbell set-aside retry")]
    Retry,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    let store = stores::open(config).await?;
    match command {
        Command::List { limit, json } => list(&store, *limit, *json).await,
        Command::Retry => {
            let now = StoreClock::measure(&store).await?.now();
            let count = store.retry_set_aside(now).await?;
            eprintln!("{count} will be tried again");
            Ok(())
        }
    }
}

async fn list(store: &Store, limit: u32, as_json: bool) -> Result<(), Failure> {
    let rows = store.all_set_aside(None, limit).await?;
    if as_json {
        return rows.iter().try_for_each(|row| print(&json_of(row).to_string()));
    }
    let mut people = table(&["room", "item", "since", "tries", "next try", "reason"]);
    for row in &rows {
        people.add_row(vec![
            row.room.clone(),
            harmless(&row.item),
            format!("{:.0}", row.since),
            row.tries.to_string(),
            format!("{:.0}", row.next_try),
            harmless(&row.reason),
        ]);
    }
    print(&people.trim_fmt())
}

/// As JSON.
pub(super) fn json_of(row: &SetAside) -> Json {
    json!({
        "room": row.room, "item": row.item, "reason": row.reason, "tries": row.tries, "since": row.since.to_string(),
        "next_try": row.next_try.to_string(),
    })
}

/// The part of `chainbell status`.
pub(super) fn show(status: &Json) -> Result<(), Failure> {
    let rows = status["set_aside"].as_array().map_or(&[][..], Vec::as_slice);
    let mut head = "\nset aside";
    for row in rows {
        let text = |key: &str| harmless(row[key].as_str().unwrap_or_default());
        let [room, item, since, reason, next] = ["room", "item", "since", "reason", "next_try"].map(text);
        let tries = &row["tries"];
        let line = format!("{room}: {item} since {since}: {reason} ({tries} tries, the next at {next})");
        print(&beside(std::mem::take(&mut head), &line))?;
    }
    let more = status["set_aside_total"].as_u64().unwrap_or_default().saturating_sub(rows.len() as u64);
    if more > 0 {
        print(&beside("", &format!("and {more} more: chainbell set-aside list --limit N")))?;
    }
    Ok(())
}
