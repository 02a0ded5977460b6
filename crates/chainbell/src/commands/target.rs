//! `chainbell target`.

use std::sync::Arc;

use clap::Subcommand;
use domain::{
    ChainId, DeliveryId, HitId, Notification, NotificationId, NotificationState, Outgoing, RecipientId,
    Target, TargetName,
};
use serde_json::json;
use store::{Store, StoreClock};
use uuid::Uuid;

use crate::{
    config::{Config, TargetTable, people},
    failure::Failure,
    output::{print, table},
    wiring,
};

/// What to do with targets.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a target to a recipient, or change the one of that name
    #[command(
        after_help = "Example: chainbell target add ops hook https://example.org/hook --secret whsec_…"
    )]
    Add {
        /// Whose
        recipient: RecipientId,
        /// Its name
        name: String,
        /// Where to deliver: stdout: or https://…
        url: String,
        /// A signing secret; several during rotation, newest first
        #[arg(long = "secret", value_name = "SECRET")]
        secrets: Vec<String>,
    },
    /// List all targets, their URLs redacted
    #[command(after_help = "Example: chainbell target list")]
    List,
    /// Send a test notification, now, and say what came of it
    #[command(after_help = "Example: chainbell target test ops hook")]
    Test {
        /// Whose
        recipient: RecipientId,
        /// Its name
        name: TargetName,
    },
    /// Remove a target
    #[command(after_help = "Example: chainbell target remove ops hook")]
    Remove {
        /// Whose
        recipient: RecipientId,
        /// Its name
        name: TargetName,
    },
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let store = crate::sync::open(config).await?;
    match command {
        Command::Add { recipient, name, url, secrets } => {
            let recipient = super::recipient::found(&store, &recipient).await?;
            let table = TargetTable { name, url, secrets };
            let target = people::target(&recipient, &table, false, &config.raw.channels)?;
            not_from_file(config, &recipient.id, &target.name)?;
            store.put_targets(std::slice::from_ref(&target)).await?;
            eprintln!("target '{}' of '{}' is set", target.name, target.recipient);
            Ok(())
        }
        Command::List => {
            let mut people = table(&["recipient", "name", "url", "secrets", "from"]);
            for target in store.targets().await? {
                people.add_row(vec![
                    target.recipient.to_string(),
                    target.name.to_string(),
                    target.url.to_string(),
                    target.secrets.len().to_string(),
                    if target.from_file { "file" } else { "store" }.to_owned(),
                ]);
            }
            print(&people.trim_fmt())
        }
        Command::Test { recipient, name } => {
            test(config, &store, found(&store, &recipient, &name).await?).await
        }
        Command::Remove { recipient, name } => {
            found(&store, &recipient, &name).await?;
            not_from_file(config, &recipient, &name)?;
            store.remove_target(&recipient, &name).await?;
            eprintln!("removed target '{name}' of '{recipient}'");
            Ok(())
        }
    }
}

async fn test(config: &Config, store: &Store, target: Target) -> Result<(), Failure> {
    channels::check(&config.raw.channels.webhook(), &target).map_err(Failure::usage)?;
    let clock = Arc::new(StoreClock::measure(store).await?);
    let now = domain::Clock::now(clock.as_ref());
    let channels = wiring::channels(config, clock)?;
    let Some(channel) = channels.get(target.url.channel()) else { return Ok(()) };
    let id = NotificationId::derive(HitId(Uuid::new_v4()));
    let watch = "test".parse().map_err(|error: domain::ids::BadName| Failure::world(error.to_string()))?;
    let notification = Notification {
        id,
        recipient: target.recipient.clone(),
        watch,
        chain: ChainId(0),
        kind: "test".to_owned(),
        title: "chainbell test".to_owned(),
        body: "If you can read this, the target works.".to_owned(),
        count: 0,
        window: None,
        facts: json!({}),
        events: Vec::new(),
        finality: "seen".to_owned(),
        state: NotificationState::Active,
        revision: 1,
        corrects: None,
        created_at: now,
    };
    let delivery = DeliveryId::derive(id, 1, &target.recipient, &target.name);
    let (name, url) = (target.name.clone(), target.url.clone());
    match channel.send(&Outgoing { delivery, notification, target, attempt: 1, first: true }).await {
        Ok(receipt) => {
            eprintln!("target '{name}' works: {}", receipt.detail);
            Ok(())
        }
        Err(error) => Err(Failure::world(format!("target '{name}' at {url} does not work: {error}"))),
    }
}

async fn found(store: &Store, recipient: &RecipientId, name: &TargetName) -> Result<Target, Failure> {
    let targets = store.targets_of(std::slice::from_ref(recipient)).await?;
    targets.into_iter().find(|target| target.name == *name).ok_or_else(|| {
        Failure::usage(format!(
            "recipient '{recipient}' has no target '{name}': `chainbell target list` shows them"
        ))
    })
}

// What left the file is the store's to change, though the next run has yet to remove it.
fn not_from_file(config: &Config, recipient: &RecipientId, name: &TargetName) -> Result<(), Failure> {
    if config.targets.iter().any(|target| target.recipient == *recipient && target.name == *name) {
        let detail =
            format!("target '{name}' of '{recipient}' comes from the configuration file: change it there");
        return Err(Failure::usage(detail));
    }
    Ok(())
}
