//! `chainbell chaos`: the pipeline under kills, forks and failing surroundings, judged against the final chain.

use std::time::Duration;

use crate::{
    chaos::{self, Servers},
    failure::Failure,
    output::print,
};

/// Arguments of `chaos`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chainbell chaos --seed 7\n  chainbell chaos --seed 7 --minutes 2\n  chainbell chaos \
    --seed 7 --postgres postgres://user:password@db/postgres --nats nats://nats:4222 --redis redis://redis:6379/0\n\n\
    Needs Foundry's anvil. Everything that is random comes from the seed: the same seed plans the same traffic and the \
    same faults. The processes run in real time, so that what meets what differs from run to run."
)]
pub struct Args {
    /// What everything random comes from
    #[arg(long, value_name = "N")]
    seed: u64,
    /// For how long traffic and faults go on; fractions are fine
    #[arg(long, value_name = "M", default_value_t = 0.25)]
    minutes: f64,
    /// A PostgreSQL server, where a database is made for the run; embedded without it
    #[arg(long, value_name = "URL", requires_all = ["nats", "redis"])]
    postgres: Option<String>,
    /// A NATS server with JetStream
    #[arg(long, value_name = "URL", requires = "postgres")]
    nats: Option<String>,
    /// A Redis server
    #[arg(long, value_name = "URL", requires = "postgres")]
    redis: Option<String>,
}

/// How many sentences about what is wrong are printed.
const SENTENCES_MAX: usize = 12;

/// Runs chaos once.
///
/// # Errors
/// When anything was lost, doubled, not taken back or wrong; how to run it again is in the sentence.
pub async fn run(args: Args) -> Result<(), Failure> {
    let length = Duration::try_from_secs_f64(args.minutes * 60.0)
        .map_err(|error| Failure::usage(format!("--minutes: {error}")))?;
    let again = again(&args);
    let servers = match (args.postgres, args.nats, args.redis) {
        (Some(postgres), Some(nats), Some(redis)) => Some(Servers { postgres, nats, redis }),
        _ => None,
    };
    let report = chaos::run(args.seed, length, servers.as_ref()).await;
    let mut report = report.map_err(|failure| Failure::world(format!("{failure}\nrun it again: {again}")))?;
    print(&report.to_string())?;
    if report.is_clean() {
        return Ok(());
    }
    for sentence in report.sentences().iter().take(SENTENCES_MAX) {
        eprintln!("{sentence}");
    }
    report.folder.disable_cleanup(true);
    let folder = report.folder.path().display();
    Err(Failure::world(format!(
        "somebody was told something wrong; the logs are in {folder}; run it again: {again}"
    )))
}

fn again(args: &Args) -> String {
    let servers = [("postgres", &args.postgres), ("nats", &args.nats), ("redis", &args.redis)];
    let given = servers.iter().filter_map(|(name, url)| Some((name, url.as_ref()?)));
    // A URL may hold a password.
    let urls: Vec<_> = given.map(|(name, url)| format!(" --{name} {}", domain::redact_url(url))).collect();
    let urls = urls.concat();
    format!("chainbell chaos --seed {} --minutes {}{urls}", args.seed, args.minutes)
}
