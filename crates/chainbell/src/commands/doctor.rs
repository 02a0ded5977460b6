//! `chainbell doctor`: every connection, what the node can do, and how to mend what is wrong.

use std::{sync::Arc, time::Duration};

use broker::Broker;
use chain::{Ability, Probe, probe};
use domain::Clock;
use store::{Store, StoreClock};

use crate::{
    config::{Chain, Config},
    failure::Failure,
    output::print,
    wiring::channels,
};

const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
const STALE: Duration = Duration::from_secs(600);

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
    let store = match Store::open(&config.raw.store.url).await {
        Ok(store) => store,
        Err(error) => {
            findings.wrong(&error.to_string())?;
            return Err(Failure::world("the store is needed for everything else: mend it first"));
        }
    };
    findings.good(&format!("store {}: reachable, schema up to date", store.url()))?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    servers(config, &store, &clock, &mut findings).await?;
    for chain in &config.chains {
        for url in &chain.rpc {
            match probe(url, PROBE_TIMEOUT, Arc::clone(&clock)).await {
                Ok(probed) => node(chain, &probed, &mut findings)?,
                Err(error) => findings.wrong(&error.to_string())?,
            }
        }
    }
    let channels = channels(config, clock)?;
    for target in store.targets().await? {
        let shown = format!("target '{}' of '{}' ({})", target.name, target.recipient, target.url);
        match channels.get(target.url.channel()).map(|channel| channel.check(&target)) {
            Some(Ok(())) => {
                findings.good(&format!("{shown}: usable; `chainbell target test` sends to it"))?;
            }
            Some(Err(why)) => findings.wrong(&format!("{shown}: {why}"))?,
            None => findings.wrong(&format!("{shown}: there is no such channel"))?,
        }
    }
    match findings.wrong {
        0 => Ok(()),
        1 => Err(Failure::world("one thing is wrong")),
        wrong => Err(Failure::world(format!("{wrong} things are wrong"))),
    }
}

async fn servers(
    config: &Config,
    store: &Store,
    clock: &Arc<dyn Clock>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let section = &config.raw.broker;
    match Broker::open(&section.url, &section.prefix, Arc::clone(clock)).await {
        Ok(broker) => match broker.publisher().ping().await {
            Ok(()) => findings.good(&format!("broker {}: reachable", broker.url()))?,
            Err(error) => findings.wrong(&error.to_string())?,
        },
        Err(error) => findings.wrong(&error.to_string())?,
    }
    let section = &config.raw.debounce;
    let opened = debounce::open(&section.url, &section.prefix, store.clone()).await;
    let shown = domain::redact_url(&section.url);
    match opened {
        Ok(debouncer) => match debouncer.outlook().await {
            Ok((open, _)) => findings.good(&format!("debouncer {shown}: reachable, {open} windows open")),
            Err(error) => findings.wrong(&error.to_string()),
        },
        Err(error) => findings.wrong(&error.to_string()),
    }
}

fn node(chain: &Chain, probed: &Probe, findings: &mut Findings) -> Result<(), Failure> {
    let (url, name) = (&probed.url, &chain.name);
    if probed.chain_id != chain.id {
        let (served, wanted) = (probed.chain_id, chain.id);
        let detail = format!(
            "{url} serves chain {served}, but '{name}' is configured as {wanted}: mend chain_id or rpc"
        );
        return findings.wrong(&detail);
    }
    let client = probed.client_version.as_deref().unwrap_or("an unnamed client");
    findings.good(&format!("{url}: chain {} by {client}, head {}", probed.chain_id, probed.latest.block))?;
    if probed.latest_age > STALE {
        let minutes = probed.latest_age.as_secs() / 60;
        findings
            .note(&format!("{url}: its newest block is {minutes} minutes old; it may still be syncing"))?;
    }
    match &probed.logs_by_hash {
        Ability::Yes => findings.good(&format!("{url}: logs by block hash"))?,
        Ability::No(why) => {
            findings.wrong(&format!(
                "{url}: no logs by block hash ({why}); chainbell needs them: use another provider"
            ))?;
        }
    }
    match &probed.subscriptions {
        Ability::Yes => findings.good(&format!("{url}: subscriptions"))?,
        Ability::No(why) => {
            let poll = chain.keys.poll.0.as_millis();
            findings.note(&format!(
                "{url}: no subscriptions ({why}); chainbell asks for the head every {poll} ms"
            ))?;
        }
    }
    for (tag, ability) in [("safe", &probed.safe), ("finalized", &probed.finalized)] {
        match ability {
            Ability::Yes => findings.good(&format!("{url}: the tag {tag}"))?,
            Ability::No(why) => {
                let mend = "set finality = { depth = 64 } for a chain without it";
                findings.note(&format!("{url}: no tag {tag} ({why}); {mend}"))?;
            }
        }
    }
    Ok(())
}
