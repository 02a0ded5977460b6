//! `chainbell run`.

use std::sync::Arc;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    commands::until,
    config::Config,
    failure::Failure,
    roles::{Role, Roles},
    wiring::Parts,
};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chainbell run\n  chainbell run --roles ingest,relay\n  chainbell run --until-block 18600000"
)]
pub struct Args {
    /// Only these roles: ingest, relay, matching, digest, deliver, api
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<Role>,
    /// Stop, with exit status 0, once this block is through the whole pipeline; with 3 if all but what is set aside is
    #[arg(long, value_name = "N")]
    until_block: Option<u64>,
}

/// Runs the pipeline until a signal, or until a block is through it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: Arc<Config>, args: Args) -> Result<(), Failure> {
    let roles = Roles::of(&args.roles);
    if config.chains.is_empty() {
        return Err(Failure::usage("chain: none is configured: add a [[chain]] with name, chain_id and rpc"));
    }
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    let parts = Parts::connect(Arc::clone(&config), &roles).await?;
    parts.sync_file().await?;
    let supervisor = parts.start(&roles, args.until_block, recorder()?).await?;
    let ended = match args.until_block {
        None => {
            signalled().await?;
            Ok(())
        }
        Some(block) => tokio::select! {
            signal = signalled() => signal,
            through = until::through(&parts, block) => through,
        },
    };
    tracing::info!("shutting down");
    supervisor.shut_down(config.raw.run.grace.0).await;
    parts.store.close().await;
    ended
}

/// Returns at SIGINT or SIGTERM.
///
/// # Errors
/// When the process cannot listen to signals.
pub async fn signalled() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
    Ok(())
}

/// Installs the metrics' recorder, once per process.
///
/// # Errors
/// When another recorder is installed already.
pub fn recorder() -> Result<PrometheusHandle, Failure> {
    const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::world(format!("the metrics cannot be set up: {error}")))
}
