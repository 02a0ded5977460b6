//! `chainbell demo`: a local Anvil, real contracts, real traffic and a reorg, through the embedded pipeline.
//!
//! Owns the story and the judgement whether it came true. The pipeline is the one that `run` runs, from the same
//! wiring: nothing here reaches around it, and the narrator only reads the store.

mod narrator;
mod story;

use std::{sync::Arc, time::Duration};

use devnet::{Devnet, Mining, Options};
use jiff::SignedDuration;

use crate::{
    commands::run::recorder, commands::run::signalled, config::Config, failure::Failure, roles::Roles,
    wiring::Parts,
};
use narrator::Narrator;
use story::Story;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  chainbell demo\n  chainbell demo --seconds 60")]
pub struct Args {
    /// End after this many seconds; without it, run until Ctrl-C
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

const TEMPLATE: &str = include_str!("../../../../config/demo.toml");
const GRACE: Duration = Duration::from_secs(10);

/// Tells the story, and fails when it did not come true.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: Args) -> Result<(), Failure> {
    let net = start_chain().await?;
    let cast = story::deploy(&net).await?;
    let folder = tempfile::tempdir()?;
    let config = configure(&net, &cast, folder.path())?;
    let roles = Roles::all();
    let parts = Parts::connect(Arc::new(config), &roles).await?;
    parts.sync_file().await?;
    let mut supervisor = parts.start(&roles, None, recorder()?).await?;
    let began = parts.clock.now();
    let narrator = Narrator::new(&parts);
    let voice = narrator.clone();
    supervisor.task("narrator", |stop| async move { voice.listen(stop).await });

    let story = Story::new(&net, &parts, &narrator, cast);
    let limit = args.seconds.map(Duration::from_secs);
    let told = tokio::select! {
        told = story.tell() => told.map(|()| true),
        stopped = signalled() => stopped.map(|()| false),
        () = sleep_for(&parts, limit) => Err(Failure::world(format!(
            "{} seconds were too few for the story: give it 60", limit.unwrap_or_default().as_secs()
        ))),
    };
    if matches!(told, Ok(true)) {
        let spent: SignedDuration = parts.clock.now().duration_since(began);
        let left = limit.map(|limit| limit.saturating_sub(spent.try_into().unwrap_or_default()));
        narrator.say(match left {
            Some(_) => "The story is told. Light traffic goes on until the time is over.",
            None => "The story is told. Light traffic goes on until Ctrl-C.",
        });
        tokio::select! { done = story.small_talk() => done?, stopped = signalled() => stopped?, () = sleep_for(&parts, left) => {} }
    }
    supervisor.shut_down(GRACE).await;
    parts.store.close().await;
    if told? { Ok(()) } else { Err(Failure::world("stopped before the story was told")) }
}

// Without a limit, never.
async fn sleep_for(parts: &Parts, limit: Option<Duration>) {
    match limit {
        Some(limit) => parts.clock.sleep(limit).await,
        None => std::future::pending().await,
    }
}

async fn start_chain() -> Result<Devnet, Failure> {
    // Ctrl-C is for us: the chain must outlive the pipeline's shutdown.
    let options = Options { mining: Mining::Auto, own_process_group: true, ..Options::default() };
    Devnet::start(options).await.map_err(|error| Failure::world(error.to_string()))
}

fn configure(net: &Devnet, cast: &story::Cast, folder: &std::path::Path) -> Result<Config, Failure> {
    let text = TEMPLATE
        .replace("{{folder}}", &folder.display().to_string())
        .replace("{{rpc}}", &net.ws_url())
        .replace("{{token}}", &cast.token.address.to_string())
        .replace("{{exchange}}", &cast.exchange.address.to_string())
        .replace("{{treasury}}", &cast.treasury.to_string());
    Ok(Config::parse("demo.toml", &text, folder)?)
}
