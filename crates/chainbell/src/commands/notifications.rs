//! `chainbell notifications`.

use clap::Subcommand;
use domain::RecipientId;
use serde_json::json;
use store::NotificationQuery;

use crate::{
    config::Config,
    failure::Failure,
    output::{harmless, print, table},
};

/// What to do with notifications.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Notifications with the standing of their deliveries, newest first
    #[command(after_help = "Example: chainbell notifications list --recipient treasury --format jsonl")]
    List {
        /// Only to this recipient
        #[arg(long, value_name = "ID")]
        recipient: Option<RecipientId>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

/// How lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One JSON object per line
    Jsonl,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    let Command::List { recipient, limit, format } = command;
    let store = crate::stores::open(config).await?;
    let query = NotificationQuery { recipient: recipient.clone(), watch: None, limit: *limit };
    let rows = store.notifications(&query).await?;
    let mut people = table(&["made", "recipient", "watch", "events", "title", "delivered", "open", "dead"]);
    for row in rows {
        let n = &row.notification;
        match format {
            Format::Table => {
                people.add_row(vec![
                    n.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                    n.recipient.to_string(),
                    n.watch.to_string(),
                    n.count.to_string(),
                    harmless(&n.title),
                    row.delivered.to_string(),
                    row.open.to_string(),
                    row.dead.to_string(),
                ]);
            }
            Format::Jsonl => {
                let deliveries = json!({ "delivered": row.delivered, "open": row.open, "dead": row.dead });
                let mut line = serde_json::to_value(n).map_err(|error| Failure::world(error.to_string()))?;
                line["deliveries"] = deliveries;
                print(&line.to_string())?;
            }
        }
    }
    match format {
        Format::Table => print(&people.trim_fmt()),
        Format::Jsonl => Ok(()),
    }
}
