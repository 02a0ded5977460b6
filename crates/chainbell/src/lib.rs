#![doc = include_str!("../README.md")]

pub mod accounts;
pub mod chaos;
pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod dry_run;
pub mod failure;
pub mod gauges;
pub mod nodes;
pub mod output;
pub mod past;
pub mod progress;
pub mod roles;
pub mod servers;
pub mod stores;
pub mod supervise;
pub mod sync;
pub mod timekeeper;
pub mod wiring;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Builder;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    output::logging(cli.is_service());
    // Whoever needs TLS first would install it; a second installation is refused, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chainbell: the run time cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("chainbell: {failure}");
            failure.exit_code()
        }
    }
}
