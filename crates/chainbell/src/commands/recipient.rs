//! `chainbell recipient`.

use clap::Subcommand;
use domain::{Recipient, RecipientId};
use store::Store;

use crate::{
    config::{Config, RecipientTable, people},
    failure::Failure,
    output::{print, table},
};

/// What to do with recipients.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a recipient, or change the one of that id
    #[command(after_help = "Example: chainbell recipient add ops --locale ru --timezone Europe/Moscow")]
    Add {
        /// Its id
        id: String,
        /// Language of the texts: en or ru
        #[arg(long, default_value = "en", value_name = "TAG")]
        locale: String,
        /// IANA time zone
        #[arg(long, default_value = "UTC", value_name = "ZONE")]
        timezone: String,
        /// When only what is critical is told, in that zone, such as 22:00-07:00
        #[arg(long, value_name = "HOURS")]
        quiet_hours: Option<String>,
        /// How many notifications at most, such as 12/day or 3/hour; more of them wait and are told together
        #[arg(long, value_name = "BUDGET")]
        at_most: Option<String>,
    },
    /// List all recipients
    #[command(after_help = "Example: chainbell recipient list")]
    List,
    /// Show one recipient with its targets and watches
    #[command(after_help = "Example: chainbell recipient show ops")]
    Show {
        /// Its id
        id: RecipientId,
    },
    /// Remove a recipient with its targets and watches
    #[command(after_help = "Example: chainbell recipient remove ops")]
    Remove {
        /// Its id
        id: RecipientId,
    },
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let store = crate::sync::open(config).await?;
    match command {
        Command::Add { id, locale, timezone, quiet_hours, at_most } => {
            let written = RecipientTable { id, locale, timezone, quiet_hours, at_most, target: Vec::new() };
            let recipient = people::recipient(&written, false)?;
            not_from_file(config, &recipient.id)?;
            store.put_recipients(std::slice::from_ref(&recipient)).await?;
            eprintln!("recipient '{}' is set", recipient.id);
            Ok(())
        }
        Command::List => {
            let mut people = table(&["id", "locale", "timezone", "from"]);
            for recipient in store.recipients().await? {
                let from = if recipient.from_file { "file" } else { "store" };
                people.add_row(vec![
                    recipient.id.to_string(),
                    recipient.locale,
                    recipient.timezone,
                    from.to_owned(),
                ]);
            }
            print(&people.trim_fmt())
        }
        Command::Show { id } => show(&store, &id).await,
        Command::Remove { id } => {
            found(&store, &id).await?;
            not_from_file(config, &id)?;
            for watch in store.watches(Some(&id)).await? {
                store.remove_watch(&watch.id).await?;
                eprintln!("removed watch '{}'", watch.id);
            }
            store.remove_recipient(&id).await?;
            eprintln!("removed recipient '{id}'");
            Ok(())
        }
    }
}

async fn show(store: &Store, id: &RecipientId) -> Result<(), Failure> {
    let recipient = found(store, id).await?;
    print(&format!(
        "recipient {}\n  locale    {}\n  timezone  {}",
        recipient.id, recipient.locale, recipient.timezone
    ))?;
    if let Some(hours) = recipient.quiet_hours {
        print(&format!("  quiet     {hours}"))?;
    }
    if let Some(budget) = recipient.at_most {
        print(&format!("  at most   {budget}"))?;
    }
    for target in store.targets_of(std::slice::from_ref(id)).await? {
        print(&format!("  target    {}  {}  {} secrets", target.name, target.url, target.secrets.len()))?;
    }
    for watch in store.watches(Some(id)).await? {
        print(&format!("  watch     {}  {} of {}", watch.id, watch.event, watch.contract))?;
    }
    Ok(())
}

/// The recipient of an id.
///
/// # Errors
/// When there is none.
pub async fn found(store: &Store, id: &RecipientId) -> Result<Recipient, Failure> {
    let missing =
        || Failure::usage(format!("there is no recipient '{id}': `chainbell recipient list` shows them"));
    store.recipients_by_id(std::slice::from_ref(id)).await?.pop().ok_or_else(missing)
}

// What left the file is the store's to change, though the next run has yet to remove it.
fn not_from_file(config: &Config, id: &RecipientId) -> Result<(), Failure> {
    if config.recipients.iter().any(|recipient| recipient.id == *id) {
        return Err(Failure::usage(format!(
            "recipient '{id}' comes from the configuration file: change it there"
        )));
    }
    Ok(())
}
