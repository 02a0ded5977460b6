//! `chainbell config check`.

use clap::Subcommand;

use crate::{config::Config, failure::Failure};

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Say whether the configuration can be used, and what it configures
    #[command(after_help = "Example: chainbell config check --config chainbell.toml")]
    Check,
}

/// Says what a configuration, which was read and checked already, configures.
///
/// # Errors
/// None: a configuration that cannot be used has failed before.
pub fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check => {
            eprintln!(
                "the configuration is sound: {} chains, {} contracts, {} recipients with {} targets, {} watches",
                config.chains.len(),
                config.catalog.contracts().len(),
                config.recipients.len(),
                config.targets.len(),
                config.watches.len()
            );
            for note in &config.notes {
                eprintln!("note: {note}");
            }
            Ok(())
        }
    }
}
