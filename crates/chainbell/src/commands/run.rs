//! `chainbell run`.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use store::{Store, StoreError};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
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
    /// Stop, with exit status 0, once this block is through the whole pipeline
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
            through = through(&parts, block) => through,
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

const LOOK_EVERY: Duration = Duration::from_millis(200);

// What a window tells later than this from now is left to the next run, which finds it in the store.
const WINDOWS_WAITED_FOR: SignedDuration = SignedDuration::from_hours(1);

async fn through(parts: &Parts, block: u64) -> Result<(), Failure> {
    loop {
        match is_through(parts, block).await {
            Ok(true) => return say_what_waits(parts).await,
            Ok(false) => {}
            Err(error) if error.is_transient() => tracing::debug!("{error}"),
            Err(error) => return Err(error.into()),
        }
        parts.clock.sleep(LOOK_EVERY).await;
    }
}

async fn say_what_waits(parts: &Parts) -> Result<(), Failure> {
    let hits = parts.store.counts().await?.hits_pending;
    if hits > 0 {
        tracing::info!(hits, "their windows close much later: the next run tells of them");
    }
    Ok(())
}

/// Whether everything up to `block` is read, matched, told and delivered, on every chain, but for what windows tell much
/// later.
async fn is_through(parts: &Parts, block: u64) -> Result<bool, StoreError> {
    let later = parts.clock.now().saturating_add(WINDOWS_WAITED_FOR).unwrap_or(Timestamp::MAX);
    for chain in &parts.config.chains {
        let row = parts.store.chain(chain.id).await?;
        if row.and_then(|row| row.tip).is_none_or(|tip| tip.number < block) {
            return Ok(false);
        }
        let cursors = parts.store.contract_cursors(chain.id).await?;
        if cursors.iter().any(|cursor| cursor.is_behind() && cursor.next_block <= block) {
            return Ok(false);
        }
        // A chain has a tip before its contracts have their cursors.
        let mut contracts = parts.config.catalog.of_chain(chain.id);
        if contracts.any(|contract| !cursors.iter().any(|cursor| cursor.name == contract.name)) {
            return Ok(false);
        }
        let lane = Store::lane_of_chain(&chain.name);
        let settle_blocks = chain.keys.settle_blocks;
        if !parts.store.work_left(chain.id, &lane, block, settle_blocks, later).await?.is_done() {
            return Ok(false);
        }
    }
    Ok(true)
}
