//! `chainbell dead-letters`.

use clap::Subcommand;
use domain::{Clock as _, DeliveryId};
use store::{Store, StoreClock};

use crate::{
    config::Config,
    failure::Failure,
    output::{harmless, print, table},
};

/// What to do with deliveries that were given up.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List them, newest first
    #[command(after_help = "Example: chainbell dead-letters list --limit 20")]
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
    },
    /// Show one, with every attempt
    #[command(after_help = "Example: chainbell dead-letters show 6f1c…")]
    Show {
        /// Its id
        id: DeliveryId,
    },
    /// Try one again, or all of them
    #[command(
        after_help = "Examples:\n  chainbell dead-letters retry 6f1c…\n  chainbell dead-letters retry --all"
    )]
    Retry(Which),
    /// Drop one for good, or all of them
    #[command(after_help = "Example: chainbell dead-letters drop --all")]
    Drop(Which),
}

/// One or all.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Its id
    id: Option<DeliveryId>,
    /// All of them
    #[arg(long)]
    all: bool,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let store = crate::stores::open(config).await?;
    match command {
        Command::List { limit } => list(&store, limit).await,
        Command::Show { id } => show(&store, id).await,
        Command::Retry(which) => {
            let now = StoreClock::measure(&store).await?.now();
            let count = store.retry_dead_letters(which.id, now).await?;
            some(which.id, count)?;
            eprintln!("{count} will be tried again");
            Ok(())
        }
        Command::Drop(which) => {
            let count = store.drop_dead_letters(which.id).await?;
            some(which.id, count)?;
            eprintln!("{count} dropped");
            Ok(())
        }
    }
}

async fn list(store: &Store, limit: u32) -> Result<(), Failure> {
    let mut people = table(&["id", "recipient", "target", "watch", "title", "attempts", "reason"]);
    for letter in store.dead_letters(limit).await? {
        people.add_row(vec![
            letter.delivery.id.to_string(),
            letter.delivery.recipient.to_string(),
            letter.delivery.target.to_string(),
            letter.notification.watch.to_string(),
            harmless(&letter.notification.title),
            letter.delivery.attempts.to_string(),
            harmless(letter.delivery.reason.as_deref().unwrap_or_default()),
        ]);
    }
    print(&people.trim_fmt())
}

async fn show(store: &Store, id: DeliveryId) -> Result<(), Failure> {
    let letter = store.dead_letter(id).await?.ok_or_else(|| missing(id))?;
    print(&format!(
        "delivery {id} to target '{}' of '{}'",
        letter.delivery.target, letter.delivery.recipient
    ))?;
    print(&format!("  notification  {}  {}", letter.notification.id, harmless(&letter.notification.title)))?;
    print(&format!("  reason        {}", harmless(letter.delivery.reason.as_deref().unwrap_or_default())))?;
    for (attempt, outcome) in letter.attempts {
        print(&format!("  {}  {outcome:9}  {}", attempt.started, harmless(&attempt.detail)))?;
    }
    Ok(())
}

fn missing(id: DeliveryId) -> Failure {
    Failure::usage(format!("there is no dead letter {id}: `chainbell dead-letters list` shows them"))
}

fn some(id: Option<DeliveryId>, count: u64) -> Result<(), Failure> {
    match id {
        Some(id) if count == 0 => Err(missing(id)),
        _ => Ok(()),
    }
}
