//! `chainbell doctor`: every connection, what the node can do, and how to mend what is wrong. One file per server.

mod broker;
mod node;
mod past;
mod store;
mod targets;
mod timers;

use std::sync::Arc;

use ::store::StoreClock;
use domain::Clock;

use crate::{config::Config, failure::Failure, output::print};

/// What was found, said line by line as it is found.
#[derive(Debug, Default)]
struct Findings {
    wrong: u32,
}

impl Findings {
    fn good(&self, what: &str) -> Result<(), Failure> {
        print(&format!("ok    {what}"))
    }

    fn note(&self, what: &str) -> Result<(), Failure> {
        print(&format!("note  {what}"))
    }

    fn wrong(&mut self, what: &str) -> Result<(), Failure> {
        self.wrong += 1;
        print(&format!("FAIL  {what}"))
    }
}

/// Examines everything that the configuration names.
///
/// # Errors
/// When something is wrong, after all of it was said.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let mut findings = Findings::default();
    findings.good("the configuration is sound")?;
    for note in &config.notes {
        findings.note(note)?;
    }
    let store = store::examine(config, &mut findings).await?;
    for chain in &config.chains {
        if let Err(error) = store.check_chain(chain.id, &chain.name).await {
            findings.wrong(&error.to_string())?;
        }
    }
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    broker::examine(config, &clock, &mut findings).await?;
    timers::examine(config, &store, &*clock, &mut findings).await?;
    node::examine(config, &store, &clock, &mut findings).await?;
    targets::examine(config, &store, clock, &mut findings).await?;
    match findings.wrong {
        0 => Ok(()),
        1 => Err(Failure::world("one thing is wrong")),
        wrong => Err(Failure::world(format!("{wrong} things are wrong"))),
    }
}
