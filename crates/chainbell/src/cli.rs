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
    /// Run it all under kills, forks and failing surroundings, and judge
    Chaos(commands::chaos::Args),
    /// Read blocks of the past again
    Replay(commands::replay::Args),
    /// Find where a halted chain parts from the node's, and go back there
    Recover(commands::recover::Args),
    /// Read final blocks again and report what differs from the store
    Audit(commands::audit::Args),
    /// Print canonical events, oldest first
    Events(commands::events::Args),
    /// Say why somebody was, or was not, told of a transaction
    Explain(commands::explain::Args),
    /// What passed through an address, token by token
    Ledger(commands::ledger::Args),
    /// List notifications
    #[command(subcommand, after_help = "Example: chainbell notifications list")]
    Notifications(commands::notifications::Command),
    /// Add, list, show, remove and pause watches
    #[command(subcommand, after_help = "Example: chainbell watch list")]
    Watch(commands::watch::Command),
    /// Add, list, show and remove recipients
    #[command(subcommand, after_help = "Example: chainbell recipient list")]
    Recipient(commands::recipient::Command),
    /// Add, list, test and remove targets
    #[command(subcommand, after_help = "Example: chainbell target list")]
    Target(commands::target::Command),
    /// Ask tokens for their names and decimals
    #[command(
        subcommand,
        after_help = "Example: chainbell token refresh 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
    )]
    Token(commands::token::Command),
    /// List, show, retry and drop deliveries that were given up
    #[command(subcommand, after_help = "Example: chainbell dead-letters list")]
    DeadLetters(commands::dead_letters::Command),
    /// List what rooms could not handle, and try it again
    #[command(subcommand, after_help = "Example: chainbell set-aside list")]
    SetAside(commands::set_aside::Command),
    /// Say how far everything is
    Status(commands::status::Args),
    /// Check every connection and what the node can do
    #[command(after_help = "Example: chainbell doctor --config chainbell.toml")]
    Doctor,
    /// Inspect an ABI and decode logs with it, without any server
    #[command(subcommand, after_help = "Example: chainbell abi inspect abi/erc20.json")]
    Abi(commands::abi::Command),
    /// Decode the events of a transaction
    Decode(commands::decode::Args),
    /// Check the configuration
    #[command(subcommand, after_help = "Example: chainbell config check")]
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
            Command::Chaos(args) => commands::chaos::run(args).await,
            Command::Replay(args) => commands::replay::run(load()?, args).await,
            Command::Recover(args) => commands::recover::run(&*load()?, &args).await,
            Command::Audit(args) => commands::audit::run(load()?, args).await,
            Command::Events(args) => commands::events::run(&*load()?, &args).await,
            Command::Explain(args) => commands::explain::run(&*load()?, &args).await,
            Command::Ledger(args) => commands::ledger::run(&*load()?, &args).await,
            Command::Notifications(command) => commands::notifications::run(&*load()?, &command).await,
            Command::Watch(command) => commands::watch::run(&*load()?, command).await,
            Command::Recipient(command) => commands::recipient::run(&*load()?, command).await,
            Command::Target(command) => commands::target::run(&*load()?, command).await,
            Command::Token(command) => commands::token::run(&*load()?, &command).await,
            Command::DeadLetters(command) => commands::dead_letters::run(&*load()?, command).await,
            Command::SetAside(command) => commands::set_aside::run(&*load()?, &command).await,
            Command::Status(args) => commands::status::run(&*load()?, &args).await,
            Command::Doctor => commands::doctor::run(&*load()?).await,
            Command::Abi(command) => commands::abi::run(&command),
            Command::Decode(args) => commands::decode::run(&*load()?, &args).await,
            Command::Config(command) => commands::config::run(&*load()?, &command),
            Command::Migrate => commands::migrate::run(&*load()?).await,
        }
    }
}
