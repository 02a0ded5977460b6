//! `chainbell watch`.

use clap::Subcommand;
use domain::{Strategy, Watch, WatchId, matching};
use store::Store;

use crate::{
    config::{
        Config, Span, WatchTable, people,
        raw::{NumberOrWord, OneOrMany},
        written,
    },
    failure::Failure,
    output::{print, table},
};

/// What to do with watches. A running chainbell follows within a second.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a watch, or replace the one of that id
    #[command(
        after_help = "Example: chainbell watch add big --recipient ops --contract usdc --event Transfer --where 'value >= 1e12'"
    )]
    Add(Box<New>),
    /// List all watches
    #[command(after_help = "Example: chainbell watch list")]
    List,
    /// Show one watch
    #[command(after_help = "Example: chainbell watch show big")]
    Show {
        /// Its id
        id: WatchId,
    },
    /// Remove a watch
    #[command(after_help = "Example: chainbell watch remove big")]
    Remove {
        /// Its id
        id: WatchId,
    },
    /// Show what a watch would have sent over what is held; nothing is sent
    #[command(
        after_help = "Examples:\n  chainbell watch dry-run big --from-block 18600000\n  chainbell watch dry-run new-watch.toml --from-block 18600000"
    )]
    DryRun(super::dry_run::Args),
    /// Let a watch rest, or go on with --off
    #[command(after_help = "Examples:\n  chainbell watch pause big\n  chainbell watch pause big --off")]
    Pause {
        /// Its id
        id: WatchId,
        /// Go on
        #[arg(long)]
        off: bool,
    },
}

/// A new watch.
#[derive(Debug, clap::Args)]
pub struct New {
    /// Its id
    id: String,
    /// Whom to tell
    #[arg(long, value_name = "ID")]
    recipient: String,
    /// Contract, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    contract: String,
    /// Event, by name or by signature
    #[arg(long, value_name = "NAME")]
    event: String,
    /// Which of them
    #[arg(long = "where", value_name = "EXPRESSION")]
    filter: Option<String>,
    /// immediate or digest
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
    /// How long a digest gathers from its first event
    #[arg(long, value_name = "DURATION")]
    window: Option<Span>,
    /// How long its first event waits at the most
    #[arg(long, value_name = "DURATION")]
    max_wait: Option<Span>,
    /// How many events close it at once
    #[arg(long, value_name = "N")]
    max_count: Option<u32>,
    /// Each event starts the window anew, up to --max-wait
    #[arg(long)]
    slide: bool,
    /// Tell the first event at once, and gather what follows
    #[arg(long)]
    leading: bool,
    /// When a digest is told, in the recipient's time zone, in place of a window: minute hour day month weekday
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// Gather for each value of it by itself: address, `tx_hash` or a parameter; several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    group_by: Vec<String>,
    /// Tell in quiet hours too, and whatever the budget
    #[arg(long)]
    critical: bool,
    /// What becomes of transfers that look like spam: gather (once a day), tell (as any other) or drop
    #[arg(long, value_name = "WORD")]
    spam: Option<String>,
    /// seen, a number of blocks, safe or finalized
    #[arg(long, value_name = "CONFIDENCE")]
    deliver_at: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let store = crate::sync::open(config).await?;
    match command {
        Command::Add(new) => add(config, &store, *new).await,
        Command::DryRun(args) => super::dry_run::run(config, &store, &args).await,
        Command::List => list(&store).await,
        Command::Show { id } => {
            let watch = found(&store, &id).await?;
            let table =
                config.raw.watch.iter().find(|table| watch.from_file && table.id == watch.id.as_str());
            let json = serde_json::to_string_pretty(&super::watch_show::shown(&watch, table))
                .map_err(|error| Failure::world(error.to_string()))?;
            print(&json)
        }
        Command::Remove { id } => {
            found(&store, &id).await?;
            not_from_file(config, &id)?;
            store.remove_watch(&id).await?;
            eprintln!("removed watch '{id}'");
            Ok(())
        }
        Command::Pause { id, off } => {
            let mut watch = found(&store, &id).await?;
            not_from_file(config, &id)?;
            (watch.paused, watch.from_file) = (!off, false);
            store.put_watches(std::slice::from_ref(&watch)).await?;
            eprintln!("watch '{id}' {}", if off { "goes on" } else { "rests" });
            Ok(())
        }
    }
}

async fn add(config: &Config, store: &Store, new: New) -> Result<(), Failure> {
    let deliver_at = new.deliver_at.map(|text| match text.parse() {
        Ok(number) => NumberOrWord::Number(number),
        Err(_) => NumberOrWord::Word(text),
    });
    let written = WatchTable {
        id: new.id,
        recipient: new.recipient,
        contract: new.contract,
        event: new.event,
        filter: new.filter,
        strategy: new.strategy,
        window: new.window,
        max_wait: new.max_wait,
        max_count: new.max_count,
        slide: new.slide,
        leading: new.leading,
        schedule: new.schedule,
        group_by: (!new.group_by.is_empty()).then_some(OneOrMany::Many(new.group_by)),
        critical: new.critical,
        spam: new.spam,
        deliver_at,
        paused: false,
    };
    let watch = people::watch(&written, false)?;
    if let Err(problem) = matching::validate(&config.catalog, &watch) {
        // The place in the expression, without the sentence that the problem says already.
        let place: Vec<_> = match (&watch.filter, problem.filter_error()) {
            (Some(source), Some(error)) => error.render(source).lines().take(2).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let lines: Vec<_> = std::iter::once(problem.to_string()).chain(place).collect();
        return Err(Failure::usage(lines.join("\n")));
    }
    if store.recipients_by_id(std::slice::from_ref(&watch.recipient)).await?.is_empty() {
        let id = &watch.recipient;
        return Err(Failure::usage(format!(
            "--recipient: there is no '{id}': add one with `chainbell recipient add {id}`"
        )));
    }
    not_from_file(config, &watch.id)?;
    store.put_watches(std::slice::from_ref(&watch)).await?;
    eprintln!("watch '{}' is set", watch.id);
    Ok(())
}

async fn list(store: &Store) -> Result<(), Failure> {
    let mut people =
        table(&["id", "recipient", "contract", "event", "where", "strategy", "deliver at", "state", "from"]);
    for watch in store.watches(None).await? {
        let strategy = match (watch.strategy, &watch.telling.schedule) {
            (Strategy::Immediate, _) => "immediate".to_owned(),
            (Strategy::Digest(_), Some(schedule)) => format!("digest at {schedule}"),
            (Strategy::Digest(rule), None) => format!("digest {}", written(rule.window)),
        };
        people.add_row(vec![
            watch.id.to_string(),
            watch.recipient.to_string(),
            watch.contract.to_string(),
            watch.event.clone(),
            watch.filter.clone().unwrap_or_default(),
            strategy,
            watch.deliver_at.to_string(),
            if watch.paused { "paused" } else { "active" }.to_owned(),
            if watch.from_file { "file" } else { "store" }.to_owned(),
        ]);
    }
    print(&people.trim_fmt())
}

async fn found(store: &Store, id: &WatchId) -> Result<Watch, Failure> {
    let missing = || Failure::usage(format!("there is no watch '{id}': `chainbell watch list` shows them"));
    store.watch(id).await?.ok_or_else(missing)
}

// What left the file is the store's to change, though the next run has yet to remove it.
fn not_from_file(config: &Config, id: &WatchId) -> Result<(), Failure> {
    if config.watches.iter().any(|watch| watch.id == *id) {
        return Err(Failure::usage(format!(
            "watch '{id}' comes from the configuration file: change it there"
        )));
    }
    Ok(())
}
