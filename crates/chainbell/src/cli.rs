//! The command line: every command with its arguments and an example. What a command does is in
//! [`crate::commands`].

use std::{path::PathBuf, sync::Arc};

use clap::{Parser, Subcommand};

use crate::{commands, config::Config, demo, failure::Failure};

/// Watches EVM chains for contract events and turns them into notifications.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, after_help = "Example: chainbell demo --seconds 60")]
pub struct Cli {
    /// Configuration file [default: chainbell.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the pipeline: every role, or some
    Run(commands::run::Args),
    /// Show it all on a local chain: an alert, a digest, a reorg
    Demo(demo::Args),
    /// Check the configuration
    #[command(subcommand)]
    Config(commands::config::Command),
    /// Bring the store's schema up to date
    #[command(after_help = "Example: chainbell migrate --config chainbell.toml")]
    Migrate,
}

impl Cli {
    /// Whether the command is one that runs for long, and logs.
    pub const fn is_service(&self) -> bool {
        matches!(self.command, Command::Run(_))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// One sentence, and whose fault it is.
    pub async fn run(self) -> Result<(), Failure> {
        let load = || Config::load(self.config.as_deref()).map(Arc::new);
        match self.command {
            Command::Run(args) => commands::run::run(load()?, args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Config(command) => commands::config::run(&*load()?, &command),
            Command::Migrate => commands::migrate::run(&*load()?).await,
        }
    }
}
